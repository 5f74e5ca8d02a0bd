"""Stairstep: one fee for the whole quantity, that of the step it falls into."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import at_least_zero
from billing.rating.charges.tiers import check_bounds, tier_holding
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Up to and including `up_to` (None: without end)."""

    up_to: Decimal | None
    flat_fee: Decimal

    def __post_init__(self) -> None:
        at_least_zero(self.flat_fee, field="flat_fee")


@dataclass(frozen=True, slots=True, kw_only=True)
class StairstepTerms:
    model: ClassVar[Model] = Model.STAIRSTEP
    tiers: tuple[Step, ...]

    def __post_init__(self) -> None:
        check_bounds([step.up_to for step in self.tiers])


def price(terms: StairstepTerms, quantity: Fraction) -> Charge:
    """One line, of the step that holds the quantity."""
    index = tier_holding([step.up_to for step in terms.tiers], quantity)
    fee = exact(terms.tiers[index].flat_fee)
    return charge_of([line(tier=index + 1, quantity=quantity, flat_fee=fee)])
