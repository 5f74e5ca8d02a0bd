"""Events: how the usage events of a stretch of time become one value, values of days, and windows.

The same id counts once: the event that arrived first, wherever its time lies. Then only events
inside the window count, then only those that the filter lets through. `latest` goes by the time of
the event, and where two have the same by arrival. Nothing is carried into a window from before it.

Daily values that a meter keeps come from SQL; this is the definition in plain words that the
calculator runs, for any aggregation.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar, assert_never
from zoneinfo import ZoneInfo

from billing.rating.aggregations import (
    EventPeriodAggregation,
    PeriodAggregation,
    aggregate_days,
)
from kernel.decimals import exact, exact_sum
from kernel.errors import Invalid
from kernel.period import Period, local_day, local_midnight

Bucket = TypeVar("Bucket", bound=Hashable)

_ZERO = Fraction(0)
_MICROSECOND = timedelta(microseconds=1)


class EventAggregation(StrEnum):
    """How events become a value."""

    COUNT = "count"
    SUM = "sum"
    MAX = "max"
    MIN = "min"
    LATEST = "latest"
    UNIQUE_COUNT = "unique_count"
    AVERAGE = "average"


class Granularity(StrEnum):
    """The length of the windows into which a period is cut."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


READS_VALUE = frozenset(EventAggregation) - {EventAggregation.COUNT, EventAggregation.UNIQUE_COUNT}
"""The aggregations for which an event must have a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """One event. `subject` is who or what `unique_count` counts; `properties` are what a filter
    looks at."""

    id: str
    at: datetime
    value: Decimal = Decimal(0)
    subject: Hashable = None
    properties: Mapping[str, str] = field(default_factory=dict)


Filter = Mapping[str, Collection[str]]
"""For each property the values that pass. An event must pass for all of them."""


def counted_events(
    events: Iterable[UsageEvent], *, window: Period, passing: Filter
) -> list[UsageEvent]:
    """The events that count, in the order of their times, equal times by arrival."""
    first: dict[str, UsageEvent] = {}
    for event in events:
        first.setdefault(event.id, event)
    kept = [
        event
        for event in first.values()
        if window.contains(event.at)
        and all(event.properties.get(name) in values for name, values in passing.items())
    ]
    return sorted(kept, key=lambda event: event.at)


def aggregate_events(aggregation: EventAggregation, events: Sequence[UsageEvent]) -> Fraction:
    """The value of events in the order of `counted_events`; 0 for none."""
    if not events:
        return _ZERO
    match aggregation:
        case EventAggregation.COUNT:
            return Fraction(len(events))
        case EventAggregation.SUM:
            return exact(exact_sum(event.value for event in events))
        case EventAggregation.MAX:
            return exact(max(event.value for event in events))
        case EventAggregation.MIN:
            return exact(min(event.value for event in events))
        case EventAggregation.LATEST:
            return exact(events[-1].value)
        case EventAggregation.UNIQUE_COUNT:
            return Fraction(len({event.subject for event in events}))
        case EventAggregation.AVERAGE:
            return exact(exact_sum(event.value for event in events)) / len(events)
        case _:
            assert_never(aggregation)


def values_of_days(
    aggregation: EventAggregation, events: Sequence[UsageEvent], *, zone: ZoneInfo
) -> dict[date, Fraction]:
    """The value of each local day that has events, in order."""
    return _values_of(aggregation, events, lambda event: local_day(event.at, zone))


def values_of_windows(
    aggregation: EventAggregation,
    events: Sequence[UsageEvent],
    *,
    granularity: Granularity,
    zone: ZoneInfo,
) -> dict[datetime, Fraction]:
    """The value of each window that has events, by its start in the zone, in order.

    Windows are cut by the zone's clock: an hour that it shows twice is two windows.
    """
    return _values_of(
        aggregation,
        events,
        lambda event: window_start(event.at, granularity=granularity, zone=zone),
    )


def window_start(instant: datetime, *, granularity: Granularity, zone: ZoneInfo) -> datetime:
    """The start of the window that holds the instant, with the zone's offset."""
    match granularity:
        case Granularity.DAY:
            return local_midnight(local_day(instant, zone), zone).astimezone(zone)
        case Granularity.MONTH:
            first = local_day(instant, zone).replace(day=1)
            return local_midnight(first, zone).astimezone(zone)
        case Granularity.HOUR | Granularity.MINUTE:
            local = instant.astimezone(zone)
            start = local.replace(second=0, microsecond=0)
            if granularity is Granularity.HOUR:
                start = start.replace(minute=0)
            # With its offset written out, the hour that comes twice has two different starts.
            return start.replace(tzinfo=timezone(local.utcoffset() or timedelta(0)), fold=0)
        case _:
            assert_never(granularity)


def aggregate_period(
    period_aggregation: PeriodAggregation | EventPeriodAggregation,
    aggregation: EventAggregation,
    events: Sequence[UsageEvent],
    *,
    window: Period,
    zone: ZoneInfo,
    k: int = 1,
) -> Fraction:
    """One quantity of the whole window: from the values of its days, of which those without events
    count as 0, or from the events themselves.

    Raises Invalid `unsupported_aggregation` for a time-weighted mean of anything but `latest` (the
    value is what the last event said) or `sum` (events add to it and take from it).
    """
    match period_aggregation:
        case EventPeriodAggregation.DISTINCT:
            return aggregate_events(EventAggregation.UNIQUE_COUNT, events)
        case EventPeriodAggregation.TIME_WEIGHTED_MEAN:
            return _time_weighted_mean(aggregation, events, window=window)
        case _:
            values = values_of_days(aggregation, events, zone=zone)
            days = window.days(zone)
            if period_aggregation is not PeriodAggregation.LATEST:
                # Written out, because a day without events is above one that went below zero.
                values = {day: values.get(day, _ZERO) for day in days}
            return aggregate_days(period_aggregation, values=values, days=days, k=k).value


def _values_of(
    aggregation: EventAggregation,
    events: Sequence[UsageEvent],
    bucket_of: Callable[[UsageEvent], Bucket],
) -> dict[Bucket, Fraction]:
    buckets: dict[Bucket, list[UsageEvent]] = {}
    for event in events:
        buckets.setdefault(bucket_of(event), []).append(event)
    return {bucket: aggregate_events(aggregation, held) for bucket, held in buckets.items()}


def _time_weighted_mean(
    aggregation: EventAggregation, events: Sequence[UsageEvent], *, window: Period
) -> Fraction:
    if aggregation not in {EventAggregation.LATEST, EventAggregation.SUM}:
        raise Invalid(
            "unsupported_aggregation",
            "period_aggregation time_weighted_mean needs a value that is in force until the next "
            f"event, which {aggregation} is not; write latest or sum.",
            field="period_aggregation",
        )
    in_force, since, area = _ZERO, window.starts_at, _ZERO
    for event in events:
        area += in_force * ((event.at - since) // _MICROSECOND)
        value = exact(event.value)
        in_force = in_force + value if aggregation is EventAggregation.SUM else value
        since = event.at
    area += in_force * ((window.ends_at - since) // _MICROSECOND)
    return area / (window.duration // _MICROSECOND)
