"""Stories of changed minds: another plan, no plan, now or when the period ends.

March 2026 has 31 days. `small` is 310 a month, 10 a day; `large` 620, 20 a day.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")

PEAK: dict[str, Any] = {
    "key": "peak",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}
SMALL = a_plan("small", BASE, PEAK)
LARGE = a_plan("large", {**BASE, "amount": "620"}, {**PEAK, "unit_price": "2"})
PLANS = [SMALL, LARGE]


def change(when: str, plan: str, effective: str = "now") -> dict[str, Any]:
    return at(when, "change_plan", tenant="acme", plan=plan, when=effective)


def cancel(when: str, effective: str = "now") -> dict[str, Any]:
    return at(when, "cancel", tenant="acme", when=effective)


def peak(day: str, value: str) -> dict[str, Any]:
    return at(f"{day}T12:00", "usage", app="chat", meter="dau", day=f"2026-{day}", value=value)


def test_an_upgrade_now_is_one_document_at_once(tmp_path: Path) -> None:
    result = played(a_story(*beginning("small"), change("03-16", "large"), plans=PLANS), tmp_path)

    _, changed = result["invoices"]
    # March 16th to 31st, the change day included, are 16 of 31 days: -310*16/31 and 620*16/31.
    assert [(line["key"], line["kind"], line["amount"]) for line in changed["lines"]] == [
        ("base", "credit", "-160.00"),
        ("base", "recurring", "320.00"),
    ]
    assert (changed["total"], changed["issued_at"]) == ("160.00", "2026-03-16T00:00:00+08:00")
    assert changed["period"] == {
        "starts_at": "2026-03-16T00:00:00+08:00",
        "ends_at": "2026-04-01T00:00:00+08:00",
    }
    assert result["subscriptions"][0]["plan"] == "large"
    # The anchor stays: the period is still March.
    assert result["subscriptions"][0]["period"]["starts_at"] == "2026-03-01T00:00:00+08:00"


def test_usage_before_the_change_is_rated_by_the_old_plan_and_after_it_by_the_new(
    tmp_path: Path,
) -> None:
    result = played(
        a_story(
            *beginning("small"),
            peak("03-15", "7"),
            change("03-16", "large"),
            peak("03-16", "5"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    # One document at the boundary: 7 at 1, 5 at 2, and April's advance of the new plan.
    assert amounts(result["invoices"][2]) == [
        ("peak", "7.00"),
        ("peak", "10.00"),
        ("base", "620.00"),
    ]
    periods = [line["period"] for line in result["invoices"][2]["lines"]]
    assert periods[0]["ends_at"] == periods[1]["starts_at"] == "2026-03-16T00:00:00+08:00"


def test_a_downgrade_now_is_a_credit_note_to_the_cash_balance(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("large"),
            at("03-02", "pay", invoice=1, amount="full"),
            change("03-16", "small"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert len(result["invoices"]) == 1
    (note,) = result["credit_notes"]
    # 620*16/31 = 320 come back, 310*16/31 = 160 are due.
    assert (note["number"], note["invoice"], note["total"]) == (
        "INV-CN-2026-000001",
        "INV-2026-000001",
        "160.00",
    )
    assert amounts(note) == [("base", "320.00"), ("base", "-160.00")]
    assert result["balances"]["acme"]["cash"] == "160.00"


def test_the_cash_of_a_downgrade_pays_the_next_invoice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("large"),
            at("03-02", "pay", invoice=1, amount="full"),
            change("03-16", "small"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    # 310 for April, 160 of it from the balance.
    assert (result["invoices"][1]["total"], result["invoices"][1]["due"]) == ("310.00", "150.00")
    assert result["balances"]["acme"] == {
        "cash": "0.00",
        "gift": "0.00",
        "voucher": "0.00",
        "receivable": "150.00",
    }


def test_a_change_at_the_periods_end_bills_the_new_plan_from_there(tmp_path: Path) -> None:
    story = a_story(*beginning("small"), change("03-16", "large", "period_end"), plans=PLANS)
    assert played(story, tmp_path)["subscriptions"][0]["plan"] == "small"

    story["steps"] += [peak("03-20", "3"), at("04-01", "advance")]
    result = played(story, tmp_path)
    assert [amounts(each) for each in result["invoices"]] == [
        [("base", "310.00")],
        [("peak", "3.00"), ("base", "620.00")],
    ]
    assert result["subscriptions"][0]["plan"] == "large"


def test_a_planned_change_to_yearly_periods_begins_with_a_part_of_the_year(tmp_path: Path) -> None:
    yearly = a_plan("yearly", {**BASE, "amount": "3650"}, interval="year")
    result = played(
        a_story(
            *beginning("small"),
            change("03-16", "yearly", "period_end"),
            at("04-01", "advance"),
            plans=[SMALL, yearly],
        ),
        tmp_path,
    )

    # The calendar's year: April 1st to December 31st are 275 of 365 days.
    assert amounts(result["invoices"][1]) == [("base", "2750.00")]


def test_a_change_on_the_first_day_only_changes_the_waiting_draft(tmp_path: Path) -> None:
    story = a_story(*beginning("small"), change("04-01T12:00", "large"), plans=PLANS)
    story["grace"] = "PT24H"
    story["steps"].append(at("04-02", "advance"))
    result = played(story, tmp_path)

    assert [amounts(each) for each in result["invoices"]] == [
        [("base", "310.00")],
        [("base", "620.00")],
    ]


def test_two_changes_in_a_period_cancel_out(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"), change("03-11", "large"), change("03-21", "small"), plans=PLANS
        ),
        tmp_path,
    )

    # 21 of 31 days dearer by 10 a day: 210; then 11 days given back: 220 less 110.
    assert result["invoices"][1]["total"] == "210.00"
    assert [note["total"] for note in result["credit_notes"]] == ["110.00"]


def test_without_prorate_nothing_is_given_back(tmp_path: Path) -> None:
    whole = {**BASE, "prorate": False}
    result = played(
        a_story(
            *beginning("one"),
            change("03-16", "two"),
            plans=[a_plan("one", whole), a_plan("two", {**whole, "amount": "620"})],
        ),
        tmp_path,
    )

    assert amounts(result["invoices"][1]) == [("base", "620.00")]


def test_on_trial_a_change_bills_nothing(tmp_path: Path) -> None:
    trial = {**SMALL, "key": "trial", "trial_days": 14}
    result = played(
        a_story(*beginning("trial"), change("03-10", "large"), plans=[trial, LARGE]), tmp_path
    )
    assert result["invoices"] == []
    assert result["subscriptions"][0]["plan"] == "large"


def test_cancelled_at_the_periods_end_the_last_document_bills_arrears_only(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            peak("03-05", "9"),
            cancel("03-20", "period_end"),
            at("05-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    assert [amounts(each) for each in result["invoices"]] == [
        [("base", "310.00")],
        [("peak", "9.00")],
    ]
    assert result["subscriptions"][0]["status"] == "ended"


def test_cancelled_now_the_rest_is_cash_and_usage_is_billed_at_once(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            at("03-02", "pay", invoice=1, amount="full"),
            peak("03-05", "9"),
            cancel("03-22T15:00"),
            at("05-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    # March 22nd to 31st, its day included, are 10 of 31 days: 100.00 back, 9.00 of it pay the usage.
    assert [note["total"] for note in result["credit_notes"]] == ["100.00"]
    last = result["invoices"][1]
    assert (amounts(last), last["status"], last["issued_at"]) == (
        [("peak", "9.00")],
        "paid",
        "2026-03-22T15:00:00+08:00",
    )
    assert last["period"]["ends_at"] == "2026-03-23T00:00:00+08:00"
    assert result["balances"]["acme"]["cash"] == "91.00"
    assert result["subscriptions"][0]["status"] == "ended"
    assert len(result["invoices"]) == 2


def test_one_who_left_may_come_back(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("small"),
            cancel("03-16"),
            at("03-20", "subscribe", tenant="acme", plan="large"),
            plans=PLANS,
        ),
        tmp_path,
    )
    # March 20th to 31st are 12 days at 20; 160 of cash from the cancellation pay for a part.
    assert (result["invoices"][1]["total"], result["invoices"][1]["due"]) == ("240.00", "80.00")
    assert [each["status"] for each in result["subscriptions"]] == ["ended", "active"]


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([change("03-02", "nothing")], "plan_not_found"),
        ([change("03-02", "small")], "same_plan"),
        ([change("03-02", "dollars")], "currency_mismatch"),
        ([cancel("03-02"), cancel("03-03")], "no_subscription"),
        ([cancel("03-02", "period_end"), cancel("03-03", "period_end")], "already_cancelled"),
        (
            [cancel("03-02", "period_end"), change("03-03", "large", "period_end")],
            "subscription_ends",
        ),
        ([change("03-02", "large", "someday")], "unknown_when"),
    ],
)
def test_what_can_not_be_changed_is_refused(
    steps: list[dict[str, Any]], code: str, tmp_path: Path
) -> None:
    others = [
        a_plan("dollars", BASE, currency="USD"),
        a_plan("yearly", BASE, interval="year"),
    ]
    error = refused(a_story(*beginning("small"), *steps, plans=[*PLANS, *others]), tmp_path)
    assert (error["step"], error["code"]) == (1 + len(steps), code)
