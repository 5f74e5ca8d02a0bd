"""What all prices of a plan share while a period is rated: its days, its parts, its share."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from billing.rating.proration import DayCount, Proration, proration
from billing.rating.terms import PriceTerms
from billing.rating.usage import Stretches
from kernel.decimals import Exact
from kernel.period import Period

_ONE_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPart:
    """A stretch of a period in which nothing that is held changed.

    `quantities` tells how much is held of a price (see `rate_plan`).
    """

    period: Period
    quantities: Mapping[str, Exact] = field(default_factory=dict)

    def held(self, price: PriceTerms) -> Exact:
        """How much is held of the price: 1 unless said otherwise, and of an add-on nothing."""
        return self.quantities.get(price.key, 0 if price.addon else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingContext:
    """What all prices of a plan share while a period is rated.

    `served` is the part of `period` for which the terms hold. Of it the `parts` count: usage on
    their `days` only, and proration is their share of the whole.
    """

    plan_key: str
    plan_version: int
    currency: str
    period: Period
    served: Period
    zone: ZoneInfo
    day_count: DayCount
    share: Proration
    days: tuple[date, ...]
    parts: tuple[HeldPart, ...]

    def narrowed(self, parts: tuple[HeldPart, ...], *, served: Period) -> "RatingContext":
        """The same for some of the parts only."""
        if parts == self.parts and served == self.served:
            return self
        return replace(
            self,
            served=served,
            share=_share_of(parts, self.period, self.zone, self.day_count),
            days=_days_of(parts, self.zone),
            parts=parts,
        )


def rating_context(
    *,
    plan_key: str,
    plan_version: int,
    currency: str,
    period: Period,
    served: Period,
    zone: ZoneInfo,
    day_count: DayCount,
    parts: tuple[HeldPart, ...],
) -> RatingContext:
    """The context of the parts of a period that count."""
    return RatingContext(
        plan_key=plan_key,
        plan_version=plan_version,
        currency=currency,
        period=period,
        served=served,
        zone=zone,
        day_count=day_count,
        share=_share_of(parts, period, zone, day_count),
        days=_days_of(parts, zone),
        parts=parts,
    )


def _share_of(
    parts: tuple[HeldPart, ...], period: Period, zone: ZoneInfo, day_count: DayCount
) -> Proration:
    first, *others = (
        proration(part=part.period, whole=period, zone=zone, day_count=day_count) for part in parts
    )
    return replace(first, part=first.part + sum(other.part for other in others))


def _days_of(parts: tuple[HeldPart, ...], zone: ZoneInfo) -> tuple[date, ...]:
    if len(parts) == 1:
        return parts[0].period.days(zone)
    return tuple(day for part in parts for day in part.period.days(zone))


def counted_stretches(parts: Iterable[HeldPart], zone: ZoneInfo) -> Stretches:
    """The local days of the parts, those that meet as one stretch."""
    found: list[tuple[date, date]] = []
    for part in parts:
        first, end = part.period.first_day(zone), part.period.end_day(zone)
        if found and found[-1][1] == first:
            first = found.pop()[0]
        found.append((first, end))
    return tuple(found)


@lru_cache(maxsize=1024)
def seconds_of_days(periods: tuple[Period, ...], zone: ZoneInfo) -> Mapping[date, int]:
    """How many seconds of each day count: 23 or 25 hours' where clocks change."""
    lengths: dict[date, int] = {}
    for period in periods:
        for day in period.days(zone):
            whole = Period.of_days(day, day + _ONE_DAY, zone)
            counted = min(whole.ends_at, period.ends_at) - max(whole.starts_at, period.starts_at)
            lengths[day] = lengths.get(day, 0) + counted // _SECOND
    return lengths
