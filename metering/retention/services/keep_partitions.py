"""Make the partitions of the months ahead, and drop those that are older than events are kept.

Runs as the owner of the tables, in short transactions of its own. Ingest is never kept waiting for longer
than `_BRIEFLY`: what needs the whole table gives way when it does not get it at once, and comes again;
a partition is detached concurrently, which waits for readers and lets everybody else pass.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from django.db import OperationalError, transaction
from psycopg2 import sql

from metering.retention.domain import (
    Month,
    Partition,
    month_of,
    months_between,
    needed_until,
    outlived,
)
from metering.retention.queries import PARENT, bytes_of_table, partitions_of, waiting_batches
from metering.scaleout.queries import is_distributed
from work.connections import OWNER
from work.owner import alone_as_owner

_BRIEFLY: Final = "200ms"
"""For so long a lock of the whole table is asked for; ingest waits behind it meanwhile."""
_TRIES: Final = 40
_MOST_PAUSE_SECONDS: Final = 1.5
_BLOCK_BYTES: Final = 8192
_BLOCKS_AT_A_TIME: Final = 4096
"""32 MiB of a table are looked through in one transaction."""
_LOCK_NOT_AVAILABLE: Final = "55P03"
_DEADLOCK: Final = "40P01"
_AFTER: Final = f"{PARENT}_after"

_FORGOTTEN: Final = (
    ("metering_event_identity", ""),
    ("metering_event_key", ""),
    ("metering_event", ""),
    ("metering_rejected_event", ""),
    ("metering_duplicates", ""),
    ("metering_sealed_usage", ""),
    # A batch goes with its events, and only when it was counted.
    ("metering_batch", "AND rolled_up_at IS NOT NULL"),
)
"""Tables that are not partitioned, and whose rows go with the events that arrived with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPartitions:
    """What was made and dropped, by name; `waiting` tells why others could not go yet.

    `is_busy` means that another run is at it, so that this one did nothing.
    """

    made: Sequence[str] = ()
    dropped: Sequence[str] = ()
    waiting: Mapping[str, str] = field(default_factory=dict)
    rows_removed: int = 0
    is_busy: bool = False


class _NotYet(Exception):
    """A lock was not to be had; another run will."""


def keep_partitions(
    *,
    now: datetime,
    progress: Callable[[], None] = lambda: None,
    patience_seconds: float = 30,
) -> KeptPartitions:
    """Make months up to `domain.MONTHS_AHEAD` ahead, drop what arrived over `domain.KEPT` ago.

    Every step leaves a state that the next run continues from, wherever this one is killed. A partition
    with events that were not rolled up stays. `patience_seconds` is how long detaching waits for those
    who read the table; meanwhile nobody waits for it. Two at once: the second does nothing.
    """
    with alone_as_owner(name=PARENT, lock_seconds=patience_seconds) as execution:
        if execution is None:
            return KeptPartitions(is_busy=True)
        made, waiting = _make_months(execution, now=now)
        dropped: list[str] = []
        in_use = False
        for partition in _going(execution, now=now):
            progress()
            if in_use:
                # The database lets one partition of a table leave at a time.
                waiting[partition.name] = "another leaves first"
                continue
            try:
                if _drop(execution, partition, now=now, waiting=waiting):
                    dropped.append(partition.name)
            except _NotYet:
                waiting[partition.name] = "in use"
                in_use = True
        removed = _forget_rows(execution, now=now, progress=progress)
    return KeptPartitions(made=made, dropped=dropped, waiting=waiting, rows_removed=removed)


# Months ahead


def _make_months(execution: Any, *, now: datetime) -> tuple[list[str], dict[str, str]]:
    there = [each for each in partitions_of(execution) if not each.is_leaving]
    last = next((each for each in there if each.ends_at is None), None)
    ends = [each.ends_at for each in there if each.ends_at is not None]
    begin = last.starts_at if last is not None else max(ends, default=None)
    if begin is None:
        begin = month_of(now).starts_at
    until = needed_until(now)
    if begin >= until and last is not None:
        return [], {}
    bounded = None
    if last is not None and _has_rows(execution, last.name):
        bounded = _bounded(execution, last, now=now)
        begin = bounded.ends_at or begin
        until = max(until, begin)
    months = list(months_between(begin, until))
    names = [_name(month) for month in months]
    for name in names:
        _make_like_parent(execution, name)
    if last is None or bounded is not None:
        _make_like_parent(execution, f"{PARENT}_next")
    try:
        _put_in(execution, months=months, until=until, last=last, bounded=bounded)
    except _NotYet:
        return [], {_AFTER: "in use"}
    if bounded is not None:
        _execute(
            execution, "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", bounded.name, _BOUND_CHECK
        )
    return names, {}


_BOUND_CHECK: Final = "metering_event_group_bound"


def _bounded(execution: Any, last: Partition, *, now: datetime) -> Partition:
    """What the last partition, which holds rows because nobody made months in time, will be: one that
    ends after the coming month. A checked constraint spares the look through it under the lock."""
    execution.execute(sql.SQL("SELECT max(received_at) FROM {}").format(sql.Identifier(last.name)))
    newest = max(execution.fetchone()[0], now)
    ends_at = month_of(month_of(newest).ends_at).ends_at
    if last.starts_at is None:
        raise RuntimeError("the last partition begins nowhere")
    name = f"{_name(month_of(last.starts_at))}_to_{ends_at:%Y_%m}"
    with transaction.atomic(using=OWNER):
        execution.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_BRIEFLY)))
        _execute(execution, "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", last.name, _BOUND_CHECK)
        _execute(
            execution,
            "ALTER TABLE {} ADD CONSTRAINT {} CHECK (received_at IS NOT NULL"
            " AND received_at >= {} AND received_at < {}) NOT VALID",
            last.name,
            _BOUND_CHECK,
            literals=(last.starts_at, ends_at),
        )
    _execute(execution, "ALTER TABLE {} VALIDATE CONSTRAINT {}", last.name, _BOUND_CHECK)
    return replace(last, name=name, ends_at=ends_at)


def _put_in(
    execution: Any,
    *,
    months: Sequence[Month],
    until: datetime,
    last: Partition | None,
    bounded: Partition | None,
) -> None:
    """Put the months, which are empty, before the partition that takes all that comes later.

    One transaction, so that there is a place for every instant at every moment. Raises _NotYet.
    """

    def change() -> None:
        if last is not None:
            _execute(execution, "ALTER TABLE {} DETACH PARTITION {}", PARENT, last.name)
            if bounded is not None:
                _execute(execution, "ALTER TABLE {} RENAME TO {}", last.name, bounded.name)
                _attach(execution, bounded.name, last.starts_at, bounded.ends_at)
            elif _has_rows(execution, last.name):
                raise _NotYet  # one came just now
        for month in months:
            _attach(execution, _name(month), month.starts_at, month.ends_at)
        if last is None or bounded is not None:
            _execute(execution, "ALTER TABLE {} RENAME TO {}", f"{PARENT}_next", _AFTER)
        _attach(
            execution, _AFTER if last is None or bounded is not None else last.name, until, None
        )

    _briefly(execution, change)


def _attach(
    execution: Any, name: str, starts_at: datetime | None, ends_at: datetime | None
) -> None:
    bounds = sql.SQL("FOR VALUES FROM ({}) TO ({})").format(
        sql.SQL("MINVALUE") if starts_at is None else sql.Literal(starts_at.isoformat()),
        sql.SQL("MAXVALUE") if ends_at is None else sql.Literal(ends_at.isoformat()),
    )
    execution.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} ").format(
            sql.Identifier(PARENT), sql.Identifier(name)
        )
        + bounds
    )


def _make_like_parent(execution: Any, name: str) -> None:
    """An empty table that can become a partition without anybody waiting; one that a killed run left
    behind will do."""
    _execute(execution, "CREATE TABLE IF NOT EXISTS {} (LIKE {} INCLUDING ALL)", name, PARENT)


def _name(month: Month) -> str:
    return f"{PARENT}_{month.starts_at:%Y_%m}"


def _has_rows(execution: Any, name: str) -> bool:
    execution.execute(sql.SQL("SELECT EXISTS (SELECT 1 FROM {})").format(sql.Identifier(name)))
    return bool(execution.fetchone()[0])


# Partitions that go


def _going(execution: Any, *, now: datetime) -> list[Partition]:
    """The partitions that are outlived, and those that a killed run was about to drop."""
    attached = partitions_of(execution)
    going = {each.name: each for each in outlived(attached, now=now)}
    execution.execute(
        "SELECT name, starts_at, ends_at FROM metering_dropped_partition WHERE dropped_at IS NULL"
    )
    for name, starts_at, ends_at in execution.fetchall():
        going.setdefault(name, Partition(name=name, starts_at=starts_at, ends_at=ends_at))
    return sorted(going.values(), key=lambda each: (not each.is_leaving, each.ends_at or now))


def _drop(execution: Any, partition: Partition, *, now: datetime, waiting: dict[str, str]) -> bool:
    """Write down that it goes, detach it, drop it; gives whether it is gone. Raises _NotYet."""
    if waiting_batches(execution, partitions=[partition]):
        waiting[partition.name] = "not rolled up"
        return False
    execution.execute(
        """
        INSERT INTO metering_dropped_partition (name, starts_at, ends_at, bytes, decided_at)
        SELECT %s, %s, %s, coalesce(pg_total_relation_size(to_regclass(%s)), 0), %s
        ON CONFLICT (name) DO NOTHING
        """,
        [partition.name, partition.starts_at, partition.ends_at, partition.name, now],
    )
    _detach(execution, partition.name)
    with transaction.atomic(using=OWNER):
        _execute(execution, "DROP TABLE IF EXISTS {}", partition.name)
        execution.execute(
            "UPDATE metering_dropped_partition SET dropped_at = %s WHERE name = %s",
            [now, partition.name],
        )
    return True


def _detach(execution: Any, name: str) -> None:
    """Detach it from wherever a killed run left it. Raises _NotYet."""
    execution.execute(
        "SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [name]
    )
    found = execution.fetchone()
    if found is None:
        return
    if is_distributed(execution):
        # A table distributed over a cluster knows this way only.
        _briefly(
            execution,
            lambda: _execute(execution, "ALTER TABLE {} DETACH PARTITION {}", PARENT, name),
        )
        return
    how = "FINALIZE" if found[0] else "CONCURRENTLY"
    try:
        _execute(execution, "ALTER TABLE {} DETACH PARTITION {} " + how, PARENT, name)
    except OperationalError as error:
        if _code(error) in {_LOCK_NOT_AVAILABLE, _DEADLOCK}:
            raise _NotYet from error
        raise


# Rows that go with them


def _forget_rows(execution: Any, *, now: datetime, progress: Callable[[], None]) -> int:
    """Remove identities, batches and the rest that arrived with dropped partitions; a part of a table
    in each transaction, so that nobody waits for it."""
    execution.execute(
        "SELECT max(ends_at) FROM metering_dropped_partition"
        " WHERE dropped_at IS NOT NULL AND forgotten_at IS NULL"
    )
    (until,) = execution.fetchone()
    if until is None:
        return 0
    removed = 0
    for table, condition in _FORGOTTEN:
        blocks = bytes_of_table(execution, table=table) // _BLOCK_BYTES + 1
        for first in range(0, blocks, _BLOCKS_AT_A_TIME):
            execution.execute(
                sql.SQL(
                    "DELETE FROM {} WHERE ctid >= %s::tid AND ctid < %s::tid AND received_at < %s {}"
                ).format(sql.Identifier(table), sql.SQL(condition)),
                [f"({first},0)", f"({first + _BLOCKS_AT_A_TIME},0)", until],
            )
            removed += execution.rowcount
            progress()
    execution.execute(
        "UPDATE metering_dropped_partition SET forgotten_at = %s"
        " WHERE dropped_at IS NOT NULL AND forgotten_at IS NULL AND ends_at <= %s",
        [now, until],
    )
    return removed


# Statements


def _briefly(execution: Any, change: Callable[[], None]) -> None:
    """Do it in one transaction that gives way when a lock is not to be had at once, and again.

    Raises _NotYet after the last try.
    """
    for attempt in range(_TRIES):
        try:
            with transaction.atomic(using=OWNER):
                execution.execute(
                    sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_BRIEFLY))
                )
                change()
        except OperationalError as error:
            if _code(error) not in {_LOCK_NOT_AVAILABLE, _DEADLOCK}:
                raise
            # At no regular beat, so that it does not meet the same work again and again.
            pause_seconds = random.uniform(0.2, _MOST_PAUSE_SECONDS)  # noqa: S311  # no secret
            if attempt + 1 < _TRIES:
                time.sleep(pause_seconds)
        else:
            return
    raise _NotYet


def _execute(
    execution: Any, statement: str, *names: str, literals: Sequence[datetime] = ()
) -> None:
    execution.execute(
        sql.SQL(statement).format(
            *map(sql.Identifier, names), *(sql.Literal(each.isoformat()) for each in literals)
        )
    )


def _code(error: BaseException) -> str:
    return str(getattr(error.__cause__, "pgcode", ""))
