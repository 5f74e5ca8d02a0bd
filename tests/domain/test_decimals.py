"""Numbers from outside: what is read, what is refused, and how it is written."""

from decimal import Decimal
from fractions import Fraction

import pytest

from kernel.decimals import (
    exact,
    exact_sum,
    half_away_from_zero,
    parse_decimal,
    plain_text,
    rounded_decimal,
    trimmed,
)
from kernel.errors import Invalid
from kernel.quantity import parse_quantity


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0", "0"),
        ("-0.00", "0"),
        ("12.50", "12.5"),
        ("+7", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e3", "1000"),
        ("1E-12", "0.000000000001"),
        ("0.0000000000010", "0.000000000001"),
        ("1000000000000000000", "1000000000000000000"),
        ("-999999999999999999.999999999999", "-999999999999999999.999999999999"),
        (42, "42"),
        (-3, "-3"),
        (Decimal("3.10"), "3.1"),
    ],
)
def test_a_written_number_is_read_exactly(written: object, number: str) -> None:
    read = parse_decimal(written, field="figure")
    assert read == Decimal(number)
    assert plain_text(read) == number


@pytest.mark.parametrize(
    ("written", "code", "reason"),
    [
        ("", "not_a_decimal", "empty"),
        (" 1", "not_a_decimal", "a blank"),
        ("1_000", "not_a_decimal", "Python's underscores are not JSON's"),
        ("1,000", "not_a_decimal", "a thousands separator means different things"),
        ("١", "not_a_decimal", "other digits than ASCII"),
        ("0x10", "not_a_decimal", "hexadecimal"),
        ("1" * 65, "not_a_decimal", "longer than any sensible number"),
        ("1e1000", "not_a_decimal", "an exponent of four digits"),
        (True, "not_a_decimal", "a bool is no number"),
        (0.5, "not_a_decimal", "a float is not exact"),
        (None, "not_a_decimal", "nothing"),
        ([], "not_a_decimal", "a list"),
        ("NaN", "not_finite", "no number"),
        ("-sNaN123", "not_finite", "no number"),
        ("Infinity", "not_finite", "no number"),
        ("-inf", "not_finite", "no number"),
        (Decimal("NaN"), "not_finite", "no number"),
        ("1e30", "out_of_range", "10^30"),
        ("1000000000000000000.000000000001", "out_of_range", "one step above the limit"),
        (10**18 + 1, "out_of_range", "one above the limit"),
        (-(10**400), "out_of_range", "far below"),
        ("0.0000000000001", "too_many_decimals", "13 decimals"),
        ("1e-999", "too_many_decimals", "999 decimals"),
    ],
)
def test_what_is_no_number_is_refused(written: object, code: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_decimal(written, field="figure")
    assert refused.value.code == code, reason
    assert refused.value.field == "figure"
    assert "figure" in refused.value.message


def test_a_quantity_is_not_negative() -> None:
    assert parse_quantity("0.5") == Decimal("0.5")
    with pytest.raises(Invalid) as refused:
        parse_quantity("-0.5", field="usage")
    assert (refused.value.code, refused.value.field) == ("negative", "usage")


@pytest.mark.parametrize(
    ("number", "whole"),
    [
        ("2.4", 2),
        ("2.5", 3),
        ("3.5", 4),
        ("2.6", 3),
        ("-2.4", -2),
        ("-2.5", -3),
        ("-3.5", -4),
        ("0.5", 1),
        ("-0.5", -1),
        ("0", 0),
        ("0.499999999999", 0),
    ],
)
def test_ties_go_away_from_zero(number: str, whole: int) -> None:
    assert half_away_from_zero(Decimal(number)) == whole


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (7, "7"),
        (Fraction(7), "7"),
        (Fraction(1, 3), "0.333333333333333333"),
        (Fraction(2, 3), "0.666666666666666667"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(10**30, 3), "333333333333333333333333333333.333333333333333333"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (Decimal("100"), "100"),
        (Decimal("5.00"), "5"),
        (Decimal("0.1234567890123456785"), "0.123456789012345679"),
    ],
)
def test_a_number_is_written_plainly(number: int | Decimal | Fraction, text: str) -> None:
    assert plain_text(number) == text


def test_fewer_places_round() -> None:
    assert plain_text(Decimal("1.005"), places=2) == "1.01"
    assert rounded_decimal(Fraction(1, 3), places=2) == Decimal("0.33")
    assert rounded_decimal(5) == Decimal(5)


def test_sums_keep_every_digit() -> None:
    huge, tiny = Decimal(10) ** 18, Decimal("1E-12")
    assert exact_sum([huge, tiny, huge]) == Decimal("2000000000000000000.000000000001")
    assert exact_sum([]) == 0


def test_exact_is_the_same_number() -> None:
    assert exact(3) == exact(Decimal("3.00")) == exact(Fraction(3))
    assert exact(Decimal("0.1")) == Fraction(1, 10)


def test_only_finite_numbers_are_trimmed() -> None:
    assert trimmed(Decimal("1E+2")).as_tuple().exponent == 0
    with pytest.raises(ValueError, match="not finite"):
        trimmed(Decimal("Infinity"))
