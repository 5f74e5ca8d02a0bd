"""A world of its own inside one transaction that is rolled back.

In a sandbox every door of `tenants.scope` leads into one outer transaction of the jobs role, as a
savepoint. Temporary tables without rows stand before the real ones, with their constraints, indexes
and triggers, so that the same SQL runs on them: nothing of the deployment is seen, locked or
changed, and numbers begin at one.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
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
    try:
        with transaction.atomic(using=JOBS, durable=True):
            with connections[JOBS].cursor() as cursor:
                _stand_before(cursor, copying=copying)
            with using_alias(JOBS), joining_one_transaction():
                yield
            raise _Undo
    except _Undo:
        pass


def _stand_before(cursor: Any, *, copying: Collection[str]) -> None:
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
        sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {} INCLUDING ALL) ON COMMIT DROP").format(
            sql.Identifier("pg_temp", name), sql.Identifier(schema, name)
        )
        for _, name in tables
    ]
    statements.extend(
        sql.SQL("INSERT INTO {} SELECT * FROM {}").format(
            sql.Identifier("pg_temp", name), sql.Identifier(schema, name)
        )
        for name in copying
    )
    statements.extend(
        sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}").format(
            sql.SQL(table), sql.Identifier(name), sql.SQL(definition)
        )
        for table, name, definition in keys
    )
    statements.extend(sql.SQL(definition) for definition in triggers)
    cursor.execute(sql.SQL(";\n").join(statements))
