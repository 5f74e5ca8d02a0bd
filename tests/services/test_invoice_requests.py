"""Credit notes and write-offs: asked for by one person, approved by another, never beyond the invoice."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.test import Client

from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceRequestState
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice
from billing.invoicing.request_models import InvoiceRequest, InvoiceRequestLine
from billing.invoicing.services.ask_of_invoice import request_credit, request_write_off
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.decide_on_invoice import (
    approve_on_invoice,
    expire_requests,
    refuse_on_invoice,
    withdraw_on_invoice,
)
from billing.ledger.queries import account_balances
from billing.payments.queries import first_payment_drift
from billing.payments.services.record_bank_transfer import record_bank_transfer
from billing.payments.verification import first_settlement_drift
from billing.subscriptions.domain import AskedChange, ChangeKind
from kernel import clock
from kernel.errors import DomainError, Forbidden, NotFound
from kernel.money import Money
from tenants.domain import Role, StaffRole
from tenants.models import AuditRecord, Member, User
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant
from tests.services.test_billing_run import bill
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
ISSUED_AT = "2026-03-01T00:00:00+08:00"

TAXED: dict[str, Any] = {
    "key": "taxed",
    "currency": "CNY",
    "tax_percent": "6",
    "prices": [
        {"key": "base", "model": "flat", "amount": "310", "prorate": True},
        {"key": "sms", "model": "flat", "amount": "100", "tax_percent": "9"},
    ],
}


@pytest.fixture
def invoice_id() -> UUID:
    """An open invoice: base 310.00 at 6 %, sms 100.00 at 9 %; 437.60 in all."""
    a_plan(TAXED)
    a_subscription(a_tenant(), plan="taxed")
    with clock.moved_to(NOW):
        bill(ISSUED_AT)
    with system_scope(purpose="test"):
        found = Invoice.objects.get()
        assert (found.total_minor, found.status) == (437_60, "open")
    return found.id


def line(position: int, amount: str) -> LineCredit:
    return LineCredit(position=position, amount=Money.of(amount, "CNY"))


def ask(
    invoice_id: UUID,
    *lines: LineCredit,
    reason: str = "an outage",
    now: datetime = NOW,
    actor: str = "user:1",
) -> UUID:
    with system_scope(purpose="test"):
        return request_credit(
            invoice_id=invoice_id, lines=lines, reason=reason, now=now, actor=actor
        )


def give_up(invoice_id: UUID, *, actor: str = "user:1") -> UUID:
    with system_scope(purpose="test"):
        return request_write_off(invoice_id=invoice_id, reason="bankrupt", now=NOW, actor=actor)


def approve(request_id: UUID, *, now: datetime = NOW, actor: str = "user:2") -> InvoiceRequestState:
    with system_scope(purpose="test"):
        return approve_on_invoice(request_id=request_id, now=now, actor=actor)


def credit_at_once(invoice_id: UUID, *lines: LineCredit) -> None:
    with system_scope(purpose="test"):
        credit_invoice(invoice_id=invoice_id, lines=lines, reason="test", now=NOW, actor="test")


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(DomainError) as refused:
        work()
    return refused.value.code


def stored(request_id: UUID) -> InvoiceRequest:
    with system_scope(purpose="test"):
        return InvoiceRequest.objects.select_related("credit_note").get(id=request_id)


def owed(account: str = "receivable") -> int:
    with system_scope(purpose="test"):
        found = account_balances().get((account, "CNY"))
        return 0 if found is None else found.minor


def test_one_asks_and_another_approves_exactly_that(invoice_id: UUID) -> None:
    request_id = ask(invoice_id, line(1, "100.00"), line(2, "50.00"))
    assert (stored(request_id).tax_minor, stored(request_id).total_minor) == (10_50, 160_50)
    with system_scope(purpose="test"):
        assert not CreditNote.objects.exists()
    with pytest.raises(Forbidden) as same:
        approve(request_id, actor="user:1")
    assert same.value.code == "same_person"
    assert approve(request_id) is InvoiceRequestState.DONE
    note = stored(request_id).credit_note
    assert note is not None
    assert (note.total_minor, note.tax_minor, note.to_receivable_minor) == (160_50, 10_50, 160_50)
    assert owed() == 437_60 - 160_50
    with system_scope(purpose="test"):
        lines = CreditNoteLine.objects.order_by("position")
        assert [(each.amount_minor, each.tax_minor) for each in lines] == [
            (100_00, 6_00),
            (50_00, 4_50),
        ]
        trail = AuditRecord.objects.filter(action__startswith="invoice.credit")
        assert set(trail.values_list("action", "actor", "reason")) == {
            ("invoice.credit_requested", "user:1", "an outage"),
            ("invoice.credit_done", "user:2", "an outage"),
        }
    assert refusal(lambda: approve(request_id)) == "already_decided"


def test_what_waits_is_held(invoice_id: UUID) -> None:
    """Two requests, or a request and a credit at once, together never exceed the line."""
    first = ask(invoice_id, line(1, "200.00"))
    assert refusal(lambda: ask(invoice_id, line(1, "110.01"), actor="user:3")) == "above_line"
    assert refusal(lambda: credit_at_once(invoice_id, line(1, "110.01"))) == "above_line"
    second = ask(invoice_id, line(1, "110.00"), actor="user:3")
    with system_scope(purpose="test"):
        refuse_on_invoice(request_id=first, reason="too much", now=NOW, actor="user:2")
    assert (stored(first).state, stored(first).decided_reason) == ("refused", "too much")
    # What it held is free again; both are within the line.
    third = ask(invoice_id, line(1, "200.00"))
    assert approve(third) is approve(second) is InvoiceRequestState.DONE
    assert refusal(lambda: ask(invoice_id, line(1, "0.01"))) == "above_line"
    # The second one took the rest of the line and so the rest of its tax: 18.60 in all.
    assert stored(second).tax_minor + stored(third).tax_minor == 18_60


def test_who_asked_takes_it_back_and_nobody_else(invoice_id: UUID) -> None:
    request_id = ask(invoice_id, line(1, "310.00"))
    with system_scope(purpose="test"):
        for work, code in (
            (lambda: withdraw_on_invoice(request_id=request_id, now=NOW, actor="user:2"), "not_own_request"),
            (lambda: refuse_on_invoice(request_id=request_id, reason="x", now=NOW, actor="user:1"), "same_person"),
            (lambda: refuse_on_invoice(request_id=request_id, reason=" ", now=NOW, actor="user:2"), "reason_missing"),
        ):  # fmt: skip
            assert refusal(work) == code
        withdraw_on_invoice(request_id=request_id, now=NOW, actor="user:1")
    assert stored(request_id).state == "withdrawn"
    assert refusal(lambda: approve(request_id)) == "already_decided"
    ask(invoice_id, line(1, "310.00"))


def test_a_request_expires_when_the_invoice_changed(invoice_id: UUID) -> None:
    """The check is done again at approval: what was credited around the request is not there any more."""
    request_id = ask(invoice_id, line(1, "200.00"))
    with system_scope(purpose="test"):
        tenant_id = Invoice.objects.get(id=invoice_id).tenant_id
        # Gives back what is left of March, most of the line: a request holds nothing against that.
        change_subscription(
            tenant_id=tenant_id, asked=AskedChange(kind=ChangeKind.CANCEL), now=NOW, actor="test"
        )
    assert approve(request_id) is InvoiceRequestState.EXPIRED
    assert stored(request_id).state == "expired"
    assert "less than" in stored(request_id).decided_reason
    with system_scope(purpose="test"):
        assert CreditNote.objects.count() == 1


def test_what_waits_too_long_expires_and_holds_no_more(invoice_id: UUID) -> None:
    late = NOW + timedelta(hours=72, seconds=1)
    first = ask(invoice_id, line(1, "310.00"))
    assert approve(first, now=late) is InvoiceRequestState.EXPIRED
    second = ask(invoice_id, line(1, "310.00"))
    with system_scope(purpose="test"):
        assert expire_requests(now=late - timedelta(seconds=1), actor="system") == 0
        assert expire_requests(now=late, actor="system") == 1
    assert stored(second).state == "expired"
    third = ask(invoice_id, line(1, "310.00"))
    assert approve(third, now=NOW + timedelta(hours=72)) is InvoiceRequestState.DONE


@pytest.mark.parametrize(
    ("lines", "reason", "code"),
    [
        ([], "x", "nothing_to_credit"),
        ([line(3, "1.00")], "x", "line_not_found"),
        ([line(1, "0.00")], "x", "amount_not_positive"),
        ([line(1, "310.01")], "x", "above_line"),
        ([line(1, "200.00"), line(1, "110.01")], "x", "above_line"),
        ([LineCredit(position=1, amount=Money.of("1.00", "EUR"))], "x", "currency_mismatch"),
        ([line(1, "1.00")], "  ", "reason_missing"),
    ],
)
def test_what_can_not_be_asked(
    invoice_id: UUID, lines: list[LineCredit], reason: str, code: str
) -> None:
    assert refusal(lambda: ask(invoice_id, *lines, reason=reason)) == code


def test_a_draft_and_what_does_not_exist_are_refused(invoice_id: UUID) -> None:
    with pytest.raises(NotFound):
        ask(UUID(int=1), line(1, "1.00"))
    with pytest.raises(NotFound):
        approve(UUID(int=1))
    with clock.moved_to(NOW):
        bill("2026-04-01T00:00:00+08:00", finalize=False)
    with system_scope(purpose="test"):
        draft = Invoice.objects.get(status="draft")
    assert refusal(lambda: ask(draft.id, line(1, "1.00"))) == "invoice_not_issued"


def together(*works: Callable[[], object]) -> list[str]:
    """Do all at once; gives the code of each refusal, or what came of it."""
    barrier, outcomes = threading.Barrier(len(works)), [""] * len(works)

    def run(place: int, work: Callable[[], object]) -> None:
        try:
            barrier.wait(timeout=20)
            outcomes[place] = str(work())
        except DomainError as refused:
            outcomes[place] = refused.code
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(place, work)) for place, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return outcomes


def test_two_approve_at_once_and_one_note_comes_of_it(invoice_id: UUID) -> None:
    for _ in range(10):
        request_id = ask(invoice_id, line(1, "10.00"))
        outcomes = together(
            lambda asked=request_id: approve(asked),  # type: ignore[misc]  # bound now
            lambda asked=request_id: approve(asked, actor="user:3"),  # type: ignore[misc]  # the same
        )
        assert sorted(outcomes) == ["already_decided", "done"]
    with system_scope(purpose="test"):
        assert CreditNote.objects.count() == 10
    assert owed() == 437_60 - 10 * 10_60


def test_approved_or_taken_back_but_not_both(invoice_id: UUID) -> None:
    def take_back(request_id: UUID) -> str:
        with system_scope(purpose="test"):
            withdraw_on_invoice(request_id=request_id, now=NOW, actor="user:1")
        return "withdrawn"

    approved = 0
    for _ in range(10):
        request_id = ask(invoice_id, line(1, "10.00"))
        outcomes = together(
            lambda asked=request_id: approve(asked),  # type: ignore[misc]  # bound now
            lambda asked=request_id: take_back(asked),  # type: ignore[misc]  # the same
        )
        assert sorted(outcomes) in (["already_decided", "done"], ["already_decided", "withdrawn"])
        approved += "done" in outcomes
    with system_scope(purpose="test"):
        assert CreditNote.objects.count() == approved


def test_two_ask_at_once_for_the_same_rest(invoice_id: UUID) -> None:
    outcomes = together(
        *(lambda who=who: ask(invoice_id, line(1, "200.00"), actor=who) for who in ("a", "b", "c"))
    )
    assert sorted(outcomes)[1:] == ["above_line", "above_line"]


def statement(role: str, text: str, *values: str) -> None:
    with system_scope(purpose="test"), connections[role].cursor() as cursor:
        cursor.execute(text, values)


def test_the_database_refuses_what_goes_past_the_services(invoice_id: UUID) -> None:
    first = ask(invoice_id, line(1, "200.00"))
    for change in (
        "UPDATE billing_invoicerequest SET total_minor = 1 WHERE id = %s",
        "UPDATE billing_invoicerequest SET reason = 'another' WHERE id = %s",
        (
            "UPDATE billing_invoicerequest SET state = 'done', decided_by = requested_by,"
            " decided_at = now() WHERE id = %s"
        ),
        # Done without the credit note that was asked for.
        (
            "UPDATE billing_invoicerequest SET state = 'done', decided_by = 'user:2',"
            " decided_at = now() WHERE id = %s"
        ),
        # A request for more than its lines, and lines beyond what the invoice has left.
        (
            "INSERT INTO billing_invoicerequest (id, tenant_id, invoice_id, action, currency, tax_minor,"
            " total_minor, reason, requested_by, requested_at, state, decided_by, decided_reason)"
            " SELECT gen_random_uuid(), tenant_id, invoice_id, action, currency, 0, 5, 'x', 'y', now(),"
            " 'waiting', '', '' FROM billing_invoicerequest WHERE id = %s"
        ),
        (
            "INSERT INTO billing_invoicerequestline (id, tenant_id, request_id, invoice_line_id, position,"
            " amount_minor, tax_minor) SELECT gen_random_uuid(), tenant_id, request_id, invoice_line_id, 9,"
            " 11001, 0 FROM billing_invoicerequestline WHERE request_id = %s"
        ),
    ):
        with pytest.raises(IntegrityError):
            statement(JOBS, change, str(first))
    with system_scope(purpose="test"):
        assert InvoiceRequest.objects.count() == InvoiceRequestLine.objects.count() == 1
    approve(first)
    with pytest.raises(IntegrityError):
        statement(
            JOBS,
            "UPDATE billing_invoicerequest SET state = 'waiting', decided_by = '', decided_at = NULL,"
            " credit_note_id = NULL WHERE id = %s",
            str(first),
        )


def test_a_write_off_is_a_loss_and_its_payment_a_recovery(invoice_id: UUID) -> None:
    request_id = give_up(invoice_id)
    assert refusal(lambda: give_up(invoice_id)) == "write_off_waits"
    with pytest.raises(Forbidden):
        approve(request_id, actor="user:1")
    assert approve(request_id) is InvoiceRequestState.DONE
    assert (owed(), owed("bad_debt")) == (0, 437_60)
    with system_scope(purpose="test"):
        assert Invoice.objects.get().status == "uncollectible"
    assert refusal(lambda: give_up(invoice_id)) == "invoice_not_open"
    # A credit note on it makes the loss smaller, not the receivable.
    approve(ask(invoice_id, line(1, "100.00")))
    assert (owed(), owed("bad_debt")) == (0, 331_60)


def test_a_write_off_of_another_debt_expires(invoice_id: UUID) -> None:
    request_id = give_up(invoice_id)
    credit_at_once(invoice_id, line(1, "1.00"))
    assert approve(request_id) is InvoiceRequestState.EXPIRED
    assert owed("bad_debt") == 0
    again = give_up(invoice_id)
    assert approve(again) is InvoiceRequestState.DONE
    assert owed("bad_debt") == 437_60 - 1_06


def test_an_issued_invoice_is_never_void(invoice_id: UUID) -> None:
    """It stands in the portal from its issue on, so it was sent; a credit note takes it back."""
    for role in (JOBS, OWNER):
        with pytest.raises(IntegrityError):
            statement(
                role, "UPDATE billing_invoice SET status = 'void' WHERE id = %s", str(invoice_id)
            )


def test_two_people_in_the_console_and_only_the_note_in_the_portal(invoice_id: UUID) -> None:
    with system_scope(purpose="test"):
        tenant = Invoice.objects.select_related("tenant").get(id=invoice_id).tenant
        people = {
            role: User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
            for role in (StaffRole.FINANCE, StaffRole.ADMIN, StaffRole.AUDITOR, StaffRole.SALES)
        }
        owner = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=tenant.id, user=owner, role=Role.OWNER)
    clients = {}
    for role, person in people.items():
        clients[role] = Client()
        clients[role].force_login(person)
    one, two = clients[StaffRole.FINANCE], clients[StaffRole.ADMIN]
    portal = Client()
    portal.force_login(owner)
    address = f"/console/invoices/{invoice_id}/credit"
    in_portal = f"/portal/{tenant.key}/invoices/{invoice_id}/"

    assert clients[StaffRole.SALES].get(address).status_code == 403
    assert clients[StaffRole.AUDITOR].get(address).status_code == 403
    assert "CN¥310.00" in one.get(address).content.decode()
    assert one.post(address, {"reason": "an outage"}).status_code == 422
    assert one.post(address, {"line_1": "x", "reason": "an outage"}).status_code == 422
    assert one.post(address, {"line_1": "310.01", "reason": "an outage"}).status_code == 422
    form = {"line_1": "100.00", "line_2": "50", "reason": "an outage"}
    shown = one.post(address, form).content.decode()
    # 6 % of 100.00, 9 % of 50.00; 437.60 less 160.50 stays.
    assert all(amount in shown for amount in ("CN¥6.00", "CN¥4.50", "CN¥160.50", "CN¥277.10"))
    with system_scope(purpose="test"):
        assert not InvoiceRequest.objects.exists()
    asked = one.post(address, {**form, "accepted": "yes"})
    assert asked.status_code == 302
    place = asked["Location"]
    assert (
        "an outage" in clients[StaffRole.AUDITOR].get("/console/invoice-requests/").content.decode()
    )
    assert "CN¥160.50" in two.get("/console/").content.decode()
    assert place in one.get(f"/console/invoices/{invoice_id}/").content.decode()
    # The tenant learns nothing of what is asked.
    assert "an outage" not in portal.get(in_portal).content.decode()
    assert clients[StaffRole.AUDITOR].post(place, {"decision": "approve"}).status_code == 403
    assert one.post(place, {"decision": "approve"}).status_code == 409
    assert two.post(place, {"decision": "refuse", "reason": ""}).status_code == 422
    assert two.post(place, {"decision": "approve"}).status_code == 302
    assert two.post(place, {"decision": "approve"}).status_code == 409
    done = two.get(place).content.decode()
    assert all(
        person.email in done for person in (people[StaffRole.FINANCE], people[StaffRole.ADMIN])
    )
    issued = portal.get(in_portal).content.decode()
    assert "INV-CN-2026-000001" in issued
    assert "an outage" in issued
    assert people[StaffRole.FINANCE].email not in issued
    whole = one.get(f"/console/invoices/{invoice_id}/").content.decode()
    assert "Credit note approved" in whole
    write_off = f"/console/invoices/{invoice_id}/write-off"
    assert "CN¥277.10" in one.get(write_off).content.decode()
    given_up = one.post(write_off, {"reason": "bankrupt"})
    assert one.post(given_up["Location"], {"decision": "withdraw"}).status_code == 302
    again = one.post(write_off, {"reason": "bankrupt"})
    assert two.post(again["Location"], {"decision": "approve"}).status_code == 302
    assert owed("bad_debt") == 277_10


def test_a_payment_after_the_write_off_recovers_it(invoice_id: UUID) -> None:
    approve(give_up(invoice_id))
    with system_scope(purpose="test"):
        accountant = User.objects.create_user("a@summit.test", "x", staff_role=StaffRole.FINANCE)
    for amount, reference, left in (("137.60", "one", 300_00), ("300.00", "two", 0)):
        record_bank_transfer(
            user=accountant,
            invoice_id=invoice_id,
            amount=Money.of(amount, "CNY"),
            received_on=NOW.date(),
            reference=reference,
            now=NOW,
        )
        assert (owed(), owed("bad_debt")) == (0, left)
    assert owed("bank") == 437_60
    with system_scope(purpose="test"):
        assert Invoice.objects.get().status == "paid"
        assert first_payment_drift() is None
        assert first_settlement_drift() is None
