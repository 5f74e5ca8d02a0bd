"""Typical tenants, costs of a period and curves: all by the rating that bills."""

from datetime import date, timedelta
from decimal import Decimal
from math import exp
from statistics import NormalDist
from typing import Any

import pytest

from billing.catalog.domain import parse_plan
from billing.estimates.domain.costs import UTC, period_cost, sample_period
from billing.estimates.domain.curves import (
    has_curve,
    plan_curve,
    plan_users,
    price_curve,
    price_quantities,
)
from billing.estimates.domain.typical import (
    APP,
    TYPICAL_TENANTS,
    kinds_named,
    typical_usage,
)
from billing.rating.terms import PlanTerms
from billing.rating.usage import CountedUsage, Usage, UsageKey, UsersKey
from kernel.money import Money
from tests.factories import EVERYTHING, STANDARD

JUNE = tuple(date(2026, 6, 1) + timedelta(days=n) for n in range(30))


def terms(**changes: Any) -> PlanTerms:
    return parse_plan({**STANDARD, **changes}, known_meters=None)


def one_price(**price: Any) -> PlanTerms:
    return terms(prices=[{"key": "one", "meter": "dau", "period_aggregation": "max_day", **price}])


def test_sizes_are_the_quantiles_of_the_stated_distribution() -> None:
    for tenant in TYPICAL_TENANTS:
        quantile = NormalDist().inv_cdf(float(tenant.percent) / 100)
        assert tenant.users == round(exp(2.419 + 2.563 * quantile))
        assert tenant.messages == 15 * tenant.users
    assert len(TYPICAL_TENANTS) == 10


@pytest.mark.parametrize("users", [tenant.users for tenant in TYPICAL_TENANTS])
def test_a_month_has_the_stated_mean_peak_and_third_highest_day(users: int) -> None:
    usage = typical_usage(users=users, days=JUNE)
    days = usage[UsageKey(app=APP, meter="dau")]
    ranked = sorted(days.values(), reverse=True)
    assert sum(ranked) == 30 * users
    assert ranked[0] == -(-users * 120 // 100)
    assert ranked[2] == -(-users * 112 // 100)
    messages = usage[UsageKey(app=APP, meter="messages")]
    assert sum(messages.values()) == 15 * 30 * users


def test_messages_are_split_over_the_kinds_that_prices_name_and_none_is_lost() -> None:
    plan = parse_plan(EVERYTHING, known_meters=None)
    assert kinds_named([plan]) == ("group", "room")
    usage = typical_usage(users=11, days=JUNE, kinds=("room", "group", "room"))
    kinds = {key.kind: values for key, values in usage.items() if key.meter == "messages"}
    assert set(kinds) == {"group", "room"}
    assert sum(sum(values.values()) for values in kinds.values()) == 15 * 30 * 11
    assert all(abs(kinds["group"][day] - kinds["room"][day]) <= 1 for day in JUNE)


def different(usage: Usage, *stretches: tuple[date, date], meter: str = "mau") -> int | None:
    assert isinstance(usage, CountedUsage)
    return usage.users[UsersKey(app=APP, meter=meter, stretches=stretches)]


@pytest.mark.parametrize("users", [tenant.users for tenant in TYPICAL_TENANTS])
def test_everybody_comes_within_a_month_and_a_days_users_are_its_value(users: int) -> None:
    usage = typical_usage(users=users, days=JUNE)
    days = usage[UsageKey(app=APP, meter="dau")]
    assert usage[UsageKey(app=APP, meter="mau")] == days
    assert different(usage, (JUNE[0], date(2026, 7, 1))) == 3 * users
    for day in JUNE:
        assert different(usage, (day, day + timedelta(days=1))) == days[day]
    assert different(usage, (date(2026, 5, 1), JUNE[0])) == 0


@pytest.mark.parametrize("users", [2, 11, 63, 300])
def test_different_users_agree_with_counting_them_one_by_one(users: int) -> None:
    usage = typical_usage(users=users, days=JUNE)
    days = usage[UsageKey(app=APP, meter="dau")]
    size = 3 * users
    present = {
        day: {(size * index // 30 + place) % size for place in range(int(days[day]))}
        for index, day in enumerate(JUNE)
    }
    for first in range(0, 30, 4):
        for end in range(first + 1, 31, 3):
            shown = JUNE[first:end]
            # With a gap, as after a pause.
            later = JUNE[28:]
            seen = set().union(*(present[day] for day in {*shown, *later}))
            stretches = ((shown[0], shown[-1] + timedelta(days=1)), (later[0], date(2026, 7, 1)))
            assert different(usage, *stretches) == len(seen)


def test_a_price_on_different_users_is_rated_for_every_typical_tenant() -> None:
    """0.05 for each of 3 x 4,365 users above 10,000: 3,095 x 0.05 = 154.75, and the base of 199."""
    plan = terms(
        prices=[
            {"key": "base", "model": "flat", "amount": "199", "timing": "in_advance"},
            {
                "key": "mau",
                "meter": "mau",
                "period_aggregation": "distinct",
                "included": "10000",
                "model": "per_unit",
                "unit_price": "0.05",
            },
        ]
    )
    period = sample_period(plan)
    assert period is not None
    costs = [
        period_cost(
            terms=plan,
            period=period,
            zone=UTC,
            usage=typical_usage(users=tenant.users, days=period.days(UTC)),
            apps=(APP,),
        )
        for tenant in TYPICAL_TENANTS
    ]
    assert all(not cost.refusal for cost in costs)
    assert str(costs[6].amount) == "353.75 CNY"
    curve = plan_curve(plan, users=plan_users([plan]))
    assert len(curve.points) > 1
    assert curve.points[0].amount == Money.of("199.00", "CNY")
    # The sizes reach past where the included users are used up: 10,000 / 3 on a mean day.
    assert max(point.amount for point in curve.points) > Money.of("199.00", "CNY")


def test_a_period_costs_its_fees_in_advance_and_its_usage_in_arrears() -> None:
    """199, and 14 users on the highest day of 11 on average: 4 above 10, one started package of 5.00."""
    plan = terms()
    period = sample_period(plan)
    assert period is not None
    cost = period_cost(
        terms=plan,
        period=period,
        zone=UTC,
        usage=typical_usage(users=11, days=period.days(UTC)),
        apps=(APP,),
    )
    assert str(cost.amount) == "204.00 CNY"
    assert [line.key for line in cost.lines] == ["base", "dau"]


@pytest.mark.parametrize(
    ("interval", "count", "days"),
    [("month", 1, 30), ("quarter", 1, 92), ("year", 1, 365), ("week", 2, 14), ("day", 366, 366)],
)
def test_a_sample_period_is_one_of_the_plans(interval: str, count: int, days: int) -> None:
    period = sample_period(terms(interval=interval, interval_count=count))
    assert period is not None
    assert period.day_count(UTC) == days


@pytest.mark.parametrize(("interval", "count"), [("year", 2), ("day", 367), ("year", 1000)])
def test_a_period_too_long_to_preview_is_none_and_has_no_curve(interval: str, count: int) -> None:
    plan = terms(interval=interval, interval_count=count)
    assert sample_period(plan) is None
    assert plan_curve(plan, users=plan_users([plan])).points == ()


def test_a_curve_has_points_before_at_and_past_each_bound() -> None:
    plan = one_price(
        model="graduated",
        tiers=[
            {"up_to": "20", "unit_price": "1"},
            {"up_to": None, "unit_price": "0.5", "flat_fee": "7"},
        ],
        included="100",
    )
    [price] = plan.prices
    curve = price_curve(price, currency="CNY", quantities=price_quantities([price]))
    amounts = {point.quantity: str(point.amount) for point in curve.points}
    assert amounts[Decimal(100)] == "0.00 CNY"
    assert amounts[Decimal(101)] == "1.00 CNY"
    assert amounts[Decimal(120)] == "20.00 CNY"
    assert amounts[Decimal(121)] == "27.50 CNY"
    assert Decimal(119) in amounts
    quantities = [point.quantity for point in curve.points]
    assert quantities == sorted(quantities)


def test_a_curve_is_drawn_in_the_quantity_that_is_metered() -> None:
    """Sold by the thousand, shown by single messages."""
    plan = one_price(
        model="volume",
        convert={"divide_by": "1000"},
        tiers=[{"up_to": "5", "unit_price": "2"}, {"up_to": None, "unit_price": "1"}],
    )
    [price] = plan.prices
    points = price_curve(price, currency="CNY", quantities=price_quantities([price])).points
    amounts = {point.quantity: str(point.amount) for point in points}
    assert amounts[Decimal(5000)] == "10.00 CNY"
    assert amounts[Decimal(5001)] == "5.00 CNY"


@pytest.mark.parametrize("bound", ["minimum", "maximum"])
def test_where_a_bound_is_reached_is_a_point(bound: str) -> None:
    plan = one_price(model="per_unit", unit_price="0.5", included="4", **{bound: "30"})
    assert Decimal(64) in price_quantities(plan.prices)


def test_quantities_end_where_rating_ends() -> None:
    plan = one_price(
        model="volume",
        convert={"divide_by": "1000000000000000000"},
        tiers=[{"up_to": "9", "unit_price": "2"}, {"up_to": None, "unit_price": "1"}],
    )
    points = price_quantities(plan.prices)
    assert points
    assert all(point < 10**18 for point in points)


def test_every_model_of_a_price_can_be_drawn() -> None:
    plan = parse_plan(EVERYTHING, known_meters=None)
    drawn = [price for price in plan.prices if has_curve(price)]
    assert [price.key for price in plan.prices if not has_curve(price)] == ["base"]
    for price in drawn:
        points = price_curve(price, currency="CNY", quantities=price_quantities([price])).points
        assert 2 <= len(points) <= 200, price.key
    users = plan_users([plan])
    assert len(plan_curve(plan, users=users).points) == len(users) == 31


def test_an_addon_costs_as_often_as_it_is_held() -> None:
    plan = terms(prices=[{"key": "one", "model": "flat", "amount": "500", "addon": True}])
    [price] = plan.prices
    [_, once, twice] = price_curve(
        price, currency="CNY", quantities=[Decimal(0), Decimal(1), Decimal(2)]
    ).points
    assert (str(once.amount), str(twice.amount)) == ("500.00 CNY", "1000.00 CNY")


def test_what_cannot_be_rated_is_left_out_and_said() -> None:
    plan = one_price(model="per_unit", unit_price="999999999999999999")
    [price] = plan.prices
    curve = price_curve(
        price, currency="CNY", quantities=[Decimal(1), Decimal("999999999999999999")]
    )
    assert len(curve.points) <= 2
    period = sample_period(plan)
    assert period is not None
    cost = period_cost(
        terms=plan,
        period=period,
        zone=UTC,
        usage=typical_usage(users=154947, days=period.days(UTC)),
        apps=(APP,),
    )
    assert (cost.amount is None) == bool(cost.refusal)
