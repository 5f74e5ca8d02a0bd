"""What tests need to know of a Citus cluster, where DATABASE_URL names a coordinator."""

from typing import Any, Final

from django.db import connections

from work.connections import OWNER

SHARDS: Final = 4
"""Enough for two workers to have two each."""


def has_workers() -> bool:
    """Whether the database is that of a coordinator that knows workers."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT to_regclass('pg_dist_node')")
        if cursor.fetchone()[0] is None:
            return False
        cursor.execute("SELECT EXISTS (SELECT FROM pg_dist_node WHERE shouldhaveshards)")
        return bool(cursor.fetchone()[0])


def distributed_tables(cursor: Any) -> list[str]:
    """Those whose rows are on the workers, partitions left out."""
    cursor.execute("SELECT to_regclass('pg_dist_partition')")
    if cursor.fetchone()[0] is None:
        return []
    cursor.execute(
        "SELECT relname FROM pg_dist_partition JOIN pg_class c ON c.oid = logicalrelid"
        " WHERE NOT relispartition ORDER BY relname"
    )
    return [name for (name,) in cursor.fetchall()]


def empty_tables(cursor: Any) -> None:
    """Delete the rows that are on the workers."""
    for table in distributed_tables(cursor):
        cursor.execute(f"DELETE FROM {table}")  # a name of the catalogue
