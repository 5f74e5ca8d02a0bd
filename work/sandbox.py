"""A world of its own inside one transaction that is rolled back.

In a sandbox every door of `tenants.scope` leads into one outer transaction of the jobs role, as a
savepoint. Temporary tables without rows stand before the real ones, with their constraints, indexes
and triggers, so that the same SQL runs on them: nothing of the deployment is seen, locked or
changed, and numbers begin at one.

The tables are made once a session, in a connection of the sandboxes' own, and wait there without
rows under names that no statement uses; each sandbox gives them the real names inside its
transaction, whose end takes names and rows back. So a connection that others get next, as a pooler
hands them on, shows them the real tables.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2 import sql

from work.connections import JOBS, joining_one_transaction, using_alias

# Definitions are read before the temporary tables exist: then no name needs its schema, and the same
# text, run later, means the temporary tables. A table that the role may not read stays as it is.
_TABLES = """
SELECT c.oid, c.relname FROM pg_class c
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
   AND NOT c.relispartition AND has_table_privilege(c.oid, 'SELECT')
 ORDER BY c.relname
"""
_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE contype = 'f' AND conrelid = ANY (%(tables)s::oid[]) AND confrelid = ANY (%(tables)s::oid[])
 ORDER BY 1, 2
"""
_TRIGGERS = """
SELECT pg_get_triggerdef(oid, true) FROM pg_trigger
 WHERE NOT tgisinternal AND tgrelid = ANY (%(tables)s::oid[]) ORDER BY tgname, oid
"""
# Which rows of the catalogue tell the real tables: a migration in between writes others, emptying
# a table does not.
_STATE = """
WITH t AS (
    SELECT oid FROM pg_class
     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
       AND NOT relispartition AND has_table_privilege(oid, 'SELECT')
), rows AS (
    SELECT 'a' AS kind, xmin::text::bigint AS written FROM pg_attribute
     WHERE attrelid IN (TABLE t) AND attnum > 0
    UNION ALL SELECT 'c', xmin::text::bigint FROM pg_constraint WHERE conrelid IN (TABLE t)
    UNION ALL SELECT 'i', xmin::text::bigint FROM pg_index WHERE indrelid IN (TABLE t)
    UNION ALL SELECT 'g', xmin::text::bigint FROM pg_trigger WHERE tgrelid IN (TABLE t)
)
SELECT string_agg(concat_ws(' ', kind, n, total), ', ' ORDER BY kind)
  FROM (SELECT kind, count(*) AS n, sum(written) AS total FROM rows GROUP BY kind) AS each
"""
_MADE = """
SELECT relname FROM pg_class
 WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p') ORDER BY relname
"""
# Numbers that the database gives begin at one again; a rollback does not take them back.
_RESTART = """
SELECT count(setval(s.seqrelid, s.seqstart, false))
  FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
 WHERE c.relnamespace = pg_my_temp_schema()
"""
_WAITING: Final = "sandbox:"
"""What the names of the tables begin with between sandboxes."""
_STATE_TABLE: Final = "sandbox_state"

_here = threading.local()


class _Undo(Exception):
    """Leaves the transaction so that it is rolled back."""


@contextmanager
def sandbox(*, copying: Collection[str] = ()) -> Iterator[None]:
    """Run the block in an empty world; what it did is gone afterwards, however it ended.

    `copying` names the tables whose rows are taken along: what set-up fills. Raises RuntimeError
    inside a scope or another sandbox. Deferred constraints are checked where a scope ends, as its
    commit would.
    """
    if connections[JOBS].in_atomic_block:
        raise RuntimeError("a sandbox begins outside any scope")
    with _own_connection() as connection, suppress(_Undo):
        with transaction.atomic(using=JOBS, durable=True), connection.cursor() as cursor:
            _make(cursor)
        with transaction.atomic(using=JOBS, durable=True):
            with connection.cursor() as cursor:
                _make(cursor)  # again only where a pooler gave this transaction another session
                _stand_before(cursor, copying=copying)
            with using_alias(JOBS), joining_one_transaction():
                yield
            raise _Undo


@contextmanager
def _own_connection() -> Iterator[BaseDatabaseWrapper]:
    """Let the alias of the jobs role mean this thread's connection for sandboxes.

    It is kept as long as other connections are, by the same settings.
    """
    own: BaseDatabaseWrapper | None = getattr(_here, "connection", None)
    if own is None:
        own = _here.connection = connections.create_connection(JOBS)
    own.close_if_unusable_or_obsolete()
    usual = connections[JOBS]
    connections[JOBS] = own
    try:
        yield own
    finally:
        connections[JOBS] = usual


def _make(cursor: Any) -> None:
    """Make the tables under the names by which they wait, unless they are there as they should be."""
    cursor.execute(_STATE)
    (state,) = cursor.fetchone()
    cursor.execute(_MADE)
    made = [name for (name,) in cursor.fetchall()]
    if _STATE_TABLE in made:
        cursor.execute(sql.SQL("SELECT state FROM {}").format(_temporary(_STATE_TABLE)))
        if cursor.fetchone() == (state,):
            return
    cursor.execute("SELECT current_schema()")
    (schema,) = cursor.fetchone()
    cursor.execute(_TABLES)
    tables = cursor.fetchall()
    wanted = {"tables": "{" + ",".join(str(oid) for oid, _ in tables) + "}"}
    cursor.execute(_FOREIGN_KEYS, wanted)
    keys = cursor.fetchall()
    cursor.execute(_TRIGGERS, wanted)
    triggers = [definition for (definition,) in cursor.fetchall()]
    statements: list[sql.Composable] = [
        sql.SQL("DROP TABLE {} CASCADE").format(_temporary(name)) for name in made
    ]
    statements.extend(
        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL)").format(
            _temporary(name), sql.Identifier(schema, name)
        )
        for _, name in tables
    )
    statements.extend(
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.SQL(table), sql.Identifier(name), sql.SQL(definition)
        )
        for table, name, definition in keys
    )
    statements.extend(sql.SQL(definition) for definition in triggers)
    statements.extend(_renamed(name, _WAITING + name) for _, name in tables)
    statements.append(
        sql.SQL("CREATE TEMPORARY TABLE {} AS SELECT {}::text AS state").format(
            sql.Identifier(_STATE_TABLE), sql.Literal(state)
        )
    )
    cursor.execute(sql.SQL(";\n").join(statements))


def _stand_before(cursor: Any, *, copying: Collection[str]) -> None:
    """Give the tables the names of the real ones, until the transaction ends."""
    cursor.execute(_RESTART)
    cursor.execute("SELECT current_schema()")
    (schema,) = cursor.fetchone()
    cursor.execute(_MADE)
    names = [
        name.removeprefix(_WAITING) for (name,) in cursor.fetchall() if name.startswith(_WAITING)
    ]
    statements: list[sql.Composable] = [_renamed(_WAITING + name, name) for name in names]
    statements.extend(
        sql.SQL("INSERT INTO {} SELECT * FROM {}").format(
            _temporary(name), sql.Identifier(schema, name)
        )
        for name in copying
    )
    cursor.execute(sql.SQL(";\n").join(statements))


def _temporary(name: str) -> sql.Composable:
    return sql.Identifier("pg_temp", name)


def _renamed(name: str, to: str) -> sql.Composable:
    return sql.SQL("ALTER TABLE {} RENAME TO {}").format(_temporary(name), sql.Identifier(to))
