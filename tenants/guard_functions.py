"""Where the functions of triggers look, fixed so that nobody can put another table before theirs.

A temporary table stands before a real one of the same name wherever a statement names no schema, and every
role may make temporary tables. A guard that looked up an invoice, or the entries of a transaction, could so
be shown an empty table and let everything pass. Each function of a trigger therefore reads the tables beside
the one whose trigger it is: the real ones for a real table, those of a sandbox for one of a sandbox
(`work.sandbox`).

`fix` is idempotent and runs after every migration, as row security does, so a new trigger can't be without.
"""

from typing import Any, Final

from psycopg2 import sql

_MARK: Final = "-- Reads the tables beside its own, whatever stands before them."
_NOT_FIXED: Final = """
SELECT p.proname, p.prosrc FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE p.pronamespace = current_schema()::regnamespace AND p.prorettype = 'trigger'::regtype
   AND l.lanname = 'plpgsql' AND NOT p.prosecdef AND strpos(p.prosrc, %(mark)s) = 0
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
 ORDER BY 1
"""
# What the function itself was is a block, and stands in another one unchanged.
_FIXED: Final = """
BEGIN
    %(mark)s
    IF TG_TABLE_SCHEMA <> %(schema)s THEN
        PERFORM set_config('search_path', concat_ws(', ', quote_ident(TG_TABLE_SCHEMA), %(path)s), true);
    END IF;
%(body)s;
END
"""


def fix(cursor: Any) -> None:
    """Fix those that are not fixed yet, in the current schema; runs as owner."""
    cursor.execute(
        "SELECT current_schema(), quote_literal(current_schema()),"
        " quote_literal(quote_ident(current_schema()))"
    )
    schema, literal, quoted = cursor.fetchone()
    path = sql.SQL("{}, pg_temp").format(sql.Identifier(schema))
    for name, body in _not_fixed(cursor):
        fixed = _FIXED % {
            "mark": _MARK,
            "schema": literal,
            "path": quoted,
            "body": body.strip().rstrip(";"),
        }
        cursor.execute(
            sql.SQL(
                "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql"
                " SET search_path = {} AS {}"
            ).format(sql.Identifier(name), path, sql.Literal(fixed))
        )


def not_fixed(cursor: Any) -> list[str]:
    """The functions of triggers that somebody could show other tables."""
    return [name for name, _ in _not_fixed(cursor)]


def _not_fixed(cursor: Any) -> list[tuple[str, str]]:
    cursor.execute(_NOT_FIXED, {"mark": _MARK})
    return list(cursor.fetchall())
