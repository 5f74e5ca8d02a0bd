"""Exact numbers: read from text, written to text, never a float.

`Decimal` carries what people write (prices, quantities); `Fraction` carries what arithmetic makes
of it (a mean over 31 days, 17/31 of a month), so that nothing is rounded before the one rounding
of `kernel.money.round_amount`.
"""

import re
from collections.abc import Iterable
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

from kernel.errors import Invalid

Exact = int | Decimal | Fraction
"""A number without error. A bool or a float is not one."""

MAX_PLACES = 12
"""Most decimals that a price or a quantity may have."""

MAX_MAGNITUDE = Decimal(10) ** 18
"""Largest absolute value of a figure that is read from outside."""

EXACT_TEXT_PLACES = 18
"""Most decimals with which an exact result is shown."""

_LONGEST_TEXT = 64
_WRITTEN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[+-]?(?:s?nan[0-9]*|inf|infinity)", re.IGNORECASE)
# Enough for any figure that passes the limits above; nothing is ever lost by it.
_WIDE = Context(prec=200)


def parse_decimal(
    value: object,
    *,
    field: str,
    places: int = MAX_PLACES,
    magnitude: Decimal = MAX_MAGNITUDE,
) -> Decimal:
    """The number that a text, an integer or a Decimal states, without trailing zeros.

    Raises Invalid `not_a_decimal`, `not_finite`, `too_many_decimals` or `out_of_range`.
    """
    if isinstance(value, str | Decimal):
        number = _from_text(str(value), field=field)
    elif isinstance(value, int) and not isinstance(value, bool):
        # The comparison comes first: a Decimal of a huge int takes long to make.
        if abs(value) > magnitude:
            raise _out_of_range(field, magnitude)
        return Decimal(value)
    else:
        raise _not_a_decimal(field)
    # Not abs(), which rounds to 28 digits.
    if number.copy_abs() > magnitude:
        raise _out_of_range(field, magnitude)
    number = trimmed(number)
    if _decimals_of(number) > places:
        raise Invalid(
            "too_many_decimals",
            f"{field} has more than {places} decimals; write it with at most {places}.",
            field=field,
            params={"places": places},
        )
    return number


def exact(number: Exact) -> Fraction:
    """The same number as a Fraction."""
    if isinstance(number, Decimal):
        return _fraction_of(number)
    return number if isinstance(number, Fraction) else Fraction(number)


@lru_cache(maxsize=16384)
def _fraction_of(number: Decimal) -> Fraction:
    # The figures of a plan come again with each tenant, and making a Fraction is slow.
    return Fraction(number)


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, every digit kept; the plain operator would round to 28 digits."""
    total = Decimal(0)
    for number in numbers:
        total = _WIDE.add(total, number)
    return total


def half_away_from_zero(number: Exact) -> int:
    """The nearest integer; a tie goes away from zero (2.5 to 3, -2.5 to -3).

    This is the tie rule of the whole system. Amounts reach it through
    `kernel.money.round_amount` only.
    """
    return nearest_units(number, places=0)


def nearest_units(number: Exact, *, places: int) -> int:
    """The number in units of the last of so many decimals, by the tie rule of `half_away_from_zero`:
    12.345 with two places is 1235."""
    numerator, denominator = exact(number).as_integer_ratio()
    # In whole numbers throughout: a Fraction finds a common divisor with each step.
    units: int = 10**places
    rounded = (2 * abs(numerator) * units + denominator) // (2 * denominator)
    return rounded if numerator >= 0 else -rounded


def rounded_decimal(number: Exact, *, places: int = MAX_PLACES) -> Decimal:
    """The number with at most `places` decimals, half away from zero, without trailing zeros.

    For showing and storing quantities and unit prices; amounts are rounded by
    `kernel.money.round_amount`.
    """
    return trimmed(Decimal(nearest_units(number, places=places)).scaleb(-places, _WIDE))


def trimmed(number: Decimal) -> Decimal:
    """Without trailing zeros and without a positive exponent; zero has no sign."""
    if not number:
        return Decimal(0)
    number = number.normalize(_WIDE)
    if _decimals_of(number) < 0:
        return number.quantize(Decimal(1), context=_WIDE)
    return number


def plain_text(number: Exact, *, places: int = EXACT_TEXT_PLACES) -> str:
    """The number as people write it: no exponent, no trailing zeros, at most `places` decimals."""
    if isinstance(number, Decimal):
        if not number:
            return "0"
        text = str(number)
        if text.isdecimal():
            return text
        # Most numbers have few decimals; this way costs a fraction of rounding them.
        whole, _, decimals = format(number, "f").partition(".")
        decimals = decimals.rstrip("0")
        if len(decimals) <= places:
            return f"{whole}.{decimals}" if decimals else whole
    elif isinstance(number, int):
        return str(number)
    elif number.denominator == 1:
        return str(number.numerator)
    return format(rounded_decimal(number, places=places), "f")


def _decimals_of(number: Decimal) -> int:
    """How many decimals are written; below zero where whole digits are left out, as in 1E+3."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{number} is not finite")
    return -exponent


def _from_text(text: str, *, field: str) -> Decimal:
    if len(text) > _LONGEST_TEXT:
        raise _not_a_decimal(field)
    if _WRITTEN.fullmatch(text):
        return Decimal(text)
    if _NOT_FINITE.fullmatch(text):
        raise _not_finite(field)
    raise _not_a_decimal(field)


def _not_a_decimal(field: str) -> Invalid:
    return Invalid(
        "not_a_decimal",
        f'{field} is not a decimal number; write it as text, such as "12.50".',
        field=field,
    )


def _not_finite(field: str) -> Invalid:
    return Invalid(
        "not_finite",
        f'{field} is not a finite number; write a number such as "12.50".',
        field=field,
    )


def _out_of_range(field: str, magnitude: Decimal) -> Invalid:
    limit = format(magnitude, "f")
    return Invalid(
        "out_of_range",
        f"{field} is beyond {limit}; write a number between -{limit} and {limit}.",
        field=field,
        params={"limit": limit},
    )
