"""Package: units are sold in packages of a size; a started package is counted as a whole one
(`up`) or not at all (`down`)."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar

from billing.rating.charges.charge import Charge, Model, charge_of, line
from billing.rating.charges.checks import above_zero, at_least_zero
from kernel.decimals import exact


class PackageRounding(StrEnum):
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTerms:
    model: ClassVar[Model] = Model.PACKAGE
    package_size: Decimal
    package_price: Decimal
    package_rounding: PackageRounding = PackageRounding.UP

    def __post_init__(self) -> None:
        above_zero(self.package_size, field="package_size")
        at_least_zero(self.package_price, field="package_price")


def price(terms: PackageTerms, quantity: Fraction) -> Charge:
    """One line whose quantity is the number of packages."""
    filled = quantity / exact(terms.package_size)
    packages = ceil(filled) if terms.package_rounding is PackageRounding.UP else floor(filled)
    return charge_of(
        [line(tier=1, quantity=Fraction(packages), unit_price=exact(terms.package_price))]
    )
