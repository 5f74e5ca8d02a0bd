"""Whether tables are distributed over a cluster."""

from typing import Any


def is_distributed(execution: Any, *, table: str = "metering_batch") -> bool:
    """Whether the table's rows are on the workers of a cluster; by default, one that all events go through.

    Asked each time, since the answer may change under a running process. In a sandbox no table is.
    """
    execution.execute("SELECT to_regclass('pg_catalog.pg_dist_partition')")
    if execution.fetchone()[0] is None:
        return False
    execution.execute(
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass)", [table]
    )
    return bool(execution.fetchone()[0])
