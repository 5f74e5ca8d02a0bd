"""The usage that rating reads: exact daily values by app, meter and kind."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from billing.rating.aggregations import summed_by_day
from billing.rating.terms import Metering


class UsageKey(NamedTuple):
    """One series of days. `kind` is "" for meters that don't tell kinds apart.

    Kinds of one meter are disjoint: their sum is the whole, and no series holds it beside them.
    """

    app: str
    meter: str
    kind: str = ""


DailyValues = Mapping[date, Decimal]
Usage = Mapping[UsageKey, DailyValues]


def metered_by_app(
    usage: Usage, metering: Metering, *, days: tuple[date, ...]
) -> dict[str, DailyValues]:
    """Each app's daily values of the price's meter and kinds, apps in the order of their keys.

    Apps without a value above zero on one of the days are left out.
    """
    series: dict[str, list[DailyValues]] = {}
    for key, values in usage.items():
        if key.meter == metering.meter and (not metering.kinds or key.kind in metering.kinds):
            series.setdefault(key.app, []).append(values)
    found = {}
    for app in sorted(series):
        values = summed_by_day(series[app], days=days)
        if _is_used(values, days):
            found[app] = values
    return found


def _is_used(values: DailyValues, days: Iterable[date]) -> bool:
    return any(values.get(day) for day in days)
