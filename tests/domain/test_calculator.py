"""The calculator's cases: what each operation answers, and what it refuses."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from billing.calculator.cases import OPERATIONS, answer, read_cases
from kernel.errors import Invalid

OPEN = {"up_to": None, "unit_price": "1"}
UNIT = {"model": "per_unit", "unit_price": "1"}
MARCH = {"starts_at": "2026-03-01T00:00:00+08:00", "ends_at": "2026-04-01T00:00:00+08:00"}


def price(**fields: Any) -> dict[str, Any]:
    return {"op": "price", "currency": "CNY", "price": UNIT, "quantity": "100", **fields}


def periods(**fields: Any) -> dict[str, Any]:
    return {
        "op": "periods",
        "anchor": "2026-01-31",
        "interval": "month",
        "interval_count": 1,
        "timezone": "Asia/Shanghai",
        "count": 3,
        **fields,
    }


def prorate(**fields: Any) -> dict[str, Any]:
    return {
        "op": "prorate",
        "currency": "CNY",
        "amount": "310",
        "part": {"starts_on": "2026-03-15", "ends_on": "2026-04-01"},
        "period": {"starts_on": "2026-03-01", "ends_on": "2026-04-01"},
        "timezone": "Asia/Shanghai",
        **fields,
    }


def aggregate(*events: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "op": "aggregate",
        "aggregation": "sum",
        "events": [*events],
        "window": MARCH,
        "timezone": "Asia/Shanghai",
        **fields,
    }


def event(name: str, day: int, value: object = "1", **fields: Any) -> dict[str, Any]:
    return {"id": name, "time": f"2026-03-{day:02}T12:00:00+08:00", "value": value, **fields}


def invoice(*amounts: str, **fields: Any) -> dict[str, Any]:
    lines = [
        {"key": f"line-{index}", "amount": amount, "tax_percent": "6"}
        for index, amount in enumerate(amounts or ("100",))
    ]
    return {"op": "invoice", "currency": "CNY", "lines": lines, **fields}


def allocate(**fields: Any) -> dict[str, Any]:
    return {
        "op": "allocate",
        "currency": "CNY",
        "amount": "1",
        "weights": ["1", "1", "1"],
        **fields,
    }


def without(case: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in case.items() if key != name}


def result(case: dict[str, Any]) -> dict[str, Any]:
    found = answer(case)
    assert "error" not in found, found["error"]
    return found


def error(case: object) -> dict[str, str]:
    found = answer(case)
    assert set(found) == {"id", "error"}, found
    refusal = found["error"]
    assert isinstance(refusal, dict)
    assert set(refusal) == {"code", "message"}
    return refusal


# price


def test_a_price_with_its_working() -> None:
    tiers = [
        {"up_to": "10", "unit_price": "0.333", "flat_fee": "5"},
        {"up_to": None, "unit_price": "0.1"},
    ]
    case = price(price={"model": "graduated", "tiers": tiers}, quantity="12.5", id="tiers")
    assert answer(case) == {
        "id": "tiers",
        "amount": "8.58",
        "exact": "8.58",
        "lines": [
            {
                "tier": 1,
                "quantity": "10",
                "unit_price": "0.333",
                "flat_fee": "5",
                "amount": "8.33",
            },
            {"tier": 2, "quantity": "2.5", "unit_price": "0.1", "flat_fee": "0", "amount": "0.25"},
        ],
    }


@pytest.mark.parametrize(
    ("fields", "amount", "exact"),
    [
        ({"quantity": "1.005"}, "1.01", "1.005"),
        ({"quantity": "1.004999999999"}, "1.00", "1.004999999999"),
        ({"quantity": "0"}, "0.00", "0"),
        ({"quantity": 3}, "3.00", "3"),
        ({"currency": "JPY", "quantity": "0.5"}, "1", "0.5"),
        ({"currency": "KWD", "quantity": "0.0005"}, "0.001", "0.0005"),
        (
            {"price": {"model": "per_unit", "unit_price": "0.000001"}, "quantity": 10**12},
            "1000000.00",
            "1000000",
        ),
        (
            {
                "price": {**UNIT, "convert": {"divide_by": "3"}},
                "quantity": "1",
            },
            "0.33",
            "0.333333333333333333",
        ),
        ({"price": {**UNIT, "included": "30"}}, "70.00", "70"),
        (
            {
                "price": {
                    **UNIT,
                    "meter": "mau",
                    "period_aggregation": "distinct",
                    "scope": "tenant",
                }
            },
            "100.00",
            "100",
        ),
        ({"price": {**UNIT, "meter": "messages", "filter": {"region": "eu"}}}, "100.00", "100"),
        ({"price": {**UNIT, "currency": "CNY"}}, "100.00", "100"),
    ],
    ids=[
        "half a cent rounds up",
        "less than half rounds down",
        "nothing",
        "a JSON integer",
        "no decimals",
        "three decimals",
        "many units at a tiny price",
        "exact has 18 decimals",
        "included units come off",
        "how the quantity was counted doesn't matter any longer",
        "nor what was filtered",
        "its currency may be said again",
    ],
)
def test_prices(fields: dict[str, Any], amount: str, exact: str) -> None:
    found = result(price(**fields))
    assert (found["amount"], found["exact"]) == (amount, exact)
    assert "true_up" not in found
    assert "discounts" not in found


def test_a_json_number_with_decimals_loses_nothing() -> None:
    (case,) = read_cases(json.dumps(price()).replace('"100"', "1.005").encode())
    assert isinstance(case, dict)
    assert result(case)["amount"] == "1.01"


@pytest.mark.parametrize(
    ("fields", "amount", "true_up"),
    [
        ({"minimum": "150"}, "150.00", "50.00"),
        ({"minimum": "100"}, "100.00", None),
        ({"maximum": "80"}, "80.00", None),
        ({"maximum": "100", "minimum": "100"}, "100.00", None),
        ({"price": {**UNIT, "minimum": "150"}}, "150.00", "50.00"),
        ({"price": {**UNIT, "minimum": "150"}, "minimum": "120"}, "150.00", "50.00"),
        ({"price": {**UNIT, "minimum": "150"}, "minimum": "180"}, "180.00", "80.00"),
        ({"price": {**UNIT, "maximum": "90"}, "maximum": "95"}, "90.00", None),
        ({"price": {**UNIT, "maximum": "90"}, "maximum": "85"}, "85.00", None),
        ({"quantity": "0.005", "minimum": "1"}, "1.00", "0.99"),
        ({"discounts": [{"type": "percentage", "value": "10"}]}, "90.00", None),
        ({"discounts": [{"type": "percentage", "value": "10"}], "minimum": "95"}, "95.00", "5.00"),
        ({"discounts": [{"type": "fixed", "value": "10"}], "maximum": "95"}, "90.00", None),
        ({"discounts": [{"type": "fixed", "value": "500"}]}, "0.00", None),
        ({"discounts": [{"type": "fixed", "value": "500"}], "minimum": "1"}, "1.00", "1.00"),
        ({"discounts": []}, "100.00", None),
    ],
    ids=[
        "a minimum tops up",
        "reached to the cent",
        "a maximum caps",
        "both",
        "the price's own minimum",
        "the higher minimum holds: the price's",
        "the higher minimum holds: the case's",
        "the lower maximum holds: the price's",
        "the lower maximum holds: the case's",
        "what is added and what is charged are the minimum together",
        "a discount",
        "a discount doesn't undercut the minimum",
        "the maximum comes after the discount",
        "never below zero",
        "the minimum holds all the same",
        "no discounts",
    ],
)
def test_bounds_and_discounts(fields: dict[str, Any], amount: str, true_up: str | None) -> None:
    found = result(price(**fields))
    assert (found["amount"], found.get("true_up")) == (amount, true_up)


def test_discounts_tell_what_each_took() -> None:
    off = [{"type": "percentage", "value": "33.3"}, {"type": "fixed", "value": "0.005"}]
    found = result(price(discounts=off))
    assert found["discounts"] == ["33.3", "0.005"]
    assert (found["exact"], found["amount"]) == ("66.695", "66.70")


# periods


def test_periods_of_an_anchor_on_the_31st() -> None:
    assert answer(periods(id=1)) == {
        "id": 1,
        "periods": [
            {
                "starts_at": "2026-01-31T00:00:00+08:00",
                "ends_at": "2026-02-28T00:00:00+08:00",
                "days": 28,
            },
            {
                "starts_at": "2026-02-28T00:00:00+08:00",
                "ends_at": "2026-03-31T00:00:00+08:00",
                "days": 31,
            },
            {
                "starts_at": "2026-03-31T00:00:00+08:00",
                "ends_at": "2026-04-30T00:00:00+08:00",
                "days": 30,
            },
        ],
    }


@pytest.mark.parametrize(
    ("fields", "starts_at", "days"),
    [
        ({"from": "2026-01-01"}, "2026-01-31T00:00:00+08:00", 28),
        ({"from": "2026-01-31"}, "2026-01-31T00:00:00+08:00", 28),
        ({"from": "2026-02-01"}, "2026-02-28T00:00:00+08:00", 31),
        ({"interval": "day"}, "2026-01-31T00:00:00+08:00", 1),
        ({"interval": "week"}, "2026-01-31T00:00:00+08:00", 7),
        ({"interval": "quarter"}, "2026-01-31T00:00:00+08:00", 89),
        ({"interval": "year"}, "2026-01-31T00:00:00+08:00", 365),
        ({"interval": "year", "anchor": "2024-02-29"}, "2024-02-29T00:00:00+08:00", 365),
        ({"interval_count": "3"}, "2026-01-31T00:00:00+08:00", 89),
        ({"timezone": "America/New_York"}, "2026-01-31T00:00:00-05:00", 28),
        (
            {"timezone": "Africa/Cairo", "anchor": "2026-04-24", "interval": "day"},
            "2026-04-24T01:00:00+03:00",
            1,
        ),
    ],
)
def test_first_periods(fields: dict[str, Any], starts_at: str, days: int) -> None:
    first = result(periods(**fields))["periods"][0]
    assert (first["starts_at"], first["days"]) == (starts_at, days)


def test_one_interval_is_the_default() -> None:
    assert result(without(periods(), "interval_count")) == result(periods())


def test_periods_meet_over_a_change_of_clocks() -> None:
    found = result(periods(timezone="Europe/Berlin", anchor="2026-03-01"))["periods"]
    assert [each["starts_at"] for each in found] == [
        "2026-03-01T00:00:00+01:00",
        "2026-04-01T00:00:00+02:00",
        "2026-05-01T00:00:00+02:00",
    ]
    assert found[0]["ends_at"] == found[1]["starts_at"]


# prorate


@pytest.mark.parametrize(
    ("fields", "ratio", "amount", "exact"),
    [
        ({}, "0.548387096774193548", "170.00", "170"),
        ({"amount": "100"}, "0.548387096774193548", "54.84", "54.838709677419354839"),
        ({"amount": "-100"}, "0.548387096774193548", "-54.84", "-54.838709677419354839"),
        (
            {"part": {"starts_on": "2026-03-01", "ends_on": "2026-04-01"}},
            "1.000000000000000000",
            "310.00",
            "310",
        ),
        (
            {"part": {"starts_on": "2026-02-01", "ends_on": "2026-04-01"}},
            "1.903225806451612903",
            "590.00",
            "590",
        ),
        (
            {"part": {"starts_on": "2026-03-15", "ends_on": "2026-03-15"}},
            "0.000000000000000000",
            "0.00",
            "0",
        ),
        ({"day_count": "30/360"}, "0.533333333333333333", "165.33", "165.333333333333333333"),
        (
            {
                "day_count": "30/360",
                "part": {"starts_on": "2026-03-15", "ends_on": "2026-03-15"},
            },
            "0.000000000000000000",
            "0.00",
            "0",
        ),
        (
            {
                "day_count": "second",
                "part": {
                    "starts_at": "2026-03-29T00:00:00+01:00",
                    "ends_at": "2026-03-30T00:00:00+02:00",
                },
                "period": {
                    "starts_at": "2026-03-28T00:00:00+01:00",
                    "ends_at": "2026-03-29T00:00:00+01:00",
                },
            },
            "0.958333333333333333",
            "297.08",
            "297.083333333333333333",
        ),
        (
            {
                "timezone": "Europe/Berlin",
                "part": {"starts_on": "2026-03-29", "ends_on": "2026-03-30"},
            },
            "0.032258064516129032",
            "10.00",
            "10",
        ),
    ],
    ids=[
        "17 of 31 days",
        "the ratio is exact until the one rounding",
        "a credit mirrors it",
        "whole",
        "a part longer than the period",
        "an empty part",
        "16 of 30 days",
        "an empty part of 30",
        "a day of 23 hours by seconds",
        "a day of 23 hours is a day",
    ],
)
def test_shares(fields: dict[str, Any], ratio: str, amount: str, exact: str) -> None:
    found = result(prorate(**fields))
    assert (found["ratio"], found["amount"], found["exact"]) == (ratio, amount, exact)


def test_seconds_need_no_zone() -> None:
    bounds = {"starts_at": "2026-03-01T00:00:00Z", "ends_at": "2026-03-02T00:00:00Z"}
    case = prorate(day_count="second", part=bounds, period=bounds)
    assert result(without(case, "timezone"))["amount"] == "310.00"


# aggregate


def test_an_aggregate_with_days_and_windows() -> None:
    case = aggregate(
        event("1", 3, "2"),
        event("2", 1, "0.5"),
        event("1", 5, "100"),
        event("3", 3, "1"),
        granularity="month",
        period_aggregation="max_day",
    )
    assert answer(case) == {
        "id": None,
        "value": "3",
        "days": [{"day": "2026-03-01", "value": "0.5"}, {"day": "2026-03-03", "value": "3"}],
        "windows": [{"starts_at": "2026-03-01T00:00:00+08:00", "value": "3.5"}],
    }


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"aggregation": "count"}, "4"),
        ({"aggregation": "sum"}, "10"),
        ({"aggregation": "max"}, "4"),
        ({"aggregation": "min"}, "1"),
        ({"aggregation": "latest"}, "4"),
        ({"aggregation": "average"}, "2.5"),
        ({"aggregation": "unique_count"}, "2"),
        ({"period_aggregation": "mean_day"}, "0.322580645161290323"),
        ({"period_aggregation": "kth_max_day", "k": 2}, "4"),
        ({"period_aggregation": "kth_max_day", "k": 4}, "0"),
        ({"period_aggregation": "p95_day"}, "4"),
        ({"period_aggregation": "distinct"}, "2"),
        ({"aggregation": "unique_count", "period_aggregation": "sum_days"}, "3"),
        ({"filter": {"kind": "single"}}, "4"),
        ({"filter": {"kind": ["single", "group"]}}, "6"),
        ({"filter": {"kind": "single", "size": 5}}, "1"),
        ({"filter": {"urgent": True}}, "3"),
        ({"filter": {"kind": "none"}}, "0"),
        ({"filter": {}}, "10"),
        ({"events": []}, "0"),
    ],
)
def test_aggregates(fields: dict[str, Any], value: str) -> None:
    events = [
        event("1", 1, "1", user="ann", properties={"kind": "single", "size": "5"}),
        event("2", 2, "2", user="bob", properties={"kind": "group"}),
        event("3", 2, "3", user="bob", properties={"kind": "single", "urgent": True}),
        event("4", 3, "4", user="ann", properties={"nested": {"kind": "single"}, "size": None}),
    ]
    # By day: 1, 5, 4.
    assert result(aggregate(**{"events": events, **fields}))["value"] == value


def test_unique_count_takes_values_where_no_event_names_a_user() -> None:
    events = [event("1", 1, "seat-1"), event("2", 2, "seat-2"), event("3", 3, "seat-1")]
    found = result(aggregate(*events, aggregation="unique_count"))
    assert found["value"] == "2"
    assert [day["value"] for day in found["days"]] == ["1", "1", "1"]


def test_count_needs_no_values() -> None:
    found = result(aggregate(without(event("1", 1), "value"), aggregation="count"))
    assert found["value"] == "1"


def test_ids_and_users_may_be_whole_numbers() -> None:
    events = [event("", 1, user=7) | {"id": 1}, event("1", 2, user="8")]
    assert result(aggregate(*events, aggregation="unique_count"))["value"] == "1"


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.123456789+08:00",
        "2026-03-01 12:00:00+08:00",
        "2026-03-01t12:00z",
    ],
)
def test_ways_to_write_an_instant(time: str) -> None:
    assert result(aggregate(event("1", 1) | {"time": time}))["value"] == "1"


# invoice


def test_an_invoice_in_all_its_steps() -> None:
    case = {
        "id": "inv",
        "op": "invoice",
        "currency": "EUR",
        "lines": [
            {"key": "base", "amount": "100", "tax_percent": "19"},
            {"key": "usage", "amount": "49.995", "tax_percent": "7.0"},
        ],
        "discounts": [
            {"type": "percentage", "value": "10", "keys": ["base"]},
            {"type": "fixed", "value": "20"},
        ],
        "credits": ["60", "40"],
    }
    assert answer(case) == {
        "id": "inv",
        "lines": [
            {
                "key": "base",
                "amount": "100.00",
                "discount": "22.86",
                "taxable": "77.14",
                "tax_percent": "19",
                "tax": "14.66",
                "credits": "91.80",
            },
            {
                "key": "usage",
                "amount": "50.00",
                "discount": "7.14",
                "taxable": "42.86",
                "tax_percent": "7",
                "tax": "3.00",
                "credits": "8.20",
            },
        ],
        "discounts": ["10.00", "20.00"],
        "subtotal": "150.00",
        "discount_total": "30.00",
        "tax_total": "17.66",
        "total": "137.66",
        "credit_total": "100.00",
        "due": "37.66",
    }


@pytest.mark.parametrize(
    ("rounding", "tax_total", "taxes"),
    [
        ({}, "0.02", ["0.01", "0.01", "0.00"]),
        ({"tax_rounding": "per_rate"}, "0.02", ["0.01", "0.01", "0.00"]),
        ({"tax_rounding": "per_line"}, "0.03", ["0.01", "0.01", "0.01"]),
    ],
)
def test_where_tax_is_rounded(rounding: dict[str, str], tax_total: str, taxes: list[str]) -> None:
    # 6 % of 0.09 is 0.0054 a line, and 0.0162 together.
    found = result(invoice("0.09", "0.09", "0.09", **rounding))
    assert found["tax_total"] == tax_total
    assert [line["tax"] for line in found["lines"]] == taxes


def test_lines_need_no_tax() -> None:
    found = result(invoice(lines=[{"key": "a", "amount": "-5"}, {"key": "a", "amount": "8"}]))
    assert found["total"] == found["due"] == "3.00"
    assert found["discounts"] == []


# allocate


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({}, ["0.34", "0.33", "0.33"]),
        ({"amount": "-1"}, ["-0.34", "-0.33", "-0.33"]),
        ({"weights": ["1", 2, "0"]}, ["0.33", "0.67", "0.00"]),
        (
            {"currency": "JPY", "amount": "100", "weights": ["0.5", "0.5", "0.5"]},
            ["34", "33", "33"],
        ),
        ({"amount": "0"}, ["0.00", "0.00", "0.00"]),
    ],
)
def test_shares_of_an_amount(fields: dict[str, Any], shares: list[str]) -> None:
    assert result(allocate(**fields))["shares"] == shares


# What is refused


TIERS = "price.tiers"


def tiered(*tiers: dict[str, Any]) -> dict[str, Any]:
    return price(price={"model": "graduated", "tiers": list(tiers)})


@pytest.mark.parametrize(
    ("case", "code", "field"),
    [
        (price(quantity="-1"), "negative", "quantity"),
        (price(quantity="NaN"), "not_finite", "quantity"),
        (price(quantity="Infinity"), "not_finite", "quantity"),
        (price(quantity="1" + "0" * 30), "out_of_range", "quantity"),
        (price(quantity=10**30), "out_of_range", "quantity"),
        (price(quantity="1e30"), "out_of_range", "quantity"),
        (price(quantity="1.0000000000001"), "too_many_decimals", "quantity"),
        (price(quantity="twelve"), "not_a_decimal", "quantity"),
        (price(quantity="1,000"), "not_a_decimal", "quantity"),
        (price(quantity=""), "not_a_decimal", "quantity"),
        (price(quantity=" 1"), "not_a_decimal", "quantity"),
        (price(quantity="１"), "not_a_decimal", "quantity"),
        (price(quantity=True), "not_a_decimal", "quantity"),
        (price(quantity=0.1), "not_a_decimal", "quantity"),
        (price(quantity=["1"]), "not_a_decimal", "quantity"),
        (without(price(), "quantity"), "missing", "quantity"),
        (price(quantity=None), "missing", "quantity"),
        (without(price(), "price"), "missing", "price"),
        (price(price="per_unit"), "not_an_object", "price"),
        (price(price={"model": "per_seat"}), "unknown_model", "price.model"),
        (price(price={"model": "per_unit"}), "missing", "price.unit_price"),
        (price(price={**UNIT, "unit_price": "-1"}), "negative", "price.unit_price"),
        (price(price={**UNIT, "maximun": "1"}), "unknown_field", "price.maximun"),
        (price(price={**UNIT, "amount": "1"}), "unknown_field", "price.amount"),
        (price(price={**UNIT, "currency": "USD"}), "currency_mismatch", "price.currency"),
        (without(price(), "currency"), "missing", "currency"),
        (price(currency="XXX"), "unknown_currency", "currency"),
        (price(currency="cny"), "unknown_currency", "currency"),
        (price(currency=["CNY"]), "unknown_currency", "currency"),
        (tiered(), "missing", TIERS),
        (tiered({"up_to": "10", "unit_price": "1"}), "missing_open_tier", f"{TIERS}[0].up_to"),
        (tiered(OPEN, OPEN), "tiers_overlap", f"{TIERS}[0].up_to"),
        (
            tiered(OPEN | {"up_to": "10"}, OPEN | {"up_to": "10"}, OPEN),
            "up_to_not_increasing",
            f"{TIERS}[1].up_to",
        ),
        (tiered(OPEN | {"up_to": "0"}, OPEN), "not_positive", f"{TIERS}[0].up_to"),
        (price(minimum="2", maximum="1"), "minimum_above_maximum", "minimum"),
        (
            price(price={**UNIT, "minimum": "2"}, maximum="1"),
            "minimum_above_maximum",
            "minimum",
        ),
        (price(minimum="-1"), "negative", "minimum"),
        (
            price(discounts=[{"type": "gift", "value": "1"}]),
            "unknown_discount_type",
            "discounts[0].type",
        ),
        (price(discounts=[{"type": "fixed"}]), "missing", "discounts[0].value"),
        (price(discounts=[{"type": "fixed", "value": "-1"}]), "negative", "discounts[0].value"),
        (
            price(discounts=[{"type": "percentage", "value": "101"}]),
            "out_of_range",
            "discounts[0].value",
        ),
        (
            price(discounts=[{"type": "fixed", "value": "1", "currency": "USD"}]),
            "currency_mismatch",
            "discounts[0].currency",
        ),
        (price(discounts={"type": "fixed", "value": "1"}), "not_a_list", "discounts"),
        (price(discounts=["10"]), "not_an_object", "discounts[0]"),
        (price(quantity="1" + "0" * 18), "amount_out_of_range", "amount"),
        (price(surprise=1), "unknown_field", "surprise"),
        (periods(anchor="2026-02-30"), "not_a_date", "anchor"),
        (periods(anchor="1899-12-31"), "date_out_of_range", "anchor"),
        (periods(anchor=20260131), "not_a_date", "anchor"),
        (without(periods(), "anchor"), "missing", "anchor"),
        (periods(interval="fortnight"), "unknown_interval", "interval"),
        (periods(interval_count=0), "not_a_whole_number", "interval_count"),
        (periods(interval_count="1.5"), "not_a_whole_number", "interval_count"),
        (periods(count=0), "not_a_whole_number", "count"),
        (periods(count=10**9), "not_a_whole_number", "count"),
        (without(periods(), "count"), "missing", "count"),
        (periods(timezone="Asia/Peking"), "unknown_timezone", "timezone"),
        (periods(timezone="../etc/passwd"), "unknown_timezone", "timezone"),
        (periods(timezone="UTC\0"), "unknown_timezone", "timezone"),
        (periods(timezone=8), "unknown_timezone", "timezone"),
        (without(periods(), "timezone"), "missing", "timezone"),
        (periods(**{"from": "soon"}), "not_a_date", "from"),
        (periods(anchor="2998-06-01", interval="year"), "date_out_of_range", "count"),
        (
            periods(anchor="2998-06-01", interval="year", interval_count=1000, count=9000),
            "date_out_of_range",
            "count",
        ),
        (periods(**{"from": "2999-12-31"}), "date_out_of_range", "count"),
        (prorate(day_count="31/360"), "unknown_day_count", "day_count"),
        (prorate(amount="NaN"), "not_finite", "amount"),
        (without(prorate(), "amount"), "missing", "amount"),
        (without(prorate(), "part"), "missing", "part"),
        (prorate(part="2026-03-01"), "not_an_object", "part"),
        (
            prorate(part={"starts_on": "2026-03-15", "ends_on": "2026-03-14"}),
            "end_before_start",
            "part.ends_on",
        ),
        (
            prorate(period={"starts_on": "2026-03-15", "ends_on": "2026-03-14"}),
            "end_before_start",
            "period.ends_on",
        ),
        (
            prorate(period={"starts_on": "2026-03-15", "ends_on": "2026-03-15"}),
            "empty_period",
            "period.ends_on",
        ),
        (
            prorate(
                period={"starts_on": "2026-03-30", "ends_on": "2026-03-31"}, day_count="30/360"
            ),
            "empty_period",
            "period",
        ),
        (prorate(part={"starts_on": "2026-03-15"}), "missing", "part.ends_on"),
        (
            prorate(part={"starts_at": "2026-03-15T00:00:00Z", "ends_at": "2026-03-16T00:00:00Z"}),
            "missing",
            "part.starts_on",
        ),
        (prorate(day_count="second"), "missing", "part.starts_at"),
        (aggregate(aggregation="median"), "unknown_aggregation", "aggregation"),
        (aggregate(period_aggregation="median"), "unknown_aggregation", "period_aggregation"),
        (aggregate(period_aggregation=["sum"]), "unknown_aggregation", "period_aggregation"),
        (aggregate(period_aggregation="kth_max_day"), "missing", "k"),
        (aggregate(period_aggregation="kth_max_day", k=0), "not_a_whole_number", "k"),
        (aggregate(period_aggregation="max_day", k=3), "needs_kth_max_day", "k"),
        (aggregate(k=3), "needs_kth_max_day", "k"),
        (
            aggregate(period_aggregation="time_weighted_mean", aggregation="max"),
            "unsupported_aggregation",
            "period_aggregation",
        ),
        (aggregate(granularity="week"), "unknown_granularity", "granularity"),
        (without(aggregate(), "events"), "missing", "events"),
        (aggregate(events={}), "not_a_list", "events"),
        (aggregate(events="1"), "not_a_list", "events"),
        (aggregate(event("1", 1), {"id": "2"}), "missing", "events[1].time"),
        (aggregate(event("1", 1, None)), "missing", "events[0].value"),
        (aggregate(event("1", 1, "many")), "not_a_decimal", "events[0].value"),
        (aggregate(event("", 1)), "not_a_text", "events[0].id"),
        (aggregate(without(event("1", 1), "id")), "missing", "events[0].id"),
        (aggregate(event("1", 1, source="x")), "unknown_field", "events[0].source"),
        (aggregate(event("1", 1, properties=["x"])), "not_an_object", "events[0].properties"),
        (
            aggregate(event("1", 1, user="a"), event("2", 1), aggregation="unique_count"),
            "missing",
            "events[1].user",
        ),
        (
            aggregate(without(event("1", 1), "value"), aggregation="unique_count"),
            "missing",
            "events[0].user",
        ),
        (
            aggregate(event("1", 1, user=True), aggregation="unique_count"),
            "not_a_text",
            "events[0].user",
        ),
        (
            aggregate(event("1", 1) | {"time": "2026-03-01T00:00:00"}),
            "naive_instant",
            "events[0].time",
        ),
        (
            aggregate(event("1", 1) | {"time": "2026-03-01T25:00:00Z"}),
            "not_an_instant",
            "events[0].time",
        ),
        (aggregate(event("1", 1) | {"time": "2026-03-01"}), "not_an_instant", "events[0].time"),
        (aggregate(event("1", 1) | {"time": 1772323200}), "not_an_instant", "events[0].time"),
        (
            aggregate(event("1", 1) | {"time": "0001-01-01T00:00:00+14:00"}),
            "date_out_of_range",
            "events[0].time",
        ),
        (without(aggregate(), "window"), "missing", "window"),
        (
            aggregate(window={**MARCH, "ends_at": MARCH["starts_at"]}),
            "end_before_start",
            "window.ends_at",
        ),
        (
            aggregate(
                window={
                    "starts_at": "1900-01-01T00:00:00+14:00",
                    "ends_at": "1900-01-02T00:00:00+14:00",
                }
            ),
            "date_out_of_range",
            "window.starts_at",
        ),
        (aggregate(filter="single"), "not_an_object", "filter"),
        (aggregate(filter={"kind": None}), "not_a_filter", "filter.kind"),
        (aggregate(filter={"kind": []}), "not_a_filter", "filter.kind"),
        (aggregate(filter={"kind": ["single", {}]}), "not_a_filter", "filter.kind"),
        (invoice(lines=[]), "missing", "lines"),
        (without(invoice(), "lines"), "missing", "lines"),
        (invoice("NaN"), "not_finite", "lines[0].amount"),
        (invoice("1" + "0" * 18), "amount_out_of_range", "lines[0].amount"),
        (invoice("9" + "0" * 16, "9" + "0" * 16), "amount_out_of_range", "amount"),
        (
            invoice(lines=[{"key": "a", "amount": "1", "currency": "USD"}]),
            "currency_mismatch",
            "lines[0].currency",
        ),
        (invoice(lines=[{"amount": "1"}]), "missing", "lines[0].key"),
        (
            invoice(lines=[{"key": "a", "amount": "1", "tax_percent": "-1"}]),
            "negative",
            "lines[0].tax_percent",
        ),
        (
            invoice(lines=[{"key": "a", "amount": "1", "tax_percent": "100.1"}]),
            "out_of_range",
            "lines[0].tax_percent",
        ),
        (
            invoice(discounts=[{"type": "fixed", "value": "1", "keys": ["line-0", "line-9"]}]),
            "unknown_key",
            "discounts[0].keys[1]",
        ),
        (
            invoice(discounts=[{"type": "fixed", "value": "1", "keys": []}]),
            "missing",
            "discounts[0].keys",
        ),
        (
            invoice(discounts=[{"type": "fixed", "value": "0.001"}]),
            "too_many_decimals",
            "discounts[0].value",
        ),
        (invoice(credits=["1", "-1"]), "negative", "credits[1]"),
        (invoice(credits=["1 EUR"]), "not_a_decimal", "credits[0]"),
        (invoice(credits=[None]), "missing", "credits[0]"),
        (invoice(credits=["0.001"]), "too_many_decimals", "credits[0]"),
        (invoice(credits="1"), "not_a_list", "credits"),
        (invoice(tax_rounding="per_page"), "unknown_choice", "tax_rounding"),
        (allocate(weights=[]), "no_weights", "weights"),
        (without(allocate(), "weights"), "missing", "weights"),
        (allocate(weights=["1", "-1"]), "negative", "weights[1]"),
        (allocate(weights=["0", "0"]), "weights_all_zero", "weights"),
        (allocate(weights="1"), "not_a_list", "weights"),
        (allocate(amount="0.001"), "too_many_decimals", "amount"),
        (allocate(amount=True), "not_a_decimal", "amount"),
        (allocate(amount=None), "missing", "amount"),
    ],
)
def test_what_cannot_be_answered_is_refused(case: dict[str, Any], code: str, field: str) -> None:
    refusal = error(case)
    assert refusal["code"] == code
    assert field in refusal["message"]


def test_a_refusal_tells_all_faults_and_has_the_code_of_the_first() -> None:
    refusal = error(price(currency="XXX", quantity="-1", surprise=1))
    assert refusal["code"] == "unknown_currency"
    for field in ("currency", "quantity", "surprise"):
        assert field in refusal["message"]


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (without(price(), "price"), "price is missing; give it."),
        (without(prorate(), "part"), "part is missing; give it."),
    ],
)
def test_a_field_that_was_not_read_yet_is_not_called_unknown(
    case: dict[str, Any], message: str
) -> None:
    assert error(case)["message"] == message


def test_a_bound_that_can_not_be_read_says_nothing_of_the_others() -> None:
    tiers = [{"up_to": "10", "unit_price": "1"}, {"up_to": "Infinity", "unit_price": "1"}]
    refusal = error(price(price={"model": "graduated", "tiers": tiers}))
    assert refusal == {
        "code": "not_finite",
        "message": 'price.tiers[1].up_to is not a finite number; write a number such as "12.50".',
    }


def test_a_day_that_a_zone_left_out_is_no_period() -> None:
    found = answer(
        {
            "op": "periods",
            "anchor": "2011-12-29",
            "interval": "day",
            "timezone": "Pacific/Apia",
            "count": 2,
        }
    )
    assert found["periods"] == [
        {
            "starts_at": "2011-12-29T00:00:00-10:00",
            "ends_at": "2011-12-31T00:00:00+14:00",
            "days": 1,
        },
        {
            "starts_at": "2011-12-31T00:00:00+14:00",
            "ends_at": "2012-01-01T00:00:00+14:00",
            "days": 1,
        },
    ]


def test_a_refusal_of_hundreds_of_faults_stays_readable() -> None:
    refusal = error(price(**{f"field{n}": n for n in range(500)}))
    assert refusal["message"].endswith("And 480 more.")


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (5, "not_an_object"),
        (None, "not_an_object"),
        ([price()], "not_an_object"),
        ({}, "missing"),
        ({"op": "divine"}, "unknown_op"),
        ({"op": ["price"]}, "unknown_op"),
        (price(id=True), "not_an_id"),
        (price(id={"a": 1}), "not_an_id"),
    ],
)
def test_what_is_no_case_is_refused(case: object, code: str) -> None:
    assert error(case)["code"] == code


@pytest.mark.parametrize("name", ["a", "", "专业版", "\ud800", 0, -7, 10**40, None])
def test_the_id_comes_back(name: object) -> None:
    assert answer(price(id=name))["id"] == name
    assert answer(price(id=name, quantity="-1"))["id"] == name


def test_every_operation_is_tested_here() -> None:
    assert set(OPERATIONS) == {"price", "periods", "prorate", "aggregate", "invoice", "allocate"}


# The manual

MANUAL = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "calculate.md"


def test_the_examples_of_the_manual_are_true() -> None:
    blocks = re.findall(r"```json\n(.*?)```", MANUAL.read_text(encoding="utf-8"), re.DOTALL)
    (from_shell, *examples) = [json.loads(block) for block in blocks]
    assert [answer(allocate())] == from_shell
    for case, told in zip(examples[::2], examples[1::2], strict=True):
        assert answer(case) == {"id": None, **told}


# Reading


def read(text: str) -> list[Any]:
    return read_cases(text.encode())


GOOD = json.dumps(price(id="good"))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (GOOD.replace('"100"', "NaN"), "not_finite"),
        (GOOD.replace('"100"', "-Infinity"), "not_finite"),
        (GOOD.replace('"100"', "9" * 5000), "not_a_decimal"),
        (GOOD.replace('"100"', "1e400"), "out_of_range"),
        (GOOD.replace('"100"', "1e99999999999999999999"), "not_a_decimal"),
        (GOOD.replace('"100"', "0." + "1" * 5000), "not_a_decimal"),
        (GOOD.replace('"quantity"', '"quantity": "1", "quantity"'), "duplicate_key"),
        (GOOD.replace('"unit_price"', '"unit_price": "9", "unit_price"'), "duplicate_key"),
        ("null", "not_an_object"),
        ('"price"', "not_an_object"),
        ("[]", "not_an_object"),
    ],
)
def test_one_bad_case_does_not_spoil_its_neighbours(bad: str, code: str) -> None:
    answers = [answer(case) for case in read(f"[{GOOD}, {bad}, {GOOD}]")]
    assert answers[0] == answers[2]
    assert answers[0]["amount"] == "100.00"
    assert error_code(answers[1]) == code


def error_code(found: dict[str, Any]) -> str:
    code: str = found["error"]["code"]
    return code


def test_a_case_with_a_key_twice_keeps_its_id() -> None:
    (case,) = read(GOOD.replace('"quantity"', '"quantity": "1", "quantity"'))
    assert answer(case)["id"] == "good"
    assert "'quantity'" in error(case)["message"]
    (numbered,) = read('{"id": [], "op": 1, "op": 1}')
    assert error(numbered)["code"] == "not_an_id"


def test_keys_that_stand_twice_are_found_in_lists() -> None:
    cases = read('[[{"a": 1, "a": 2}], {"id": 1, "op": "price", "discounts": [{"b": 1, "b": 1}]}]')
    assert [error(case)["code"] for case in cases] == ["duplicate_key", "duplicate_key"]
    assert [answer(case)["id"] for case in cases] == [None, 1]


def test_one_case_needs_no_list() -> None:
    assert read(GOOD) == read(f"[{GOOD}]")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_cases(b"\xef\xbb\xbf[]") == []


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1,]", b"price", b"\xff\xfe", b"[" * 100_000, b'{"a": 01}', b"{} {}"],
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid) as refused:
        read_cases(text)
    assert refused.value.code == "not_json"
