"""Volume: all units at the price of the one tier that the whole quantity falls into, plus that
tier's flat fee. The amount may drop where a cheaper tier begins; operators publish it so."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.graduated import Tier
from billing.rating.charges.tiers import check_bounds, tier_holding
from kernel.decimals import exact


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeTerms:
    model: ClassVar[Model] = Model.VOLUME
    tiers: tuple[Tier, ...]

    def __post_init__(self) -> None:
        check_bounds([tier.up_to for tier in self.tiers])


def price(terms: VolumeTerms, quantity: Fraction) -> Charge:
    """One line, of the tier that holds the quantity."""
    index = tier_holding([tier.up_to for tier in terms.tiers], quantity)
    tier = terms.tiers[index]
    return charge_of(
        [
            line(
                tier=index + 1,
                quantity=quantity,
                unit_price=exact(tier.unit_price),
                flat_fee=exact(tier.flat_fee),
            )
        ]
    )
