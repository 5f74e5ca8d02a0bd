"""Percentage: a share of a quantity that is money itself, plus a fee that is due once."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class PercentageTerms:
    model: ClassVar[Model] = Model.PERCENTAGE
    rate_percent: Decimal
    fixed_fee: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        at_least_zero(self.rate_percent, field="rate_percent")
        at_least_zero(self.fixed_fee, field="fixed_fee")


def price(terms: PercentageTerms, quantity: Fraction) -> Charge:
    """Quantity x rate / 100 + fee."""
    return charge_of(
        [
            line(
                tier=1,
                quantity=quantity,
                unit_price=exact(terms.rate_percent) / 100,
                flat_fee=exact(terms.fixed_fee),
            )
        ]
    )
