"""An invoice line opened up says what rating did, in both languages, whatever the price model."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from billing.catalog.domain import parse_plan
from billing.rating.adjustments.discounts import Discount, DiscountType, PeriodDiscount
from billing.rating.pipeline import rate_plan
from billing.rating.terms import Timing
from billing.rating.usage import UsageKey
from kernel.money import Money
from kernel.period import Period
from ui.plan_terms import plan_sheet
from ui.working import ShownLine, shown_line

ZONE = ZoneInfo("Asia/Shanghai")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), ZONE)
HALF = Period.of_days(date(2026, 3, 17), date(2026, 4, 1), ZONE)
DAYS = {date(2026, 3, day): Decimal(20 + day) for day in range(1, 32)}


def lines(
    price: dict[str, Any],
    *,
    served: Period = MARCH,
    days: dict[date, Decimal] = DAYS,
    discounts: Sequence[PeriodDiscount] = (),
    **plan: Any,
) -> list[ShownLine]:
    """The shown lines of a plan with that one price over a March of 21 to 51 users."""
    document = {"key": "p", "currency": "CNY", "prices": [{"key": "one", **price}], **plan}
    terms = parse_plan(document, known_meters={"dau", "messages"})
    rated = [
        line
        for timing in (Timing.IN_ARREARS, Timing.IN_ADVANCE)
        for line in rate_plan(
            terms=terms,
            version=3,
            period=MARCH,
            served=served,
            zone=ZONE,
            usage={UsageKey(app="chat", meter="dau"): days},
            apps=("chat",),
            timing=timing,
            discounts=discounts,
        )
    ]
    return [
        shown_line(
            SimpleNamespace(  # stands for a stored line
                position=position,
                key=line.key,
                kind=line.kind.value,
                timing="in_arrears" if price.get("meter") else "in_advance",
                app_key=line.app_key or "",
                quantity=line.quantity,
                unit_price=line.unit_price,
                amount=line.amount,
                discount=line.discount,
                tax=Money.zero("CNY"),
                period=line.period,
                plan_key="p",
                plan_version=3,
                plan_effective_from=None,
                explanation={
                    **line.explanation,
                    "discounts": [each.told() for each in line.discounts],
                },
            )
        )
        for position, line in enumerate(rated, start=1)
    ]


DAU = {"meter": "dau", "period_aggregation": "max_day", "scope": "app"}


@pytest.mark.parametrize(
    ("price", "steps"),
    [
        (
            {"model": "flat", "amount": "199"},
            ["Fee CN¥199.00", "Exactly CN¥199.00, rounded half away from zero: CN¥199.00"],
        ),
        (
            {**DAU, "model": "per_unit", "unit_price": "0.0333"},
            [
                "Highest day: 51 on Mar 31, 2026",
                "51 × CN¥0.0333 = CN¥1.6983",
                "Exactly CN¥1.6983, rounded half away from zero: CN¥1.70",
            ],
        ),
        (
            {
                **DAU,
                "period_aggregation": "kth_max_day",
                "k": 3,
                "included": "9",
                "model": "package",
                "package_size": "10",
                "package_price": "5",
            },
            [
                "Highest day no. 3: 49 on Mar 29, 2026",
                "9 of it included, so 40 to be paid for",
                "In packages of 10: 4 started ones",
                "4 × CN¥5.00 = CN¥20.00",
                "Exactly CN¥20.00, rounded half away from zero: CN¥20.00",
            ],
        ),
        (
            {
                **DAU,
                "period_aggregation": "sum_days",
                "model": "graduated",
                "tiers": [
                    {"up_to": "100", "unit_price": "0", "flat_fee": "3"},
                    {"up_to": None, "unit_price": "0.01"},
                ],
            },
            [
                "Sum of 31 days: 1,116",
                "Tier 1: Fee CN¥3.00",
                "Tier 2: 1,016 × CN¥0.01 = CN¥10.16",
                "Together CN¥13.16",
                "Exactly CN¥13.16, rounded half away from zero: CN¥13.16",
            ],
        ),
        (
            {**DAU, "period_aggregation": "mean_day", "model": "per_unit", "unit_price": "1"},
            [
                "Mean of 31 days: 36",
                "36 × CN¥1.00 = CN¥36.00",
                "Exactly CN¥36.00, rounded half away from zero: CN¥36.00",
            ],
        ),
    ],
)
def test_steps_lead_from_days_to_amount(price: dict[str, Any], steps: list[str]) -> None:
    with translation.override("en"):
        (line,) = lines(price)
    assert list(line.steps) == steps


def test_part_period_is_told() -> None:
    with translation.override("en"):
        (line,) = lines({"model": "flat", "amount": "310", "prorate": True}, served=HALF)
    assert "Times 15/31, the served share of the period" in line.steps
    assert line.note == "Recurring fee, in advance · 15/31 of the period"
    assert line.amount.minor == 15000


def test_minimum_of_a_price_and_of_a_plan() -> None:
    with translation.override("en"):
        used, filled = lines({**DAU, "model": "per_unit", "unit_price": "1", "minimum": "60"})
        assert filled.title == "Daily active users: up to the agreed minimum · chat"
        assert "At least CN¥60.00; missing to it: CN¥9.00" in used.steps
        bound, _ = lines({"model": "flat", "amount": "10"}, minimum="25")
    assert bound.title == "Up to the plan's minimum"
    assert bound.bounded == (("one", "CN¥10.00"),)


def test_bounds_follow_discounts_and_say_so() -> None:
    discounts = [
        PeriodDiscount(
            id=str(number),
            name=name,
            discount=Discount(type=kind, value=Decimal(value), keys=frozenset({"one"})),
        )
        for number, (name, kind, value) in enumerate(
            [
                ("Tenth", DiscountType.PERCENTAGE, "10"),
                ("Start", DiscountType.USAGE, "11"),
            ]
        )
    ]
    price = {**DAU, "model": "per_unit", "unit_price": "1", "included": "1", "maximum": "30"}
    with translation.override("en"):
        (line,) = lines(price, discounts=discounts)
    # 51 less 1 included, 11 free and a tenth of the 39 left is 35.10: 30 may be asked.
    assert line.steps == (
        "Highest day: 51 on Mar 31, 2026",
        "1 of it included, so 50 to be paid for",
        "50 × CN¥1.00 = CN¥50.00",
        "Discount Start (11 free): CN¥11.00 off",
        "Discount Tenth (10 %): CN¥3.90 off",
        "At most CN¥30.00 after discounts",
        "Before discounts exactly CN¥44.90, rounded half away from zero: CN¥44.90",
        "Less discounts of CN¥14.90: CN¥30.00",
    )


def test_deciding_day_is_marked() -> None:
    with translation.override("en"):
        (line,) = lines({**DAU, "model": "per_unit", "unit_price": "1"})
    assert [day.day for day in line.apps[0].days if day.decides] == [date(2026, 3, 31)]
    assert len(line.apps[0].days) == 31


def test_a_rank_beyond_the_days_with_usage_is_told_by_its_number() -> None:
    price = {
        **DAU,
        "model": "per_unit",
        "unit_price": "1",
        "period_aggregation": "kth_max_day",
        "k": 3,
    }
    with translation.override("en"):
        (line,) = lines(price, days={date(2026, 3, 5): Decimal(7)})
    assert line.note == "Highest day no. 3: 0"


def test_working_is_told_in_chinese() -> None:
    with translation.override("zh-hans"):
        (line,) = lines({**DAU, "model": "per_unit", "unit_price": "0.5", "included": "1"})
    assert line.title == "日活跃用户 · chat"
    assert list(line.steps) == [
        "最高日：2026年3月31日，51",
        "其中含 1，计费数量 50",
        "50 × ¥0.50 = ¥25.00",
        "精确值 ¥25.00，四舍五入为 ¥25.00",
    ]


def test_plan_sheet_puts_the_terms_into_words() -> None:
    document = {
        "key": "pro",
        "name": {"en": "Pro", "zh-hans": "专业版"},
        "currency": "CNY",
        "interval": "month",
        "interval_count": 3,
        "entitlements": {"max_group_size": "3000", "dau": {"limit": "30000", "kind": "hard"}},
        "prices": [
            {
                **DAU,
                "key": "dau",
                "included": "10000",
                "model": "package",
                "package_size": "10000",
                "package_price": "1000",
            }
        ],
    }
    with translation.override("en"):
        sheet = plan_sheet(document)
        assert (sheet.name, sheet.interval) == ("Pro", "every 3 months")
        (price,) = sheet.prices
        assert price.headline == "CN¥1,000.00 per started 10,000"
        assert price.notes == ("peak day of each app", "in arrears", "10,000 included")
        assert sheet.entitlements == (
            ("Members of a group", "3,000"),
            ("Daily active users", "30,000 (hard limit)"),
        )
    with translation.override("zh-hans"):
        assert plan_sheet(document).name == "专业版"


def test_long_decimals_are_short_above_and_exact_in_the_working() -> None:
    price = {
        **DAU,
        "period_aggregation": "mean_day",
        "model": "per_unit",
        "unit_price": "1",
        "included": "1",
    }
    with translation.override("en"):
        (line,) = lines(price, served=HALF)
        assert line.note == "Mean of 15 days: 44 · 1 included"
        days = {date(2026, 3, 1): Decimal(100)}
        (line,) = lines(price, days=days)
    assert line.note == "Mean of 31 days: 3.2258 · 1 included"
    assert line.quantity == "2.2258"
    assert line.steps[0] == "Mean of 31 days: 3.225806451612903226"
