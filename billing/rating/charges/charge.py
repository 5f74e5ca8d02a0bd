"""What a charge model answers: an exact amount, and the lines that it is made of."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

ZERO = Fraction(0)


class Model(StrEnum):
    """How a price turns a quantity into money; the names of the plan document."""

    FLAT = "flat"
    PER_UNIT = "per_unit"
    GRADUATED = "graduated"
    VOLUME = "volume"
    STAIRSTEP = "stairstep"
    PACKAGE = "package"
    PERCENTAGE = "percentage"
    GRADUATED_PERCENTAGE = "graduated_percentage"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeLine:
    """One step of the working: `quantity` x `unit_price` + `flat_fee` = `amount`, all exact.

    `tier` counts from 1. For packages the quantity is the number of packages; for percentages the
    unit price is the rate as a fraction of one.
    """

    tier: int
    quantity: Fraction
    unit_price: Fraction
    flat_fee: Fraction
    amount: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The exact amount, which is the sum of the lines."""

    amount: Fraction
    lines: tuple[ChargeLine, ...]


def line(
    *, tier: int, quantity: Fraction, unit_price: Fraction = ZERO, flat_fee: Fraction = ZERO
) -> ChargeLine:
    """A line with its amount worked out."""
    # Most lines have only one of both, and arithmetic with fractions is slow.
    amount = quantity * unit_price if unit_price else ZERO
    if flat_fee:
        amount += flat_fee
    return ChargeLine(
        tier=tier, quantity=quantity, unit_price=unit_price, flat_fee=flat_fee, amount=amount
    )


def charge_of(lines: Iterable[ChargeLine]) -> Charge:
    """The charge that the lines add up to."""
    kept = tuple(lines)
    return Charge(amount=sum((each.amount for each in kept), ZERO), lines=kept)
