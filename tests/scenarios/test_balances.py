"""Stories of balances and credit notes. The plan is 310 a month in advance."""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")

PLAN = a_plan("plain", BASE)


def grant(when: str, kind: str, amount: str, expires_at: str | None = None) -> dict[str, Any]:
    return at(when, "grant", tenant="acme", kind=kind, amount=amount, expires_at=expires_at)


def credit(when: str, amount: str, *, line: int = 1) -> dict[str, Any]:
    return at(
        when,
        "credit_note",
        invoice=1,
        lines=[{"line": line, "amount": amount}],
        reason="outage",
    )


def test_voucher_then_gift_then_cash_pay_what_is_issued(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plain"),
            grant("03-02", "cash", "500.00"),
            grant("03-02", "gift", "100.00"),
            grant("03-02", "voucher", "50.00"),
            at("04-01", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    first, second = result["invoices"]
    # What was granted after March's invoice waits for April's: 50 + 100 + 160 of the cash.
    assert (first["due"], second["due"], second["status"]) == ("310.00", "0.00", "paid")
    assert result["balances"]["acme"] == {
        "cash": "340.00",
        "gift": "0.00",
        "voucher": "0.00",
        "receivable": "310.00",
    }


def test_what_ends_first_goes_first_and_what_has_ended_pays_nothing(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plain"),
            grant("03-02", "gift", "300.00"),
            grant("03-02", "gift", "200.00", "2026-04-15T00:00:00+08:00"),
            grant("03-02", "voucher", "70.00", "2026-04-01T00:00:00+08:00"),
            at("04-02", "advance"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # The voucher ended as the invoice was issued; 200 that end in April, then 110 of the 300.
    assert result["invoices"][1]["status"] == "paid"
    assert result["balances"]["acme"]["gift"] == "190.00"
    assert result["balances"]["acme"]["voucher"] == "0.00"


def test_a_grant_of_the_same_instant_as_the_subscription_pays_its_first_invoice(
    tmp_path: Path,
) -> None:
    result = played(
        a_story(*beginning("plain"), grant("03-01", "cash", "400.00"), plans=[PLAN]), tmp_path
    )
    assert result["invoices"][0]["status"] == "paid"
    assert result["balances"]["acme"]["cash"] == "90.00"


def test_a_credit_note_lowers_what_is_owed(tmp_path: Path) -> None:
    result = played(a_story(*beginning("plain"), credit("03-05", "10.00"), plans=[PLAN]), tmp_path)

    (note,) = result["credit_notes"]
    assert (note["invoice"], note["tenant"], amounts(note), note["tax_total"], note["reason"]) == (
        "INV-2026-000001",
        "acme",
        [("base", "10.00")],
        "0.00",
        "outage",
    )
    assert (result["invoices"][0]["total"], result["invoices"][0]["due"]) == ("310.00", "300.00")
    assert result["balances"]["acme"]["receivable"] == "300.00"
    assert result["balances"]["acme"]["cash"] == "0.00"


def test_a_credit_note_on_a_paid_invoice_is_cash(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("plain"),
            at("03-02", "pay", invoice=1, amount="305.00"),
            credit("03-05", "10.00"),
            credit("03-06", "20.00"),
            plans=[PLAN],
        ),
        tmp_path,
    )

    # 5 were still owed; 5 and 20 had been paid. Numbers of their own, without a gap.
    assert result["invoices"][0]["status"] == "paid"
    assert [note["number"][-6:] for note in result["credit_notes"]] == ["000001", "000002"]
    assert result["balances"]["acme"]["cash"] == "25.00"
    assert result["balances"]["acme"]["receivable"] == "0.00"


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        ([credit("03-02", "310.01")], "above_line"),
        ([credit("03-02", "200.00"), credit("03-03", "110.01")], "above_line"),
        ([credit("03-02", "1.00", line=2)], "line_not_found"),
        ([credit("03-02", "0")], "amount_not_positive"),
        ([grant("03-02", "cash", "-1")], "amount_not_positive"),
        ([grant("03-02", "gold", "1")], "unknown_kind"),
        ([grant("03-02", "gift", "1", "2026-03-01T00:00:00+08:00")], "expires_in_past"),
    ],
)
def test_what_can_not_be_credited_is_refused(
    steps: list[dict[str, Any]], code: str, tmp_path: Path
) -> None:
    error = refused(a_story(*beginning("plain"), *steps, plans=[PLAN]), tmp_path)
    assert (error["step"], error["code"]) == (1 + len(steps), code)


USAGE = {
    "key": "dau",
    "meter": "dau",
    "scope": "app",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "10",
}
MIXED = a_plan("plain", BASE, USAGE)


def scoped(kind: str, amount: str, **fields: Any) -> dict[str, Any]:
    return at("03-02", "grant", tenant="acme", kind=kind, amount=amount, **fields)


def paid_with(tmp_path: Path, *grants: dict[str, Any]) -> dict[str, Any]:
    """April's document: 50.00 of usage and 310.00 of the base, after these grants."""
    return played(
        a_story(
            *beginning("plain"),
            *grants,
            at("03-05T12:00", "usage", app="chat", meter="dau", day="2026-03-05", value="5"),
            at("04-02", "advance"),
            plans=[MIXED],
        ),
        tmp_path,
    )


def test_a_scope_limits_what_a_balance_pays(tmp_path: Path) -> None:
    result = paid_with(tmp_path, scoped("gift", "400.00", scope={"prices": ["dau"]}))
    assert (result["invoices"][1]["due"], result["balances"]["acme"]["gift"]) == (
        "310.00",
        "350.00",
    )

    result = paid_with(tmp_path, scoped("gift", "400.00", scope={"apps": ["chat"]}))
    assert result["invoices"][1]["due"] == "310.00"

    result = paid_with(tmp_path, scoped("gift", "400.00", scope={"plans": ["plain"]}))
    assert (result["invoices"][1]["due"], result["balances"]["acme"]["gift"]) == ("0.00", "40.00")


def test_a_balance_for_everything_leaves_the_rest_to_one_for_a_single_price(
    tmp_path: Path,
) -> None:
    result = paid_with(
        tmp_path,
        scoped("voucher", "310.00"),
        scoped("cash", "100.00", scope={"prices": ["dau"]}),
    )
    # The voucher comes first and takes the base, which the cash may not pay.
    assert result["invoices"][1]["status"] == "paid"
    assert result["balances"]["acme"]["cash"] == "50.00"


def test_a_lower_priority_pays_first(tmp_path: Path) -> None:
    result = paid_with(
        tmp_path,
        scoped("voucher", "300.00"),
        scoped("gift", "100.00", priority=5),
        scoped("cash", "100.00", priority=-1),
    )
    assert {kind: result["balances"]["acme"][kind] for kind in ("cash", "gift", "voucher")} == {
        "cash": "0.00",
        "gift": "100.00",
        "voucher": "40.00",
    }


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"priority": 1001}, "out_of_range"),
        ({"priority": "1"}, "not_whole"),
        ({"priority": True}, "not_whole"),
        ({"scope": []}, "bad_scope"),
        ({"scope": {"prices": []}}, "bad_scope"),
        ({"scope": {"prices": [1]}}, "bad_scope"),
        ({"scope": {"price": ["dau"]}}, "bad_scope"),
        ({"scope": {"prices": ["dua"]}}, "unknown_scope"),
        ({"scope": {"prices": ["dau"], "plans": ["plian"]}}, "unknown_scope"),
        ({"scope": {"apps": ["chta"]}}, "unknown_scope"),
    ],
)
def test_a_wrong_scope_or_priority_is_refused(
    fields: dict[str, Any], code: str, tmp_path: Path
) -> None:
    story = a_story(*beginning("plain"), scoped("gift", "1.00", **fields), plans=[MIXED])
    assert refused(story, tmp_path)["code"] == code


def test_a_grant_whose_sums_no_column_would_hold_is_refused(tmp_path: Path) -> None:
    story = a_story(
        *beginning("plain"), grant("03-02", "cash", "90000000000000000.00"), plans=[PLAN]
    )
    assert refused(story, tmp_path)["code"] == "amount_out_of_range"
