"""Graduated: the units within each tier at that tier's price, plus the flat fee of each tier that
is reached. A tier is reached by the first unit above the bound before it."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from billing.rating.charges.tiers import check_bounds, slices
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Up to and including `up_to` (None: without end); the fee is due once."""

    up_to: Decimal | None
    unit_price: Decimal = Decimal(0)
    flat_fee: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        at_least_zero(self.unit_price, field="unit_price")
        at_least_zero(self.flat_fee, field="flat_fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedTerms:
    model: ClassVar[Model] = Model.GRADUATED
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        check_bounds([tier.up_to for tier in self.tiers])


def price(terms: GraduatedTerms, quantity: Fraction) -> Charge:
    """One line for each tier reached; the first tier is always reached."""
    reached = slices([tier.up_to for tier in terms.tiers], quantity)
    return charge_of(
        line(
            tier=index + 1,
            quantity=share,
            unit_price=exact(terms.tiers[index].unit_price),
            flat_fee=exact(terms.tiers[index].flat_fee),
        )
        for index, share in reached
    )
