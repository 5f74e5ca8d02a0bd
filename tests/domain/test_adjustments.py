"""Discounts, tax and credits of a document, in their order."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rating.adjustments.credits import credited_lines
from billing.rating.adjustments.discounts import (
    Discount,
    DiscountType,
    taken_from_lines,
    taken_in_turn,
)
from billing.rating.adjustments.document import NetLine, Settlement, settle
from billing.rating.adjustments.tax import TaxRounding, taxes_of_lines
from kernel.errors import Invalid
from kernel.money import Money

D = Decimal


def percent(value: str, *keys: str) -> Discount:
    return Discount(
        type=DiscountType.PERCENTAGE, value=D(value), keys=frozenset(keys) if keys else None
    )


def fixed(value: str, *keys: str) -> Discount:
    return Discount(type=DiscountType.FIXED, value=D(value), keys=frozenset(keys) if keys else None)


def cents(*minors: int, currency: str = "EUR") -> list[Money]:
    return [Money(minor, currency) for minor in minors]


def minors(amounts: Sequence[Money]) -> list[int]:
    return [amount.minor for amount in amounts]


@pytest.mark.parametrize(
    ("discounts", "taken"),
    [
        ([], []),
        ([percent("10")], [10]),
        ([percent("0")], [0]),
        ([percent("100"), percent("50")], [100, 0]),
        ([percent("10"), percent("10")], [10, 9]),
        ([percent("10"), fixed("30")], [10, 30]),
        ([fixed("30"), percent("10")], [30, 7]),
        ([fixed("250"), fixed("1")], [100, 0]),
        ([fixed("60"), fixed("60")], [60, 40]),
        ([percent("33.3333")], [D("33.3333")]),
    ],
    ids=[
        "none",
        "one",
        "nothing",
        "nothing is left",
        "the second on what the first left",
        "a fixed one after a percentage",
        "the order counts",
        "never more than there is",
        "the second gets the rest",
        "exact",
    ],
)
def test_discounts_of_one_amount_are_taken_in_turn(
    discounts: list[Discount], taken: list[int | D]
) -> None:
    assert list(taken_in_turn(discounts, Fraction(100))) == [Fraction(each) for each in taken]


@pytest.mark.parametrize(
    ("discount", "left", "taken"),
    [
        (percent("10"), [1000, 505], [100, 51]),
        (percent("10", "b"), [1000, 505], [0, 51]),
        (percent("10"), [1000, -505], [100, -51]),
        (percent("10"), [5, 5, 5], [1, 1, 1]),
        (fixed("1"), [100, 100, 100], [34, 33, 33]),
        (fixed("1", "b", "c"), [100, 100, 100], [0, 50, 50]),
        (fixed("1"), [300, 100], [75, 25]),
        (fixed("9"), [300, 100], [300, 100]),
        (fixed("9"), [300, 0], [300, 0]),
        (fixed("1"), [0, 0], [0, 0]),
        (fixed("0"), [300, 100], [0, 0]),
        (fixed("9"), [300, -100], [200, 0]),
        (fixed("9"), [100, -300], [0, 0]),
    ],
    ids=[
        "each line is rounded by itself, half away from zero",
        "only lines of its key",
        "a credit line is reduced alike",
        "three times half a cent is three cents",
        "the remainder goes to the earlier",
        "spread over its own lines",
        "in proportion to what is left",
        "no more than is left",
        "nothing off a line of zero",
        "nothing is left",
        "of nothing",
        "up to what the lines come to together",
        "credits outweigh the charges",
    ],
)
def test_what_a_discount_takes_off_lines(
    discount: Discount, left: list[int], taken: list[int]
) -> None:
    found = taken_from_lines(
        discount, keys=["a", "b", "c"][: len(left)], left=cents(*left), currency="EUR"
    )
    assert minors(found) == taken


def test_a_fixed_discount_is_an_amount_that_the_currency_can_state() -> None:
    with pytest.raises(Invalid) as refused:
        taken_from_lines(fixed("0.5"), keys=["a"], left=cents(9, currency="JPY"), currency="JPY")
    assert (refused.value.code, refused.value.field) == ("too_many_decimals", "value")


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (DiscountType.PERCENTAGE, "-1", "negative"),
        (DiscountType.FIXED, "-0.01", "negative"),
        (DiscountType.PERCENTAGE, "100.01", "out_of_range"),
    ],
)
def test_impossible_discounts_are_refused(kind: DiscountType, value: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        Discount(type=kind, value=D(value))
    assert (refused.value.code, refused.value.field) == (code, "value")


def test_a_fixed_discount_may_be_above_100() -> None:
    assert fixed("100.01").value == D("100.01")


@pytest.mark.parametrize(
    ("rounding", "nets", "rates", "taxes"),
    [
        (TaxRounding.PER_LINE, [10, 10, 10], ["5", "5", "5"], [1, 1, 1]),
        (TaxRounding.PER_RATE, [10, 10, 10], ["5", "5", "5"], [1, 1, 0]),
        (TaxRounding.PER_RATE, [10, 10, 10], ["5", "5.00", "6"], [1, 0, 1]),
        (TaxRounding.PER_RATE, [10, 20, 10], ["6", "9", "6"], [1, 2, 0]),
        (TaxRounding.PER_LINE, [471698], ["6"], [28302]),
        (TaxRounding.PER_RATE, [-10, -10, -10], ["5", "5", "5"], [-1, -1, 0]),
        (TaxRounding.PER_LINE, [-10, 10], ["5", "5"], [-1, 1]),
        (TaxRounding.PER_RATE, [1000, -1000], ["6", "6"], [60, -60]),
        (TaxRounding.PER_RATE, [1010, -404], ["5", "5"], [51, -21]),
        (TaxRounding.PER_RATE, [-1010, 404], ["5", "5"], [-51, 21]),
        (TaxRounding.PER_RATE, [0, 0], ["6", "6"], [0, 0]),
        (TaxRounding.PER_RATE, [100, 0], ["0", "0"], [0, 0]),
        (TaxRounding.PER_RATE, [], [], []),
    ],
    ids=[
        "half a cent on each line",
        "1.5 cents of the rate, split over its lines",
        "5 and 5.00 are one rate",
        "each rate by itself",
        "5,000.00 gross at 6 %: 4,716.98 and 283.02",
        "a credit mirrors its charge",
        "each sign by itself",
        "charge and credit cancel",
        "50.5, 20.2 and together 30.3: the heavier side has its rounded tax, the other the rest",
        "the same mirrored",
        "nothing",
        "no tax",
        "no lines",
    ],
)
def test_taxes(rounding: TaxRounding, nets: list[int], rates: list[str], taxes: list[int]) -> None:
    found = taxes_of_lines(cents(*nets), [D(r) for r in rates], rounding=rounding, currency="EUR")
    assert minors(found) == taxes


def test_tax_is_rounded_once_per_rate_unless_said_otherwise() -> None:
    assert minors(taxes_of_lines(cents(10, 10), [D(5)] * 2, currency="EUR")) == [1, 0]


@pytest.mark.parametrize(
    ("credit", "grosses", "used"),
    [
        (0, [100, 50], [0, 0]),
        (30, [100, 50], [30, 0]),
        (120, [100, 50], [100, 20]),
        (500, [100, 50], [100, 50]),
        (120, [100, -50, 100], [100, 0, 20]),
        (500, [100, -50, 100], [100, 0, 50]),
        (500, [100, -150], [0, 0]),
        (10, [], []),
    ],
    ids=[
        "none",
        "the first line first",
        "then the next",
        "no more than is due",
        "a credit line uses none",
        "no more than the total",
        "nothing is due",
        "no lines",
    ],
)
def test_credits_go_line_by_line(credit: int, grosses: list[int], used: list[int]) -> None:
    assert minors(credited_lines(Money(credit, "EUR"), grosses=cents(*grosses))) == used


def settled(
    *amounts: tuple[str, int, str], discounts: Sequence[Discount] = (), credit: int = 0
) -> Settlement:
    return settle(
        [
            NetLine(key=key, amount=Money(minor, "EUR"), tax_percent=D(rate))
            for key, minor, rate in amounts
        ],
        currency="EUR",
        discounts=discounts,
        credit=Money(credit, "EUR"),
    )


def test_a_document_in_all_its_steps() -> None:
    found = settled(
        ("base", 10000, "19"),
        ("usage", 5000, "7"),
        discounts=[percent("10", "base"), fixed("20")],
        credit=10000,
    )
    base, usage = found.lines
    # 10 % of 100 off the base; 20 over 90 and 50: 12.857… and 7.142…
    assert minors([base.amount, base.discount, base.taxable, base.tax, base.credits]) == [
        10000, 2286, 7714, 1466, 9180,
    ]  # fmt: skip
    assert minors([usage.amount, usage.discount, usage.taxable, usage.tax, usage.credits]) == [
        5000, 714, 4286, 300, 820,
    ]  # fmt: skip
    assert [line.key for line in found.lines] == ["base", "usage"]
    assert [line.tax_percent for line in found.lines] == [19, 7]
    assert minors(found.discounts) == [1000, 2000]
    assert found.subtotal.minor == 15000
    assert found.discount_total.minor == 3000
    assert found.tax_total.minor == 1766
    assert found.total.minor == 13766
    assert found.credit_total.minor == 10000
    assert found.due.minor == 3766


def test_a_document_without_adjustments_is_its_lines() -> None:
    found = settle([NetLine(key="a", amount=Money(100, "EUR"))], currency="EUR")
    assert found.due == found.total == found.subtotal == Money(100, "EUR")
    assert found.discounts == ()
    assert not found.tax_total


def test_tax_per_line_is_passed_on() -> None:
    lines = [NetLine(key="a", amount=Money(10, "EUR"), tax_percent=D(5))] * 3
    found = settle(lines, currency="EUR", tax_rounding=TaxRounding.PER_LINE)
    assert found.tax_total.minor == 3


def test_currencies_do_not_mix() -> None:
    with pytest.raises(Invalid) as refused:
        settle([NetLine(key="a", amount=Money(100, "EUR"))], currency="CNY")
    assert refused.value.code == "currency_mismatch"
