"""Stories of tenants that hold several subscriptions at once: each bills what it prices, nothing twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")


def metered(meter: str, price: str, **fields: Any) -> dict[str, Any]:
    return {
        "key": meter,
        "meter": meter,
        "period_aggregation": "max_day" if meter == "dau" else "sum",
        "model": "per_unit",
        "unit_price": price,
        **fields,
    }


CHAT = a_plan("chat", BASE, metered("dau", "1"))
CALLS = a_plan("calls", {**BASE, "amount": "62"}, metered("messages", "0.5"))
BOTH = a_plan("both", {**BASE, "amount": "400"}, metered("dau", "1"), metered("messages", "0.5"))
LARGER = a_plan("larger", {**BASE, "amount": "620"}, metered("dau", "2"))
ABROAD = a_plan("abroad", {"key": "fee", "model": "flat", "amount": "9.99"}, currency="USD")
YEARLY = a_plan(
    "yearly", {"key": "fee", "model": "flat", "amount": "1200"}, interval="year", interval_count=1
)
PLANS = [CHAT, CALLS, BOTH, LARGER, ABROAD, YEARLY]


def subscribe(when: str, plan: str, **fields: Any) -> dict[str, Any]:
    return at(when, "subscribe", tenant="acme", plan=plan, **{"anchor": "calendar", **fields})


def used(meter: str, value: str, day: str) -> dict[str, Any]:
    return at(f"{day}T12:00", "usage", app="chat", meter=meter, day=f"2026-{day}", value=value)


def test_each_is_billed_by_documents_of_its_own(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat"),
            subscribe("03-01", "calls"),
            used("dau", "7", "03-05"),
            used("messages", "100", "03-06"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert sorted(amounts(each) for each in result["invoices"]) == [
        [("base", "310.00")],
        [("base", "62.00")],
        [("dau", "7.00"), ("base", "310.00")],
        [("messages", "50.00"), ("base", "62.00")],
    ]
    assert [each["plan"] for each in result["subscriptions"]] == ["chat", "calls"]


def test_in_another_currency_and_interval(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat"),
            subscribe("03-10", "abroad", anchor="anniversary"),
            subscribe("03-15", "yearly"),
            at("05-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    totals = [(each["currency"], each["total"]) for each in result["invoices"]]
    assert totals == [
        ("CNY", "310.00"),
        ("USD", "9.99"),
        ("CNY", "1200.00"),
        ("CNY", "310.00"),
        ("USD", "9.99"),
        ("CNY", "310.00"),
    ]


@pytest.mark.parametrize("plan", ["larger", "both"])
def test_a_meter_is_priced_once(plan: str, tmp_path: Path) -> None:
    error = refused(
        a_story(*beginning("chat"), subscribe("03-10", plan), plans=PLANS),
        tmp_path,
    )

    assert error["code"] == "meter_priced_twice"
    assert "dau" in error["message"]
    assert "to chat already" in error["message"]
    assert "sub_" in error["message"]


def test_a_change_is_refused_that_would_price_a_meter_twice(tmp_path: Path) -> None:
    story = [*beginning("chat"), subscribe("03-01", "calls")]
    for step in (
        at("03-10", "change_plan", tenant="acme", plan="both", plan_from="calls", when="now"),
        at("03-10", "change_plan", tenant="acme", plan="both", plan_from="chat", when="period_end"),
    ):
        error = refused(a_story(*story, step, plans=PLANS), tmp_path)
        assert error["code"] == "meter_priced_twice"


def test_a_migration_leaves_out_who_would_be_billed_twice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat"),
            subscribe("03-01", "calls"),
            at("03-02", "create_tenant", tenant="other", apps=["other-chat"]),
            at("03-02", "subscribe", tenant="other", plan="chat", anchor="calendar"),
            *(
                {
                    **at("03-10", "migrate", plan="chat", to_plan="both", when=when),
                    "from": 1,
                    "to": 1,
                }
                for when in ("now", "period_end")
            ),
            at("04-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert [(each["tenant"], each["plan"]) for each in result["subscriptions"]] == [
        ("acme", "chat"),
        ("acme", "calls"),
        ("other", "both"),
    ]


def test_what_was_given_up_may_be_taken_up_by_another(tmp_path: Path) -> None:
    """The meter that a change leaves is free from that day on, and can't be taken back meanwhile."""
    story = [
        *beginning("both"),
        used("dau", "7", "03-05"),
        used("messages", "100", "03-05"),
        at("03-16", "change_plan", tenant="acme", plan="chat", when="now"),
        subscribe("03-16", "calls"),
        used("dau", "9", "03-20"),
        used("messages", "10", "03-20"),
    ]
    result = played(a_story(*story, at("04-01", "advance"), plans=PLANS), tmp_path)

    usage = [
        (line["key"], line["amount"])
        for invoice in result["invoices"]
        for line in invoice["lines"]
        if line["key"] != "base"
    ]
    assert sorted(usage) == [
        ("dau", "7.00"),
        ("dau", "9.00"),
        ("messages", "5.00"),
        ("messages", "50.00"),
    ]

    back = at("03-20", "change_plan", tenant="acme", plan="both", plan_from="chat", when="now")
    assert refused(a_story(*story, back, plans=PLANS), tmp_path)["code"] == "meter_priced_twice"


def test_a_cancellation_is_not_undone_once_another_took_its_place(tmp_path: Path) -> None:
    story = [
        *beginning("chat"),
        at("03-20", "cancel", tenant="acme", when="period_end"),
        subscribe("03-21", "larger", starts_at="2026-04-01T00:00:00+08:00"),
    ]
    result = played(a_story(*story, at("05-01", "advance"), plans=PLANS), tmp_path)
    assert [(each["plan"], each["status"]) for each in result["subscriptions"]] == [
        ("chat", "ended"),
        ("larger", "active"),
    ]

    back = at("03-22", "undo_cancel", tenant="acme", plan_from="chat")
    assert refused(a_story(*story, back, plans=PLANS), tmp_path)["code"] == "meter_priced_twice"


def test_a_start_in_the_past_may_not_reach_into_what_another_priced(tmp_path: Path) -> None:
    story = [*beginning("chat"), at("03-16T00:00", "cancel", tenant="acme", when="now")]
    error = refused(
        a_story(
            *story,
            subscribe("03-20", "larger", starts_at="2026-03-10T00:00:00+08:00"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert error["code"] == "subscriptions_overlap"
    # What nobody priced may start in the past.
    played(
        a_story(
            *story,
            subscribe("03-20", "calls", starts_at="2026-03-10T00:00:00+08:00"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )


def test_a_step_says_which_is_meant(tmp_path: Path) -> None:
    story = [*beginning("chat"), subscribe("03-01", "calls")]
    error = refused(
        a_story(*story, at("03-16", "cancel", tenant="acme", when="now"), plans=PLANS), tmp_path
    )
    assert error["code"] == "several_subscriptions"
    assert "chat, calls" in error["message"]
    for wrong in ({"subscription": 3}, {"plan_from": "yearly"}):
        step = at("03-16", "cancel", tenant="acme", when="now", **wrong)
        error = refused(a_story(*story, step, plans=PLANS), tmp_path)
        assert error["code"] == "subscription_not_found"

    for which in ({"subscription": 2}, {"plan_from": "calls"}):
        step = at("03-16", "cancel", tenant="acme", when="now", **which)
        result = played(a_story(*story, step, at("04-01", "advance"), plans=PLANS), tmp_path)
        assert [each["status"] for each in result["subscriptions"]] == ["active", "ended"]


def test_the_last_day_is_passed_on_to_one_that_prices_the_same_alone(tmp_path: Path) -> None:
    """Calls that begin on the day on which chat ends don't bill chat's day."""
    result = played(
        a_story(
            *beginning("chat"),
            used("dau", "7", "03-15"),
            at("03-16T10:00", "usage", app="chat", meter="dau", day="2026-03-16", value="9"),
            at("03-16T12:00", "cancel", tenant="acme", when="now"),
            subscribe("03-16T13:00", "calls"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    peaks = [
        line["amount"]
        for invoice in result["invoices"]
        for line in invoice["lines"]
        if line["key"] == "dau"
    ]
    assert peaks == ["9.00"]
    assert [each["total"] for each in result["credit_notes"]] == [
        "160.00"
    ]  # unused days of the fee


def test_discounts_and_late_usage_stay_with_their_subscription(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat"),
            subscribe("03-01", "calls"),
            at(
                "03-02",
                "discount",
                tenant="acme",
                plan_from="calls",
                type="percentage",
                value="50",
                when="period_end",
            ),
            used("messages", "100", "03-06"),
            at("04-02", "usage", app="chat", meter="messages", day="2026-03-06", value="120"),
            at("05-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    of_calls = [each for each in result["invoices"] if ("base", "62.00") in amounts(each)]
    assert [(each["discount_total"], amounts(each)) for each in of_calls] == [
        ("0.00", [("base", "62.00")]),
        ("31.00", [("messages", "50.00"), ("base", "62.00")]),
        ("31.00", [("base", "62.00"), ("messages", "10.00")]),
    ]
