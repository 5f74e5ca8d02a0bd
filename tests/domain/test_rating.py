"""From a plan and a period's usage to lines."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from billing.catalog.domain import parse_plan, parse_price
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pipeline import rate_plan, rate_price
from billing.rating.terms import PlanTerms, Timing
from billing.rating.usage import CountedUsage, Usage, UsageKey, UsersKey
from kernel.decimals import Exact
from kernel.errors import Invalid
from kernel.money import Money
from kernel.period import Period
from kernel.zones import zone_named

D = Decimal
SHANGHAI = zone_named("Asia/Shanghai")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), SHANGHAI)
FROM_16TH = Period.of_days(date(2026, 3, 16), date(2026, 4, 1), SHANGHAI)

BASE = {"key": "base", "model": "flat", "amount": "199", "prorate": True}
DAU = {
    "key": "dau",
    "meter": "dau",
    "period_aggregation": "max_day",
    "included": "10",
    "model": "package",
    "package_size": "10",
    "package_price": "5.00",
}
MESSAGES = {
    "key": "messages",
    "meter": "messages",
    "period_aggregation": "sum",
    "scope": "tenant",
    "model": "per_unit",
    "unit_price": "0.001",
}


def plan(*prices: Mapping[str, Any], **fields: object) -> PlanTerms:
    document = {"key": "pro", "currency": "CNY", "prices": list(prices), **fields}
    return parse_plan(document, known_meters=["dau", "messages"])


def days(**by_day: str) -> dict[date, Decimal]:
    """days(d5="30") is 30 on March 5th."""
    return {date(2026, 3, int(day[1:])): D(value) for day, value in by_day.items()}


def rated(
    terms: PlanTerms,
    usage: Usage | None = None,
    *,
    timing: Timing = Timing.IN_ARREARS,
    served: Period = MARCH,
    apps: tuple[str, ...] = (),
    quantities: Mapping[str, Exact] | None = None,
) -> list[RatedLine]:
    return rate_plan(
        terms=terms,
        version=3,
        period=MARCH,
        served=served,
        zone=SHANGHAI,
        usage=usage or {},
        timing=timing,
        apps=apps,
        quantities=quantities or {},
    )


def amounts(lines: list[RatedLine]) -> list[tuple[str, str, str]]:
    return [(line.key, line.kind, f"{line.amount.amount:f}") for line in lines]


def test_a_base_fee_and_a_peak() -> None:
    terms = plan(BASE, DAU)
    usage = {UsageKey("chat", "dau"): days(d5="35", d6="12")}
    (base,) = rated(terms, usage, timing=Timing.IN_ADVANCE)
    assert (base.amount, base.kind) == (Money(19900, "CNY"), LineKind.RECURRING)
    assert (base.quantity, base.unit_price, base.app_key) == (D(1), D(199), None)
    assert base.description == "base"
    assert base.period == MARCH
    (dau,) = rated(terms, usage)
    assert (dau.amount, dau.kind) == (Money(1500, "CNY"), LineKind.USAGE)
    assert (dau.quantity, dau.unit_price, dau.app_key) == (D(3), D(5), "chat")
    assert dau.description == "dau of chat: 35 (highest day), 10 included"
    assert dau.exact == 15


def test_a_line_explains_itself() -> None:
    usage = {UsageKey("chat", "dau"): days(d5="35", d6="12")}
    (line,) = rated(plan(DAU), usage)
    told = json.loads(json.dumps(line.explanation))
    assert told == {
        "plan": "pro",
        "version": 3,
        "price": "dau",
        "model": "package",
        "terms": {
            "key": "dau",
            "model": "package",
            "package_size": "10",
            "package_price": "5",
            "meter": "dau",
            "period_aggregation": "max_day",
            "included": "10",
        },
        "aggregation": {
            "name": "max_day",
            "scope": "app",
            "meter": "dau",
            "day_count": "31",
            "app": "chat",
            "days": {"2026-03-05": "35", "2026-03-06": "12"},
            "decided_by": ["2026-03-05"],
            "value": "35",
        },
        "included": "10",
        "quantity": "25",
        "lines": [{"tier": 1, "quantity": "3", "unit_price": "5", "flat_fee": "0", "amount": "15"}],
        "charge": "15",
        "proration": "31/31",
        "prorated": False,
        "exact": "15",
        "amount": "15.00",
        "rounding": "half away from zero to 2 decimals of CNY",
    }


def test_a_part_period() -> None:
    (line,) = rated(plan(BASE), timing=Timing.IN_ADVANCE, served=FROM_16TH)
    assert line.amount == Money(10271, "CNY")  # 199 x 16/31 = 102.709…
    assert line.exact == Fraction(199 * 16, 31)
    assert (line.quantity, line.unit_price) == (D(1), None)
    assert line.description == "base, 16/31 of the period"
    assert line.period == FROM_16TH
    assert line.explanation["proration"] == "16/31"
    whole = {**BASE, "prorate": False}
    (line,) = rated(plan(whole), timing=Timing.IN_ADVANCE, served=FROM_16TH)
    assert line.amount == Money(19900, "CNY")
    assert line.description == "base"


def test_usage_outside_the_served_days_does_not_count() -> None:
    usage = {UsageKey("chat", "dau"): days(d15="500", d16="35")}
    (line,) = rated(plan(DAU), usage, served=FROM_16TH)
    assert line.amount == Money(1500, "CNY")


def test_the_mean_divides_by_the_days_served() -> None:
    price = {**DAU, "period_aggregation": "mean_day", "included": "0", "package_size": "1"}
    usage = {UsageKey("chat", "dau"): days(d20="32")}
    (line,) = rated(plan(price), usage, served=FROM_16TH)
    assert line.explanation["quantity"] == "2"
    (line,) = rated(plan(price), usage)
    assert line.explanation["quantity"] == "1.032258064516129032"


def test_each_app_by_itself() -> None:
    usage = {
        UsageKey("b", "dau"): days(d1="25"),
        UsageKey("a", "dau"): days(d2="15"),
        UsageKey("idle", "dau"): days(d2="0"),
        UsageKey("a", "messages"): days(d2="1000"),
    }
    lines = rated(plan(DAU), usage, apps=("a", "b", "idle", "new"))
    assert [(line.app_key, line.amount.minor) for line in lines] == [("a", 500), ("b", 1000)]


def test_an_app_without_usage_owes_a_fee_only_where_one_is_due_at_zero() -> None:
    fee = {**DAU, "model": "flat", "amount": "9"}
    del fee["package_size"], fee["package_price"]
    lines = rated(plan(fee), apps=("a", "b"))
    assert [(line.app_key, line.amount.minor) for line in lines] == [("a", 900), ("b", 900)]
    assert rated(plan({**fee, "zero_usage": "free"}), apps=("a", "b")) == []


def test_apps_together_peak_of_the_sum_or_sum_of_the_peaks() -> None:
    usage = {
        UsageKey("a", "dau"): days(d7="23", d23="10"),
        UsageKey("b", "dau"): days(d7="5", d23="50"),
    }
    one_each = {**DAU, "included": "0", "package_size": "1", "package_price": "1"}
    (line,) = rated(plan({**one_each, "scope": "tenant"}), usage)
    assert (line.amount, line.app_key) == (Money(6000, "CNY"), None)
    assert line.description == "dau: 60 (highest day)"
    told = line.explanation["aggregation"]
    assert isinstance(told, dict)
    assert told["apps"] == ["a", "b"]
    assert told["days"] == {"2026-03-07": "28", "2026-03-23": "60"}
    assert told["decided_by"] == ["2026-03-23"]
    (line,) = rated(plan({**one_each, "scope": "tenant_sum_of_peaks"}), usage)
    assert line.amount == Money(7300, "CNY")
    told = line.explanation["aggregation"]
    assert isinstance(told, dict)
    assert told["apps"] == {
        "a": {
            "days": {"2026-03-07": "23", "2026-03-23": "10"},
            "decided_by": ["2026-03-07"],
            "value": "23",
        },
        "b": {
            "days": {"2026-03-07": "5", "2026-03-23": "50"},
            "decided_by": ["2026-03-23"],
            "value": "50",
        },
    }
    assert told["value"] == "73"


@pytest.mark.parametrize("scope", ["tenant", "tenant_sum_of_peaks"])
def test_a_tenant_without_usage(scope: str) -> None:
    assert rated(plan({**DAU, "scope": scope}), apps=("a",)) == []


@pytest.mark.parametrize(
    ("kinds", "amount"),
    [(None, "6.00"), ("single", "1.00"), (["single", "group"], "3.00"), (["room"], "3.00")],
)
def test_kinds_of_a_meter(kinds: str | list[str] | None, amount: str) -> None:
    usage = {
        UsageKey("a", "messages", "single"): days(d1="500", d2="500"),
        UsageKey("a", "messages", "group"): days(d1="2000"),
        UsageKey("a", "messages", "room"): days(d9="3000"),
    }
    price = MESSAGES if kinds is None else {**MESSAGES, "filter": {"kind": kinds}}
    (line,) = rated(plan(price), usage)
    assert f"{line.amount.amount:f}" == amount
    told = line.explanation["aggregation"]
    assert isinstance(told, dict)
    if kinds is not None:
        wanted = sorted([kinds] if isinstance(kinds, str) else list(kinds))
        assert told["filter"] == {"kind": wanted}


def test_a_kth_highest_day_says_which() -> None:
    price = {**DAU, "period_aggregation": "kth_max_day", "k": 3}
    usage = {UsageKey("a", "dau"): days(d1="90", d2="80", d3="30", d4="20")}
    (line,) = rated(plan(price), usage)
    assert line.amount == Money(1000, "CNY")
    assert line.description == "dau of a: 30 (highest day no. 3), 10 included"
    told = line.explanation["aggregation"]
    assert isinstance(told, dict)
    assert (told["k"], told["decided_by"]) == ("3", ["2026-03-03"])


def test_usage_within_the_included_is_shown_at_zero() -> None:
    (line,) = rated(plan(DAU), {UsageKey("a", "dau"): days(d1="9")})
    assert line.amount == Money(0, "CNY")
    assert line.quantity == 0


def test_conversion_is_told() -> None:
    price = {**MESSAGES, "convert": {"divide_by": "1000", "rounding": "up"}, "unit_price": "2"}
    (line,) = rated(plan(price), {UsageKey("a", "messages"): days(d1="2500")})
    assert line.amount == Money(600, "CNY")
    assert line.explanation["converted"] == "3"


def test_tiers_have_no_one_unit_price() -> None:
    price = {
        **MESSAGES,
        "model": "graduated",
        "tiers": [
            {"up_to": "10", "unit_price": "1"},
            {"up_to": None, "unit_price": "0.5", "flat_fee": "1"},
        ],
    }
    del price["unit_price"]
    (line,) = rated(plan(price), {UsageKey("a", "messages"): days(d1="12")})
    assert (line.quantity, line.unit_price, line.amount.minor) == (D(12), None, 1200)


def test_one_flat_fee_is_not_a_price_of_many_units() -> None:
    price = {**MESSAGES, "model": "stairstep", "tiers": [{"up_to": None, "flat_fee": "7"}]}
    del price["unit_price"]
    (line,) = rated(plan(price), {UsageKey("a", "messages"): days(d1="12")})
    assert (line.quantity, line.unit_price, line.amount.minor) == (D(12), None, 700)


def test_a_minimum_and_its_true_up_are_the_minimum_to_the_last_unit() -> None:
    price = {**MESSAGES, "unit_price": "0.005", "minimum": "10.01", "scope": "app"}
    lines = rated(plan(price), {UsageKey("a", "messages"): days(d1="1")}, apps=("a",))
    assert amounts(lines) == [("messages", "usage", "0.01"), ("messages", "true_up", "10.00")]
    true_up = lines[1]
    assert true_up.exact == Fraction("10.005")
    assert true_up.description == "messages of a: up to the minimum of 10.01"
    assert (true_up.app_key, true_up.quantity, true_up.unit_price) == ("a", D(1), D(10))
    assert true_up.explanation["amount"] == "10.00"
    assert true_up.explanation["true_up"] == "10.005"


def test_a_minimum_is_due_without_usage() -> None:
    lines = rated(plan({**MESSAGES, "minimum": "10"}))
    assert amounts(lines) == [("messages", "usage", "0.00"), ("messages", "true_up", "10.00")]
    assert lines[1].description == "messages: up to the minimum of 10"


def test_a_minimum_of_a_recurring_price() -> None:
    seats = {"key": "seats", "model": "per_unit", "unit_price": "3", "minimum": "10"}
    lines = rated(plan(seats), timing=Timing.IN_ADVANCE)
    assert amounts(lines) == [("seats", "recurring", "3.00"), ("seats", "true_up", "7.00")]


def test_a_maximum_caps_the_line() -> None:
    price = {**MESSAGES, "maximum": "2.5"}
    (line,) = rated(plan(price), {UsageKey("a", "messages"): days(d1="9000")})
    assert (line.amount.minor, line.unit_price) == (250, None)
    assert (line.explanation["maximum"], line.explanation["charge"]) == ("2.5", "9")


def test_quantities_that_are_held() -> None:
    terms = plan(
        BASE,
        {"key": "seats", "model": "per_unit", "unit_price": "3", "prorate": True},
        {"key": "history", "model": "flat", "amount": "500", "addon": True},
    )
    advance = Timing.IN_ADVANCE
    assert amounts(rated(terms, timing=advance)) == [
        ("base", "recurring", "199.00"),
        ("seats", "recurring", "3.00"),
    ]
    held: dict[str, Exact] = {"seats": 7, "history": D(2), "base": 0}
    lines = rated(terms, timing=advance, quantities=held)
    assert amounts(lines) == [("seats", "recurring", "21.00"), ("history", "recurring", "1000.00")]
    assert [(line.quantity, line.unit_price) for line in lines] == [(D(7), D(3)), (D(2), D(500))]
    assert lines[1].description == "history, 2 times"
    (seats,) = rated(terms, timing=advance, quantities={**held, "history": 0}, served=FROM_16TH)
    assert seats.description == "seats, 7 times, 16/31 of the period"
    assert seats.amount == Money(1084, "CNY")


def test_only_the_dearest_of_some_prices_is_billed() -> None:
    text = {**MESSAGES, "key": "text", "unit_price": "15"}
    flat = {"key": "least", "model": "flat", "amount": "500"}
    other = {"key": "other", "model": "flat", "amount": "1", "timing": "in_arrears"}
    terms = plan(text, flat, other, max_of=["text", "least"])
    assert rated(terms, timing=Timing.IN_ADVANCE) == []
    lines = rated(terms, {UsageKey("a", "messages"): days(d1="100")})
    assert amounts(lines) == [("other", "recurring", "1.00"), ("text", "usage", "1500.00")]
    assert lines[1].explanation["max_of"] == {"text": "1500.00", "least": "500.00"}
    lines = rated(terms, {UsageKey("a", "messages"): days(d1="10")})
    assert amounts(lines) == [("other", "recurring", "1.00"), ("least", "recurring", "500.00")]


def test_a_plan_s_minimum_counts_what_was_billed_in_advance() -> None:
    terms = plan(BASE, MESSAGES, minimum="500")
    usage = {UsageKey("a", "messages"): days(d1="1000")}
    assert amounts(rated(terms, usage, timing=Timing.IN_ADVANCE)) == [
        ("base", "recurring", "199.00")
    ]
    lines = rated(terms, usage)
    assert amounts(lines) == [("messages", "usage", "1.00"), ("plan:minimum", "true_up", "300.00")]
    assert lines[1].description == "Up to the plan's minimum of 500.00"
    assert lines[1].explanation["lines"] == [
        {"price": "base", "app": None, "amount": "199.00"},
        {"price": "messages", "app": None, "amount": "1.00"},
    ]
    assert amounts(rated(plan(BASE, MESSAGES, minimum="200"), usage)) == [
        ("messages", "usage", "1.00")
    ]


@pytest.mark.parametrize(
    ("fields", "in_advance", "in_arrears"),
    [({}, True, False), ({"minimum": "1"}, True, True), ({"maximum": "1000"}, True, True)],
)
def test_when_a_plan_bills(fields: dict[str, str], in_advance: bool, in_arrears: bool) -> None:
    terms = plan(BASE, **fields)
    assert terms.bills_at(Timing.IN_ADVANCE) is in_advance
    assert terms.bills_at(Timing.IN_ARREARS) is in_arrears
    assert plan(DAU).bills_at(Timing.IN_ARREARS)
    assert not plan(DAU, **fields).bills_at(Timing.IN_ADVANCE)


def test_a_plan_s_maximum_takes_what_is_above() -> None:
    usage = {UsageKey("a", "messages"): days(d1="900000")}
    lines = rated(plan(BASE, MESSAGES, maximum="1000", minimum="10"), usage)
    assert amounts(lines) == [("messages", "usage", "900.00"), ("plan:maximum", "cap", "-99.00")]
    assert lines[1].description == "Down to the plan's maximum of 1000.00"
    assert amounts(rated(plan(BASE, MESSAGES, maximum="1099"), usage)) == [
        ("messages", "usage", "900.00")
    ]


def test_thirty_days_a_month_where_the_plan_says_so() -> None:
    terms = plan({**BASE, "amount": "300"}, day_count="30/360")
    (line,) = rated(terms, timing=Timing.IN_ADVANCE, served=FROM_16TH)
    assert line.amount == Money(15000, "CNY")


def test_one_price_by_itself() -> None:
    lines = rate_price(
        price=parse_price(DAU),
        currency="CNY",
        period=MARCH,
        served=MARCH,
        zone=SHANGHAI,
        usage={UsageKey("chat", "dau"): days(d5="35")},
        plan_key="pro",
        plan_version=1,
    )
    assert amounts(lines) == [("dau", "usage", "15.00")]
    (line,) = rate_price(
        price=parse_price(BASE),
        currency="JPY",
        period=MARCH,
        served=FROM_16TH,
        zone=SHANGHAI,
        plan_key="pro",
        plan_version=1,
        held=2,
    )
    assert line.amount == Money(205, "JPY")


def test_the_zone_cuts_the_days() -> None:
    new_york = zone_named("America/New_York")
    march = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), new_york)
    assert march.duration == timedelta(days=31, hours=-1)
    lines = rate_plan(
        terms=plan({**DAU, "period_aggregation": "mean_day", "included": "0"}),
        version=1,
        period=march,
        served=march,
        zone=new_york,
        usage={UsageKey("a", "dau"): days(d31="310")},
        timing=Timing.IN_ARREARS,
    )
    assert amounts(lines) == [("dau", "usage", "5.00")]
    assert lines[0].explanation["proration"] == "31/31"


def test_equal_arguments_give_equal_lines() -> None:
    usage = {UsageKey(app, "dau"): days(d5="35", d7="12") for app in "zyxab"}
    terms = plan(BASE, DAU, MESSAGES)
    once = rated(terms, usage, apps=("q", "z"))
    again = rated(terms, dict(reversed(usage.items())), apps=("z", "q"))
    assert once == again


def test_a_filter_with_several_properties_lets_through_what_has_all_of_them() -> None:
    usage = {
        UsageKey("a", "messages", "group;direction=up;region=eu"): days(d1="1000"),
        UsageKey("a", "messages", "group;direction=down;region=eu"): days(d1="20000"),
        UsageKey("a", "messages", "single;direction=up"): days(d2="300000"),
        UsageKey("a", "messages", ";direction=up;region=us"): days(d2="4000000"),
    }

    def quantity(**wanted: object) -> str:
        (line,) = rated(plan({**MESSAGES, "filter": wanted}), usage)
        told = line.explanation["aggregation"]
        assert isinstance(told, dict)
        return str(told["value"])

    assert quantity(direction="up") == "4301000"
    assert quantity(direction="up", kind="group") == "1000"
    assert quantity(direction=["down", "up"], region="eu") == "21000"
    assert quantity(kind=["single", "group"]) == "321000"


DISTINCT: dict[str, Any] = {
    "key": "mau",
    "meter": "dau",
    "period_aggregation": "distinct",
    "model": "per_unit",
    "unit_price": "1",
}
WHOLE = ((date(2026, 3, 1), date(2026, 4, 1)),)


@pytest.mark.parametrize(
    ("scope", "quantities"),
    [("app", ["7", "5"]), ("tenant", ["9"]), ("tenant_sum_of_peaks", ["12"])],
)
def test_different_users_count_once_a_scope(scope: str, quantities: list[str]) -> None:
    usage = CountedUsage(
        {UsageKey("a", "dau"): days(d1="5", d2="4"), UsageKey("b", "dau"): days(d3="3", d9="4")},
        users={
            UsersKey("a", "dau", WHOLE): 7,
            UsersKey("b", "dau", WHOLE): 5,
            UsersKey(None, "dau", WHOLE): 9,
        },
    )
    lines = rated(plan({**DISTINCT, "scope": scope}), usage)
    assert [f"{line.quantity:f}" for line in lines] == quantities
    assert "(different users)" in lines[0].description


def test_the_users_of_a_single_day_are_its_value() -> None:
    lines = rated(plan(DISTINCT), {UsageKey("a", "dau"): days(d9="1500")}, apps=("a", "idle"))
    assert amounts(lines) == [("mau", "usage", "1500.00")]


@pytest.mark.parametrize(
    ("users", "code"),
    [({}, "users_not_counted"), ({UsersKey("a", "dau", WHOLE): None}, "users_not_known")],
)
def test_users_that_cannot_be_told_are_refused(
    users: dict[UsersKey, int | None], code: str
) -> None:
    usage = CountedUsage({UsageKey("a", "dau"): days(d1="5", d2="4")}, users=users)
    with pytest.raises(Invalid) as caught:
        rated(plan(DISTINCT), usage)
    assert caught.value.code == code


def test_a_mean_over_time_tells_its_odd_days() -> None:
    berlin = zone_named("Europe/Berlin")
    march = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), berlin)
    terms = plan({**DISTINCT, "period_aggregation": "time_weighted_mean"})
    (line,) = rate_plan(
        terms=terms,
        version=1,
        period=march,
        served=march,
        zone=berlin,
        usage={UsageKey("a", "dau"): days(d29="743", d30="743")},
        timing=Timing.IN_ARREARS,
    )
    # Clocks go forward on March 29th: 23 and 24 of 743 hours.
    assert line.quantity == 47
    told = line.explanation["aggregation"]
    assert isinstance(told, dict)
    assert (told["hours"], told["without_value"]) == ({"2026-03-29": "23"}, "0")
