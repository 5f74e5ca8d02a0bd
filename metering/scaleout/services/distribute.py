"""Spread the large tables of metering by tenant over the workers of a Citus cluster."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Model
from psycopg2 import sql

from kernel.errors import Conflict
from metering.days.models import DayClose
from metering.ingest.models import Batch, Duplicates, Event, EventGroup, EventIdentity
from metering.proof.models import UsageProof
from metering.recount.models import CorrectedRecount, StatedUsage, UsageRecount
from metering.rollup.models import (
    ActiveUser,
    Correction,
    DailyUsage,
    Mark,
    MonthDay,
    MonthUser,
    Reading,
)
from metering.scaleout.models import ClosedUntil
from metering.scaleout.queries import is_distributed
from tenants import row_security
from work.connections import OWNER
from work.owner import alone_as_owner

DISTRIBUTED: Final[tuple[type[Model], ...]] = (
    # First, because the policies of the others read it on the workers.
    ClosedUntil,
    EventIdentity,
    EventGroup,
    Event,
    Batch,
    Duplicates,
    ActiveUser,
    Mark,
    Reading,
    DailyUsage,
    MonthUser,
    MonthDay,
    Correction,
    DayClose,
    UsageProof,
    UsageRecount,
    CorrectedRecount,
    StatedUsage,
)
"""All that grows with usage; the keys of each begin with the tenant or hold it. What is locked or looked
through across tenants stays on the coordinator: watermarks, gateways, quarantine, requests."""

SHARDS: Final = 32
_LOCK_SECONDS: Final = 30.0

# The policy of a shard can't ask the table by its name: within a query on shards that would be a query
# on all of them. It asks the one shard beside it.
_IS_OPEN: Final = """
CREATE OR REPLACE FUNCTION metering_is_open(tenant uuid, day date) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    until date;
BEGIN
    EXECUTE format(
        'SELECT closed_until FROM {schema}.metering_closed_until_%s WHERE tenant_id = $1',
        pg_catalog.get_shard_id_for_distribution_column('{schema}.metering_closed_until', tenant)
    ) INTO until USING tenant;
    RETURN until IS NULL OR day >= until;
END $$
"""
_TELL_WORKERS: Final = """
CREATE OR REPLACE FUNCTION metering_tell_closed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    tenants uuid[];
    days date[];
BEGIN
    SELECT array_agg(tenant_id), array_agg(closed_until) INTO tenants, days
      FROM moved WHERE closed_until IS NOT NULL;
    IF tenants IS NOT NULL THEN
        INSERT INTO metering_closed_until (tenant_id, closed_until)
        SELECT * FROM unnest(tenants, days)
        ON CONFLICT (tenant_id) DO UPDATE SET closed_until = excluded.closed_until;
    END IF;
    RETURN NULL;
END $$
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedTable:
    """A table after the run; `is_new` tells that this run distributed it."""

    table: str
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What is distributed, in how many shards each, over which nodes (`host:port`)."""

    tables: Sequence[DistributedTable]
    shards: int
    nodes: Sequence[str]


def distribute(
    *, shards: int = SHARDS, progress: Callable[[str], None] = lambda _: None
) -> Distribution:
    """Distribute each of `DISTRIBUTED` that is not yet, with its rows, as the owner; one transaction a
    table, so that a run that was killed is taken up by the next.

    Writers of a table wait while it is spread; closed days are guarded by policies from then on, since
    a distributed table has no triggers. `shards` counts for the first run only.

    Raises Conflict `citus_missing`, `workers_missing`, `distribution_running`.
    """
    with alone_as_owner(name="metering distribution", lock_seconds=_LOCK_SECONDS) as execution:
        if execution is None:
            raise Conflict(
                "distribution_running", "Another run is distributing the tables; wait for its end."
            )
        nodes = _nodes(execution)
        _set_up_sessions(execution)
        tables = []
        for model in DISTRIBUTED:
            is_new = _distribute(execution, model, shards=shards)
            tables.append(DistributedTable(table=model._meta.db_table, is_new=is_new))
            if is_new:
                progress(f"{model._meta.db_table}: distributed")
        execution.execute(
            "SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = %s::regclass",
            [ClosedUntil._meta.db_table],
        )
        (count,) = execution.fetchone()
    return Distribution(tables=tables, shards=count, nodes=nodes)


def _nodes(execution: Any) -> list[str]:
    execution.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")
    if not execution.fetchone()[0]:
        raise Conflict(
            "citus_missing",
            "The database has no Citus: load it on every node (shared_preload_libraries = 'citus') and "
            "run CREATE EXTENSION citus in this database on each; see docs/how-to/grow.md.",
        )
    execution.execute(
        "SELECT nodename || ':' || nodeport FROM pg_dist_node"
        " WHERE isactive AND shouldhaveshards AND noderole = 'primary' ORDER BY nodename, nodeport"
    )
    nodes = [node for (node,) in execution.fetchall()]
    if not nodes:
        raise Conflict(
            "workers_missing",
            "The coordinator knows no worker: name itself with citus_set_coordinator_host, then each "
            "worker with citus_add_node; see docs/how-to/grow.md.",
        )
    return nodes


def _set_up_sessions(execution: Any) -> None:
    """What sessions need that begin from now on.

    `SET LOCAL` goes to the workers too, where row security reads whose rows are asked for. The owner's
    statements go to a node one after the other, so that one transaction can change many tables. What
    goes between nodes within a statement is bounded by our steps, not by Citus.
    """
    execution.execute("SELECT current_database(), current_user")
    database, owner = execution.fetchone()
    roles = row_security.roles_of(execution, table=EventGroup._meta.db_table)
    for role, setting in (
        *((role, "citus.propagate_set_commands = 'local'") for role in roles),
        *((role, "citus.max_intermediate_result_size = -1") for role in roles),
        (owner, "citus.multi_shard_modify_mode = 'sequential'"),
    ):
        execution.execute(
            sql.SQL("ALTER ROLE {} IN DATABASE {} SET " + setting).format(
                sql.Identifier(role), sql.Identifier(database)
            )
        )


def _distribute(execution: Any, model: type[Model], *, shards: int) -> bool:
    table = model._meta.db_table
    with transaction.atomic(using=OWNER):
        if is_distributed(execution, table=table):
            return False
        for trigger in _triggers(execution, table=table):
            _execute(execution, "DROP TRIGGER {} ON {}", trigger, table)
        # Rows are copied into the shards by COPY, which row security refuses.
        _execute(execution, "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", table)
        if model is ClosedUntil:
            _tell_workers(execution)
            execution.execute(
                "SELECT create_distributed_table(%s, 'tenant_id', colocate_with => 'none',"
                " shard_count => %s)",
                [table, shards],
            )
        else:
            execution.execute(
                "SELECT create_distributed_table(%s, 'tenant_id', colocate_with => %s)",
                [table, ClosedUntil._meta.db_table],
            )
        execution.execute("SELECT truncate_local_data_after_distributing_table(%s)", [table])
        _execute(execution, "ALTER TABLE {} FORCE ROW LEVEL SECURITY", table)
        row_security.guard_changes(execution, model=model)
    return True


def _triggers(execution: Any, *, table: str) -> list[str]:
    execution.execute(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [table]
    )
    return [name for (name,) in execution.fetchall()]


def _tell_workers(execution: Any) -> None:
    """From now on whatever moves a watermark tells the workers; what was closed before is told here."""
    execution.execute("SELECT quote_ident(current_schema())")
    (schema,) = execution.fetchone()
    execution.execute(_IS_OPEN.format(schema=schema))
    execution.execute(_TELL_WORKERS)
    execution.execute("LOCK TABLE metering_watermark IN SHARE ROW EXCLUSIVE MODE")
    for change in ("INSERT", "UPDATE"):
        execution.execute(
            f"CREATE OR REPLACE TRIGGER metering_closed_told_{change.lower()} AFTER {change}"
            " ON metering_watermark REFERENCING NEW TABLE AS moved"
            " FOR EACH STATEMENT EXECUTE FUNCTION metering_tell_closed()"
        )
    execution.execute(
        "INSERT INTO metering_closed_until (tenant_id, closed_until)"
        " SELECT tenant_id, closed_until FROM metering_watermark WHERE closed_until IS NOT NULL"
        " ON CONFLICT (tenant_id) DO UPDATE SET closed_until = excluded.closed_until"
    )


def _execute(execution: Any, statement: str, *names: str) -> None:
    execution.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
