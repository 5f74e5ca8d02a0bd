"""What is given back of fees billed in advance: it mirrors the charge, to the minor unit."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from billing.catalog.domain import parse_plan
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import PlanTerms, Timing
from billing.rating.unused import taken_back_lines, unused_lines
from kernel.period import Period

ZONE = ZoneInfo("Asia/Shanghai")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), ZONE)
FROM_16TH = Period.of_days(date(2026, 3, 16), date(2026, 4, 1), ZONE)


def plan(*prices: Mapping[str, object], **more: object) -> PlanTerms:
    return parse_plan(
        {"key": "pro", "currency": "CNY", "prices": list(prices), **more}, known_meters={"dau"}
    )


BASE = {"key": "base", "model": "flat", "amount": "1299", "prorate": True}
SEATS = {"key": "seats", "model": "per_unit", "unit_price": "10", "prorate": True}
SETUP = {"key": "setup", "model": "flat", "amount": "500"}
USAGE = {
    "key": "dau",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}


def unused(terms: PlanTerms, **more: object) -> list[RatedLine]:
    return unused_lines(
        terms=terms,
        version=3,
        period=MARCH,
        charged=MARCH,
        unused=FROM_16TH,
        zone=ZONE,
        **more,  # type: ignore[arg-type]  # the test names them
    )


def test_the_unused_share_of_a_fee_comes_back_as_one_negative_line() -> None:
    (line,) = unused(plan(BASE))
    # 1,299 × 16/31 = 670.4516…
    assert line.amount.amount == Decimal("-670.45")
    assert line.exact == Fraction(-1299 * 16, 31)
    assert line.kind is LineKind.CREDIT
    assert line.period == FROM_16TH
    assert line.unit_price is None
    assert (line.phrase, dict(line.params)) == ("unused", {"price": "base", "share": "16/31"})
    assert line.description == "base, unused 16/31 of the period"
    assert line.explanation["credited"] is True
    assert line.explanation["amount"] == "-670.45"
    assert line.explanation["version"] == 3


def test_the_credit_mirrors_what_the_same_days_would_cost() -> None:
    terms = plan(BASE, SEATS)
    charged = rate_plan(
        terms=terms,
        version=3,
        period=MARCH,
        served=FROM_16TH,
        zone=ZONE,
        timing=Timing.IN_ADVANCE,
        quantities={"seats": 7},
    )
    given_back = unused(terms, quantities={"seats": 7})
    assert [line.amount for line in given_back] == [-line.amount for line in charged]
    assert [line.exact for line in given_back] == [-line.exact for line in charged]


def test_a_line_for_several_says_how_many() -> None:
    (line,) = unused(plan(SEATS), quantities={"seats": 7})
    assert line.phrase == "unused_times"
    assert dict(line.params) == {"price": "seats", "share": "16/31", "quantity": "7"}
    assert line.description == "seats, 7 times, unused 16/31 of the period"


@pytest.mark.parametrize(
    "price",
    [
        pytest.param(SETUP, id="without-prorate-it-is-owed-as-a-whole"),
        pytest.param(USAGE, id="usage-was-not-billed-ahead"),
        pytest.param({**BASE, "timing": "in_arrears"}, id="a-fee-in-arrears-was-not-billed-ahead"),
        pytest.param({**BASE, "amount": "0"}, id="nothing-of-nothing"),
    ],
)
def test_what_gives_nothing_back(price: Mapping[str, object]) -> None:
    assert unused(plan(price)) == []


def test_a_plans_own_bounds_are_settled_in_arrears_and_give_nothing_back() -> None:
    (line,) = unused(plan(BASE, minimum="5000", maximum="6000"))
    assert line.amount.amount == Decimal("-670.45")


def test_of_rivals_the_one_that_was_billed_gives_back() -> None:
    dear = {"key": "dear", "model": "flat", "amount": "310", "prorate": True}
    cheap = {"key": "cheap", "model": "flat", "amount": "31", "prorate": True}
    (line,) = unused(plan(cheap, dear, max_of=["cheap", "dear"]))
    assert (line.key, line.amount.amount) == ("dear", Decimal("-160.00"))


def test_of_rivals_a_dear_one_without_prorate_gives_nothing_back() -> None:
    dear = {"key": "dear", "model": "flat", "amount": "310"}
    cheap = {"key": "cheap", "model": "flat", "amount": "31", "prorate": True}
    assert unused(plan(cheap, dear, max_of=["cheap", "dear"])) == []


def test_whole_fees_that_are_replaced_come_back_whole() -> None:
    seats = {"key": "seats", "model": "per_unit", "unit_price": "10"}
    lines = taken_back_lines(
        terms=plan(BASE, SETUP, seats),
        version=1,
        period=MARCH,
        served=FROM_16TH,
        zone=ZONE,
        quantities={"seats": 5},
    )
    (line,) = lines
    assert line.amount.amount == Decimal("-50.00")
    assert line.kind is LineKind.CREDIT
    assert line.phrase == "billed_before_times"
    assert dict(line.params) == {"price": "seats", "quantity": "5"}


def test_only_what_is_named_and_not_prorated_is_taken_back() -> None:
    lines = taken_back_lines(
        terms=plan(BASE, SETUP, minimum="9999"),
        version=1,
        period=MARCH,
        served=MARCH,
        zone=ZONE,
        quantities={"base": 1, "setup": 1},
    )
    assert [(line.key, line.amount.amount, line.phrase) for line in lines] == [
        ("setup", Decimal("-500.00"), "billed_before")
    ]
