"""Stories of tenants that leave and come back on the same day: a day is billed by one subscription.

The day belongs to the new subscription, as the day of a change belongs to the new plan.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played

pytestmark = pytest.mark.usefixtures("db")

PEAK: dict[str, Any] = {
    "key": "peak",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}
PLANS = [
    a_plan("small", BASE, PEAK),
    a_plan("large", {**BASE, "amount": "620"}, {**PEAK, "unit_price": "2"}),
    a_plan("trying", BASE, PEAK, trial_days=7),
    a_plan(
        "mean",
        {**PEAK, "period_aggregation": "mean_day", "minimum": "31", "prorate": True},
    ),
]


def cancel(when: str) -> dict[str, Any]:
    return at(when, "cancel", tenant="acme", when="now")


def subscribe(when: str, plan: str) -> dict[str, Any]:
    return at(when, "subscribe", tenant="acme", plan=plan, anchor="calendar")


def used(when: str, value: str, day: str = "") -> dict[str, Any]:
    return at(when, "usage", app="chat", meter="dau", day=f"2026-{day or when[:5]}", value=value)


def test_the_day_is_billed_by_the_new_subscription_alone(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            used("03-15T12:00", "7"),
            used("03-16T10:00", "9"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "large"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    opened, left, begun, ended = result["invoices"]
    assert amounts(opened) == [("base", "310.00")]
    assert amounts(left) == [("peak", "9.00")]  # the 16th until noon, as known then
    assert amounts(begun) == [("base", "320.00")]
    assert amounts(ended) == [("peak", "18.00"), ("base", "620.00")]
    unused, given_back = result["credit_notes"]
    assert (unused["total"], given_back["total"]) == ("160.00", "2.00")
    (line,) = given_back["lines"]
    assert (line["key"], line["amount"]) == ("peak", "2.00")


def test_each_of_several_on_one_day_passes_it_on(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            used("03-15T12:00", "7"),
            used("03-16T09:00", "9"),
            cancel("03-16T10:00"),
            subscribe("03-16T11:00", "large"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "small"),
            used("03-16T14:00", "10"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    peaks = [
        line["amount"]
        for invoice in result["invoices"]
        for line in invoice["lines"]
        if line["key"] == "peak"
    ]
    # 7 of the first, 9 and 18 taken back, 10 of the last.
    assert peaks == ["9.00", "18.00", "10.00"]
    backs = sorted(
        line["amount"]
        for note in result["credit_notes"]
        for line in note["lines"]
        if line["key"] == "peak"
    )
    assert backs == ["18.00", "2.00"]


def test_a_mean_divides_by_the_days_that_remain_and_its_minimum_is_theirs(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("mean"),
            used("03-15T12:00", "60"),
            used("03-16T10:00", "100"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "mean"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    # 160 over 16 days, at least 16; without the 16th 60 over 15 days, at least 15.
    assert amounts(result["invoices"][0]) == [("peak", "10.00"), ("peak", "6.00")]
    (note,) = result["credit_notes"]
    assert [line["amount"] for line in note["lines"]] == ["6.00", "-5.00"]
    # 100 over 16 days, at least 16.
    assert amounts(result["invoices"][1]) == [("peak", "6.25"), ("peak", "9.75")]


def test_a_day_of_a_trial_stays_with_the_one_that_ended(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            used("03-16T10:00", "9"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "trying"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert amounts(result["invoices"][1]) == [("peak", "9.00")]
    (unused,) = result["credit_notes"]
    assert unused["total"] == "160.00"


def test_late_usage_of_the_day_is_the_new_ones(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            used("03-15T12:00", "7"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "large"),
            used("03-20T12:00", "8", day="03-15"),
            used("03-21T12:00", "30", day="03-16"),
            at("04-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    late = [
        amounts(each) for each in result["invoices"] if each["lines"][0]["kind"] == "adjustment"
    ]
    assert late == [[("peak", "1.00")]]
    assert [amounts(each) for each in result["invoices"]][-1] == [
        ("peak", "60.00"),
        ("base", "620.00"),
    ]


def test_leaving_at_midnight_passes_no_day_on(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            used("03-15T12:00", "7"),
            cancel("03-16T00:00"),
            subscribe("03-16T00:00", "large"),
            used("03-16T12:00", "9"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert [amounts(each) for each in result["invoices"]] == [
        [("base", "310.00")],
        [("peak", "7.00")],
        [("base", "320.00")],
        [("peak", "18.00"), ("base", "620.00")],
    ]
    (unused,) = result["credit_notes"]
    assert unused["total"] == "160.00"


def test_different_users_are_counted_of_the_days_that_remain(tmp_path: Path) -> None:
    def seen(when: str, *users: str) -> dict[str, Any]:
        events = [
            {"id": f"{when}-{user}", "time": f"2026-{when}:00+08:00", "user": user}
            for user in users
        ]
        return at(when, "events", app="chat", events=events)

    result = played(
        a_story(
            *beginning("users"),
            seen("03-14T08:00", "ada", "bob"),
            seen("03-15T08:00", "bob", "cyd"),
            seen("03-16T08:00", "dee", "eve"),
            cancel("03-16T12:00"),
            subscribe("03-16T13:00", "users"),
            seen("03-17T08:00", "dee"),
            at("04-01", "advance"),
            plans=[a_plan("users", {**PEAK, "period_aggregation": "distinct"})],
        ),
        tmp_path,
    )

    # Five until the 16th, of whom three before it; two from the 16th on.
    assert [amounts(each) for each in result["invoices"]] == [
        [("peak", "5.00")],
        [("peak", "2.00")],
    ]
    assert [note["total"] for note in result["credit_notes"]] == ["2.00"]
