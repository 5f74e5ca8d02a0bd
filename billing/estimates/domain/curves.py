"""The amount over the quantity, as points to draw: of one price, and of a whole plan.

The points lie evenly over a range that shows what the terms do, with one at each bound and one just
before and past it, so that a step is drawn as a step.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.estimates.domain.costs import UTC, period_cost, sample_period
from billing.estimates.domain.typical import (
    APP,
    MESSAGES_A_USER,
    USERS_A_MONTH,
    kinds_named,
    typical_usage,
)
from billing.rating.aggregations import EventPeriodAggregation
from billing.rating.charges import Model
from billing.rating.charges.package import PackageTerms
from billing.rating.charges.per_unit import PerUnitTerms
from billing.rating.pricing import price_quantity
from billing.rating.terms import PlanTerms, PriceTerms
from kernel.decimals import MAX_MAGNITUDE, rounded_decimal
from kernel.errors import DomainError
from kernel.money import Money, round_amount

_STEPS: Final = 30
_MOST_BREAKS: Final = 40
_PACKAGES_SHOWN: Final = 6
_WITHOUT_BREAKS: Final = Fraction(100)
_FEWEST_USERS: Final = 100
_MOST_USERS: Final = 1_000_000
_SUMMED: Final = frozenset({"sum", "sum_days"})
_DAYS_A_MONTH: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What a quantity costs."""

    quantity: Decimal
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """The points of one price (its `key`) or of a plan (key "")."""

    key: str
    points: Sequence[Point]


def has_curve(price: PriceTerms) -> bool:
    """Whether the amount depends on the quantity at all."""
    return price.model is not Model.FLAT or price.addon


def price_quantities(prices: Sequence[PriceTerms]) -> list[Decimal]:
    """Quantities, as they are metered or held, at which the prices' curves are worth looking at."""
    breaks = sorted({point for price in prices for point in _breaks(price)})[:_MOST_BREAKS]
    top = (breaks[-1] * 13 / 10) if breaks else max(map(_plain_range, prices))
    return _spread(top, breaks)


def price_curve(price: PriceTerms, *, currency: str, quantities: Sequence[Decimal]) -> Curve:
    """What each quantity costs, the price's own minimum and maximum included, over a whole period.

    Quantities that the terms can't rate are left out.
    """
    points = []
    for quantity in quantities:
        try:
            priced = (
                price_quantity(price, Fraction(1), times=Fraction(quantity))
                if price.metering is None and price.model is Model.FLAT
                else price_quantity(price, quantity)
            )
            amount = round_amount(priced.total, currency)
        except DomainError:
            continue
        points.append(Point(quantity=quantity, amount=amount))
    return Curve(key=price.key, points=tuple(points))


def plan_users(plans: Sequence[PlanTerms]) -> list[int]:
    """Sizes of tenants, in daily active users, at which the plans' totals are worth looking at."""
    reached = [
        Fraction(_FEWEST_USERS),
        *(
            point / _a_user(price)
            for terms in plans
            for price in terms.prices
            if price.metering is not None
            for point in _breaks(price)
        ),
    ]
    top = min(int(max(reached) * 13 / 10), _MOST_USERS)
    step = _round_up(Fraction(top, _STEPS))
    return [int(step * index) for index in range(_STEPS + 1)]


def plan_curve(
    terms: PlanTerms, *, users: Sequence[int], kinds: Sequence[str] | None = None
) -> Curve:
    """What a whole period costs a tenant of each size, with the usual messages of so many users.

    Empty for a plan whose period is too long to preview. `kinds` as of `typical_usage`; by default
    those that the plan names.
    """
    period = sample_period(terms)
    points = []
    if period is not None:
        days = period.days(UTC)
        named = kinds_named([terms]) if kinds is None else kinds
        for size in users:
            cost = period_cost(
                terms=terms,
                period=period,
                zone=UTC,
                usage=typical_usage(users=size, days=days, kinds=named),
                apps=(APP,),
            )
            if cost.amount is not None:
                points.append(Point(quantity=Decimal(size), amount=cost.amount))
    return Curve(key="", points=tuple(points))


def _breaks(price: PriceTerms) -> list[Fraction]:
    """Metered quantities at which the curve turns or steps."""
    factor = Fraction(price.conversion.divide_by) if price.conversion is not None else Fraction(1)
    included = Fraction(price.included)
    found = [included] if included else []
    charge = price.charge
    found += [
        included + Fraction(tier.up_to)
        for tier in getattr(charge, "tiers", ())
        if tier.up_to is not None
    ]
    if isinstance(charge, PackageTerms):
        size = Fraction(charge.package_size)
        found += [included + size * count for count in range(1, _PACKAGES_SHOWN + 1)]
    if isinstance(charge, PerUnitTerms) and charge.unit_price:
        for bound in (price.minimum, price.maximum):
            if bound:
                found.append(included + Fraction(bound) / Fraction(charge.unit_price))
    return [point * factor for point in found]


def _plain_range(price: PriceTerms) -> Fraction:
    factor = Fraction(price.conversion.divide_by) if price.conversion is not None else Fraction(1)
    return (Fraction(10) if price.metering is None else _WITHOUT_BREAKS) * factor


def _spread(top: Fraction, breaks: Iterable[Fraction]) -> list[Decimal]:
    step = _round_up(top / _STEPS)
    points = {step * index for index in range(_STEPS + 1)}
    for point in breaks:
        if point <= step * _STEPS:
            points |= {max(Fraction(0), point - 1), point, point + 1}
    return sorted({rounded_decimal(point) for point in points if point < Fraction(MAX_MAGNITUDE)})


def _round_up(step: Fraction) -> Fraction:
    """The next of 1, 2, 5 times a power of ten from 1 on."""
    power = Fraction(1)
    while power * 10 < step:
        power *= 10
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step)


def _a_user(price: PriceTerms) -> Fraction:
    """How much of the price's quantity one user makes in a month."""
    metering = price.metering
    if metering is not None and metering.period_aggregation is EventPeriodAggregation.DISTINCT:
        return Fraction(USERS_A_MONTH)
    each = MESSAGES_A_USER if metering is not None and metering.meter == "messages" else 1
    is_summed = metering is not None and metering.period_aggregation.value in _SUMMED
    return Fraction(each * (_DAYS_A_MONTH if is_summed else 1))
