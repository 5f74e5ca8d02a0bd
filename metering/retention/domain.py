"""Which partitions there must be, and which are old enough to go. Pure.

Months are those of UTC, by the instant of arrival. A partition without a start or end is one that takes
what lies beyond the months.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

KEPT: Final = timedelta(days=400)
"""How long raw events and their identities stay; whole months go, so some stay a month longer."""
MONTHS_AHEAD: Final = 6
"""So many whole months after the present one have their partition at any time."""

_BOUNDS: Final = re.compile(
    r"FOR VALUES FROM \((?:'([^']+)'|MINVALUE)\) TO \((?:'([^']+)'|MAXVALUE)\)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition that is there; `starts_at` and `ends_at` are None where it has no such bound.

    `is_leaving` tells one whose detaching began and was not finished.
    """

    name: str
    starts_at: datetime | None
    ends_at: datetime | None
    is_leaving: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A month of UTC: ``[starts_at, ends_at)``."""

    starts_at: datetime
    ends_at: datetime


def read_bounds(text: str) -> tuple[datetime | None, datetime | None]:
    """The bounds that PostgreSQL tells of a partition by range, with a session in UTC.

    Raises ValueError for any other kind of partition.
    """
    found = _BOUNDS.fullmatch(text)
    if found is None:
        raise ValueError(f"not a range of instants: {text}")
    start, end = (None if bound is None else _instant(bound) for bound in found.groups())
    return start, end


def _instant(text: str) -> datetime:
    # PostgreSQL writes the offset as +00, which Python reads from 3.11 on.
    return datetime.fromisoformat(text).astimezone(UTC)


def month_of(instant: datetime) -> Month:
    """The month in which the instant lies."""
    at = instant.astimezone(UTC)
    starts_at = datetime(at.year, at.month, 1, tzinfo=UTC)
    return Month(starts_at=starts_at, ends_at=_first_after(starts_at))


def _first_after(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)


def needed_until(now: datetime) -> datetime:
    """Up to when there must be months of their own."""
    until = month_of(now).ends_at
    for _ in range(MONTHS_AHEAD):
        until = _first_after(until)
    return until


def months_between(starts_at: datetime, ends_at: datetime) -> Iterator[Month]:
    """The months from one first of a month to another."""
    at = starts_at
    while at < ends_at:
        month = Month(starts_at=at, ends_at=_first_after(at))
        yield month
        at = month.ends_at


def outlived(partitions: Sequence[Partition], *, now: datetime) -> list[Partition]:
    """Those all of whose events are older than `KEPT`, the oldest first."""
    old = [each for each in partitions if each.ends_at is not None and each.ends_at <= now - KEPT]
    return sorted(old, key=lambda each: each.ends_at or now)


def goes_on(partition: Partition) -> date | None:
    """The day from which the partition may be dropped; None for one without an end."""
    return None if partition.ends_at is None else (partition.ends_at + KEPT).date()


def first_whole_day(forgotten_until: datetime) -> date:
    """The first local day, in any zone, none of whose events is among those that are gone.

    An event arrives at most minutes before its time, and local days end up to 14 hours before those
    of UTC; two days leave room for both.
    """
    return forgotten_until.date() + timedelta(days=2)
