"""A session as the owner of the tables, for upkeep that changes tables and can't be one transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from work.connections import OWNER


@contextmanager
def alone_as_owner(*, name: str, lock_seconds: float) -> Iterator[Any]:
    """A cursor outside any transaction, on a connection that is closed afterwards; None when another
    session of that name is open.

    `lock_seconds`: a statement that has not got a lock by then fails. A pooler between must leave the
    session alone (`DATABASE_URL` names the server itself, or a pool by session).
    """
    connection = connections[OWNER]
    with connection.cursor() as execution:
        execution.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
        if not execution.fetchone()[0]:
            yield None
            return
        try:
            # A server process whose client was killed ends soon, and with it its locks.
            execution.execute(
                "SELECT set_config('client_connection_check_interval', '2s', false),"
                " set_config('lock_timeout', %s, false)",
                [f"{round(lock_seconds * 1000)}ms"],
            )
            yield execution
        finally:
            # Not kept: nothing of the session may stay behind.
            connection.close()
