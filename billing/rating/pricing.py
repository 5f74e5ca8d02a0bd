"""Pricing: one quantity by the terms of one price, step by step, in this order:

1. `conversion` into the price's unit
2. `included` comes off
3. the charge model (nothing, with `zero_usage: free`, where nothing is left)
4. proration of what is due by time
5. discounts, one after the other, each on what is left
6. `maximum` caps
7. `minimum` tops up, as an amount of its own

All amounts are exact. Of a metered price, proration cuts `included`, `minimum` and `maximum` and a
flat amount, and never tiers or unit prices: usage is already less in a part period. A price without
a meter is due by time, so proration cuts what its model charges.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from billing.rating.adjustments.discounts import Discount, taken_in_turn
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
    `true_up` is what `minimum` adds to it. `charge` is the model's answer before all of them;
    `discounts` is what each discount took.
    """

    quantity: Fraction
    converted: Fraction
    included: Fraction
    chargeable: Fraction
    charge: Charge
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
    included = exact(terms.included) * ratio if is_by_usage else exact(terms.included)
    chargeable = max(_ZERO, converted - included)
    if chargeable == 0 and terms.zero_usage is ZeroUsage.FREE:
        charged = Charge(amount=_ZERO, lines=())
    else:
        charged = charge(terms.charge, chargeable)
    amount = charged.amount
    if times != 1:
        amount *= times
    if terms.model is Model.FLAT or not is_by_usage:
        amount *= ratio
    taken = taken_in_turn(discounts, amount)
    if taken:
        amount -= sum(taken)
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
        charge=charged,
        discounts=taken,
        amount=amount,
        minimum=minimum,
        maximum=maximum,
        true_up=true_up,
    )


def _bound(figure: Decimal | None, ratio: Fraction) -> Fraction | None:
    return None if figure is None else exact(figure) * ratio
