"""Periods: half-open stretches of time, cut at the midnights of a zone.

An instant belongs to exactly one local day, a day to exactly one period, and consecutive periods
meet. A local day begins at its midnight, or where the clocks skip midnight, at the skip; so days
have 23, 24 or 25 hours, and a day that a zone left out (Pacific/Apia, 2011-12-30) has none.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from kernel.errors import Invalid

_ONE_DAY = timedelta(days=1)
_EARLIEST_YEAR = 1900
_LATEST_YEAR = 2999


class Interval(StrEnum):
    """The unit in which billing periods are counted."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


_MONTHS_OF = {Interval.MONTH: 1, Interval.QUARTER: 3, Interval.YEAR: 12}
_DAYS_OF = {Interval.DAY: 1, Interval.WEEK: 7}


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """From `starts_at`, included, to `ends_at`, excluded; both in UTC.

    Raises Invalid `naive_instant`, and `end_before_start` also where both are equal.
    """

    starts_at: datetime
    ends_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "starts_at", _in_utc(self.starts_at, field="starts_at"))
        object.__setattr__(self, "ends_at", _in_utc(self.ends_at, field="ends_at"))
        if self.ends_at <= self.starts_at:
            raise Invalid(
                "end_before_start",
                "ends_at is not after starts_at; a period ends after it starts.",
                field="ends_at",
            )

    @classmethod
    def of_days(cls, starts_on: date, ends_on: date, zone: ZoneInfo) -> "Period":
        """From the local midnight of `starts_on` to that of `ends_on`, which is excluded."""
        return cls(local_midnight(starts_on, zone), local_midnight(ends_on, zone))

    @property
    def duration(self) -> timedelta:
        return self.ends_at - self.starts_at

    def contains(self, instant: datetime) -> bool:
        return self.starts_at <= instant < self.ends_at

    def overlaps(self, other: "Period") -> bool:
        return self.starts_at < other.ends_at and other.starts_at < self.ends_at

    def intersection(self, other: "Period") -> "Period | None":
        """What both have in common; None where that is nothing."""
        starts_at = max(self.starts_at, other.starts_at)
        ends_at = min(self.ends_at, other.ends_at)
        return Period(starts_at, ends_at) if starts_at < ends_at else None

    def first_day(self, zone: ZoneInfo) -> date:
        """The local day in which the period starts."""
        return local_day(self.starts_at, zone)

    def end_day(self, zone: ZoneInfo) -> date:
        """The first local day that begins at or after the end of the period."""
        last = local_day(self.ends_at, zone)
        return last if local_midnight(last, zone) == self.ends_at else last + _ONE_DAY

    def days(self, zone: ZoneInfo) -> tuple[date, ...]:
        """The local days of which the period holds at least an instant, in order."""
        return _existing_days(self.first_day(zone), self.end_day(zone), zone)

    def day_count(self, zone: ZoneInfo) -> int:
        """How many days `days` has."""
        return len(self.days(zone))


@lru_cache(maxsize=16384)
def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant, in UTC, at which the local day begins.

    Where midnight comes twice, the first; where it is skipped, the end of the skip; for a day
    that the zone left out, the start of the next. Raises Invalid `date_out_of_range` for years
    before 1900 and after 2999.
    """
    if not _EARLIEST_YEAR <= day.year <= _LATEST_YEAR:
        raise Invalid(
            "date_out_of_range",
            f"{day} is not between {_EARLIEST_YEAR} and {_LATEST_YEAR}; write a date that is.",
            field="date",
        )
    wall = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    return _end_of_skip(wall)


def local_day(instant: datetime, zone: ZoneInfo) -> date:
    """The local day in which the instant lies: the last one that has begun.

    That is the date on the local calendar, except where clocks step back over midnight: the
    repeated evening belongs to the day that had already begun.
    """
    day = _shown_in(instant, zone).date()
    following = day + _ONE_DAY
    return following if local_midnight(following, zone) <= instant else day


def days_between(starts_on: date, ends_on: date) -> int:
    """Calendar days from `starts_on`, included, to `ends_on`, excluded."""
    return (ends_on - starts_on).days


def shifted(anchor: date, interval: Interval, intervals: int) -> date:
    """The date that many intervals after the anchor (before it, where negative).

    An anchor on day 29 to 31 falls to the last day of a shorter month and returns in a longer
    one: always shift from the anchor, never from the last result. Raises Invalid
    `date_out_of_range`.
    """
    try:
        if interval in _DAYS_OF:
            return anchor + timedelta(days=_DAYS_OF[interval] * intervals)
        months = anchor.year * 12 + anchor.month - 1 + _MONTHS_OF[interval] * intervals
        year, month = months // 12, months % 12 + 1
        return date(year, month, min(anchor.day, monthrange(year, month)[1]))
    except (OverflowError, ValueError):
        raise Invalid(
            "date_out_of_range",
            f"{intervals} {interval}s from {anchor} is outside the calendar; use fewer.",
            field="interval_count",
        ) from None


def calendar_anchor(day: date, interval: Interval) -> date:
    """The start of the calendar's own day, week (Monday), month, quarter or year around a day."""
    if interval is Interval.DAY:
        return day
    if interval is Interval.WEEK:
        return day - timedelta(days=day.weekday())
    months = _MONTHS_OF[interval]
    return date(day.year, day.month - (day.month - 1) % months, 1)


def boundaries(
    *,
    anchor: date,
    interval: Interval,
    interval_count: int = 1,
    from_on: date | None = None,
) -> Iterator[date]:
    """The dates at which periods meet: the anchor and every `interval_count` intervals after it.

    With `from_on` the first is the first on or after that date. For calendar periods give
    `calendar_anchor(start, interval)`. Without end, up to the end of the calendar. Raises Invalid
    `invalid_interval_count`.
    """
    index = 0
    if from_on is not None and from_on > anchor:
        index = _index_of(from_on, anchor, interval, interval_count)
        if shifted(anchor, interval, index * interval_count) < from_on:
            index += 1
    else:
        _check_interval_count(interval_count)
    while True:
        yield shifted(anchor, interval, index * interval_count)
        index += 1


def periods(
    *,
    anchor: date,
    interval: Interval,
    zone: ZoneInfo,
    interval_count: int = 1,
    from_on: date | None = None,
) -> Iterator[Period]:
    """The billing periods one after the other, each from local midnight to local midnight.

    One whose days the zone left out altogether does not exist.
    """
    cuts = boundaries(
        anchor=anchor, interval=interval, interval_count=interval_count, from_on=from_on
    )
    return (
        Period.of_days(starts_on, ends_on, zone)
        for starts_on, ends_on in pairwise(cuts)
        if local_midnight(starts_on, zone) < local_midnight(ends_on, zone)
    )


def period_of_day(
    *, day: date, anchor: date, interval: Interval, interval_count: int = 1
) -> tuple[date, date]:
    """First day, and day after the last, of the period that holds the day.

    Days before the anchor have their periods too: the grid goes on in both directions.
    """
    index = _index_of(day, anchor, interval, interval_count)
    return (
        shifted(anchor, interval, index * interval_count),
        shifted(anchor, interval, (index + 1) * interval_count),
    )


def period_containing(
    *,
    instant: datetime,
    anchor: date,
    interval: Interval,
    zone: ZoneInfo,
    interval_count: int = 1,
) -> Period:
    """The billing period that holds the instant."""
    starts_on, ends_on = period_of_day(
        day=local_day(instant, zone),
        anchor=anchor,
        interval=interval,
        interval_count=interval_count,
    )
    return Period.of_days(starts_on, ends_on, zone)


def _index_of(day: date, anchor: date, interval: Interval, interval_count: int) -> int:
    """Which period of the grid holds the day; the one that starts at the anchor is 0."""
    _check_interval_count(interval_count)
    if interval in _DAYS_OF:
        return (day - anchor).days // (_DAYS_OF[interval] * interval_count)
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    index = months // (_MONTHS_OF[interval] * interval_count)
    # Within its first month a period may not have begun yet.
    return index if shifted(anchor, interval, index * interval_count) <= day else index - 1


def _check_interval_count(interval_count: int) -> None:
    if interval_count < 1:
        raise Invalid(
            "invalid_interval_count",
            "interval_count is below 1; a period has at least one interval.",
            field="interval_count",
        )


@lru_cache(maxsize=4096)
def _existing_days(starts_on: date, ends_on: date, zone: ZoneInfo) -> tuple[date, ...]:
    days = (starts_on + timedelta(days=offset) for offset in range((ends_on - starts_on).days))
    return tuple(
        day for day in days if local_midnight(day, zone) < local_midnight(day + _ONE_DAY, zone)
    )


def _end_of_skip(wall: datetime) -> datetime:
    """The instant of the change of clocks that skips this local time.

    Read with the offset from before the change, the skipped time lies at or after the change;
    read with the offset from after, before it. Between the two there is this one change.
    """
    before = int(wall.replace(fold=1).astimezone(UTC).timestamp())
    after = int(wall.replace(fold=0).astimezone(UTC).timestamp())
    new_offset = wall.replace(fold=1).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, wall.tzinfo).utcoffset() == new_offset:
            after = middle
        else:
            before = middle
    return datetime.fromtimestamp(after, UTC)


def _in_utc(instant: datetime, *, field: str) -> datetime:
    if instant.tzinfo is None:
        raise Invalid(
            "naive_instant",
            f"{field} has no offset; write it as 2026-03-01T00:00:00+08:00.",
            field=field,
        )
    return _shown_in(instant, UTC)


def _shown_in(instant: datetime, zone: tzinfo) -> datetime:
    # At the far ends of the calendar another zone's date doesn't exist.
    if not _EARLIEST_YEAR <= instant.year <= _LATEST_YEAR:
        raise Invalid(
            "date_out_of_range",
            f"{instant.date()} is not between {_EARLIEST_YEAR} and {_LATEST_YEAR}; "
            "write an instant that is.",
            field="instant",
        )
    return instant.astimezone(zone)
