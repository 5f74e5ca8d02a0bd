"""Discounts within rating, and periods of which only parts count."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from billing.catalog.domain import parse_plan
from billing.discounts.domain import (
    DiscountTerms,
    HeldDiscount,
    Offered,
    in_proportion,
    lessened,
    offered,
    on_plan,
)
from billing.rating.adjustments.credits import CreditScope, PayableLine, read_scope
from billing.rating.adjustments.discounts import (
    Discount,
    DiscountType,
    PeriodDiscount,
    read_taken,
    taken_from_lines,
)
from billing.rating.context import HeldPart, counted_stretches, rating_context, seconds_of_days
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.proration import DayCount
from billing.rating.terms import PlanTerms, TaxTerms, Timing
from billing.rating.usage import Usage, UsageKey
from kernel.errors import Invalid
from kernel.ids import new_id
from kernel.money import Money
from kernel.period import Period

ZONE = ZoneInfo("Asia/Shanghai")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), ZONE)

BASE = {"key": "base", "model": "flat", "amount": "310", "prorate": True}
PEAK = {
    "key": "peak",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}
SUM = {**PEAK, "key": "sum", "period_aggregation": "sum_days", "unit_price": "0.5"}


def plan(*prices: Mapping[str, object], **more: object) -> PlanTerms:
    return parse_plan(
        {"key": "pro", "currency": "CNY", "prices": list(prices), **more}, known_meters={"dau"}
    )


def used(days: Mapping[int, str], app: str = "chat") -> Usage:
    return {
        UsageKey(app=app, meter="dau", kind=""): {
            date(2026, 3, day): Decimal(value) for day, value in days.items()
        }
    }


def off(kind: str, value: str, *keys: str, name: str = "") -> PeriodDiscount:
    return PeriodDiscount(
        id=name or kind,
        name=name or kind,
        discount=Discount(
            type=DiscountType(kind), value=Decimal(value), keys=frozenset(keys) or None
        ),
    )


def rated(
    terms: PlanTerms,
    *discounts: PeriodDiscount,
    usage: Usage | None = None,
    timing: Timing = Timing.IN_ARREARS,
    ahead: Sequence[PeriodDiscount] = (),
    parts: Sequence[HeldPart] = (),
) -> list[RatedLine]:
    return rate_plan(
        terms=terms,
        version=1,
        period=MARCH,
        served=MARCH,
        zone=ZONE,
        usage=usage or {},
        timing=timing,
        apps=["chat"],
        discounts=discounts,
        discounts_in_advance=ahead,
        parts=parts,
    )


def told(lines: Sequence[RatedLine]) -> list[tuple[str, str, str, str]]:
    return [
        (line.key, f"{line.amount.amount:f}", f"{line.discount.amount:f}", f"{line.net.amount:f}")
        for line in lines
    ]


def test_each_discount_takes_from_what_the_ones_before_left() -> None:
    lines = rated(
        plan(PEAK, SUM),
        off("percentage", "10"),
        off("fixed", "45"),
        off("percentage", "50", "sum"),
        usage=used({5: "100", 6: "100"}),
    )
    # 100 and 100; 90 and 90; 67.50 and 67.50; 67.50 and 33.75.
    assert told(lines) == [
        ("peak", "100.00", "32.50", "67.50"),
        ("sum", "100.00", "66.25", "33.75"),
    ]
    assert [(each.name, str(each.amount)) for each in lines[1].discounts] == [
        ("percentage", "10.00 CNY"),
        ("fixed", "22.50 CNY"),
        ("percentage", "33.75 CNY"),
    ]


def test_without_discounts_a_line_s_net_is_its_amount() -> None:
    (line,) = rated(plan(PEAK), usage=used({5: "100"}))
    assert line.net is line.amount
    assert line.discount == Money.zero("CNY")


def test_a_discount_of_nothing_is_not_told() -> None:
    (line,) = rated(plan(PEAK), off("percentage", "0.001"), usage=used({5: "1"}))
    assert line.discounts == ()


def test_free_usage_is_for_metered_prices_alone_and_adds_up() -> None:
    lines = rated(plan(BASE), off("usage", "1"), timing=Timing.IN_ADVANCE)
    assert told(lines) == [("base", "310.00", "0.00", "310.00")]
    (line,) = rated(
        plan({**PEAK, "included": "10"}),
        off("usage", "30", "peak", name="one"),
        off("usage", "100", "peak", name="two"),
        off("usage", "5", "other", name="three"),
        usage=used({5: "100"}),
    )
    # 90 to be paid for; 30 are free, and all that is left.
    assert [(each.id, each.amount.minor) for each in line.discounts] == [
        ("one", 3000),
        ("two", 6000),
    ]
    assert line.net == Money.zero("CNY")


def test_free_usage_never_adds_to_a_price_by_volume() -> None:
    tiers = [
        {"up_to": "10", "unit_price": "5", "flat_fee": "0"},
        {"up_to": None, "unit_price": "1", "flat_fee": "0"},
    ]
    by_volume = {key: value for key, value in PEAK.items() if key != "unit_price"}
    (line,) = rated(
        plan({**by_volume, "model": "volume", "tiers": tiers}),
        off("usage", "2"),
        usage=used({5: "11"}),
    )
    # 11 for 1 each is 11; 9 would be 45.
    assert told([line]) == [("peak", "11.00", "0.00", "11.00")]


def test_the_list_price_decides_which_price_is_the_dearest() -> None:
    lines = rated(
        plan(PEAK, SUM, max_of=["peak", "sum"]),
        off("percentage", "90", "peak"),
        usage=used({5: "100", 6: "80"}),
    )
    assert told(lines) == [("peak", "100.00", "90.00", "10.00")]
    assert lines[0].explanation["max_of"] == {"peak": "100.00", "sum": "90.00"}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"maximum": "80"}, [("peak", "90.00", "10.00", "80.00")]),
        ({"maximum": "90"}, [("peak", "100.00", "10.00", "90.00")]),
        (
            {"minimum": "95"},
            [("peak", "100.00", "10.00", "90.00"), ("peak", "5.00", "0.00", "5.00")],
        ),
        ({"minimum": "90"}, [("peak", "100.00", "10.00", "90.00")]),
    ],
)
def test_bounds_look_at_what_is_left(
    bounds: Mapping[str, str], expected: list[tuple[str, str, str, str]]
) -> None:
    lines = rated(plan({**PEAK, **bounds}), off("fixed", "10"), usage=used({5: "100"}))
    assert told(lines) == expected
    working = lines[0].explanation
    if "maximum" in bounds:
        assert working["exact"] == expected[0][1].removesuffix(".00")
    if len(lines) == 2:
        assert lines[1].kind is LineKind.TRUE_UP
        assert lines[1].exact == Fraction(5)
        assert working["true_up"] == lines[1].explanation["true_up"] == "5"
        assert lines[1].explanation["after_discounts"] == [lines[0].discounts[0].told()]


def test_without_discounts_bounds_stay_exact_in_the_working() -> None:
    capped, raised = (
        rated(plan({**PEAK, "prorate": True, **bound}), usage=used({5: "100"}), parts=[half])
        for bound, half in (
            ({"maximum": "10"}, HeldPart(period=days(1, 11))),
            ({"minimum": "1000"}, HeldPart(period=days(1, 11))),
        )
    )
    assert capped[0].exact == Fraction(100, 31)
    assert (capped[0].amount, capped[0].unit_price) == (Money(323, "CNY"), None)
    assert raised[1].exact == Fraction(10000, 31) - 100
    assert raised[1].amount == Money(22258, "CNY")
    assert "after_discounts" not in raised[1].explanation


def test_a_plan_s_minimum_counts_what_is_left_ahead_and_in_arrears() -> None:
    terms = plan(BASE, PEAK, minimum="400", maximum="500")
    ahead = [off("percentage", "10")]
    for peak, expected in (
        ("20", [("peak", "20.00", "10.00", "10.00"), ("plan:minimum", "111.00", "0.00", "111.00")]),
        ("300", [("peak", "300.00", "150.00", "150.00")]),
        (
            "700",
            [
                ("peak", "700.00", "350.00", "350.00"),
                ("plan:maximum", "-129.00", "0.00", "-129.00"),
            ],
        ),
    ):
        lines = rated(terms, off("percentage", "50"), usage=used({5: peak}), ahead=ahead)
        assert told(lines) == expected
    bounded = lines[1].explanation["lines"]
    assert bounded == [
        {"price": "base", "app": None, "amount": "279.00"},
        {"price": "peak", "app": "chat", "amount": "350.00"},
    ]


def test_what_was_taken_is_read_as_it_was_told() -> None:
    (line,) = rated(plan(PEAK), off("percentage", "12.5"), usage=used({5: "100"}))
    (taken,) = line.discounts
    assert taken.told() == {
        "id": "percentage",
        "name": "percentage",
        "type": "percentage",
        "value": "12.5",
        "amount": "12.50",
    }
    assert read_taken(taken.told(), currency="CNY") == taken


def test_a_usage_discount_is_none_of_an_amount() -> None:
    with pytest.raises(ValueError, match="takes nothing off an amount"):
        taken_from_lines(
            Discount(type=DiscountType.USAGE, value=Decimal(1)),
            keys=["a"],
            left=[Money(100, "CNY")],
            currency="CNY",
        )


def held(
    number: int,
    *,
    kind: str = "fixed",
    value: str = "50",
    starts_on: date = date(2026, 3, 1),
    ends_on: date | None = None,
    plans: frozenset[str] = frozenset(),
) -> HeldDiscount:
    return HeldDiscount(
        id=new_id(),
        number=number,
        terms=DiscountTerms(
            name=f"no. {number}",
            discount=Discount(type=DiscountType(kind), value=Decimal(value)),
            currency="CNY" if kind == "fixed" else "",
            plans=plans,
        ),
        starts_on=starts_on,
        ends_on=ends_on,
    )


@pytest.mark.parametrize(
    ("first_day", "numbers"),
    [
        (date(2026, 2, 28), []),
        (date(2026, 3, 1), [1, 2]),
        (date(2026, 3, 31), [1, 2]),
        (date(2026, 4, 1), [1]),
    ],
)
def test_a_discount_is_for_the_periods_that_begin_within_its_days(
    first_day: date, numbers: list[int]
) -> None:
    both = [held(1), held(2, ends_on=date(2026, 4, 1))]
    assert [each.held.number for each in offered(both, first_day=first_day)] == numbers


def test_what_is_left_of_a_fixed_amount_follows_the_lines() -> None:
    offers = offered(
        [held(1), held(2, kind="percentage", value="10"), held(3, plans=frozenset({"other"}))],
        first_day=date(2026, 3, 1),
    )
    discounts = on_plan(offers, "pro")
    assert [each.id for each in discounts] == ["1", "2"]
    lines = rated(plan(PEAK), *discounts, usage=used({5: "30"}))
    left = lessened(offers, lines)
    assert [each.value for each in left] == [Decimal(20), Decimal(10), Decimal(50)]
    again = lessened(left, [*lines, *lines])
    assert [each.value for each in again] == [Decimal(0), Decimal(10), Decimal(50)]
    halved: tuple[Offered, ...] = in_proportion(left, Fraction(1, 3), currency="CNY")
    assert [each.value for each in halved] == [Decimal("6.67"), Decimal(10), Decimal("16.67")]


def days(first: int, end: int) -> Period:
    return Period.of_days(date(2026, 3, first), date(2026, 3, end), ZONE)


def test_a_metered_add_on_counts_the_days_on_which_it_is_held() -> None:
    add_on = {**SUM, "addon": True, "unit_price": "1"}
    parts = [
        HeldPart(period=days(1, 5)),
        HeldPart(period=days(5, 8), quantities={"sum": 1}),
        HeldPart(period=days(10, 12), quantities={"sum": 1}),
    ]
    (line,) = rated(
        plan(add_on),
        usage=used(dict.fromkeys(range(1, 31), "1")),
        parts=parts,
    )
    assert line.amount == Money(500, "CNY")
    assert line.explanation["proration"] == "5/31"
    # On no day: nothing.
    assert rated(plan(add_on), usage=used({1: "1"}), parts=parts[:1]) == []


def test_parts_that_meet_are_one_stretch() -> None:
    parts = [
        HeldPart(period=days(1, 5)),
        HeldPart(period=days(5, 8)),
        HeldPart(period=days(10, 12)),
    ]
    assert counted_stretches(parts, ZONE) == (
        (date(2026, 3, 1), date(2026, 3, 8)),
        (date(2026, 3, 10), date(2026, 3, 12)),
    )


def test_a_line_of_the_plan_itself_says_nothing_of_tax_of_its_own() -> None:
    terms = plan({**PEAK, "tax_percent": "6"})
    assert terms.says_tax
    assert terms.tax_of("peak") == TaxTerms(percent=Decimal(6))
    assert terms.tax_of("plan:minimum") == TaxTerms()


def test_a_context_that_is_not_narrowed_stays_itself() -> None:
    part = HeldPart(period=days(1, 5))
    context = rating_context(
        plan_key="pro",
        plan_version=1,
        currency="CNY",
        period=MARCH,
        served=MARCH,
        zone=ZONE,
        day_count=DayCount.ACTUAL,
        parts=(part,),
    )
    assert context.narrowed((part,), served=MARCH) is context
    other = context.narrowed((part,), served=part.period)
    assert (other.served, other.days) == (part.period, part.period.days(ZONE))


def test_days_are_as_long_as_what_counts_of_them() -> None:
    midday = MARCH.starts_at + timedelta(hours=12)
    half = Period(midday, MARCH.starts_at + timedelta(hours=36))
    lengths = seconds_of_days((half, Period(half.ends_at, half.ends_at + timedelta(hours=1))), ZONE)
    assert lengths == {date(2026, 3, 1): 12 * 3600, date(2026, 3, 2): 13 * 3600}


def test_a_credit_s_scope_is_as_narrow_as_it_is_told() -> None:
    line = PayableLine(price="base", plan="pro", app="chat", gross=Money(100, "CNY"))
    for scope in ({"prices": ["base"]}, {"plans": ["pro"]}, {"apps": ["chat"]}, {}):
        assert read_scope(scope).covers(line)
        assert read_scope(scope).is_limited is bool(scope)
        assert read_scope(scope).told() == scope
    for scope in ({"prices": ["x"]}, {"plans": ["x"]}, {"apps": ["x"], "plans": ["pro"]}):
        assert not read_scope(scope).covers(line)
    assert read_scope(None) == CreditScope()
    wrongs: list[object] = [
        [],
        "x",
        {"colour": ["red"]},
        {"prices": []},
        {"prices": [1]},
        {"prices": "x"},
    ]
    for wrong in wrongs:
        with pytest.raises(Invalid) as refused:
            read_scope(wrong)
        assert refused.value.code == "bad_scope"
        assert refused.value.field == "scope"
