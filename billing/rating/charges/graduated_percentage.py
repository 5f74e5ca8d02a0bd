"""Graduated percentage: the part of a sum of money within each tier at that tier's rate, plus the
flat fee of each tier that is reached."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from billing.rating.charges.tiers import check_bounds, slices
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class RateTier:
    """Up to and including `up_to` (None: without end); the fee is due once."""

    up_to: Decimal | None
    rate_percent: Decimal = Decimal(0)
    flat_fee: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        at_least_zero(self.rate_percent, field="rate_percent")
        at_least_zero(self.flat_fee, field="flat_fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class GraduatedPercentageTerms:
    model: ClassVar[Model] = Model.GRADUATED_PERCENTAGE
    tiers: tuple[RateTier, ...]

    def __post_init__(self) -> None:
        check_bounds([tier.up_to for tier in self.tiers])


def price(terms: GraduatedPercentageTerms, quantity: Fraction) -> Charge:
    """One line for each tier reached; the first tier is always reached."""
    reached = slices([tier.up_to for tier in terms.tiers], quantity)
    return charge_of(
        line(
            tier=index + 1,
            quantity=share,
            unit_price=exact(terms.tiers[index].rate_percent) / 100,
            flat_fee=exact(terms.tiers[index].flat_fee),
        )
        for index, share in reached
    )
