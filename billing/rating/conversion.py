"""Conversion: the metered quantity in the unit that the price speaks of (messages to thousands)."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor
from typing import assert_never

from billing.rating.charges.checks import above_zero
from kernel.decimals import exact, half_away_from_zero
from kernel.errors import Invalid


class ConversionRounding(StrEnum):
    UP = "up"
    DOWN = "down"
    NEAREST = "nearest"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Divide by `divide_by`, then round to `decimals` (not at all for `none`)."""

    divide_by: Decimal
    rounding: ConversionRounding = ConversionRounding.NONE
    decimals: int = 0

    def __post_init__(self) -> None:
        above_zero(self.divide_by, field="divide_by")
        if not 0 <= self.decimals <= 12:
            raise Invalid(
                "out_of_range", "decimals is not between 0 and 12; write one.", field="decimals"
            )


def convert(quantity: Fraction, conversion: Conversion) -> Fraction:
    """The quantity in the price's unit; `nearest` takes ties away from zero."""
    converted = quantity / exact(conversion.divide_by)
    scale = 10**conversion.decimals
    match conversion.rounding:
        case ConversionRounding.NONE:
            return converted
        case ConversionRounding.UP:
            return Fraction(ceil(converted * scale), scale)
        case ConversionRounding.DOWN:
            return Fraction(floor(converted * scale), scale)
        case ConversionRounding.NEAREST:
            return Fraction(half_away_from_zero(converted * scale), scale)
        case _:
            assert_never(conversion.rounding)
