"""Top-ups: an invoice without tax and without revenue; what is paid of it is the balance, once."""

import threading
from datetime import date, timedelta
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client

from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import Charge, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.issue_charges import carry_out_issue
from billing.invoicing.services.request_top_up import request_top_up
from billing.ledger.domain import BalanceKind
from billing.ledger.models import BalanceLot, JournalEntry
from billing.ledger.queries import (
    account_balances,
    first_balance_drift,
    first_drift,
    first_imbalance,
)
from billing.payments.queries import first_payment_drift
from billing.payments.services.grant_balance import grant_balance
from billing.payments.services.pay_from_balance import pay_from_balance
from billing.payments.services.record_bank_transfer import record_bank_transfer
from billing.payments.verification import first_settlement_drift
from billing.statements.domain.states import StatementState
from billing.statements.queries import statement_of
from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_statement import request_statement
from kernel.errors import Conflict, DomainError
from kernel.money import Money
from tenants.domain import Role, StaffRole
from tenants.models import Member, Tenant, User
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, a_tenant
from tests.services.charge_world import issued

pytestmark = pytest.mark.usefixtures("db")


def a_top_up(tenant_id: UUID, amount: str = "100", reference: str = "t1") -> Invoice:
    with tenant_scope(tenant_id):
        charge_id = request_top_up(
            tenant_id=tenant_id,
            amount=Money.of(amount, "CNY"),
            reference=reference,
            now=NOW,
            actor="test",
        )
    invoice_id = carry_out_issue(tenant_id=tenant_id, charge_id=charge_id, now=NOW)
    with system_scope(purpose="test"):
        return Invoice.objects.get(id=str(invoice_id))


def pay(invoice: Invoice, amount: str, reference: str) -> None:
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(
            email="staff@summit.test", defaults={"staff_role": "finance"}
        )
    record_bank_transfer(
        user=user,
        invoice_id=invoice.id,
        amount=Money.of(amount, "CNY"),
        received_on=date(2026, 3, 2),
        reference=reference,
        now=NOW,
    )


def cash() -> list[int]:
    with system_scope(purpose="test"):
        return list(BalanceLot.objects.order_by("id").values_list("left_minor", flat=True))


def ledger() -> dict[str, int]:
    with system_scope(purpose="test"):
        return {account: money.minor for (account, _), money in account_balances().items() if money}


def assert_sound() -> None:
    with system_scope(purpose="test"):
        for fault in (
            first_imbalance, first_drift, first_payment_drift, first_balance_drift,
            first_settlement_drift,
        ):  # fmt: skip
            assert fault() is None


def test_unpaid_it_is_no_balance_and_never_revenue() -> None:
    tenant = a_tenant()
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(tax_treatment="taxable", tax_percent=6)
    invoice = a_top_up(tenant.id)
    assert (invoice.kind, invoice.tax_minor, invoice.total_minor) == ("top_up", 0, 10000)
    assert cash() == []
    assert ledger() == {"receivable": 10000, "top_ups_due": -10000}

    pay(invoice, "100", "bank-1")

    assert cash() == [10000]
    assert ledger() == {"bank": 10000, "customer_credit": -10000}
    assert_sound()
    with system_scope(purpose="test"):
        assert not JournalEntry.objects.filter(account_id="revenue").exists()


def test_what_comes_in_parts_is_there_in_parts_and_a_surplus_beside_it() -> None:
    invoice = a_top_up(a_tenant().id)
    pay(invoice, "40", "bank-1")
    assert cash() == [4000]
    pay(invoice, "70", "bank-2")
    assert sorted(cash()) == [1000, 4000, 6000]
    with system_scope(purpose="test"):
        invoice.refresh_from_db()
        kinds = {source.split(":")[0] for (source,) in BalanceLot.objects.values_list("source")}
    assert invoice.status == InvoiceStatus.PAID
    assert kinds == {"top_up", "payment"}
    assert_sound()


def test_the_same_transfer_at_once_tops_up_once() -> None:
    invoice = a_top_up(a_tenant().id)
    with system_scope(purpose="test"):
        User.objects.create_user("staff@summit.test", "x", staff_role="finance")

    def book() -> None:
        try:
            pay(invoice, "100", "bank-1")
        except DomainError:
            pass
        finally:
            connections.close_all()

    threads = [threading.Thread(target=book) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=30)
    assert cash() == [10000]
    assert_sound()


def test_a_balance_does_not_top_itself_up_and_a_paid_one_pays_invoices() -> None:
    tenant = a_tenant()
    with system_scope(purpose="test"):
        grant_balance(
            tenant_id=tenant.id, kind=BalanceKind.CASH, amount=Money.of("50", "CNY"),
            expires_at=None, reason="x", now=NOW, actor="test",
        )  # fmt: skip
    top_up = a_top_up(tenant.id)
    with system_scope(purpose="test"):
        assert not pay_from_balance(tenant_id=tenant.id, invoice_id=top_up.id, now=NOW)
    pay(top_up, "100", "bank-1")
    invoice = issued(tenant.id, {"description": "x", "amount": "120"}, reference="work")
    with system_scope(purpose="test"):
        paid = pay_from_balance(tenant_id=tenant.id, invoice_id=invoice.id, now=NOW)
    assert paid == Money.of("120", "CNY")
    assert sum(cash()) == 3000
    assert_sound()


def test_what_is_not_paid_can_be_credited_and_what_is_paid_not() -> None:
    invoice = a_top_up(a_tenant().id)
    pay(invoice, "40", "bank-1")

    def credit(amount: str) -> None:
        with system_scope(purpose="test"):
            credit_invoice(
                invoice_id=invoice.id,
                lines=[LineCredit(position=1, amount=Money.of(amount, "CNY"))],
                reason="changed their mind",
                now=NOW,
                actor="test",
            )

    with pytest.raises(Conflict) as refused:
        credit("60.01")
    assert refused.value.code == "top_up_paid"
    credit("60")
    with system_scope(purpose="test"):
        invoice.refresh_from_db()
    assert invoice.status == InvoiceStatus.PAID
    with pytest.raises(Conflict):
        credit("0.01")
    assert cash() == [4000]
    assert ledger() == {"bank": 4000, "customer_credit": -4000}
    assert_sound()


def test_it_is_asked_for_once() -> None:
    tenant = a_tenant()
    first = a_top_up(tenant.id)
    assert a_top_up(tenant.id).id == first.id
    with pytest.raises(Conflict) as refused:
        a_top_up(tenant.id, amount="200")
    assert refused.value.code == "reference_used"
    for amount in ("0", "-5", "99999999999999"):
        with pytest.raises(DomainError):
            a_top_up(tenant.id, amount=amount, reference="other")


def member(tenant_id: UUID, role: Role) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@{tenant_id}.test", "x")
        Member.objects.create(tenant_id=tenant_id, user=user, role=role)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_in_the_portal_it_is_asked_for_and_paid_from_its_page() -> None:
    tenant, other = a_tenant(), a_tenant("other", apps=())
    client = member(tenant.id, Role.BILLING)
    page = "/portal/acme/balance/top-up/"
    token = client.get(page).context["token"]
    sent = {"amount": "100", "currency": "CNY", "token": token}
    answers = [client.post(page, sent) for _ in range(2)]
    assert len({answer["Location"] for answer in answers}) == 1
    waiting = client.get(answers[0]["Location"])
    assert b"hx-get" in waiting.content
    with system_scope(purpose="test"):
        charge = Charge.objects.get()
    carry_out_issue(tenant_id=tenant.id, charge_id=charge.id, now=NOW)
    done = client.get(answers[0]["Location"]).content.decode()
    assert "INV-2026-000001" in done
    assert "Top-up" in client.get("/portal/acme/invoices/").content.decode()

    assert client.post(page, {**sent, "amount": "-1"}).status_code == 422
    viewer = member(tenant.id, Role.VIEWER)
    assert viewer.get(page).status_code == 403
    stranger = member(other.id, Role.OWNER)
    assert stranger.get(answers[0]["Location"]).status_code == 404
    foreign = answers[0]["Location"].replace("/acme/", "/other/")
    assert stranger.get(foreign).status_code == 404


def test_staff_bill_one_at_once() -> None:
    a_tenant()
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user("f@summit.test", "x", staff_role=StaffRole.FINANCE)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = "/console/tenants/acme/balance/top-up/"
    sent = {"amount": "100", "currency": "CNY", "token": client.get(page).context["token"]}
    answers = [client.post(page, sent) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [302, 302]
    with system_scope(purpose="test"):
        assert Invoice.objects.get().kind == "top_up"


def test_a_statement_of_account_agrees_with_it() -> None:
    tenant = a_tenant()
    invoice = a_top_up(tenant.id)
    pay(invoice, "40", "bank-1")
    later = NOW + timedelta(days=60)
    with tenant_scope(tenant.id):
        statement_id = request_statement(
            tenant_id=tenant.id,
            currency="CNY",
            starts_on=date(2026, 3, 1),
            ends_on=date(2026, 4, 1),
            now=later,
            actor="test",
        )
    make_statement(statement_id=statement_id, now=later)
    with tenant_scope(tenant.id):
        row = statement_of(statement_id=statement_id)
    assert (row.state, row.closing) == (StatementState.READY, Money.of("60", "CNY"))
    assert row.figures is not None
    told = {each["kind"]: each["closing"] for each in row.figures["balance"]}
    assert told["cash"] == "40.00"
