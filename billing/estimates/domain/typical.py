"""Ten tenants by which a price list is judged, from the smallest to one in ten thousand.

The size of a chat tenant is log-normal: with mu 2.419 and sigma 2.563 of the natural logarithm, 100,000
tenants have 30 million daily active users, of which the largest tenth has 90 %, as published for such
services. A tenant's size is the quantile of that distribution, rounded to whole users; the median one
sends 15 messages a user and day. Within a month the highest day is 1.20 times, the third-highest 1.12
times the mean (medians of the same base).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice, product
from typing import Final

from billing.rating.terms import PlanTerms
from billing.rating.usage import Usage, UsageKey
from kernel.dimensions import canonical_dimensions

MESSAGES_A_USER: Final = 15
APP: Final = "app"
"""All usage of a typical tenant is in one app."""

_MONTH: Final = 30
_MOST_COMBINATIONS: Final = 64
_PEAK_PERCENT: Final = 120
_HIGH_PERCENT: Final = 112
_PEAK_DAY: Final = 9
_HIGH_DAYS: Final = (16, 23)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypicalTenant:
    """A tenant larger than `percent` of all, with its mean daily active users."""

    percent: Decimal
    users: int

    @property
    def messages(self) -> int:
        """Messages a day, on a mean day."""
        return self.users * MESSAGES_A_USER


TYPICAL_TENANTS: Final = tuple(
    TypicalTenant(percent=Decimal(percent), users=users)
    for percent, users in (
        ("10", 0),
        ("25", 2),
        ("50", 11),
        ("75", 63),
        ("90", 300),
        ("95", 761),
        ("99", 4365),
        ("99.5", 8274),
        ("99.9", 30923),
        ("99.99", 154947),
    )
)


def typical_usage(*, users: int, days: Sequence[date], kinds: Sequence[str] = ()) -> Usage:
    """Daily users and messages of a tenant with `users` on a mean day, by 30 days in turn.

    Where `kinds` are named, the messages are split evenly over them, so that prices for some kinds
    only have something to count.
    """
    shape = _month_of(users)
    by_day = {day: Decimal(shape[index % _MONTH]) for index, day in enumerate(days)}
    usage: dict[UsageKey, dict[date, Decimal]] = {UsageKey(app=APP, meter="dau"): by_day}
    names = sorted(set(kinds)) or [""]
    for position, kind in enumerate(names):
        usage[UsageKey(app=APP, meter="messages", kind=kind)] = {
            day: Decimal(_share(int(value) * MESSAGES_A_USER, position, len(names)))
            for day, value in by_day.items()
        }
    return usage


def kinds_named(plans: Collection[PlanTerms]) -> tuple[str, ...]:
    """The kinds that prices of the plans are limited to, and combinations of other properties, as
    canonical texts (`kernel.dimensions`)."""
    filters = {
        price.metering.filter
        for terms in plans
        for price in terms.prices
        if price.metering is not None and price.metering.filter
    }
    return tuple(
        sorted(
            {
                canonical_dimensions(dict(zip((name for name, _ in each), values, strict=True)))
                for each in filters
                for values in islice(product(*(values for _, values in each)), _MOST_COMBINATIONS)
            }
        )
    )


def _month_of(users: int) -> list[int]:
    """Thirty days whose sum is 30 x `users`: one peak, two high days, the others alike."""
    peak = -(-users * _PEAK_PERCENT // 100)
    high = -(-users * _HIGH_PERCENT // 100)
    special = {_PEAK_DAY: peak, **dict.fromkeys(_HIGH_DAYS, high)}
    others = [index for index in range(_MONTH) if index not in special]
    rest = _MONTH * users - sum(special.values())
    month = [special.get(index, 0) for index in range(_MONTH)]
    for position, index in enumerate(others):
        month[index] = _share(rest, position, len(others))
    return month


def _share(whole: int, position: int, parts: int) -> int:
    """One of `parts` whole shares that differ by at most one and sum to the whole."""
    return whole * (position + 1) // parts - whole * position // parts
