"""Tax on issued documents: who says so, dated changes, credits that mirror."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, at, beginning, played, refused

SMS: dict[str, Any] = {"key": "sms", "model": "flat", "amount": "100", "timing": "in_arrears"}
VAT = [
    {"jurisdiction": "CN", "category": "it", "percent": "6", "valid_from": "2016-05-01"},
    {
        "jurisdiction": "CN",
        "category": "sms",
        "percent": "6",
        "valid_from": "2014-06-01",
        "valid_to": "2026-03-17",
    },
    {"jurisdiction": "CN", "category": "sms", "percent": "9", "valid_from": "2026-03-17"},
    {
        "jurisdiction": "DE",
        "category": "it",
        "supply": "inbound_business",
        "code": "reverse_charge",
        "valid_from": "2010-01-01",
        "text": "Reverse charge",
    },
]


def taxed(*steps: Any, plans: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {
        **a_story(*steps, plans=plans),
        "taxes": VAT,
        "seller": {"country": "CN"},
        **fields,
    }


def a_tenant(**fields: Any) -> list[dict[str, Any]]:
    return [
        at("03-01", "create_tenant", tenant="acme", apps=["chat"], **fields),
        at("03-01", "subscribe", tenant="acme", plan="pro", anchor="calendar"),
    ]


def sums(document: dict[str, Any]) -> tuple[str, ...]:
    return tuple(document[name] for name in ("subtotal", "discount_total", "tax_total", "total"))


def taxes(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["percent"], each["taxable"], each["tax"]) for each in document["taxes"]]


def test_nobody_says_so_and_there_is_none(tmp_path: Path) -> None:
    result = played(taxed(*a_tenant(country="CN"), plans=[a_plan("pro", BASE)]), tmp_path)
    (invoice,) = result["invoices"]
    assert sums(invoice) == ("310.00", "0.00", "0.00", "310.00")
    assert invoice["taxes"] == []


def test_a_storys_documents_are_amounts_and_need_no_addresses(tmp_path: Path) -> None:
    """What the law of the Union wants on an invoice is asked of those that somebody gets."""
    plan = a_plan("pro", BASE, tax_percent="19")
    result = played(
        taxed(*a_tenant(country="FR"), plans=[plan], seller={"country": "DE"}), tmp_path
    )
    (invoice,) = result["invoices"]
    assert sums(invoice) == ("310.00", "0.00", "58.90", "368.90")


def test_the_price_before_the_plan_before_the_tenant(tmp_path: Path) -> None:
    """310 at the plan's 6 %, 100 at the price's 9 %; the tenant's 13 % is asked last."""
    plan = a_plan("pro", BASE, {**SMS, "timing": "in_advance", "tax_percent": "9"}, tax_percent="6")
    result = played(taxed(*a_tenant(tax_percent="13"), plans=[plan]), tmp_path)
    (invoice,) = result["invoices"]
    assert taxes(invoice) == [("6", "310.00", "18.60"), ("9", "100.00", "9.00")]
    assert sums(invoice) == ("410.00", "0.00", "27.60", "437.60")
    assert invoice["due"] == "437.60"
    assert result["balances"]["acme"]["receivable"] == "437.60"


def test_the_tenant_says_it_where_the_plan_is_silent(tmp_path: Path) -> None:
    story = taxed(*a_tenant(tax_percent="13"), plans=[a_plan("pro", BASE)])
    (invoice,) = played(story, tmp_path)["invoices"]
    assert sums(invoice) == ("310.00", "0.00", "40.30", "350.30")


def test_a_business_abroad_owes_it_itself(tmp_path: Path) -> None:
    plan = a_plan("pro", BASE, tax_category="it")
    story = taxed(*a_tenant(country="DE", tax_id="DE129273398"), plans=[plan])
    (invoice,) = played(story, tmp_path)["invoices"]
    assert sums(invoice) == ("310.00", "0.00", "0.00", "310.00")
    (tax,) = invoice["taxes"]
    assert (tax["code"], tax["taxable"], tax["text"]) == (
        "reverse_charge",
        "310.00",
        {"en": "Reverse charge"},
    )


def test_an_exempt_tenant_bears_none(tmp_path: Path) -> None:
    plan = a_plan("pro", BASE, tax_percent="6")
    story = taxed(*a_tenant(tax_treatment="exempt"), plans=[plan])
    (invoice,) = played(story, tmp_path)["invoices"]
    assert (invoice["tax_total"], invoice["taxes"][0]["code"]) == ("0.00", "exempt")


def test_the_same_product_before_and_after_the_turn_of_the_year(tmp_path: Path) -> None:
    """Messages went from 6 to 9 percent on 1 January 2026: December's and January's usage differ."""
    plan = a_plan("pro", SMS, tax_category="sms")
    story = taxed(
        at("2025-12-01T00:00", "create_tenant", tenant="acme", apps=["chat"], country="CN"),
        at("2025-12-01T00:00", "subscribe", tenant="acme", plan="pro", anchor="calendar"),
        at("02-02", "advance"),
        plans=[plan],
    )
    story["taxes"] = [
        {
            "jurisdiction": "CN",
            "category": "sms",
            "percent": "6",
            "valid_from": "2014-06-01",
            "valid_to": "2026-01-01",
        },
        {"jurisdiction": "CN", "category": "sms", "percent": "9", "valid_from": "2026-01-01"},
    ]
    december, january = played(story, tmp_path)["invoices"]
    assert taxes(december) == [("6", "100.00", "6.00")]
    assert taxes(january) == [("9", "100.00", "9.00")]


def test_a_period_that_spans_a_change_is_split_by_days(tmp_path: Path) -> None:
    """March has 16 days at 6 % and 15 at 9 %: of 100.00 51.61 and 48.39."""
    plan = a_plan("pro", {**SMS, "tax_category": "sms"})
    story = taxed(*a_tenant(), at("04-02", "advance"), plans=[plan])
    (invoice,) = played(story, tmp_path)["invoices"]
    assert [
        (line["amount"], line["tax_percent"], line["tax"], line["period"]["starts_at"][:10])
        for line in invoice["lines"]
    ] == [("51.61", "6", "3.10", "2026-03-01"), ("48.39", "9", "4.36", "2026-03-17")]
    assert invoice["lines"][0]["period"]["ends_at"] == invoice["lines"][1]["period"]["starts_at"]
    assert sums(invoice) == ("100.00", "0.00", "7.46", "107.46")


@pytest.mark.parametrize(
    ("rounding", "tax"),
    [
        ("per_rate", "0.03"),  # 6 % of 0.50
        ("per_line", "0.04"),  # 6 % of 0.25 is 0.015, so 0.02, twice
    ],
)
def test_the_seller_says_how_it_is_rounded(rounding: str, tax: str, tmp_path: Path) -> None:
    plan = a_plan(
        "pro",
        {"key": "a", "model": "flat", "amount": "0.25"},
        {"key": "b", "model": "flat", "amount": "0.25"},
        tax_percent="6",
    )
    story = taxed(*a_tenant(), plans=[plan], seller={"country": "CN", "tax_rounding": rounding})
    (invoice,) = played(story, tmp_path)["invoices"]
    assert invoice["tax_total"] == tax
    assert sum(Decimal(line["tax"]) for line in invoice["lines"]) == Decimal(tax)


def test_a_credit_note_takes_tax_back_by_the_line(tmp_path: Path) -> None:
    """Of 310.00 with 18.60: 10.00 and 0.60, then the rest, so that nothing is left."""
    story = taxed(
        *a_tenant(),
        at("03-02", "credit_note", invoice=1, lines=[{"line": 1, "amount": "10.00"}], reason="a"),
        at("03-03", "credit_note", invoice=1, lines=[{"line": 1, "amount": "300.00"}], reason="b"),
        plans=[a_plan("pro", BASE, tax_percent="6")],
    )
    result = played(story, tmp_path)
    assert [(note["tax_total"], note["total"]) for note in result["credit_notes"]] == [
        ("0.60", "10.60"),
        ("18.00", "318.00"),
    ]
    (invoice,) = result["invoices"]
    assert (invoice["status"], invoice["due"]) == ("paid", "0.00")
    assert result["balances"]["acme"] == {
        "cash": "0.00",
        "gift": "0.00",
        "voucher": "0.00",
        "receivable": "0.00",
    }


def test_no_more_net_than_the_line_goes_back(tmp_path: Path) -> None:
    story = taxed(
        *a_tenant(),
        at("03-02", "credit_note", invoice=1, lines=[{"line": 1, "amount": "310.01"}], reason="a"),
        plans=[a_plan("pro", BASE, tax_percent="6")],
    )
    assert refused(story, tmp_path)["code"] == "above_line"


def test_no_more_tax_of_a_rate_than_the_invoice_charged_goes_back(tmp_path: Path) -> None:
    """A change of plan charges 160.00 and takes 80.00 back on one document: 4.80 of tax. The charge
    alone would take 9.60 back."""
    dear = a_plan("dear", {**BASE, "amount": "620"}, tax_percent="6")
    story = taxed(
        *a_tenant(),
        at("03-16", "change_plan", tenant="acme", plan="dear", when="now"),
        at("03-17", "credit_note", invoice=2, lines=[{"line": 2, "amount": "320.00"}], reason="a"),
        plans=[a_plan("pro", BASE, tax_percent="6"), dear],
    )
    assert refused(story, tmp_path)["code"] == "above_invoice_tax"


def test_a_cancellation_gives_the_tax_of_the_unused_days_back(tmp_path: Path) -> None:
    """16 of 31 days unused of 310.00: 160.00 and 9.60 of tax, to the cash balance."""
    story = taxed(
        *a_tenant(),
        at("03-01T12:00", "pay", invoice=1, amount="full"),
        at("03-16", "cancel", tenant="acme", when="now"),
        plans=[a_plan("pro", BASE, tax_percent="6")],
    )
    result = played(story, tmp_path)
    (note,) = result["credit_notes"]
    assert (note["tax_total"], note["total"]) == ("9.60", "169.60")
    assert result["balances"]["acme"]["cash"] == "169.60"


def test_a_change_within_a_period_of_two_rates_mirrors_both(tmp_path: Path) -> None:
    base = {**BASE, "tax_category": "sms"}
    story = taxed(
        *a_tenant(),
        at("03-12", "change_plan", tenant="acme", plan="free", when="now"),
        plans=[a_plan("pro", base), a_plan("free", {**base, "amount": "0"})],
    )
    result = played(story, tmp_path)
    (note,) = result["credit_notes"]
    assert [(line["amount"], line["tax_percent"], line["tax"]) for line in note["lines"][:2]] == [
        ("50.00", "6", "3.00"),
        ("150.00", "9", "13.50"),
    ]
    assert note["total"] == "216.50"


def test_a_change_to_a_plan_with_a_category_finds_its_rate(tmp_path: Path) -> None:
    """The plan held so far wants no rate; the new one bears 6 % of 320.00, less 160.00 without tax."""
    dear = a_plan("dear", {**BASE, "amount": "620"}, tax_category="it")
    story = taxed(
        *a_tenant(),
        at("03-16", "change_plan", tenant="acme", plan="dear", when="now"),
        plans=[a_plan("pro", BASE), dear],
    )
    change = played(story, tmp_path)["invoices"][1]
    assert sums(change) == ("160.00", "0.00", "19.20", "179.20")


def test_a_rate_that_nobody_loaded_parks_the_tenant(tmp_path: Path) -> None:
    story = taxed(*a_tenant(), plans=[a_plan("pro", BASE, tax_category="books")])
    assert refused(story, tmp_path)["code"] == "no_tax_rate"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"tax_percent": "101"}, "out_of_range"),
        ({"tax_percent": "6", "tax_treatment": "exempt"}, "percent_and_treatment"),
        ({"country": "Germany"}, "not_a_country"),
        ({"tax_treatment": "maybe"}, "unknown_tax_treatment"),
    ],
)
def test_a_standing_that_can_not_be(fields: dict[str, str], code: str, tmp_path: Path) -> None:
    story = taxed(*a_tenant(**fields), plans=[a_plan("pro", BASE)])
    assert refused(story, tmp_path)["code"] == code


def test_wrong_rates_and_sellers_are_refused(tmp_path: Path) -> None:
    steps = beginning("pro")
    plans = [a_plan("pro", BASE)]
    assert refused(taxed(*steps, plans=plans, taxes=[{}]), tmp_path)["code"] == "invalid_taxes"
    wrong = taxed(*steps, plans=plans, seller={"name": "x"})
    assert refused(wrong, tmp_path)["code"] == "unknown_field"
    wrong = taxed(*steps, plans=plans, seller={"tax_rounding": "up"})
    assert refused(wrong, tmp_path)["code"] == "invalid_seller"


USERS = {
    "key": "dau",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}


def test_late_usage_is_corrected_by_the_rate_at_which_it_was_billed(tmp_path: Path) -> None:
    """100 users at 6 % are billed; 50 more come late, when 9 % holds: 50.00 with 3.00."""
    plan = a_plan("pro", {**USERS, "tax_category": "moving"})
    rates = [
        {**VAT[0], "category": "moving", "valid_to": "2026-04-01"},
        {**VAT[0], "category": "moving", "percent": "9", "valid_from": "2026-04-01"},
    ]
    story = taxed(
        *a_tenant(),
        at("03-05", "usage", app="chat", meter="dau", day="2026-03-05", value="100"),
        at("04-10", "usage", app="chat", meter="dau", day="2026-03-06", value="150"),
        at("04-11", "usage", app="chat", meter="dau", day="2026-04-11", value="10"),
        at("05-02", "advance"),
        plans=[plan],
        taxes=rates,
    )
    march, april = played(story, tmp_path)["invoices"]
    assert sums(march) == ("100.00", "0.00", "6.00", "106.00")
    assert [(line["amount"], line["tax_percent"], line["tax"]) for line in april["lines"]] == [
        ("10.00", "9", "0.90"),
        ("50.00", "6", "3.00"),
    ]


def test_late_usage_that_is_less_gives_its_tax_back(tmp_path: Path) -> None:
    """100 users were billed with 6.00 of tax, 40 were right: a note of 60.00 and 3.60."""
    story = taxed(
        *a_tenant(),
        at("03-05", "usage", app="chat", meter="dau", day="2026-03-05", value="100"),
        at("04-10", "usage", app="chat", meter="dau", day="2026-03-05", value="40"),
        at("05-02", "advance"),
        plans=[a_plan("pro", USERS, tax_percent="6")],
    )
    result = played(story, tmp_path)
    (note,) = result["credit_notes"]
    assert (note["subtotal"], note["tax_total"], note["total"]) == ("60.00", "3.60", "63.60")
    assert result["balances"]["acme"]["cash"] == "63.60"
