"""Ten tenants by which a price list is judged, from the smallest to one in ten thousand.

The size of a chat tenant is log-normal: with mu 2.419 and sigma 2.563 of the natural logarithm, 100,000
tenants have 30 million daily active users, of which the largest tenth has 90 %, as published for such
services. A tenant's size is the quantile of that distribution, rounded to whole users; the median one
sends 15 messages a user and day. Within a month the highest day is 1.20 times, the third-highest 1.12
times the mean (medians of the same base).

Who is there on which day is told too, for prices on the different users of a period: a tenant has three
users for each one of a mean day, which is an assumption, since no provider publishes its own. They
stand in a ring; a day's users are so many in a row, and the row moves on by a thirtieth of the ring each
day. So everybody comes within a month, and the different users of any days are the parts of the ring
that their rows cover together.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice, product
from typing import Final

from billing.rating.terms import PlanTerms
from billing.rating.usage import CountedUsage, DailyValues, Usage, UsageKey, UsersKey
from kernel.dimensions import canonical_dimensions

MESSAGES_A_USER: Final = 15
USERS_A_MONTH: Final = 3
"""Different users of a month for each one of a mean day."""
APP: Final = "app"
"""All usage of a typical tenant is in one app."""

_OF_USERS: Final = ("dau", "mau")
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

    @property
    def month_users(self) -> int:
        """Different users of a whole month."""
        return self.users * USERS_A_MONTH


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

    The month's users (`mau`) are the daily ones, and the usage tells the different users of any days.
    Where `kinds` are named, the messages are split evenly over them, so that prices for some kinds
    only have something to count.
    """
    shape = _month_of(users)
    by_day = {day: Decimal(shape[index % _MONTH]) for index, day in enumerate(days)}
    usage: dict[UsageKey, DailyValues] = {
        UsageKey(app=APP, meter=meter): by_day for meter in _OF_USERS
    }
    names = sorted(set(kinds)) or [""]
    for position, kind in enumerate(names):
        usage[UsageKey(app=APP, meter="messages", kind=kind)] = {
            day: Decimal(_share(int(value) * MESSAGES_A_USER, position, len(names)))
            for day, value in by_day.items()
        }
    return CountedUsage(usage, users=_RingOfUsers(users=users, days=days, by_day=by_day))


class _RingOfUsers(Mapping[UsersKey, int]):
    """The different users of any days, worked out when they are asked for; see the module's text.

    All usage is in one app, so that its users are those of all apps together.
    """

    def __init__(self, *, users: int, days: Sequence[date], by_day: Mapping[date, Decimal]) -> None:
        self._size = users * USERS_A_MONTH
        self._rows = {
            day: (self._size * (index % _MONTH) // _MONTH, int(by_day[day]))
            for index, day in enumerate(days)
        }

    def __getitem__(self, key: UsersKey) -> int:
        if key.meter not in _OF_USERS:
            raise KeyError(key)
        parts: list[tuple[int, int]] = []
        for day, (first, count) in self._rows.items():
            if any(start <= day < end for start, end in key.stretches):
                end = first + count
                parts.append((first, min(end, self._size)))
                parts.append((0, max(0, end - self._size)))
        covered = reached = 0
        for first, end in sorted(parts):
            covered += max(0, end - max(first, reached))
            reached = max(reached, end)
        return covered

    def __iter__(self) -> Iterator[UsersKey]:
        return iter(())

    def __len__(self) -> int:
        return 0


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
