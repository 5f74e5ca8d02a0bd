"""Period aggregations: how the days of a period become one quantity.

A day without usage counts as 0: the mean divides by all the days given, and a k-th highest day
beyond the days with usage is 0. Values are never negative.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias, TypeVar, assert_never

from kernel.decimals import exact, exact_sum

Value = TypeVar("Value", Decimal, Fraction)
"""What a day may come to: as it was metered, or a share such as a mean."""


class PeriodAggregation(StrEnum):
    """Those that need no more than the exact value of each day."""

    MAX_DAY = "max_day"
    KTH_MAX_DAY = "kth_max_day"
    MEAN_DAY = "mean_day"
    SUM_DAYS = "sum_days"
    P95_DAY = "p95_day"
    SUM = "sum"
    MAX = "max"
    LATEST = "latest"


class EventPeriodAggregation(StrEnum):
    """Period aggregations that the values of days don't suffice for."""

    DISTINCT = "distinct"
    """Different users of the whole period: one who is there on 30 days counts once."""
    TIME_WEIGHTED_MEAN = "time_weighted_mean"
    """The mean over time of the value in force; 0 before the first event."""


AnyPeriodAggregation: TypeAlias = PeriodAggregation | EventPeriodAggregation


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregated:
    """The quantity, and the days that decided it (none where all days count alike)."""

    value: Fraction
    decided_by: tuple[date, ...] = ()


def aggregate_days(
    aggregation: PeriodAggregation,
    *,
    values: Mapping[date, Value],
    days: Sequence[date],
    k: int = 1,
) -> Aggregated:
    """The quantity of the `days`, which are in order; values of other days don't count.

    `latest` is the value of the last day that has one. `p95_day` is the nearest-rank 95th
    percentile over all days.
    """
    used = {day: value for day in days if (value := values.get(day)) is not None}
    match aggregation:
        case PeriodAggregation.SUM | PeriodAggregation.SUM_DAYS:
            return Aggregated(value=_sum(used.values()))
        case PeriodAggregation.MEAN_DAY:
            divisor = len(days) or 1
            return Aggregated(value=_sum(used.values()) / divisor)
        case PeriodAggregation.MAX_DAY | PeriodAggregation.MAX:
            return _kth_highest(used, k=1)
        case PeriodAggregation.KTH_MAX_DAY:
            return _kth_highest(used, k=k)
        case PeriodAggregation.P95_DAY:
            rank = -(-95 * len(days) // 100)
            return _kth_highest(used, k=len(days) - rank + 1)
        case PeriodAggregation.LATEST:
            for day in reversed(days):
                if day in used:
                    return Aggregated(value=exact(used[day]), decided_by=(day,))
            return Aggregated(value=Fraction(0))
        case _:
            assert_never(aggregation)


def time_weighted_mean(
    values: Mapping[date, Value], *, lengths: Mapping[date, int], holds_level: bool
) -> Aggregated:
    """The mean over time of daily values, each in force for its whole day.

    `lengths` are the days of the period in order, with how long each is, in any unit. On a day
    without a value it is 0, or with `holds_level`, for a meter whose value is in force until the
    next one, what it was on the day before; 0 before the first value of the period, as for events.
    """
    area, in_force = Fraction(0), Fraction(0)
    for day, length in lengths.items():
        value = values.get(day)
        if value is not None:
            in_force = exact(value)
        elif not holds_level:
            in_force = Fraction(0)
        area += in_force * length
    return Aggregated(value=area / (sum(lengths.values()) or 1))


def summed_by_day(
    series: Sequence[Mapping[date, Decimal]], *, days: Sequence[date]
) -> Mapping[date, Decimal]:
    """The values of several series added day by day; days without any value are left out."""
    if len(series) == 1:
        return series[0]
    summed = {}
    for day in days:
        found = [value for values in series if (value := values.get(day)) is not None]
        if found:
            summed[day] = exact_sum(found)
    return summed


def _sum(values: Collection[Decimal | Fraction]) -> Fraction:
    decimals = [value for value in values if isinstance(value, Decimal)]
    if len(decimals) == len(values):
        return exact(exact_sum(decimals))
    return sum(map(exact, values), Fraction(0))


def _kth_highest(used: Mapping[date, Value], *, k: int) -> Aggregated:
    if k > len(used):
        return Aggregated(value=Fraction(0))
    value = max(used.values()) if k == 1 else sorted(used.values(), reverse=True)[k - 1]
    return Aggregated(
        value=exact(value), decided_by=tuple(day for day in used if used[day] == value)
    )
