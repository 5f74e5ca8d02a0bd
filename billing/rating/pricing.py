"""Pricing: one quantity by the terms of one price, step by step, in this order:

1. `conversion` into the price's unit
2. `included` comes off
3. the charge model (nothing, with `zero_usage: free`, where nothing is left)
4. proration of what is due by time
5. usage discounts: what is due falls by what a smaller quantity would save; then percentages and
   fixed amounts, one after the other, each on what is left
6. `maximum` caps
7. `minimum` tops up, as an amount of its own

All amounts are exact. Of a metered price, proration cuts `included`, `minimum` and `maximum` and a
flat amount, and never tiers or unit prices: usage is already less in a part period. A price without
a meter is due by time, so proration cuts what its model charges.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial

from billing.rating.adjustments.discounts import Discount, DiscountType, taken_in_turn
from billing.rating.charges import Charge, ChargeLine, Model, charge
from billing.rating.conversion import convert
from billing.rating.terms import PriceTerms, ZeroUsage
from kernel.decimals import Exact, exact
from kernel.errors import Invalid

_ZERO = Fraction(0)
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """A quantity's price with its working; every number exact.

    `amount` is what is charged for the quantity, after proration, discounts and `maximum`;
    `true_up` is what `minimum` adds to it. `charge` is the model's answer before all of them,
    `charged` is after proration; `discounts` is what each discount took.
    """

    quantity: Fraction
    converted: Fraction
    included: Fraction
    chargeable: Fraction
    charge: Charge
    charged: Fraction
    discounts: tuple[Fraction, ...]
    amount: Fraction
    minimum: Fraction | None
    maximum: Fraction | None
    true_up: Fraction

    @property
    def lines(self) -> tuple[ChargeLine, ...]:
        return self.charge.lines

    @property
    def total(self) -> Fraction:
        return self.amount + self.true_up

    @property
    def is_capped(self) -> bool:
        return self.maximum is not None and self.amount == self.maximum


def price_quantity(
    terms: PriceTerms,
    quantity: Exact,
    *,
    ratio: Fraction = _ONE,
    times: Fraction = _ONE,
    discounts: Sequence[Discount] = (),
) -> Priced:
    """The price of the quantity; `ratio` is the share of the period served.

    The ratio counts only where the terms say `prorate`. `times` multiplies what the model charges:
    a flat add-on that is held twice is due twice. Raises Invalid `negative`.
    """
    if quantity < 0:
        raise Invalid("negative", "quantity is negative; write zero or more.", field="quantity")
    if not terms.prorate:
        ratio = _ONE
    measured = exact(quantity)
    is_by_usage = terms.metering is not None
    converted = convert(measured, terms.conversion) if terms.conversion else measured
    included = exact(terms.included)
    if included and is_by_usage:
        included *= ratio
    chargeable = max(_ZERO, converted - included) if included else converted
    charge_of = partial(_charged, terms, ratio=ratio, times=times)
    full, charged = charge_of(chargeable)
    taken = _taken(discounts, chargeable=chargeable, charged=charged, charge_of=charge_of)
    amount = charged - sum(taken) if taken else charged
    minimum = _bound(terms.minimum, ratio)
    maximum = _bound(terms.maximum, ratio)
    if maximum is not None and amount > maximum:
        amount = maximum
    true_up = max(_ZERO, minimum - amount) if minimum is not None else _ZERO
    return Priced(
        quantity=measured,
        converted=converted,
        included=included,
        chargeable=chargeable,
        charge=full,
        charged=charged,
        discounts=taken,
        amount=amount,
        minimum=minimum,
        maximum=maximum,
        true_up=true_up,
    )


def _charged(
    terms: PriceTerms, chargeable: Fraction, *, ratio: Fraction, times: Fraction
) -> tuple[Charge, Fraction]:
    """What the model says for the quantity, and what of it is due for the part served."""
    if chargeable == 0 and terms.zero_usage is ZeroUsage.FREE:
        return Charge(amount=_ZERO, lines=()), _ZERO
    full = charge(terms.charge, chargeable)
    amount = full.amount
    if times != 1:
        amount *= times
    if terms.model is Model.FLAT or terms.metering is None:
        amount *= ratio
    return full, amount


def _taken(
    discounts: Sequence[Discount],
    *,
    chargeable: Fraction,
    charged: Fraction,
    charge_of: Callable[[Fraction], tuple[Charge, Fraction]],
) -> tuple[Fraction, ...]:
    """What each discount takes, in their order; those of usage are worked out first.

    A smaller quantity may cost more by `volume` tiers: a usage discount never adds to the price.
    """
    if not discounts:
        return ()
    saved: list[Fraction] = []
    left, due = chargeable, charged
    for discount in discounts:
        if discount.type is DiscountType.USAGE:
            left = max(_ZERO, left - exact(discount.value))
            less = min(due, charge_of(left)[1])
            saved.append(due - less)
            due = less
        else:
            saved.append(_ZERO)
    in_turn = taken_in_turn(discounts, due)
    return tuple(one + other for one, other in zip(saved, in_turn, strict=True))


def _bound(figure: Decimal | None, ratio: Fraction) -> Fraction | None:
    return None if figure is None else exact(figure) * ratio
