"""Per unit: every unit at the same price."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class PerUnitTerms:
    model: ClassVar[Model] = Model.PER_UNIT
    unit_price: Decimal

    def __post_init__(self) -> None:
        at_least_zero(self.unit_price, field="unit_price")


def price(terms: PerUnitTerms, quantity: Fraction) -> Charge:
    """Quantity x unit price."""
    return charge_of([line(tier=1, quantity=quantity, unit_price=exact(terms.unit_price))])
