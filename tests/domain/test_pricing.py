"""The order of the steps from a quantity to an amount."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from billing.catalog.domain import parse_price
from billing.rating.pricing import Priced, price_quantity
from kernel.errors import Invalid

D = Decimal
F = Fraction
HALF = Fraction(1, 2)
METERED = {"meter": "dau", "period_aggregation": "max_day"}
PER_UNIT = {"model": "per_unit", "unit_price": "2"}
FEE_FIRST = {
    "model": "graduated",
    "tiers": [{"up_to": "10", "flat_fee": "5"}, {"up_to": None, "unit_price": "1"}],
}


def priced(price: dict[str, Any], quantity: str, *, ratio: Fraction = Fraction(1)) -> Priced:
    return price_quantity(parse_price(price), D(quantity), ratio=ratio)


@pytest.mark.parametrize(
    ("price", "quantity", "amount", "reason"),
    [
        (PER_UNIT, "3", "6", "the plain model"),
        ({**PER_UNIT, "included": "10"}, "10", "0", "all included"),
        ({**PER_UNIT, "included": "10"}, "9", "0", "less than included is not negative"),
        ({**PER_UNIT, "included": "10"}, "10.5", "1", "what is above"),
        (
            {**PER_UNIT, "convert": {"divide_by": "1000", "rounding": "up"}, "included": "1"},
            "2001",
            "4",
            "conversion comes before included: 3 thousands, 1 free",
        ),
        (FEE_FIRST, "0", "5", "the first tier's fee is due at zero"),
        ({**FEE_FIRST, "zero_usage": "free"}, "0", "0", "unless it is free"),
        ({**FEE_FIRST, "zero_usage": "free"}, "1", "5", "but one unit starts it"),
        (
            {**FEE_FIRST, "zero_usage": "free", "included": "4"},
            "4",
            "0",
            "nothing is left to price",
        ),
        ({"model": "flat", "amount": "9", "zero_usage": "free"}, "0", "0", "a flat fee for use"),
        ({"model": "flat", "amount": "9"}, "0", "9", "a flat fee whatever is used"),
        ({"model": "flat", "amount": "9"}, "5", "9", "and however much"),
        ({**PER_UNIT, "maximum": "5"}, "3", "5", "capped"),
        ({**PER_UNIT, "maximum": "6"}, "3", "6", "at the cap"),
        ({**PER_UNIT, "maximum": "0"}, "3", "0", "a cap of nothing"),
        ({**PER_UNIT, "minimum": "5"}, "3", "6", "above the minimum"),
    ],
)
def test_an_amount(price: dict[str, Any], quantity: str, amount: str, reason: str) -> None:
    found = priced(price, quantity)
    assert found.amount == D(amount), reason
    assert found.true_up == 0
    assert found.total == found.amount


def test_a_minimum_tops_up() -> None:
    found = priced({**PER_UNIT, "minimum": "10"}, "3")
    assert (found.amount, found.true_up, found.total) == (F(6), F(4), F(10))


def test_a_minimum_equal_to_the_maximum_fixes_the_amount() -> None:
    for quantity in ("0", "5", "1000"):
        assert priced({**PER_UNIT, "minimum": "10", "maximum": "10"}, quantity).total == 10


def test_what_was_capped_says_so() -> None:
    assert priced({**PER_UNIT, "maximum": "5"}, "3").is_capped
    assert not priced({**PER_UNIT, "maximum": "7"}, "3").is_capped
    assert not priced(PER_UNIT, "3").is_capped


def test_the_steps_can_be_read() -> None:
    found = priced({**PER_UNIT, "convert": {"divide_by": "10"}, "included": "1"}, "25")
    assert (found.quantity, found.converted) == (F(25), HALF * 5)
    assert (found.included, found.chargeable) == (F(1), HALF * 3)
    assert [line.amount for line in found.lines] == [3]


@pytest.mark.parametrize(
    ("price", "quantity", "total", "reason"),
    [
        ({"model": "flat", "amount": "100"}, "1", "100", "without prorate the period is whole"),
        ({"model": "flat", "amount": "100", "prorate": True}, "1", "50", "by time"),
        ({**PER_UNIT, "prorate": True}, "3", "3", "units that are held, by time"),
        ({**PER_UNIT, "prorate": True, "included": "1"}, "3", "2", "their included stays whole"),
        ({**PER_UNIT, **METERED, "prorate": True}, "3", "6", "usage is less in itself"),
        (
            {**PER_UNIT, **METERED, "prorate": True, "included": "4"},
            "3",
            "2",
            "its included quantity is cut",
        ),
        ({**PER_UNIT, **METERED, "included": "4"}, "3", "0", "only with prorate"),
        (
            {**FEE_FIRST, **METERED, "prorate": True},
            "8",
            "5",
            "tiers and their fees stay as they are",
        ),
        (
            {"model": "flat", "amount": "100", **METERED, "prorate": True},
            "7",
            "50",
            "a flat amount is for the period",
        ),
        ({**PER_UNIT, **METERED, "prorate": True, "minimum": "20"}, "3", "10", "minimum is cut"),
        ({**PER_UNIT, **METERED, "minimum": "20"}, "3", "20", "only with prorate"),
        ({**PER_UNIT, **METERED, "prorate": True, "maximum": "4"}, "3", "2", "maximum is cut"),
        ({**PER_UNIT, **METERED, "maximum": "4"}, "3", "4", "only with prorate"),
    ],
)
def test_half_a_period(price: dict[str, Any], quantity: str, total: str, reason: str) -> None:
    assert priced(price, quantity, ratio=HALF).total == D(total), reason


def test_what_is_held_twice_is_due_twice() -> None:
    terms = parse_price({"model": "flat", "amount": "500"})
    assert price_quantity(terms, 1, times=Fraction(2)).amount == 1000


def test_a_negative_quantity_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        priced({**PER_UNIT, "included": "10"}, "-1")
    assert refused.value.code == "negative"
