"""Stories of usage that arrives after the invoice of its period is final (contract section 4)."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")

DAU = {
    "key": "dau",
    "meter": "dau",
    "scope": "app",
    "period_aggregation": "max_day",
    "included": "10",
    "model": "per_unit",
    "unit_price": "2",
}
"""2.00 for each of the highest day's users above 10."""
PLAN = a_plan("plan", DAU)


def used(when: str, day: str, value: int, *, app: str = "chat", meter: str = "dau") -> Any:
    return at(when, "usage", app=app, meter=meter, day=f"2026-{day}", value=str(value))


def lines_of(result: dict[str, Any]) -> list[list[tuple[str, str, str]]]:
    return [
        [(line["key"], line["kind"], line["amount"]) for line in invoice["lines"]]
        for invoice in result["invoices"]
    ]


def billed_in_all(result: dict[str, Any]) -> Decimal:
    """What all documents together say, credit notes taken off."""
    return sum((Decimal(each["total"]) for each in result["invoices"]), Decimal(0)) - sum(
        (Decimal(each["total"]) for each in result["credit_notes"]), Decimal(0)
    )


def test_more_usage_is_an_adjustment_on_the_next_invoice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            used("04-10", "03-06", 50),
            used("04-20", "04-20", 15),
            at("05-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # March: 20 above 10 at 2.00; then its highest day is 50, so 40 at 2.00: 40.00 more.
    assert lines_of(result) == [
        [("dau", "usage", "40.00")],
        [("dau", "usage", "10.00"), ("dau", "adjustment", "40.00")],
    ]
    line = result["invoices"][1]["lines"][1]
    assert line["period"] == {
        "starts_at": "2026-03-01T00:00:00+08:00",
        "ends_at": "2026-04-01T00:00:00+08:00",
    }
    assert (line["app"], line["quantity"], line["unit_price"]) == ("chat", "1", "40")
    assert line["explanation"]["adjusts"] == {
        "invoice": "INV-2026-000001",
        "kind": "usage",
        "billed": "40.00",
        "rated": "80.00",
        "quantity_before": "20",
        "quantity_now": "40",
        "days": {"2026-03-06": {"before": "0", "now": "50"}},
    }
    assert line["description"] == (
        "dau of chat, late usage: 80.00 instead of 40.00 on INV-2026-000001"
    )


def test_less_usage_comes_off_the_next_invoice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            used("04-10", "03-05", 22),
            used("04-20", "04-20", 100),
            at("05-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    assert lines_of(result)[1] == [("dau", "usage", "180.00"), ("dau", "adjustment", "-16.00")]
    assert result["invoices"][1]["total"] == "164.00"
    assert result["balances"]["acme"]["receivable"] == "204.00"


def test_usage_that_arrives_within_the_grace_refreshes_the_draft(tmp_path: Path) -> None:
    story = a_story(
        *beginning("plan"),
        used("03-05T12:00", "03-05", 30),
        used("04-02", "03-05", 40),
        at("05-10", "advance"),
        plans=[PLAN],
    )
    story["grace"] = "PT72H"
    result = played(story, tmp_path)

    assert lines_of(result) == [[("dau", "usage", "60.00")]]


def test_a_correction_between_draft_and_issue_of_the_next_invoice_is_in_it(tmp_path: Path) -> None:
    story = a_story(
        *beginning("plan"),
        used("03-05T12:00", "03-05", 30),
        used("04-10", "03-05", 40),
        used("05-02", "03-05", 45),
        at("05-10", "advance"),
        plans=[PLAN],
    )
    story["grace"] = "PT72H"
    result = played(story, tmp_path)

    # April's draft of May 1st said 20.00; as it is issued on May 4th March has 45 users.
    assert lines_of(result) == [[("dau", "usage", "40.00")], [("dau", "adjustment", "30.00")]]


def test_late_twice_and_several_months_late(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            used("04-10", "03-05", 50),
            used("05-10", "03-05", 35),
            used("08-10", "03-05", 36),
            at("09-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # Each difference is to what all documents before have billed: 40, then 80, then 50, then 52.
    assert lines_of(result)[0] == [("dau", "usage", "40.00")]
    assert lines_of(result)[1] == [("dau", "adjustment", "40.00")]
    assert [
        (line["amount"], line["explanation"]["adjusts"]["billed"])
        for line in result["invoices"][2]["lines"]
    ] == [("2.00", "50.00")]
    (note,) = result["credit_notes"]
    assert (note["invoice"], note["total"], note["to_balance"]) == (
        "INV-2026-000001",
        "30.00",
        "30.00",
    )
    assert billed_in_all(result) == Decimal("52.00")


def test_usage_of_several_months_comes_at_once(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("06-10", "03-05", 20),
            used("06-11", "04-05", 15),
            used("06-12", "05-31", 11),
            at("07-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # Nothing was billed for March to May: documents of nothing are not issued.
    (invoice,) = result["invoices"]
    assert [(line["amount"], line["period"]["starts_at"][:7]) for line in invoice["lines"]] == [
        ("20.00", "2026-03"),
        ("10.00", "2026-04"),
        ("2.00", "2026-05"),
    ]
    assert invoice["lines"][0]["explanation"]["adjusts"]["invoice"] == ""
    assert invoice["lines"][0]["description"] == (
        "dau of chat, late usage: 20.00, nothing was billed before"
    )


def test_across_the_bound_of_a_tier(tmp_path: Path) -> None:
    volume = {
        **DAU,
        "included": "0",
        "model": "volume",
        "tiers": [
            {"up_to": "100", "unit_price": "2", "flat_fee": "0"},
            {"up_to": None, "unit_price": "1.5", "flat_fee": "0"},
        ],
    }
    del volume["unit_price"]
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 100),
            used("04-10", "03-05", 101),
            used("04-20", "04-20", 50),
            at("05-02", "advance"),
            plans=[a_plan("plan", volume)],
        ),
        tmp_path,
    )

    # 100 at 2.00 are 200.00; 101 at 1.50 are 151.50: one user more costs 48.50 less.
    assert lines_of(result)[1] == [("dau", "usage", "100.00"), ("dau", "adjustment", "-48.50")]


def test_a_minimum_that_bit_takes_the_late_usage_in(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            used("04-10", "03-05", 40),
            at("06-01", "advance"),
            plans=[a_plan("plan", {**DAU, "minimum": "55"})],
        ),
        tmp_path,
    )

    # 40.00 and 15.00 to the minimum; then 60.00 and nothing. April has the minimum alone.
    assert lines_of(result)[0] == [("dau", "usage", "40.00"), ("dau", "true_up", "15.00")]
    assert lines_of(result)[1] == [
        ("dau", "usage", "0.00"),
        ("dau", "true_up", "55.00"),
        ("dau", "adjustment", "20.00"),
        ("dau", "adjustment", "-15.00"),
    ]


def test_the_plans_own_bounds_and_the_dearest_of_prices(tmp_path: Path) -> None:
    messages = {
        "key": "messages",
        "meter": "messages",
        "scope": "tenant",
        "period_aggregation": "sum_days",
        "model": "per_unit",
        "unit_price": "0.1",
    }
    plan = a_plan(
        "plan", DAU, messages, max_of=["dau", "messages"], minimum="30.00", maximum="90.00"
    )
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 20),
            used("03-05T12:00", "03-05", 10, meter="messages"),
            used("04-10", "03-06", 500, meter="messages"),
            used("05-10", "03-06", 2000, meter="messages"),
            at("06-02", "advance"),
            plans=[plan],
        ),
        tmp_path,
    )

    # March: 20.00 of users, up to 30.00. Then messages are dearer: 51.00, and no minimum bites;
    # then 201.00, which the maximum cuts to 90.00.
    march = [
        (line["key"], line["kind"], line["amount"])
        for invoice in result["invoices"]
        for line in invoice["lines"]
        if line["period"]["starts_at"].startswith("2026-03")
    ]
    assert march == [
        ("dau", "usage", "20.00"),
        ("plan:minimum", "true_up", "10.00"),
        ("messages", "adjustment", "51.00"),
        ("dau", "adjustment", "-20.00"),
        ("plan:minimum", "adjustment", "-10.00"),
        ("messages", "adjustment", "150.00"),
        ("plan:maximum", "adjustment", "-111.00"),
    ]
    assert sum(Decimal(amount) for _, _, amount in march) == Decimal("90.00")


def test_the_peak_of_the_sum_over_apps(tmp_path: Path) -> None:
    steps = beginning("plan")
    steps[0]["apps"] = ["chat", "voice"]
    result = played(
        a_story(
            *steps,
            used("03-05T12:00", "03-05", 30),
            used("03-06T12:00", "03-06", 8),
            used("04-10", "03-06", 40, app="voice"),
            used("04-20", "04-20", 10),
            at("05-02", "advance"),
            plans=[a_plan("plan", {**DAU, "scope": "tenant"})],
        ),
        tmp_path,
    )

    # The highest day was the 5th with 30; with 40 more it is the 6th with 48.
    line = result["invoices"][1]["lines"][-1]
    assert (line["kind"], line["amount"], line["app"]) == ("adjustment", "36.00", None)
    assert line["explanation"]["adjusts"]["days"] == {"2026-03-06": {"before": "8", "now": "48"}}


def test_in_a_zone_with_a_day_of_23_hours(tmp_path: Path) -> None:
    def berlin(when: str, do: str, **fields: Any) -> dict[str, Any]:
        return {"to" if do == "advance" else "at": when, "do": do, **fields}

    average = {**DAU, "included": "0", "period_aggregation": "mean_day"}
    start = "2026-03-01T00:00:00+01:00"
    story = a_story(
        berlin(start, "create_tenant", tenant="acme", apps=["chat"], timezone="Europe/Berlin"),
        berlin(start, "subscribe", tenant="acme", plan="plan"),
        berlin(
            "2026-03-29T12:00:00+02:00",
            "usage",
            app="chat",
            meter="dau",
            day="2026-03-29",
            value="31",
        ),
        berlin(
            "2026-04-10T00:00:00+02:00",
            "usage",
            app="chat",
            meter="dau",
            day="2026-03-29",
            value="62",
        ),
        berlin("2026-05-02T00:00:00+02:00", "advance"),
        plans=[a_plan("plan", average)],
    )
    result = played(story, tmp_path)

    # 31 users on one of 31 days are 1 a day, 62 are 2: the day of 23 hours is a whole day.
    line = result["invoices"][1]["lines"][-1]
    assert (line["kind"], line["amount"]) == ("adjustment", "2.00")
    assert line["period"]["ends_at"] == "2026-04-01T00:00:00+02:00"


def test_a_change_within_the_period_keeps_its_parts(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            at("03-16", "change_plan", tenant="acme", plan="dear", when="now"),
            used("03-20T12:00", "03-20", 30),
            used("04-10", "03-05", 31),
            used("04-10", "03-20", 31),
            at("05-02", "advance"),
            plans=[PLAN, a_plan("dear", {**DAU, "unit_price": "3"})],
        ),
        tmp_path,
    )

    # The first part is rated by the old plan, at 2.00, the second by the new one, at 3.00.
    assert [
        (line["amount"], line["period"]["starts_at"][:10])
        for line in result["invoices"][1]["lines"]
    ] == [("2.00", "2026-03-01"), ("3.00", "2026-03-16")]


def test_a_negative_document_is_a_credit_note_to_the_cash_balance(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 60),
            at("04-05", "pay", invoice=1),
            used("04-10", "03-05", 30),
            used("04-20", "04-20", 15),
            used("05-10", "04-20", 16),
            at("06-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # April bills 10.00 and takes 60.00 of March back: 50.00 in cash, which pay what comes.
    (note,) = result["credit_notes"]
    assert (note["invoice"], note["total"], amounts(note)) == (
        "INV-2026-000001",
        "50.00",
        [("dau", "-10.00"), ("dau", "60.00")],
    )
    # What the note billed of April is billed: one more user in April is 2.00 more.
    assert lines_of(result) == [[("dau", "usage", "100.00")], [("dau", "adjustment", "2.00")]]
    assert result["invoices"][1]["status"] == "paid"
    assert result["balances"]["acme"] == {
        "cash": "48.00",
        "gift": "0.00",
        "voucher": "0.00",
        "receivable": "0.00",
    }


def test_after_the_end_it_has_a_document_of_its_own(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            at("03-20", "cancel", tenant="acme", when="period_end"),
            used("04-10", "03-05", 40),
            used("04-11", "03-05", 15),
            at("04-12", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    assert lines_of(result) == [[("dau", "usage", "40.00")], [("dau", "adjustment", "20.00")]]
    assert result["invoices"][1]["issued_at"] == "2026-04-10T00:00:00+08:00"
    (note,) = result["credit_notes"]
    assert note["total"] == "50.00"
    assert billed_in_all(result) == Decimal("10.00")


def test_after_a_cancellation_within_the_period_the_grace_collects_it(tmp_path: Path) -> None:
    story = a_story(
        *beginning("plan"),
        used("03-05T12:00", "03-05", 30),
        used("03-20T08:00", "03-20", 31),
        at("03-20T12:00", "cancel", tenant="acme", when="now"),
        used("03-20T18:00", "03-06", 40),
        used("03-20T19:00", "03-20", 90),
        used("03-21T18:00", "03-06", 45),
        at("03-30", "advance"),
        plans=[PLAN],
    )
    story["grace"] = "PT72H"
    result = played(story, tmp_path)

    # On the last day what had been counted at the instant of the end counts: 31, and not 90.
    assert lines_of(result) == [[("dau", "usage", "42.00")], [("dau", "adjustment", "28.00")]]
    assert result["invoices"][1]["issued_at"] == "2026-03-23T12:00:00+08:00"


def test_usage_that_changes_no_amount_makes_no_line(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan", "03-01"),
            used("03-05T12:00", "03-05", 30),
            used("04-10", "03-06", 29),
            at("05-02", "advance"),
            plans=[a_plan("plan", DAU, BASE)],
        ),
        tmp_path,
    )

    assert [
        line for invoice in lines_of(result) for line in invoice if line[1] == "adjustment"
    ] == []


def test_a_plan_without_usage_prices_carries_the_adjustment_too(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            at("03-20", "change_plan", tenant="acme", plan="free", when="period_end"),
            used("04-10", "03-05", 31),
            at("05-02", "advance"),
            plans=[PLAN, a_plan("free", {**BASE, "amount": "0"})],
        ),
        tmp_path,
    )

    # Nothing of the free plan is billed on May 1st; the document is there for the adjustment.
    assert lines_of(result) == [
        [("dau", "usage", "40.00"), ("base", "recurring", "0.00")],
        [("base", "recurring", "0.00"), ("dau", "adjustment", "2.00")],
    ]
    assert result["invoices"][1]["issued_at"] == "2026-05-01T00:00:00+08:00"


def test_a_line_is_credited_no_further_than_its_adjustments_left_of_it(tmp_path: Path) -> None:
    steps = [
        *beginning("plan"),
        used("03-05T12:00", "03-05", 30),
        used("04-10", "03-05", 20),
        used("04-20", "04-20", 100),
        at("05-02", "advance"),
    ]

    def credit(amount: str) -> dict[str, Any]:
        return at(
            "05-03",
            "credit_note",
            invoice=1,
            lines=[{"line": 1, "amount": amount}],
            reason="outage",
        )

    # 40.00 were billed, 20.00 taken back: 20.00 are left.
    assert refused(a_story(*steps, credit("20.01"), plans=[PLAN]), tmp_path)["code"] == "above_line"
    result = played(a_story(*steps, credit("20.00"), plans=[PLAN]), tmp_path)
    assert result["credit_notes"][0]["total"] == "20.00"


def test_what_a_credit_note_gave_back_is_not_given_back_again(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plan"),
            used("03-05T12:00", "03-05", 30),
            at(
                "04-05",
                "credit_note",
                invoice=1,
                lines=[{"line": 1, "amount": "30.00"}],
                reason="outage",
            ),
            used("04-10", "03-05", 20),
            used("04-20", "04-20", 100),
            at("05-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # 20.00 less are due, but only 10.00 of the 40.00 are left after the credit note.
    line = result["invoices"][1]["lines"][1]
    assert (line["amount"], line["explanation"]["adjusts"]["credited"]) == ("-10.00", "30.00")
