"""Stories of tenants that want one invoice for all their subscriptions."""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import a_plan, a_story, amounts, at, played
from tests.scenarios.test_several_subscriptions import ABROAD, CALLS, CHAT, metered, used

pytestmark = pytest.mark.usefixtures("db")

TAXED = {"tax": {"percent": "6"}}
WEEKLY = a_plan("weekly", {"key": "fee", "model": "flat", "amount": "7"}, interval="week")
PLANS = [CHAT, CALLS, ABROAD, WEEKLY]


def beginning(*plans: str, **fields: Any) -> list[dict[str, Any]]:
    return [
        at(
            "03-01",
            "create_tenant",
            tenant="acme",
            apps=["chat"],
            **{"consolidate": True, **fields},
        ),
        *(at("03-01", "subscribe", tenant="acme", plan=plan, anchor="calendar") for plan in plans),
    ]


def lines(invoice: dict[str, Any]) -> list[tuple[str, str]]:
    return amounts(invoice)


def test_what_falls_due_at_one_instant_is_one_invoice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat", "calls"),
            used("dau", "7", "03-05"),
            used("messages", "100", "03-06"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    opened, ended = result["invoices"]
    assert lines(opened) == [("base", "310.00"), ("base", "62.00")]
    assert lines(ended) == [
        ("dau", "7.00"),
        ("base", "310.00"),
        ("messages", "50.00"),
        ("base", "62.00"),
    ]
    assert ended["sections"] == [
        {"plan": "chat", "lines": [1, 2], "subtotal": "317.00"},
        {"plan": "calls", "lines": [3, 4], "subtotal": "112.00"},
    ]
    assert [each["number"] for each in result["invoices"]] == ["INV-2026-000001", "INV-2026-000002"]
    assert (ended["total"], result["balances"]["acme"]["receivable"]) == ("429.00", "801.00")


def test_other_currencies_and_instants_stay_apart(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat", "abroad", "weekly"),
            at("03-20", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    found = [(each["currency"], lines(each)) for each in result["invoices"]]
    assert sorted(found, key=str) == sorted(
        [
            ("CNY", [("base", "310.00"), ("fee", "7.00")]),
            ("USD", [("fee", "9.99")]),
            *[("CNY", [("fee", "7.00")])] * 3,
        ],
        key=str,
    )
    assert sum("sections" in each for each in result["invoices"]) == 1


def test_it_waits_for_the_last_of_them(tmp_path: Path) -> None:
    """Calls wait two days for late usage, chat none."""
    slow = {**CALLS, "grace": "PT48H"}
    story = [
        *beginning("chat", "calls"),
        used("dau", "7", "03-05"),
        used("messages", "100", "03-06"),
    ]
    waiting = played(a_story(*story, at("04-02T23:00", "advance"), plans=[CHAT, slow]), tmp_path)
    assert [each["status"] for each in waiting["invoices"]] == ["open", "draft", "draft"]
    done = played(
        a_story(
            *story,
            # Late, but within the grace of the last: it is on the invoice.
            at("04-02T12:00", "usage", app="chat", meter="dau", day="2026-03-05", value="9"),
            at("04-03", "advance"),
            plans=[CHAT, slow],
        ),
        tmp_path,
    )
    _, ended = done["invoices"]
    assert ended["issued_at"] == "2026-04-03T00:00:00+08:00"
    assert ("dau", "9.00") in lines(ended)


def test_tax_is_worked_out_once_per_rate_over_all_lines(tmp_path: Path) -> None:
    """0.13 of 6 percent twice is 0.01 each; of 0.26 it is 0.02."""

    def plan(key: str) -> dict[str, Any]:
        return a_plan(key, {"key": key, "model": "flat", "amount": "0.09"})

    story = [*beginning("one", "two", tax_treatment="taxable", tax_percent="6")]
    plans = [plan("one"), plan("two")]
    (together,) = played(a_story(*story, plans=plans), tmp_path)["invoices"]
    assert (together["subtotal"], together["tax_total"]) == ("0.18", "0.01")
    assert [line["tax"] for line in together["lines"]] == ["0.01", "0.00"]
    apart = played(
        a_story(
            *beginning("one", "two", tax_treatment="taxable", tax_percent="6", consolidate=False),
            plans=plans,
        ),
        tmp_path,
    )["invoices"]
    assert [each["tax_total"] for each in apart] == ["0.01", "0.01"]


def test_changes_credits_and_late_usage_find_their_lines(tmp_path: Path) -> None:
    story = [
        *beginning("chat", "calls"),
        used("messages", "100", "03-06"),
        # On the consolidated invoice of March's beginning: the second line is of calls.
        at(
            "03-10",
            "credit_note",
            invoice=1,
            lines=[{"line": 2, "amount": "6.20"}],
            reason="an outage",
        ),
        at("03-16", "cancel", tenant="acme", plan_from="chat", when="now"),
        at("04-02", "usage", app="chat", meter="messages", day="2026-03-06", value="120"),
        at("05-01", "advance"),
    ]
    result = played(a_story(*story, plans=PLANS), tmp_path)

    notes = {each["reason"]: each for each in result["credit_notes"]}
    assert notes["an outage"]["total"] == "6.20"
    (back,) = [each for reason, each in notes.items() if reason != "an outage"]
    assert (back["total"], back["invoice"]) == ("160.00", "INV-2026-000001")
    late = [
        (line["key"], line["amount"], line["explanation"]["adjusts"]["invoice"])
        for invoice in result["invoices"]
        for line in invoice["lines"]
        if line["kind"] == "adjustment"
    ]
    assert late == [("messages", "10.00", "INV-2026-000002")]


def test_late_usage_of_a_consolidated_invoice_is_billed_once(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("chat", "calls"),
            used("dau", "7", "03-05"),
            used("messages", "100", "03-06"),
            at("04-02", "usage", app="chat", meter="messages", day="2026-03-06", value="120"),
            at("04-03", "usage", app="chat", meter="dau", day="2026-03-05", value="9"),
            at("05-02", "usage", app="chat", meter="messages", day="2026-03-06", value="130"),
            at("06-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )

    _, march, april, may = result["invoices"]
    assert lines(march)[:1] == [("dau", "7.00")]
    assert lines(april) == [
        ("base", "310.00"),
        ("dau", "2.00"),
        ("base", "62.00"),
        ("messages", "10.00"),
    ]
    assert ("messages", "5.00") in lines(may)
    adjusted = [
        line["explanation"]["adjusts"]["invoice"]
        for invoice in (april, may)
        for line in invoice["lines"]
        if line["kind"] == "adjustment"
    ]
    assert adjusted == [march["number"]] * 3


def test_one_that_comes_out_negative_is_not_consolidated(tmp_path: Path) -> None:
    """Late usage that gives back more than the rest bills is a credit note, beside an invoice."""
    usage = a_plan("usage", metered("dau", "1"))
    result = played(
        a_story(
            *beginning("usage", "weekly"),
            used("dau", "100", "03-05"),
            at("04-02", "usage", app="chat", meter="dau", day="2026-03-05", value="1"),
            at("05-02", "advance"),
            plans=[usage, WEEKLY],
        ),
        tmp_path,
    )
    assert [each["total"] for each in result["credit_notes"]] == ["99.00"]


def test_a_tenant_with_one_subscription_sees_no_difference(tmp_path: Path) -> None:
    def story(consolidate: bool) -> dict[str, Any]:
        return a_story(
            *beginning("chat", consolidate=consolidate),
            used("dau", "7", "03-05"),
            at("03-16", "cancel", tenant="acme", when="period_end"),
            at("05-01", "advance"),
            plans=PLANS,
        )

    assert played(story(True), tmp_path) == played(story(False), tmp_path)
