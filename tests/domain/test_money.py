"""Money: exact, one currency at a time, rounded at one point; and split without loss."""

from decimal import Decimal
from fractions import Fraction

import pytest

from kernel.allocation import allocate
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Money, round_amount, total


@pytest.mark.parametrize(
    ("amount", "currency", "minor", "shown"),
    [
        ("12.30", "CNY", 1230, "12.30 CNY"),
        ("12.3", "CNY", 1230, "12.30 CNY"),
        ("-0.05", "EUR", -5, "-0.05 EUR"),
        ("0", "EUR", 0, "0.00 EUR"),
        (7, "USD", 700, "7.00 USD"),
        ("1500", "JPY", 1500, "1500 JPY"),
        ("1.234", "KWD", 1234, "1.234 KWD"),
        ("0.0001", "CLF", 1, "0.0001 CLF"),
        (Decimal("99.99"), "USD", 9999, "99.99 USD"),
    ],
)
def test_amounts_in_major_units(
    amount: str | int | Decimal, currency: str, minor: int, shown: str
) -> None:
    money = Money.of(amount, currency)
    assert money == Money(minor, currency)
    assert str(money) == shown
    assert Money.of(money.amount, currency) == money


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        ("0.001", "CNY", "too_many_decimals"),
        ("0.5", "JPY", "too_many_decimals"),
        ("NaN", "CNY", "not_finite"),
        ("1e30", "CNY", "out_of_range"),
        ("1000000000000000000", "CNY", "amount_out_of_range"),
        ("1", "XXX", "unknown_currency"),
        ("1", "cny", "unknown_currency"),
    ],
)
def test_amounts_that_cannot_be(amount: str, currency: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        Money.of(amount, currency)
    assert refused.value.code == code


def test_the_field_is_named() -> None:
    with pytest.raises(Invalid) as refused:
        Money.of("x", "CNY", field="lines[0].amount")
    assert refused.value.field == "lines[0].amount"


def test_the_limit_is_64_bits() -> None:
    assert Money(MAX_MINOR, "CNY").minor == MAX_MINOR
    assert Money(-MAX_MINOR, "CNY").minor == -MAX_MINOR
    for minor in (MAX_MINOR + 1, -MAX_MINOR - 1):
        with pytest.raises(Invalid) as refused:
            Money(minor, "CNY")
        assert refused.value.code == "amount_out_of_range"


@pytest.mark.parametrize(
    ("amount", "currency", "minor", "reason"),
    [
        ("1.005", "CNY", 101, "binary floats would say 1.00"),
        ("-1.005", "CNY", -101, "mirrors"),
        ("1.0049999", "CNY", 100, "below the tie"),
        ("0.5", "JPY", 1, "no decimals"),
        ("1.5", "JPY", 2, "banker's rounding would say 2 too"),
        ("2.5", "JPY", 3, "banker's rounding would say 2"),
        ("0.0005", "KWD", 1, "three decimals"),
        ("0.00005", "UYW", 1, "four decimals"),
    ],
)
def test_rounding_is_half_away_from_zero(
    amount: str, currency: str, minor: int, reason: str
) -> None:
    assert round_amount(Decimal(amount), currency) == Money(minor, currency), reason


def test_fractions_round_from_their_exact_value() -> None:
    assert round_amount(Fraction(1, 3), "CNY") == Money(33, "CNY")
    assert round_amount(Fraction(199 * 17, 31), "CNY") == Money(10913, "CNY")
    assert round_amount(3, "CNY") == Money(300, "CNY")


def test_arithmetic() -> None:
    a, b = Money(150, "CNY"), Money(50, "CNY")
    assert a + b == Money(200, "CNY")
    assert b - a == Money(-100, "CNY")
    assert 3 * b == b * 3 == a
    assert -a == Money(-150, "CNY")
    assert abs(-a) == a
    assert bool(a)
    assert not Money.zero("CNY")
    assert b < a
    assert b <= a
    assert a > b
    assert a >= b
    assert a <= a
    assert a >= a
    assert not a < b
    assert not b > a
    assert not a <= b
    assert not b >= a


def test_sums() -> None:
    assert total([Money(1, "EUR"), Money(2, "EUR")], currency="EUR") == Money(3, "EUR")
    assert total([], currency="EUR") == Money(0, "EUR")


def test_currencies_do_not_mix() -> None:
    euro, yuan = Money(1, "EUR"), Money(1, "CNY")
    assert euro != yuan
    for mix in (
        lambda: euro + yuan,
        lambda: euro - yuan,
        lambda: euro < yuan,
        lambda: euro <= yuan,
        lambda: euro > yuan,
        lambda: euro >= yuan,
        lambda: total([yuan], currency="EUR"),
    ):
        with pytest.raises(Invalid) as refused:
            mix()
        assert refused.value.code == "currency_mismatch"


@pytest.mark.parametrize("other", [1, 1.5, "1", None, True])
def test_money_meets_only_money(other: object) -> None:
    money = Money(1, "EUR")
    for meet in ("__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(money, meet)(other) is NotImplemented
    if type(other) is not int:
        assert getattr(money, "__mul__")(other) is NotImplemented  # noqa: B009  # reads like above


@pytest.mark.parametrize(
    ("minor", "weights", "parts", "reason"),
    [
        (100, [1, 1, 1], [34, 33, 33], "ties to the earlier"),
        (-100, [1, 1, 1], [-34, -33, -33], "negative mirrors"),
        (5, [1, 1, 1, 1], [2, 1, 1, 1], "one unit over"),
        (0, [1, 2], [0, 0], "nothing to split"),
        (10, [0, 1, 0], [0, 10, 0], "a weight of zero gets nothing"),
        (1, [1, 2], [0, 1], "to the largest remainder"),
        (100, [Decimal("0.5"), Fraction(1, 2)], [50, 50], "any exact weights"),
        (7, [3], [7], "one gets all"),
        (3, [1, 1, 1, 1, 1], [1, 1, 1, 0, 0], "fewer units than shares"),
        (1000, [Decimal("33.3"), Decimal("33.3"), Decimal("33.4")], [333, 333, 334], "exact"),
    ],
)
def test_splitting(
    minor: int, weights: list[int | Decimal | Fraction], parts: list[int], reason: str
) -> None:
    shares = allocate(Money(minor, "CNY"), weights)
    assert [share.minor for share in shares] == parts, reason
    assert {share.currency for share in shares} == {"CNY"}


@pytest.mark.parametrize(
    ("weights", "code", "field"),
    [
        ([], "no_weights", "weights"),
        ([1, -1], "negative_weight", "weights[1]"),
        ([0, 0], "weights_all_zero", "weights"),
    ],
)
def test_splitting_needs_weights(weights: list[int], code: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        allocate(Money(1, "CNY"), weights)
    assert (refused.value.code, refused.value.field) == (code, field)
