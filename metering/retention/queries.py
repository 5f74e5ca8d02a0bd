"""What partitions there are, how large, and up to when raw events are gone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from django.db.models import Max

from metering.retention.domain import Partition, first_whole_day, goes_on, read_bounds
from metering.retention.models import DroppedPartition
from metering.scaleout.queries import is_distributed
from work.connections import cursor

PARENT: Final = "metering_event_group"
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRow:
    """A partition as operations see it: its size with indexes, about how many rows, when it goes.

    `dropped_at` is null for those that are there; of the others the size is the last one known.
    """

    name: str
    starts_at: datetime | None
    ends_at: datetime | None
    bytes: int
    rows: int | None
    goes_on: date | None
    dropped_at: datetime | None = None


def partitions_of(execution: Any, *, parent: str = PARENT) -> list[Partition]:
    """The partitions of the table by their bounds; those that are leaving stand last."""
    execution.execute(
        """
        SELECT child.relname, pg_get_expr(child.relpartbound, child.oid), inhdetachpending
          FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
         WHERE inhparent = to_regclass(%s)
        """,
        [parent],
    )
    found = []
    for name, bounds, is_leaving in execution.fetchall():
        starts_at, ends_at = read_bounds(bounds)
        found.append(
            Partition(name=name, starts_at=starts_at, ends_at=ends_at, is_leaving=is_leaving)
        )
    return sorted(found, key=_place)


def _place(partition: Partition) -> tuple[bool, datetime, str]:
    return partition.is_leaving, partition.starts_at or _EARLIEST, partition.name


def partition_rows(*, limit: int, offset: int) -> list[PartitionRow]:
    """The partitions that are there, then those that were dropped, the newest first; the page of them."""
    return list(_all_rows())[offset : offset + limit]


def partition_count() -> int:
    """How many `partition_rows` has."""
    return sum(1 for _ in _all_rows())


def _all_rows() -> Iterator[PartitionRow]:
    with cursor() as execution:
        there = partitions_of(execution)
        execution.execute(
            """
            SELECT relname, pg_total_relation_size(oid), reltuples::bigint
              FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relname = ANY (%s)
            """,
            [[each.name for each in there]],
        )
        sizes = {name: (size, rows) for name, size, rows in execution.fetchall()}
    for each in there:
        size, rows = sizes.get(each.name, (0, 0))
        yield PartitionRow(
            name=each.name,
            starts_at=each.starts_at,
            ends_at=each.ends_at,
            bytes=size,
            rows=None if rows < 0 else rows,  # not analysed yet
            goes_on=goes_on(each),
        )
    gone = DroppedPartition.objects.filter(dropped_at__isnull=False).order_by("-ends_at")
    for row in gone:
        yield PartitionRow(
            name=row.name,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            bytes=row.bytes,
            rows=None,
            goes_on=None,
            dropped_at=row.dropped_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionState:
    """In short: up to when months are made, what goes next and when, up to when events are gone."""

    made_until: datetime | None
    next_name: str
    next_on: date | None
    forgotten_until: datetime | None
    bytes: int


def retention_state() -> RetentionState:
    """The state of partitions in a few figures."""
    rows = [row for row in _all_rows() if row.dropped_at is None]
    dated = sorted(
        (row for row in rows if row.goes_on is not None), key=lambda row: row.ends_at or _EARLIEST
    )
    return RetentionState(
        made_until=dated[-1].ends_at if dated else None,
        next_name=dated[0].name if dated else "",
        next_on=dated[0].goes_on if dated else None,
        forgotten_until=forgotten_until(),
        bytes=sum(row.bytes for row in rows),
    )


def forgotten_until() -> datetime | None:
    """All events that arrived before this instant are gone, or going; None: none are."""
    last: datetime | None = DroppedPartition.objects.aggregate(last=Max("ends_at"))["last"]
    return last


def first_recountable_day() -> date | None:
    """The first local day that can be counted anew from the events; None: all days can."""
    until = forgotten_until()
    return None if until is None else first_whole_day(until)


def waiting_batches(execution: Any, *, partitions: Sequence[Partition]) -> set[str]:
    """Those of the partitions with events that were not rolled up yet."""
    waiting = set()
    for each in partitions:
        execution.execute(
            "SELECT EXISTS (SELECT 1 FROM metering_batch WHERE rolled_up_at IS NULL"
            " AND received_at < %s)",
            [each.ends_at],
        )
        if execution.fetchone()[0]:
            waiting.add(each.name)
    return waiting


def bytes_of_table(execution: Any, *, table: str) -> int:
    """How large the table is without its indexes; of a distributed one, its largest shard."""
    if not is_distributed(execution, table=table):
        execution.execute("SELECT pg_relation_size(%s::regclass)", [table])
    else:
        execution.execute(
            "SELECT coalesce(max(shard_size), 0) FROM citus_shards WHERE table_name = %s::regclass",
            [table],
        )
    return int(execution.fetchone()[0])
