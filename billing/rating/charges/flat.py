"""Flat: one amount, whatever the quantity."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatTerms:
    model: ClassVar[Model] = Model.FLAT
    amount: Decimal

    def __post_init__(self) -> None:
        at_least_zero(self.amount, field="amount")


def price(terms: FlatTerms, quantity: Fraction) -> Charge:
    """The amount, once."""
    return charge_of([line(tier=1, quantity=quantity, flat_fee=exact(terms.amount))])
