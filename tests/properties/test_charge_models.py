"""Every charge model against a slow one that walks through the quantity step by step.

The steps are a millionth, a unit or a thousand million, so that the same walk reaches 10^12 and the
smallest fractions; prices go down to 0.000001. The slow models know neither tiers' slices nor
divisions: they count.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.catalog.domain import parse_price
from billing.rating.charges import charge
from billing.rating.pricing import price_quantity
from kernel.money import round_amount

GRAINS = (Decimal("0.000001"), Decimal(1), Decimal(10) ** 9)
MOST_STEPS = 120

grains = st.sampled_from(GRAINS)
steps = st.integers(0, MOST_STEPS)
prices = st.one_of(
    st.decimals(min_value=0, max_value=1000, places=6),
    st.sampled_from([Decimal("0.000001"), Decimal(0), Decimal("0.000000000001")]),
).map(lambda price: f"{price:f}")
bounds = st.lists(st.integers(1, MOST_STEPS), max_size=5, unique=True).map(sorted)

Tier = dict[str, Any]
Slow = Callable[[Mapping[str, Any], int, Decimal], Fraction]


@st.composite
def tiered(draw: st.DrawFn, model: str, *figures: str) -> dict[str, Any]:
    """Terms whose bounds are counted in steps; `_scaled` writes them in units."""
    tiers = [
        {"up_to": bound, **{figure: draw(prices) for figure in figures}}
        for bound in [*draw(bounds), None]
    ]
    return {"model": model, "tiers": tiers}


TERMS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "flat": st.fixed_dictionaries({"model": st.just("flat"), "amount": prices}),
    "per_unit": st.fixed_dictionaries({"model": st.just("per_unit"), "unit_price": prices}),
    "graduated": tiered("graduated", "unit_price", "flat_fee"),
    "volume": tiered("volume", "unit_price", "flat_fee"),
    "stairstep": tiered("stairstep", "flat_fee"),
    "package": st.fixed_dictionaries(
        {
            "model": st.just("package"),
            "package_size": st.integers(1, 40),
            "package_price": prices,
            "package_rounding": st.sampled_from(["up", "down"]),
        }
    ),
    "percentage": st.fixed_dictionaries(
        {"model": st.just("percentage"), "rate_percent": prices, "fixed_fee": prices}
    ),
    "graduated_percentage": tiered("graduated_percentage", "rate_percent", "flat_fee"),
}
MONOTONE = sorted(set(TERMS) - {"volume", "stairstep"})
"""A higher tier of the other two may be cheaper as a whole, which their terms say openly."""


def _scaled(terms: Mapping[str, Any], grain: Decimal) -> dict[str, Any]:
    """The terms with steps written as units."""
    scaled = dict(terms)
    if "package_size" in scaled:
        scaled["package_size"] = f"{scaled['package_size'] * grain:f}"
    if "tiers" in scaled:
        scaled["tiers"] = [
            {**tier, "up_to": None if tier["up_to"] is None else f"{tier['up_to'] * grain:f}"}
            for tier in scaled["tiers"]
        ]
    return scaled


def _tier_of(tiers: list[Tier], step: int) -> int:
    return next(
        index for index, tier in enumerate(tiers) if tier["up_to"] is None or step <= tier["up_to"]
    )


def _graduated(rate: str, divisor: int) -> Slow:
    def slow(terms: Mapping[str, Any], count: int, grain: Decimal) -> Fraction:
        tiers = terms["tiers"]
        amount, entered = Fraction(tiers[0]["flat_fee"]), 0
        for step in range(1, count + 1):
            index = _tier_of(tiers, step)
            for passed in range(entered + 1, index + 1):
                amount += Fraction(tiers[passed]["flat_fee"])
            entered = index
            amount += Fraction(grain) * Fraction(tiers[index][rate]) / divisor
        return amount

    return slow


def _volume(terms: Mapping[str, Any], count: int, grain: Decimal) -> Fraction:
    tier = terms["tiers"][_tier_of(terms["tiers"], count)]
    amount = Fraction(tier["flat_fee"])
    for _ in range(count):
        amount += Fraction(grain) * Fraction(tier["unit_price"])
    return amount


def _package(terms: Mapping[str, Any], count: int, grain: Decimal) -> Fraction:
    full, begun = 0, 0
    for _ in range(count):
        begun += 1
        if begun == terms["package_size"]:
            full, begun = full + 1, 0
    if begun and terms["package_rounding"] == "up":
        full += 1
    return full * Fraction(terms["package_price"])


def _step_by_step(figure: str, divisor: int, fee: str) -> Slow:
    def slow(terms: Mapping[str, Any], count: int, grain: Decimal) -> Fraction:
        amount = Fraction(terms[fee]) if fee else Fraction(0)
        for _ in range(count):
            amount += Fraction(grain) * Fraction(terms[figure]) / divisor
        return amount

    return slow


SLOW: dict[str, Slow] = {
    "flat": lambda terms, count, grain: Fraction(terms["amount"]),
    "per_unit": _step_by_step("unit_price", 1, ""),
    "graduated": _graduated("unit_price", 1),
    "volume": _volume,
    "stairstep": lambda terms, count, grain: Fraction(
        terms["tiers"][_tier_of(terms["tiers"], count)]["flat_fee"]
    ),
    "package": _package,
    "percentage": _step_by_step("rate_percent", 100, "fixed_fee"),
    "graduated_percentage": _graduated("rate_percent", 100),
}


@pytest.mark.parametrize("model", sorted(TERMS))
def test_a_slow_model_agrees(model: str) -> None:
    @given(TERMS[model], steps, grains)
    @settings(max_examples=60)
    def agrees(terms: dict[str, Any], count: int, grain: Decimal) -> None:
        price = parse_price(_scaled(terms, grain))
        charged = charge(price.charge, count * grain)
        assert charged.amount == SLOW[model](terms, count, grain)
        assert sum(line.amount for line in charged.lines) == charged.amount
        for line in charged.lines:
            assert line.quantity * line.unit_price + line.flat_fee == line.amount

    agrees()


@pytest.mark.parametrize("model", sorted(TERMS))
def test_at_each_bound_and_a_step_beside_it(model: str) -> None:
    """What chance may miss: 0, each bound, one step before and one past it."""

    @given(TERMS[model], grains)
    @settings(max_examples=40)
    def agrees(terms: dict[str, Any], grain: Decimal) -> None:
        price = parse_price(_scaled(terms, grain))
        edges = [tier["up_to"] for tier in terms.get("tiers", ()) if tier["up_to"]]
        edges.extend([terms["package_size"]] if "package_size" in terms else [])
        for count in sorted({0, 1, *(edge + by for edge in edges for by in (-1, 0, 1))}):
            found = charge(price.charge, count * grain).amount
            assert found == SLOW[model](terms, count, grain), count

    agrees()


@pytest.mark.parametrize("model", MONOTONE)
def test_more_never_costs_less(model: str) -> None:
    @given(TERMS[model], steps, steps, grains)
    @settings(max_examples=60)
    def holds(terms: dict[str, Any], one: int, other: int, grain: Decimal) -> None:
        price = parse_price(_scaled(terms, grain))
        low, high = sorted((one, other))
        fewer, more = (charge(price.charge, count * grain).amount for count in (low, high))
        assert fewer <= more
        # Rounding keeps the order: a cent can't come back by using more.
        assert round_amount(fewer, "CNY").minor <= round_amount(more, "CNY").minor

    holds()


@pytest.mark.parametrize("model", ["volume", "stairstep"])
def test_within_a_tier_more_never_costs_less(model: str) -> None:
    @given(TERMS[model], steps, steps)
    @settings(max_examples=60)
    def holds(terms: dict[str, Any], one: int, other: int) -> None:
        price = parse_price(_scaled(terms, Decimal(1)))
        low, high = sorted((one, other))
        if _tier_of(terms["tiers"], low) == _tier_of(terms["tiers"], high):
            assert charge(price.charge, low).amount <= charge(price.charge, high).amount

    holds()


@pytest.mark.parametrize("rate", ["unit_price", "rate_percent"])
def test_graduated_without_fees_is_continuous_at_bounds(rate: str) -> None:
    """A trace past a bound costs the next tier's rate of the trace, and no jump."""
    model = {"unit_price": "graduated", "rate_percent": "graduated_percentage"}[rate]
    divisor = {"unit_price": 1, "rate_percent": 100}[rate]
    trace = Decimal("0.000000000001")

    @given(tiered(model, rate), grains)
    @settings(max_examples=60)
    def holds(terms: dict[str, Any], grain: Decimal) -> None:
        price = parse_price(_scaled(terms, grain))
        for index, tier in enumerate(terms["tiers"][:-1]):
            at_bound = tier["up_to"] * grain
            jump = (
                charge(price.charge, at_bound + trace).amount
                - charge(price.charge, at_bound).amount
            )
            following = terms["tiers"][index + 1]
            assert jump == Fraction(trace) * Fraction(following[rate]) / divisor

    holds()


@given(
    st.sampled_from(sorted(TERMS)).flatmap(lambda model: TERMS[model]),
    steps,
    st.integers(0, MOST_STEPS),
)
def test_included_comes_off_first(terms: dict[str, Any], count: int, included: int) -> None:
    """What is included is priced like so much less."""
    document = _scaled(terms, Decimal(1))
    with_included = parse_price({**document, "included": str(included)})
    without = parse_price(document)
    less = max(0, count - included)
    assert price_quantity(with_included, count).amount == price_quantity(without, less).amount


@given(TERMS["package"], st.integers(0, 10**12))
def test_packages_of_up_and_down_differ_by_one_at_most(terms: dict[str, Any], count: int) -> None:
    document = _scaled(terms, Decimal(1))
    up, down = (
        charge(parse_price({**document, "package_rounding": rounding}).charge, count).amount
        for rounding in ("up", "down")
    )
    is_full = count % terms["package_size"] == 0
    assert up - down == (0 if is_full else Fraction(terms["package_price"]))
