"""What holds for every case that the calculator is given."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.calculator.cases import OPERATIONS, answer, read_cases
from kernel.errors import Invalid

D = Decimal
CURRENCIES = {"JPY": 0, "CNY": 2, "KWD": 3, "CLF": 4}

currencies = st.sampled_from(sorted(CURRENCIES))
percentages = st.decimals(min_value=0, max_value=100, places=2).map(str)
keys = st.sampled_from(["a", "b", "c"])


@st.composite
def amounts(draw: st.DrawFn, currency: str, *, lowest: int = 0) -> str:
    """An amount that the currency can state."""
    return str(D(draw(st.integers(lowest, 10**7))).scaleb(-CURRENCIES[currency]))


@st.composite
def invoices(draw: st.DrawFn, *, lowest: int = 0) -> dict[str, Any]:
    currency = draw(currencies)
    lines = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "key": keys,
                    "amount": amounts(currency, lowest=lowest),
                    "tax_percent": st.sampled_from(["0", "6", "9", "9.00", "19", "7.7"]),
                }
            ),
            min_size=1,
            max_size=6,
        )
    )
    present = sorted({line["key"] for line in lines})
    some_keys = st.lists(st.sampled_from(present), min_size=1, unique=True)
    percentage = st.fixed_dictionaries(
        {"type": st.just("percentage"), "value": percentages}, optional={"keys": some_keys}
    )
    fixed = st.fixed_dictionaries(
        {"type": st.just("fixed"), "value": amounts(currency)}, optional={"keys": some_keys}
    )
    return {
        "op": "invoice",
        "currency": currency,
        "lines": lines,
        "discounts": draw(st.lists(st.one_of(percentage, fixed), max_size=4)),
        "credits": draw(st.lists(amounts(currency), max_size=3)),
        "tax_rounding": draw(st.sampled_from(["per_rate", "per_line"])),
    }


def result(case: Mapping[str, Any]) -> dict[str, Any]:
    found = answer(case)
    assert "error" not in found, found
    return found


def summed(lines: list[dict[str, str]], field: str) -> D:
    return sum((D(line[field]) for line in lines), D(0))


@given(st.one_of(invoices(), invoices(lowest=-(10**7))))
def test_an_invoice_adds_up(case: dict[str, Any]) -> None:
    found = result(case)
    lines = found["lines"]
    unit = D(1).scaleb(-CURRENCIES[case["currency"]])
    assert summed(lines, "amount") == D(found["subtotal"])
    assert (
        summed(lines, "discount") == D(found["discount_total"]) == sum(map(D, found["discounts"]))
    )
    assert summed(lines, "tax") == D(found["tax_total"])
    assert summed(lines, "credits") == D(found["credit_total"])
    assert summed(lines, "taxable") == D(found["subtotal"]) - D(found["discount_total"])
    assert D(found["total"]) == summed(lines, "taxable") + D(found["tax_total"])
    assert D(found["due"]) == D(found["total"]) - D(found["credit_total"])
    assert D(found["credit_total"]) <= sum(map(D, case["credits"]), D(0))
    assert D(found["credit_total"]) <= max(D(0), D(found["total"]))
    for line in lines:
        assert D(line["taxable"]) == D(line["amount"]) - D(line["discount"])
        exact_tax = D(line["taxable"]) * D(line["tax_percent"]) / 100
        assert abs(D(line["tax"]) - exact_tax) <= 2 * unit
        assert 0 <= D(line["credits"]) <= max(D(0), D(line["taxable"]) + D(line["tax"]))


@given(invoices())
def test_charges_are_never_discounted_below_zero(case: dict[str, Any]) -> None:
    found = result(case)
    for line in found["lines"]:
        assert 0 <= D(line["discount"]) <= D(line["amount"])
        assert D(line["tax"]) >= 0
    assert D(found["due"]) >= 0
    for discount, taken in zip(case["discounts"], found["discounts"], strict=True):
        if discount["type"] == "fixed":
            assert D(taken) <= D(discount["value"])


@given(invoices())
def test_tax_per_rate_is_the_rounded_tax_of_the_rates_sum(case: dict[str, Any]) -> None:
    found = result({**case, "tax_rounding": "per_rate"})
    unit = D(1).scaleb(-CURRENCIES[case["currency"]])
    for rate in {line["tax_percent"] for line in found["lines"]}:
        of_rate = [line for line in found["lines"] if line["tax_percent"] == rate]
        exact_tax = summed(of_rate, "taxable") * D(rate) / 100
        assert abs(summed(of_rate, "tax") - exact_tax) * 2 <= unit


@given(invoices(lowest=-(10**7)))
def test_a_mirrored_invoice_mirrors_its_taxes(case: dict[str, Any]) -> None:
    case = {**case, "discounts": [], "credits": []}
    mirrored = [{**line, "amount": str(-D(line["amount"]))} for line in case["lines"]]
    for line, mirror in zip(
        result(case)["lines"], result({**case, "lines": mirrored})["lines"], strict=True
    ):
        assert D(line["tax"]) == -D(mirror["tax"])


@given(
    currencies.flatmap(lambda code: st.tuples(st.just(code), amounts(code, lowest=-(10**7)))),
    st.lists(st.decimals(min_value=0, max_value=1000, places=3).map(str), min_size=1),
)
def test_shares_sum_to_the_amount(amount: tuple[str, str], weights: list[str]) -> None:
    if not any(map(D, weights)):
        weights = [*weights, "1"]
    case = {"op": "allocate", "currency": amount[0], "amount": amount[1], "weights": weights}
    shares = [D(share) for share in result(case)["shares"]]
    assert sum(shares) == D(amount[1])
    unit = D(1).scaleb(-CURRENCIES[amount[0]])
    whole = sum(map(Fraction, weights))
    for share, weight in zip(shares, weights, strict=True):
        assert abs(Fraction(share) - Fraction(amount[1]) * Fraction(weight) / whole) < unit


bounds = st.lists(st.integers(1, 60), min_size=0, max_size=4, unique=True).map(sorted)
figures = st.decimals(min_value=0, max_value=20, places=4).map(str)


@st.composite
def tiers(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "up_to": None if bound is None else str(bound),
            "unit_price": draw(figures),
            "flat_fee": draw(figures),
        }
        for bound in [*draw(bounds), None]
    ]


@given(tiers(), st.integers(1, 80))
def test_graduated_prices_agree_with_counting_unit_by_unit(
    table: list[dict[str, Any]], quantity: int
) -> None:
    expected, reached = D(0), set()
    for unit in range(1, quantity + 1):
        index = next(
            index
            for index, tier in enumerate(table)
            if tier["up_to"] is None or unit <= int(tier["up_to"])
        )
        expected += D(table[index]["unit_price"])
        if index not in reached:
            reached.add(index)
            expected += D(table[index]["flat_fee"])
    found = result(
        {
            "op": "price",
            "currency": "CNY",
            "price": {"model": "graduated", "tiers": table},
            "quantity": str(quantity),
        }
    )
    assert D(found["exact"]) == expected
    assert sum(D(line["amount"]) for line in found["lines"]) == expected
    assert sum(D(line["quantity"]) for line in found["lines"]) == quantity


@given(figures, st.integers(0, 1000), st.lists(percentages, max_size=4), figures, figures)
def test_the_bounds_of_a_price_hold(
    unit_price: str, quantity: int, off: list[str], one: str, other: str
) -> None:
    minimum, maximum = sorted([D(one), D(other)])
    found = result(
        {
            "op": "price",
            "currency": "CNY",
            "price": {"model": "per_unit", "unit_price": unit_price},
            "quantity": quantity,
            "discounts": [{"type": "percentage", "value": each} for each in off],
            "minimum": str(minimum),
            "maximum": str(maximum),
        }
    )
    assert minimum <= D(found["exact"]) <= maximum
    if "true_up" in found:
        assert D(found["exact"]) == minimum


@given(st.integers(0, 365), st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_the_parts_of_a_period_add_up_to_it(first: int, lengths: list[int]) -> None:
    start = date(2026, 1, 1) + timedelta(days=first)
    cuts = [start]
    for length in lengths:
        cuts.append(cuts[-1] + timedelta(days=length))
    whole = {"starts_on": str(cuts[0]), "ends_on": str(cuts[-1])}
    for day_count in ("actual", "30/360"):
        parts = [
            D(
                result(
                    {
                        "op": "prorate",
                        "currency": "CNY",
                        "amount": "1234.56",
                        "part": {"starts_on": str(starts_on), "ends_on": str(ends_on)},
                        "period": whole,
                        "timezone": "America/New_York",
                        "day_count": day_count,
                    }
                )["exact"]
            )
            for starts_on, ends_on in pairwise(cuts)
            if not (day_count == "30/360" and (cuts[-1] - cuts[0]).days < 3)
        ]
        if parts:
            assert abs(sum(parts) - D("1234.56")) <= D(len(parts)).scaleb(-18)


START = datetime(2026, 10, 24, 22, tzinfo=UTC)
events = st.builds(
    lambda name, minutes, value, user: {
        "id": str(name),
        "time": (START + timedelta(minutes=minutes)).isoformat(),
        "value": str(value),
        "user": user,
    },
    st.integers(1, 15),
    st.integers(-600, 5000),
    st.integers(-9, 9),
    st.sampled_from(["ann", "bob", "eve"]),
)


def aggregated(listed: list[dict[str, str]], **fields: str) -> dict[str, Any]:
    return result(
        {
            "op": "aggregate",
            "events": listed,
            "timezone": "Europe/Berlin",
            # Three local days, one of them of 25 hours.
            "window": {
                "starts_at": "2026-10-25T00:00:00+02:00",
                "ends_at": "2026-10-28T00:00:00+01:00",
            },
            **fields,
        }
    )


@given(st.lists(events, max_size=25))
def test_days_and_windows_sum_to_the_value(listed: list[dict[str, str]]) -> None:
    for aggregation in ("sum", "count"):
        for granularity in ("minute", "hour", "day", "month"):
            found = aggregated(listed, aggregation=aggregation, granularity=granularity)
            assert sum(D(day["value"]) for day in found["days"]) == D(found["value"])
            assert sum(D(each["value"]) for each in found["windows"]) == D(found["value"])
            starts = [datetime.fromisoformat(each["starts_at"]) for each in found["windows"]]
            assert starts == sorted(set(starts))
        by_day = aggregated(listed, aggregation=aggregation, period_aggregation="sum_days")
        assert by_day["value"] == found["value"]


@given(st.lists(events, max_size=25))
def test_events_that_come_again_change_nothing(listed: list[dict[str, str]]) -> None:
    for aggregation in ("count", "sum", "max", "min", "latest", "unique_count", "average"):
        once = aggregated(listed, aggregation=aggregation)
        assert aggregated([*listed, *listed], aggregation=aggregation) == once


@given(st.lists(events, max_size=25, unique_by=lambda event: event["time"]), st.randoms())
def test_the_order_of_arrival_counts_only_for_events_of_one_id_or_time(
    listed: list[dict[str, str]], shuffle: Any
) -> None:
    listed = [{**event, "id": str(index)} for index, event in enumerate(listed)]
    shuffled = list(listed)
    shuffle.shuffle(shuffled)
    for aggregation in ("count", "sum", "max", "min", "latest", "unique_count", "average"):
        assert aggregated(listed, aggregation=aggregation) == aggregated(
            shuffled, aggregation=aggregation
        )


# Whatever is written, the answer is an answer or a refusal.

FIELDS = [
    "id", "op", "currency", "price", "quantity", "minimum", "maximum", "discounts", "anchor",
    "interval", "interval_count", "timezone", "count", "from", "amount", "part", "period",
    "day_count", "aggregation", "events", "window", "period_aggregation", "k", "filter",
    "granularity", "lines", "credits", "tax_rounding", "weights", "starts_on", "ends_on",
    "starts_at", "ends_at", "type", "value", "keys", "key", "tax_percent", "time", "user",
    "properties", "model", "tiers", "up_to", "unit_price", "flat_fee", "included", "convert",
]  # fmt: skip
WORDS = [
    *OPERATIONS, "CNY", "JPY", "per_unit", "graduated", "flat", "month", "day", "year", "sum",
    "latest", "unique_count", "percentage", "fixed", "second", "30/360", "distinct", "kth_max_day",
    "time_weighted_mean", "2026-03-01", "2026-04-01", "2026-03-01T00:00:00+08:00",
    "2026-04-01T00:00:00Z", "Asia/Shanghai", "UTC", "1", "-1", "0", "0.5", "NaN", "1e30", "",
    "0001-01-01", "9999-12-31", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\ud800",
]  # fmt: skip
scalars = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(),
    st.decimals(),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
    ),
    max_leaves=12,
)


def is_answered(case: object) -> bool:
    found = answer(case)
    text = json.dumps(found, allow_nan=False)
    assert isinstance(json.loads(text), dict)
    if "error" in found:
        assert set(found) == {"id", "error"}
        refusal = found["error"]
        assert isinstance(refusal, dict)
        assert refusal["code"]
        assert refusal["message"].endswith(".")
    return "error" not in found


@given(st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values)))
def test_any_value_is_answered_or_refused(case: object) -> None:
    is_answered(case)


WHOLE = [
    {
        "op": "price",
        "currency": "CNY",
        "price": {
            "model": "graduated",
            "tiers": [{"up_to": "5", "unit_price": "1"}, {"up_to": None, "flat_fee": "1"}],
            "convert": {"divide_by": "10"},
        },
        "quantity": "10",
        "discounts": [{"type": "fixed", "value": "1"}],
        "minimum": "1",
        "maximum": "10",
    },
    {
        "op": "periods",
        "anchor": "2026-01-31",
        "interval": "month",
        "interval_count": 1,
        "timezone": "Asia/Shanghai",
        "count": 3,
        "from": "2026-02-01",
    },
    {
        "op": "prorate",
        "currency": "CNY",
        "amount": "10",
        "part": {"starts_on": "2026-03-10", "ends_on": "2026-04-01"},
        "period": {"starts_on": "2026-03-01", "ends_on": "2026-04-01"},
        "timezone": "Asia/Shanghai",
        "day_count": "actual",
    },
    {
        "op": "aggregate",
        "aggregation": "sum",
        "events": [
            {
                "id": "1",
                "time": "2026-03-01T00:00:00+08:00",
                "value": "1",
                "user": "u",
                "properties": {"kind": "single"},
            }
        ],
        "window": {
            "starts_at": "2026-03-01T00:00:00+08:00",
            "ends_at": "2026-04-01T00:00:00+08:00",
        },
        "timezone": "Asia/Shanghai",
        "period_aggregation": "kth_max_day",
        "k": 2,
        "filter": {"kind": ["single"]},
        "granularity": "hour",
    },
    {
        "op": "invoice",
        "currency": "CNY",
        "lines": [{"key": "a", "amount": "10", "tax_percent": "6"}],
        "discounts": [{"type": "percentage", "value": "10", "keys": ["a"]}],
        "credits": ["1"],
        "tax_rounding": "per_line",
    },
    {"op": "allocate", "currency": "CNY", "amount": "10", "weights": ["1", "2"]},
]


def places(value: object) -> list[tuple[str | int, ...]]:
    """The paths of everything inside the value."""
    inside: list[tuple[str | int, ...]] = []
    if isinstance(value, dict):
        steps: list[tuple[str | int, object]] = list(value.items())
    elif isinstance(value, list):
        steps = list(enumerate(value))
    else:
        return inside
    for step, each in steps:
        inside.append((step,))
        inside.extend((step, *path) for path in places(each))
    return inside


ANY_PLACE = [(index, path) for index, case in enumerate(WHOLE) for path in places(case)]


def test_the_whole_cases_are_answered() -> None:
    assert all(is_answered(case) for case in WHOLE)


@given(st.sampled_from(ANY_PLACE), values)
def test_a_case_with_anything_in_one_of_its_places_is_answered_or_refused(
    place: tuple[int, tuple[str | int, ...]], value: object
) -> None:
    index, path = place
    case = json.loads(json.dumps(WHOLE[index]))
    holder = case
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    is_answered(case)


@given(
    st.lists(st.sampled_from(["{", "}", "[", "]", ",", ":", '"op"', '"id"', "1", "NaN", "null"]))
)
def test_any_text_is_read_or_refused(tokens: list[str]) -> None:
    try:
        cases = read_cases(" ".join(tokens).encode())
    except Invalid:
        return
    for case in cases:
        is_answered(case)
