"""Discounts of a subscription: which billing periods they count for, and what is left of them. Pure.

A discount is for whole billing periods, by their first served day: all that is due for such a period is
discounted, whenever it is billed, so what is used in March is discounted on the invoice of April. A fixed
amount is spent once a period: first by what the period bills in advance, the rest by its arrears.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from billing.rating.adjustments.discounts import Discount, DiscountType, PeriodDiscount
from billing.rating.lines import RatedLine
from kernel.money import round_amount


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscountTerms:
    """What a coupon gives, or a contract agrees.

    `currency` is that of a fixed amount, else empty. Without `plans` it counts under every plan.
    `periods` is for how many billing periods; None for all that follow. `coupon` is the code.
    """

    name: str
    discount: Discount
    currency: str = ""
    plans: frozenset[str] = frozenset()
    periods: int | None = None
    coupon: str = ""

    @property
    def is_by_period(self) -> bool:
        """Whether it is worth so much a period, or for so many: what a period is then matters, and a
        change to another interval ends it. A percentage until further notice goes on."""
        return self.periods is not None or self.discount.type is not DiscountType.PERCENTAGE


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDiscount:
    """A discount of a subscription, for periods that begin from `starts_on` until before `ends_on`
    (None: for all that follow). Those of a subscription count in the order of their numbers.

    `is_advance_billed`: when it came, what its first period bills in advance was billed already. Of that
    period it then counts for the arrears alone, or what is paid in full would come back at less.
    """

    id: UUID
    number: int
    terms: DiscountTerms
    starts_on: date
    ends_on: date | None
    is_advance_billed: bool = False

    def covers(self, first_day: date) -> bool:
        """Whether it counts for the billing period whose first served day that is."""
        return self.starts_on <= first_day and (self.ends_on is None or first_day < self.ends_on)

    def covers_advance(self, first_day: date) -> bool:
        """Whether it counts for what that period bills in advance."""
        return self.covers(first_day) and not (
            self.is_advance_billed and first_day == self.starts_on
        )

    @property
    def key(self) -> str:
        """What tells it apart in the workings of the subscription's lines."""
        return str(self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """A discount of one billing period, and its value for lines that are still to be rated: of a fixed
    amount what is left, in major units."""

    held: HeldDiscount
    value: Decimal

    @property
    def is_fixed(self) -> bool:
        return self.held.terms.discount.type is DiscountType.FIXED


def offered(
    discounts: Sequence[HeldDiscount], *, first_day: date, in_advance: bool = False
) -> tuple[Offered, ...]:
    """The discounts of the billing period that begins on the day, in their order; `in_advance`: only
    those of what it bills in advance."""
    return tuple(
        Offered(held=each, value=each.terms.discount.value)
        for each in discounts
        if (each.covers_advance(first_day) if in_advance else each.covers(first_day))
    )


def on_plan(offers: Iterable[Offered], plan: str) -> tuple[PeriodDiscount, ...]:
    """Those that count under the plan, ready for rating."""
    return tuple(
        PeriodDiscount(
            id=each.held.key,
            name=each.held.terms.name,
            discount=replace(each.held.terms.discount, value=each.value),
        )
        for each in offers
        if not each.held.terms.plans or plan in each.held.terms.plans
    )


def lessened(offers: Iterable[Offered], lines: Iterable[RatedLine]) -> tuple[Offered, ...]:
    """What the lines leave of fixed amounts; all else stays."""
    spent: dict[str, Decimal] = {}
    for line in lines:
        for taken in line.discounts:
            spent[taken.id] = spent.get(taken.id, Decimal(0)) + taken.amount.amount
    return tuple(
        replace(each, value=max(Decimal(0), each.value - spent.get(each.held.key, Decimal(0))))
        if each.is_fixed
        else each
        for each in offers
    )


def in_proportion(
    offers: Iterable[Offered], share: Fraction, *, currency: str
) -> tuple[Offered, ...]:
    """Fixed amounts cut to a share of them, rounded; all else stays."""
    return tuple(
        replace(each, value=round_amount(Fraction(each.value) * share, currency).amount)
        if each.is_fixed
        else each
        for each in offers
    )
