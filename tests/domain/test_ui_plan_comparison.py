"""What differs between two plans, in words, with no difference left out."""

from typing import Any

import pytest
from django.utils import translation

from billing.catalog.domain import parse_plan
from tests.factories import EVERYTHING, STANDARD
from ui.plan_comparison import Change, Section, plan_differences
from ui.plan_faults import fault_text


def differences(old: dict[str, Any], new: dict[str, Any], language: str = "en") -> list[Section]:
    with translation.override(language):
        return plan_differences(
            parse_plan(old, known_meters=None).document, parse_plan(new, known_meters=None).document
        )


def told(sections: list[Section]) -> list[tuple[str, str, str, str]]:
    return [
        (each.label, each.old, each.new, each.note)
        for section in sections
        for each in section.differences
    ]


def test_the_same_terms_differ_in_nothing_however_they_are_written() -> None:
    other = {**STANDARD, "interval_count": 1, "trial_days": 0}
    assert differences(STANDARD, other) == []
    assert differences(EVERYTHING, EVERYTHING) == []


def test_a_figure_tells_by_how_much() -> None:
    dearer = {**STANDARD["prices"][0], "amount": "249.50"}
    assert told(differences(STANDARD, {**STANDARD, "prices": [dearer, STANDARD["prices"][1]]})) == [
        ("Amount", "CN¥199.00", "CN¥249.50", "+25.4 %")
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Another"},
        {"currency": "USD"},
        {"interval": "year"},
        {"interval_count": 3},
        {"trial_days": 15},
        {"effective_from": "2027-01-01"},
        {"grace": "PT1H"},
        {"day_count": "second"},
        {"private": True},
        {"minimum": "101"},
        {"maximum": "9000001"},
        {"max_of": ["dau", "seats"]},
        {"entitlements": {"video": True}},
    ],
    ids=lambda each: str(each),
)
def test_every_term_of_a_plan_is_compared(change: dict[str, Any]) -> None:
    assert differences(EVERYTHING, {**EVERYTHING, **change})


@pytest.mark.parametrize(
    ("index", "change"),
    [
        (0, {"amount": "1"}),
        (0, {"prorate": False}),
        (0, {"timing": "in_arrears"}),
        (0, {"addon": True}),
        (1, {"k": 2}),
        (1, {"scope": "app"}),
        (1, {"meter": "messages"}),
        (1, {"included": "7"}),
        (1, {"package_size": "51"}),
        (1, {"package_price": "101"}),
        (1, {"package_rounding": "up"}),
        (2, {"convert": {"divide_by": "100", "rounding": "up"}}),
        (2, {"convert": {"divide_by": "1000", "rounding": "up", "decimals": 2}}),
        (2, {"minimum": "21"}),
        (2, {"maximum": "9"}),
        (2, {"tiers": [{"up_to": None, "unit_price": "18"}]}),
        (3, {"filter": {"kind": "group"}}),
        (3, {"zero_usage": "charge"}),
        (3, {"period_aggregation": "sum"}),
        (6, {"unit_price": "9.98"}),
        (7, {"rate_percent": "2.6"}),
        (7, {"fixed_fee": "2"}),
        (8, {"tiers": [{"up_to": None, "rate_percent": "3"}]}),
    ],
    ids=str,
)
def test_every_term_of_a_price_is_compared(index: int, change: dict[str, Any]) -> None:
    prices = [dict(price) for price in EVERYTHING["prices"]]
    prices[index] |= change
    if change.get("maximum") == "9":
        prices[index].pop("minimum")
    sections = differences(EVERYTHING, {**EVERYTHING, "prices": prices})
    assert len(sections) == 1
    assert sections[0].differences
    assert differences(EVERYTHING, {**EVERYTHING, "prices": prices}, "zh-hans")


def test_prices_that_come_and_go_are_sections_of_their_own() -> None:
    fewer = {**STANDARD, "prices": STANDARD["prices"][:1]}
    [gone] = differences(STANDARD, fewer)
    assert gone.change is Change.REMOVED
    [come] = differences(fewer, STANDARD)
    assert come.change is Change.ADDED
    assert all(each.old == "—" for each in come.differences)


def test_a_term_without_words_is_shown_as_it_stands() -> None:
    old = {"currency": "CNY", "prices": [{"key": "a", "model": "flat", "amount": "1"}]}
    new = {
        "currency": "CNY",
        "prices": [{"key": "a", "model": "flat", "amount": "1", "later": {"x": 1}}],
    }
    with translation.override("en"):
        assert told(plan_differences(old, new)) == [("later", "—", '{"x": 1}', "")]


def test_a_fault_reads_beside_its_field_and_one_without_words_in_the_parsers_own() -> None:
    with translation.override("zh-hans"):
        assert fault_text(path="key", code="missing", message="key is missing; give it.") == (
            "请填写此项。"
        )
    with translation.override("en"):
        assert fault_text(path="a.b", code="rare", message="a.b is rare; cook it.") == (
            "Is rare; cook it."
        )
