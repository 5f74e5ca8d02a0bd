"""The charge models: one file each, with its terms and its `price(terms, quantity)`.

This registry is the only place that knows them all. Quantities are exact and not negative; amounts
are exact, in major units of the plan's currency. Nothing is rounded here.
"""

from collections.abc import Callable
from typing import Final

from billing.rating.charges import (
    flat,
    graduated,
    graduated_percentage,
    package,
    per_unit,
    percentage,
    stairstep,
    volume,
)
from billing.rating.charges.charge import Charge, ChargeLine, Model
from kernel.decimals import Exact, exact
from kernel.errors import Invalid

ChargeTerms = (
    flat.FlatTerms
    | per_unit.PerUnitTerms
    | graduated.GraduatedTerms
    | volume.VolumeTerms
    | stairstep.StairstepTerms
    | package.PackageTerms
    | percentage.PercentageTerms
    | graduated_percentage.GraduatedPercentageTerms
)

_PRICE: Final[dict[Model, Callable[..., Charge]]] = {
    Model.FLAT: flat.price,
    Model.PER_UNIT: per_unit.price,
    Model.GRADUATED: graduated.price,
    Model.VOLUME: volume.price,
    Model.STAIRSTEP: stairstep.price,
    Model.PACKAGE: package.price,
    Model.PERCENTAGE: percentage.price,
    Model.GRADUATED_PERCENTAGE: graduated_percentage.price,
}


def charge(terms: ChargeTerms, quantity: Exact) -> Charge:
    """What the quantity costs by the terms' model. Raises Invalid `negative`."""
    amount_used = exact(quantity)
    if amount_used < 0:
        raise Invalid("negative", "quantity is negative; write zero or more.", field="quantity")
    return _PRICE[terms.model](terms, amount_used)


__all__ = ["Charge", "ChargeLine", "ChargeTerms", "Model", "charge"]
