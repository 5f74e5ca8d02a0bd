"""The usage that rating reads: exact daily values by app, meter and dimensions; users of stretches."""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import NamedTuple

from billing.rating.aggregations import Aggregated, summed_by_day
from billing.rating.terms import Metering
from kernel.decimals import exact
from kernel.dimensions import passes
from kernel.errors import Invalid


class UsageKey(NamedTuple):
    """One series of days. `kind` is the canonical text of the dimensions that its usage has
    (`kernel.dimensions`): a kind alone is its own text, and "" stands for usage that told nothing.

    The series of one meter are disjoint: their sum is the whole, and no series holds it beside them.
    """

    app: str
    meter: str
    kind: str = ""


Stretches = tuple[tuple[date, date], ...]
"""Days from each first one to each last one, which is excluded; in order, without any that meet."""


class UsersKey(NamedTuple):
    """The different users of an app (None: of all apps) in all these days together."""

    app: str | None
    meter: str
    stretches: Stretches


class UsersNotCounted(Invalid):
    """Nobody counted the different users of `key` beforehand."""

    def __init__(self, key: UsersKey) -> None:
        super().__init__(
            "users_not_counted",
            f"The different users of {key.meter} were not counted for these days; count them first.",
            field="period_aggregation",
        )
        self.key = key


DailyValues = Mapping[date, Decimal]
Usage = Mapping[UsageKey, DailyValues]


class CountedUsage(dict[UsageKey, DailyValues]):
    """Usage with the different users of whole stretches of days, for prices on them.

    `users` holds None where they can't be told, because a day's value was set without saying whose
    it is, or counts only a part of the day.
    """

    def __init__(
        self,
        usage: Usage = MappingProxyType({}),
        *,
        users: Mapping[UsersKey, int | None] = MappingProxyType({}),
    ) -> None:
        super().__init__(usage)
        self.users = users


def different_users(
    usage: Usage, *, key: UsersKey, values: Mapping[str, DailyValues]
) -> Aggregated:
    """The different users of the days, whose daily values by app are `values`.

    Those of a single day of a single app are its value; of more, users may be the same. Raises
    Invalid `users_not_known`, and UsersNotCounted where nobody asked for them beforehand.
    """
    used = [
        (day, value)
        for by_day in values.values()
        for day, value in by_day.items()
        if value and any(first <= day < end for first, end in key.stretches)
    ]
    if not used:
        return Aggregated(value=Fraction(0))
    if len(used) == 1:
        ((day, value),) = used
        return Aggregated(value=exact(value), decided_by=(day,))
    counted = usage.users if isinstance(usage, CountedUsage) else {}
    if key not in counted:
        raise UsersNotCounted(key)
    users = counted[key]
    if users is None:
        raise Invalid(
            "users_not_known",
            f"Of the period's days one has a value of {key.meter} that is not told user by user (it was "
            "set outright, or the subscription ended within the day), so that the different users "
            "of the period can't be told; send events, or price another aggregation of the days.",
            field="period_aggregation",
        )
    return Aggregated(value=Fraction(users))


def metered_by_app(
    usage: Usage, metering: Metering, *, days: tuple[date, ...]
) -> dict[str, DailyValues]:
    """Each app's daily values of the price's meter that its filter lets through, apps in the order of their keys.

    Apps without a value above zero on one of the days are left out.
    """
    wanted = dict(metering.filter)
    series: dict[str, list[DailyValues]] = {}
    for key, values in usage.items():
        if key.meter == metering.meter and passes(key.kind, wanted):
            series.setdefault(key.app, []).append(values)
    found = {}
    for app in sorted(series):
        values = summed_by_day(series[app], days=days)
        if _is_used(values, days):
            found[app] = values
    return found


def _is_used(values: DailyValues, days: Iterable[date]) -> bool:
    return any(values.get(day) for day in days)
