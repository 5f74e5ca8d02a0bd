"""Charges by hand: drafted once, issued once, as invoices like all others."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections

from billing.fapiao.amounts import invoice_amounts
from billing.invoicing.charges.domain import NOT_BILLED, ChargeState
from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.models import Charge, Invoice, InvoiceLine, Seller
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.issue_charges import (
    carry_out_issue,
    issue_charge,
    issue_due_charges,
)
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.write_charge import ask_charge, change_charge, withdraw_charge
from billing.ledger.models import JournalEntry
from billing.ledger.queries import first_drift, first_imbalance
from billing.ledger.recognition import first_deferral_drift
from billing.ledger.services.recognize_revenue import recognize_revenue
from billing.payments.verification import first_line_drift, first_tax_drift
from billing.taxes.models import TaxRate
from kernel.errors import Conflict, DomainError, NotFound
from kernel.money import Money
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, a_plan, a_subscription, a_tenant, some_usage
from tests.services.charge_world import SETUP, a_charge, an_asked, issued
from tests.services.forks import Forks
from work.connections import JOBS, cursor

pytestmark = pytest.mark.usefixtures("db")

DUE = datetime(2026, 4, 1, 1, tzinfo=UTC)


def entries(invoice: Invoice) -> dict[str, int]:
    with system_scope(purpose="test"):
        return dict(
            JournalEntry.objects.filter(transaction__reference=f"invoice:{invoice.id}").values_list(
                "account_id", "amount_minor"
            )
        )


def assert_sound() -> None:
    with system_scope(purpose="test"):
        assert first_imbalance() is None
        assert first_drift() is None
        assert first_line_drift() is None
        assert first_tax_drift() is None
        assert first_deferral_drift() is None


def test_a_one_off_is_an_invoice_like_all_others() -> None:
    tenant = a_tenant()
    invoice = issued(
        tenant.id,
        {**SETUP, "tax_percent": "6"},
        {"description": "Visit", "amount": "80"},
        days_to_pay=30,
    )

    assert (invoice.kind, invoice.status, invoice.number) == ("one_off", "open", "INV-2026-000001")
    # 1000.01 with 6 % are 60.0006, and 80 without tax.
    assert (invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (
        108001,
        6000,
        114001,
    )
    assert invoice.due_on == date(2026, 3, 31)
    assert invoice.subscription_id is None
    assert entries(invoice) == {"receivable": 114001, "revenue": -108001, "tax_payable": -6000}
    with system_scope(purpose="test"):
        lines = list(InvoiceLine.objects.order_by("position"))
        charge = Charge.objects.get()
    assert [line.description for line in lines] == ["Setting up", "Visit"]
    assert lines[0].explanation["by_hand"]["description"]["zh-hans"] == "安装部署"
    assert lines[0].explanation["exact"] == "1000.005"
    assert (charge.state, charge.invoice_id) == (ChargeState.ISSUED, invoice.id)
    assert_sound()


def test_it_is_printed_in_the_tenants_language() -> None:
    tenant = a_tenant()
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(language="zh-hans")
    invoice = issued(tenant.id)
    with system_scope(purpose="test"):
        assert InvoiceLine.objects.get().description == "安装部署"

    printed = print_invoice(tenant_id=tenant.id, invoice_id=invoice.id)

    assert printed.language == "zh-hans"
    assert printed.content.startswith(b"%PDF")


def test_the_tax_is_that_of_the_dated_rates(taxed: UUID) -> None:
    """A licence over the days on which the rate rises is split by days, as a subscription's line is."""
    invoice = issued(
        taxed,
        {
            "description": "Licence", "amount": "122", "tax_category": "software",
            "starts_on": "2026-03-01", "ends_on": "2026-05-01",
        },
        kind=InvoiceKind.LICENCE,
    )  # fmt: skip
    with system_scope(purpose="test"):
        lines = list(InvoiceLine.objects.order_by("position"))
    # 31 of 61 days at 6 %, 30 at 9 %.
    assert [(line.amount_minor, line.tax_percent) for line in lines] == [
        (6200, Decimal(6)),
        (6000, Decimal(9)),
    ]
    assert invoice.tax_minor == 372 + 540


def test_without_a_rate_nothing_is_guessed(taxed: UUID) -> None:
    charge_id = a_charge(taxed, {"description": "x", "amount": "1", "tax_category": "unheard"})
    with pytest.raises(DomainError) as refused, system_scope(purpose="test"):
        issue_charge(tenant_id=taxed, charge_id=charge_id, now=NOW, actor="test")
    assert refused.value.code == "no_tax_rate"
    with system_scope(purpose="test"):
        assert not Invoice.objects.exists()


@pytest.fixture
def taxed() -> UUID:

    tenant = a_tenant()
    with system_scope(purpose="test"):
        Seller.objects.update(country="CN")
        for percent, valid_from, valid_to in (
            (6, date(2020, 1, 1), date(2026, 4, 1)),
            (9, date(2026, 4, 1), None),
        ):
            TaxRate.objects.create(
                jurisdiction="CN", category="software", supply="domestic", code="standard",
                percent=Decimal(percent), valid_from=valid_from, valid_to=valid_to,
            )  # fmt: skip
    return tenant.id


def test_a_licence_is_earned_day_by_day_and_a_milestone_at_once() -> None:
    tenant = a_tenant()
    days = {"starts_on": "2026-03-01", "ends_on": "2026-03-31"}
    licence = issued(
        tenant.id, {"description": "L", "quantity": "2", "unit_price": "150", **days},
        kind=InvoiceKind.LICENCE,
    )  # fmt: skip
    milestone = issued(
        tenant.id,
        {"description": "Acceptance", "amount": "500"},
        kind=InvoiceKind.MILESTONE,
        reference="order-2",
    )
    assert entries(licence) == {"receivable": 30000, "deferred_revenue": -30000}
    assert entries(milestone) == {"receivable": 50000, "revenue": -50000}

    recognize_revenue(through=date(2026, 3, 10), now=datetime(2026, 3, 11, tzinfo=UTC))

    with system_scope(purpose="test"):
        earned = sum(
            JournalEntry.objects.filter(
                account_id="revenue", transaction__kind="revenue_recognition"
            ).values_list("amount_minor", flat=True)
        )
    assert earned == -10000  # 10 of 30 days
    assert_sound()


def test_the_same_reference_asks_once() -> None:
    tenant = a_tenant()
    first = a_charge(tenant.id)
    assert a_charge(tenant.id) == first
    with system_scope(purpose="test"):
        issue_charge(tenant_id=tenant.id, charge_id=first, now=NOW, actor="test")
    # Also when it was issued meanwhile.
    assert a_charge(tenant.id) == first
    with pytest.raises(Conflict) as refused:
        a_charge(tenant.id, {"description": "Visit", "amount": "80"})
    assert refused.value.code == "reference_used"
    # Another tenant has references of its own.
    assert a_charge(a_tenant("other", apps=()).id) != first


def test_a_draft_is_changed_and_taken_away_and_an_issued_one_is_not() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id)
    with system_scope(purpose="test"):
        change_charge(
            tenant_id=tenant.id,
            charge_id=charge_id,
            asked=an_asked({"description": "Visit", "amount": "80"}, days_to_pay=0),
            now=NOW,
            actor="test",
        )
        invoice_id = issue_charge(tenant_id=tenant.id, charge_id=charge_id, now=NOW, actor="test")
        assert invoice_id is not None
        assert Invoice.objects.get(id=invoice_id).total_minor == 8000
    for refused in (change_charge, withdraw_charge, issue_charge):
        options: dict[str, Any] = {"asked": an_asked()} if refused is change_charge else {}
        with pytest.raises(Conflict) as error, system_scope(purpose="test"):
            refused(tenant_id=tenant.id, charge_id=charge_id, now=NOW, actor="test", **options)
        assert error.value.code == "charge_concluded"

    other = a_charge(tenant.id, reference="order-2")
    with system_scope(purpose="test"):
        withdraw_charge(tenant_id=tenant.id, charge_id=other, now=NOW, actor="test")
        assert Charge.objects.get().id == charge_id


def test_another_tenants_charge_is_not_found() -> None:
    mine, theirs = a_tenant("mine"), a_tenant("theirs", apps=())
    charge_id = a_charge(theirs.id)
    for attempt in (issue_charge, withdraw_charge):
        with pytest.raises(NotFound), system_scope(purpose="test"):
            attempt(tenant_id=mine.id, charge_id=charge_id, now=NOW, actor="test")
    with tenant_scope(mine.id):
        assert not Charge.objects.exists()
    with pytest.raises(NotFound), tenant_scope(mine.id):
        ask_charge(tenant_id=theirs.id, asked=an_asked(reference="x"), now=NOW, actor="test")


def test_the_database_refuses_to_change_what_was_issued() -> None:
    tenant = a_tenant()
    issued(tenant.id)
    for statement in (
        "UPDATE billing_charge SET lines = '[]'",
        "UPDATE billing_charge SET state = 'draft', invoice_id = NULL, concluded_at = NULL",
        "DELETE FROM billing_charge",
    ):
        with (
            pytest.raises(IntegrityError, match="concluded"),
            system_scope(purpose="test"),
            cursor() as db,
        ):
            db.execute(statement)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ({"description": "x", "amount": "-1"}, "amount_not_positive"),
        ({"description": "x", "amount": "0"}, "amount_not_positive"),
        ({"description": "x", "quantity": "-1", "unit_price": "-5"}, "amount_not_positive"),
        ({"description": "x", "quantity": "1", "unit_price": "0.004"}, "amount_not_positive"),
        ({"description": "x", "amount": "1.001"}, "too_many_decimals"),
        ({"description": "x", "unit_price": "0.0000000000001"}, "too_many_decimals"),
        ({"description": "x", "amount": "1", "unit_price": "1"}, "one_of_amounts"),
        ({"description": "x"}, "one_of_amounts"),
        ({"description": "x", "commitment": "1"}, "one_of_amounts"),
        ({"description": " ", "amount": "1"}, "no_description"),
        ({"description": {"de": "x"}, "amount": "1"}, "no_description"),
        ({"description": "x" * 281, "amount": "1"}, "text_too_long"),
        ({"description": "x", "amount": "1", "colour": "red"}, "unknown_field"),
        ({"description": "x", "amount": "1", "starts_on": "2026-03-01"}, "no_service_days"),
        (
            {"description": "x", "amount": "1", "starts_on": "2026-03-01", "ends_on": "2026-03-01"},
            "service_ends_before",
        ),
        (
            {"description": "x", "amount": "1", "starts_on": "1026-03-01", "ends_on": "2026-03-01"},
            "invalid_date",
        ),
        ({"description": "x", "amount": "1", "tax_percent": "101"}, "out_of_range"),
        (
            {"description": "x", "amount": "1", "tax_percent": "6", "tax_category": "a"},
            "percent_and_category",
        ),
        ({"description": "x", "amount": "1", "recognised": "never"}, "recognised_by_kind"),
    ],
)
def test_a_line_that_cannot_be_billed_is_refused_with_its_place(
    line: dict[str, Any], code: str
) -> None:
    tenant = a_tenant()
    with pytest.raises(DomainError) as refused:
        a_charge(tenant.id, SETUP, line)
    assert refused.value.code == code
    assert (refused.value.field or "").startswith("lines[1]")


def test_a_licence_needs_its_term_and_is_always_earned_over_it() -> None:
    tenant = a_tenant()
    for line, code in (
        ({"description": "L", "amount": "1"}, "no_service_days"),
        (
            {
                "description": "L", "amount": "1", "starts_on": "2026-03-01",
                "ends_on": "2027-03-01", "recognised": "at_once",
            },
            "recognised_by_kind",
        ),
    ):  # fmt: skip
        with pytest.raises(DomainError) as refused:
            a_charge(tenant.id, line, kind=InvoiceKind.LICENCE)
        assert refused.value.code == code


def test_the_billing_run_issues_what_is_due_and_no_more() -> None:
    """A plan of instalments is several charges, each on its day at the tenant's midnight."""
    tenant = a_tenant()
    for month in (3, 4, 5):
        a_charge(
            tenant.id,
            {"description": f"Instalment {month}", "amount": "100"},
            kind=InvoiceKind.MILESTONE,
            reference=f"instalment-{month}",
            issue_on=date(2026, month, 1),
        )
    a_charge(tenant.id, reference="by hand alone")

    call_command("bill", "--at", "2026-03-31T23:59:59+08:00", "--finalize")
    with system_scope(purpose="test"):
        assert Invoice.objects.count() == 1
    call_command("bill", "--at", "2026-04-01T00:00:00+08:00")  # drafts alone
    with system_scope(purpose="test"):
        assert Invoice.objects.count() == 1
    for _ in range(2):
        call_command("bill", "--at", "2026-04-01T00:00:00+08:00", "--finalize")

    with system_scope(purpose="test"):
        assert sorted(Invoice.objects.values_list("number", "total_minor")) == [
            ("INV-2026-000001", 10000),
            ("INV-2026-000002", 10000),
        ]
        assert Charge.objects.filter(state=ChargeState.DRAFT).count() == 2
    assert_sound()


def test_one_that_cannot_be_billed_is_told_and_the_others_go_on(taxed: UUID) -> None:
    bad = {"description": "x", "amount": "1", "tax_category": "unheard"}
    charge_id = a_charge(taxed, bad, issue_on=date(2026, 3, 1))
    a_charge(taxed, reference="good", issue_on=date(2026, 3, 1))

    done = issue_due_charges(at=DUE)

    assert (done.seen, done.issued) == (2, 1)
    assert [(each.tenant, each.code) for each in done.parked] == [("acme", "no_tax_rate")]
    with system_scope(purpose="test"):
        assert Charge.objects.get(id=charge_id).fault_code == "no_tax_rate"
        change_charge(
            tenant_id=taxed,
            charge_id=charge_id,
            asked=an_asked({"description": "x", "amount": "1"}, issue_on=date(2026, 3, 1)),
            now=NOW,
            actor="test",
        )
    assert issue_due_charges(at=DUE).issued == 1
    with system_scope(purpose="test"):
        assert Charge.objects.get(id=charge_id).fault_code == ""


def test_two_who_issue_at_once_bill_once() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id, issue_on=date(2026, 3, 1))
    outcomes: list[str] = []

    def by_hand() -> None:
        try:
            with system_scope(purpose="test"):
                issue_charge(tenant_id=tenant.id, charge_id=charge_id, now=DUE, actor="test")
                time.sleep(0.2)
            outcomes.append("issued")
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    def by_run() -> None:
        try:
            done = issue_due_charges(at=DUE)
            outcomes.append("issued" if done.issued else "charge_concluded")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=each) for each in (by_hand, by_hand, by_run)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=30)

    assert sorted(outcomes) == ["charge_concluded", "charge_concluded", "issued"]
    with system_scope(purpose="test"):
        assert list(Invoice.objects.values_list("number", flat=True)) == ["INV-2026-000001"]


def test_what_the_web_asked_for_is_done_once() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id)
    first = carry_out_issue(tenant_id=tenant.id, charge_id=charge_id, now=DUE)
    assert first is not None
    assert carry_out_issue(tenant_id=tenant.id, charge_id=charge_id, now=DUE) == first
    with system_scope(purpose="test"):
        assert Invoice.objects.count() == 1
    other = a_charge(tenant.id, reference="gone")
    with system_scope(purpose="test"):
        withdraw_charge(tenant_id=tenant.id, charge_id=other, now=NOW, actor="test")
    assert carry_out_issue(tenant_id=tenant.id, charge_id=other, now=DUE) is None


_SMALL_CHUNKS = """
from billing.invoicing.services import issue_charges
issue_charges.CHUNK = 2
load_command_class("billing", "bill")
"""


@pytest.fixture
def forks() -> Iterator[Forks]:
    started = Forks(_SMALL_CHUNKS)
    yield started
    started.end()


def test_killed_at_any_moment_each_is_billed_once(forks: Forks) -> None:
    tenants = [a_tenant(f"t{index}", apps=()) for index in range(4)]
    for tenant in tenants:
        for place in range(6):
            a_charge(tenant.id, reference=f"order-{place}", issue_on=date(2026, 3, 1))
    for attempt in range(8):
        run = forks.start("bill", "--at", DUE.isoformat(), "--finalize", "--json")
        time.sleep(0.03 + 0.04 * attempt)
        run.kill()
        run.wait()

    assert forks.start("bill", "--at", DUE.isoformat(), "--finalize", "--json").wait() == 0

    with system_scope(purpose="test"):
        numbers = sorted(str(number) for (number,) in Invoice.objects.values_list("number"))
        assert numbers == [f"INV-2026-{place:06d}" for place in range(1, 25)]
        assert Charge.objects.filter(state=ChargeState.ISSUED).count() == 24
    assert_sound()


def test_a_credit_note_takes_it_back() -> None:
    tenant = a_tenant()
    invoice = issued(tenant.id, {**SETUP, "tax_percent": "6"})
    with system_scope(purpose="test"):
        number = credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money.of("1000.01", "CNY"))],
            reason="not delivered",
            now=DUE,
            actor="test",
        )
        invoice.refresh_from_db()
        assert (number, invoice.status) == ("INV-CN-2026-000001", InvoiceStatus.PAID)
        assert [each.net for each in invoice_amounts(invoice)] == [100001, -100001]
    assert_sound()


def test_a_true_up_bills_what_is_missing_and_tells_of_what() -> None:
    """199 in advance and 15.00 of usage for March; 300 were committed."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35})
    call_command("bill", "--at", "2026-04-02T00:00:00+08:00", "--finalize")
    line = {
        "description": "March", "commitment": "300",
        "starts_on": "2026-03-01", "ends_on": "2026-04-01",
    }  # fmt: skip
    # What is no use of the service doesn't count.
    issued(tenant.id, reference="setup")

    invoice = issued(tenant.id, line, kind=InvoiceKind.TRUE_UP, reference="march", at=DUE)

    with system_scope(purpose="test"):
        stored = InvoiceLine.objects.get(invoice=invoice)
    assert (stored.kind, stored.amount_minor) == ("true_up", 8600)
    told = stored.explanation["by_hand"]["commitment"]
    assert (told["committed"], told["billed"]) == ("300.00", "214.00")
    assert [each["net"] for each in told["documents"]] == ["199.00", "15.00"]
    assert entries(invoice) == {"receivable": 8600, "revenue": -8600}

    # What was trued up counts as billed: asked for again, nothing is missing, and there is no invoice.
    again = a_charge(tenant.id, line, kind=InvoiceKind.TRUE_UP, reference="march again")
    with system_scope(purpose="test"):
        assert issue_charge(tenant_id=tenant.id, charge_id=again, now=DUE, actor="test") is None
        assert Charge.objects.get(id=again).state == ChargeState.NOTHING_DUE
        # A credit note on a subscription's invoice lowers what was billed.
        first = Invoice.objects.filter(kind="subscription").order_by("number")[0]
        credit_invoice(
            invoice_id=first.id,
            lines=[LineCredit(position=1, amount=Money.of("9", "CNY"))],
            reason="outage",
            now=DUE,
            actor="test",
        )
    third = issued(tenant.id, line, kind=InvoiceKind.TRUE_UP, reference="march 3", at=DUE)
    assert third.total_minor == 900
    assert_sound()


MARCH: dict[str, Any] = {
    "description": "March", "commitment": "300",
    "starts_on": "2026-03-01", "ends_on": "2026-04-01",
}  # fmt: skip


def test_a_true_up_waits_for_what_is_still_to_be_issued_of_its_days() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35})
    trued_up = a_charge(
        tenant.id, MARCH, kind=InvoiceKind.TRUE_UP, reference="march", issue_on=date(2026, 4, 1)
    )

    # March's usage is a draft until its grace ends on the 2nd.
    call_command("bill", "--at", "2026-04-01T12:00:00+08:00", "--finalize")
    with system_scope(purpose="test"):
        charge = Charge.objects.get(id=trued_up)
    assert (charge.state, charge.fault_code) == (ChargeState.DRAFT, NOT_BILLED)

    call_command("bill", "--at", "2026-04-02T00:00:00+08:00", "--finalize")
    with system_scope(purpose="test"):
        charge = Charge.objects.select_related("invoice").get(id=trued_up)
    # 300 less 199 and 15.00.
    assert charge.invoice is not None
    assert (charge.fault_code, charge.invoice.total_minor) == ("", 8600)


def test_two_true_ups_of_one_run_count_each_other() -> None:
    tenant = a_tenant()
    for reference in ("march", "march again"):
        a_charge(
            tenant.id,
            MARCH,
            kind=InvoiceKind.TRUE_UP,
            reference=reference,
            issue_on=date(2026, 4, 1),
        )
    done = issue_due_charges(at=DUE)
    assert (done.seen, done.issued, done.totals) == (2, 1, {"CNY": 30000})


def test_a_true_up_counts_one_tenant_one_currency_and_its_days() -> None:
    a_plan()
    tenant, other = a_tenant(), a_tenant("other", apps=("others",))
    for each in (tenant, other):
        a_subscription(each)
    call_command("bill", "--at", "2026-04-02T00:00:00+08:00", "--finalize")
    for currency, reference, missing in (("CNY", "a", 30000 - 19900), ("USD", "b", 30000)):
        invoice = issued(
            tenant.id,
            {
                "description": "April", "commitment": "300",
                "starts_on": "2026-04-01", "ends_on": "2026-05-01",
            },
            kind=InvoiceKind.TRUE_UP, currency=currency, reference=reference,
        )  # fmt: skip
        assert invoice.total_minor == missing


def test_a_hundred_charges_take_a_few_statements() -> None:
    for index in range(10):
        tenant = a_tenant(f"t{index}", apps=())
        for place in range(10):
            a_charge(tenant.id, reference=f"order-{place}", issue_on=date(2026, 3, 1))
    connections[JOBS].force_debug_cursor = True
    try:
        before = len(connections[JOBS].queries_log)
        assert issue_due_charges(at=DUE + timedelta(days=1)).issued == 100
        assert len(connections[JOBS].queries_log) - before < 40
    finally:
        connections[JOBS].force_debug_cursor = False
