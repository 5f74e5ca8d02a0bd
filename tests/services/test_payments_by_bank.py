"""Bank transfers that finance records: money is conserved, and a statement line is booked once."""

from datetime import date, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client

from billing.payments.queries import first_payment_drift, payment_rows, payments_of_invoice
from billing.payments.services.book_payment import BookedPayment
from billing.payments.services.record_bank_transfer import record_bank_transfer
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from kernel.ids import new_id
from kernel.money import Money
from tenants.models import AccessRecord, AuditRecord, User
from tenants.scope import system_scope, tenant_scope
from tests.services.payment_world import NOW, Owed, at_once, balances, finance, invoice_of, owe
from work.connections import OWNER

TODAY = NOW.date()

pytestmark = pytest.mark.usefixtures("db")


def record(
    owed: Owed,
    amount: str,
    *,
    user: User,
    reference: str = "FT26093-001",
    currency: str = "CNY",
    received_on: date = TODAY,
) -> BookedPayment:
    return record_bank_transfer(
        user=user,
        invoice_id=owed.invoice_id,
        amount=Money.of(amount, currency),
        received_on=received_on,
        reference=reference,
        note="statement 12",
        now=NOW,
    )


def test_the_exact_amount_pays_the_invoice() -> None:
    owed = owe("1299.00")

    booked = record(owed, "1299.00", user=finance())

    assert booked.invoice_is_paid
    assert not booked.outstanding
    invoice = invoice_of(owed)
    assert (invoice.status, invoice.paid_minor, invoice.paid_at) == ("paid", 129900, NOW)
    assert balances(owed) == {"bank": 129900, "revenue": -129900}


def test_a_part_leaves_the_rest_open_and_the_rest_pays_it() -> None:
    owed, user = owe("1299.00"), finance()

    part = record(owed, "1298.99", user=user)
    between = invoice_of(owed).status
    rest = record(owed, "0.01", user=user, reference="FT26093-002")

    assert (part.invoice_is_paid, part.outstanding) == (False, Money(1, "CNY"))
    assert between == "open"
    assert rest.invoice_is_paid
    assert balances(owed) == {"bank": 129900, "revenue": -129900}


def test_a_surplus_is_the_tenants_credit_and_nothing_is_lost() -> None:
    owed = owe("1299.00")

    booked = record(owed, "1500.00", user=finance())

    assert booked.allocated + booked.credited == booked.amount
    assert booked.credited == Money.of("201.00", "CNY")
    assert invoice_of(owed).paid_minor == 129900
    assert balances(owed) == {"bank": 150000, "customer_credit": -20100, "revenue": -129900}


@pytest.mark.parametrize("written", ["FT26093-001", " ft26093 -001 ", "FT 26093-001"])
def test_a_bank_reference_is_booked_once_however_it_is_written(written: str) -> None:
    user = finance()
    record(owe("10.00"), "10.00", user=user)
    other = owe("20.00", tenant="other")

    with pytest.raises(Conflict) as refused:
        record(other, "20.00", user=user, reference=written)

    assert refused.value.code == "bank_reference_taken"
    assert invoice_of(other).status == "open"
    assert "bank" not in balances(other)


def test_the_same_line_by_five_people_at_once_is_booked_once() -> None:
    user = finance()
    owed = [owe("10.00", tenant=f"tenant-{n}") for n in range(5)]

    results = at_once([partial(record, each, "10.00", user=user) for each in owed])

    assert sum(isinstance(result, BookedPayment) for result in results) == 1
    assert all(isinstance(result, BookedPayment | Conflict) for result in results)
    assert sum(balances(each).get("bank", 0) for each in owed) == 1000


def test_two_lines_for_one_invoice_at_once_never_settle_too_much() -> None:
    owed, user = owe("10.00"), finance()

    results = at_once(
        [partial(record, owed, "10.00", user=user, reference=f"FT-{n}") for n in range(2)]
    )

    # The second finds the invoice paid.
    assert sorted(type(result).__name__ for result in results) == ["BookedPayment", "Conflict"]
    assert invoice_of(owed).paid_minor == 1000
    assert balances(owed) == {"bank": 1000, "revenue": -1000}


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"amount": "0.00"}, Invalid, "amount_not_positive"),
        ({"amount": "-1.00"}, Invalid, "amount_not_positive"),
        ({"currency": "USD"}, Invalid, "currency_mismatch"),
        ({"reference": "  "}, Invalid, "invalid_bank_reference"),
        ({"reference": "x" * 141}, Invalid, "invalid_bank_reference"),
        ({"reference": "a\x00b"}, Invalid, "invalid_bank_reference"),
        ({"received_on": TODAY + timedelta(days=2)}, Invalid, "received_in_future"),
        ({"received_on": date(2006, 4, 3)}, Invalid, "received_too_long_ago"),
    ],
)
def test_what_cannot_be_is_refused_and_books_nothing(
    change: dict[str, object], kind: type[DomainError], code: str
) -> None:
    owed = owe("10.00")
    fields = {"amount": "10.00", "reference": "FT-1"} | change
    amount = str(fields.pop("amount"))

    with pytest.raises(kind) as refused:
        record(owed, amount, user=finance(), **fields)  # type: ignore[arg-type]  # parametrised

    assert refused.value.code == code
    assert balances(owed) == {"receivable": 1000, "revenue": -1000}


def test_an_invoice_that_is_not_there() -> None:
    owed = owe("10.00")
    nowhere = Owed(tenant_id=owed.tenant_id, invoice_id=new_id(), total=owed.total)

    with pytest.raises(NotFound):
        record(nowhere, "10.00", user=finance())


def test_a_paid_invoice_takes_no_more() -> None:
    owed, user = owe("10.00"), finance()
    record(owed, "10.00", user=user)

    with pytest.raises(Conflict) as refused:
        record(owed, "10.00", user=user, reference="FT-2")

    assert refused.value.code == "invoice_not_open"


@pytest.mark.parametrize("role", ["sales", "operations", "auditor", ""])
def test_only_finance_may_record(role: str) -> None:
    owed = owe("10.00")

    with pytest.raises(Forbidden):
        record(owed, "10.00", user=finance(role))


def test_who_did_it_is_in_the_trail() -> None:
    owed, user = owe("10.00"), finance()

    record(owed, "10.00", user=user)

    with system_scope(purpose="test"):
        entry = AuditRecord.objects.get(action="payment.booked")
        assert entry.actor == f"user:{user.pk}"
        assert entry.after is not None
        assert entry.after["external_id"] == "FT26093-001"
        assert AccessRecord.objects.filter(purpose="record a bank transfer").count() == 1


def test_a_tenant_reads_its_own_payments_only() -> None:
    user = finance()
    mine, theirs = owe("10.00"), owe("20.00", tenant="other")
    record(mine, "10.00", user=user, reference="FT-1")
    record(theirs, "20.00", user=user, reference="FT-2")

    with tenant_scope(mine.tenant_id):
        page = payment_rows(limit=10)
        foreign = payments_of_invoice(tenant_id=theirs.tenant_id, invoice_id=theirs.invoice_id)

    assert [row.external_id for row in page.rows] == ["FT-1"]
    assert page.rows[0].invoices[0].id == mine.invoice_id
    assert foreign == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_payment SET amount_minor = 1",
        "DELETE FROM billing_payment",
        "DELETE FROM billing_paymentallocation",
        "UPDATE billing_paymentallocation SET amount_minor = 1",
        "UPDATE billing_invoice SET paid_minor = 2000",
        "UPDATE billing_invoice SET paid_minor = 0",
        """INSERT INTO billing_paymentallocation
             (id, tenant_id, payment_id, invoice_id, amount_minor, allocated_at)
           SELECT gen_random_uuid(), tenant_id, payment_id, invoice_id, 1, allocated_at
             FROM billing_paymentallocation""",
        """INSERT INTO billing_payment
             (id, tenant_id, method, gateway, external_id, currency, amount_minor,
              allocated_minor, credited_minor, received_on, booked_at, booked_by, note)
           SELECT gen_random_uuid(), tenant_id, method, gateway, 'FT-9', currency, 5,
                  5, 0, received_on, booked_at, booked_by, note FROM billing_payment""",
    ],
)
def test_the_database_itself_refuses_what_would_not_add_up(statement: str) -> None:
    record(owe("10.00"), "10.00", user=finance())

    # As the owner, whom no missing privilege stops: only triggers and constraints do.
    with (
        pytest.raises(IntegrityError),
        transaction.atomic(using=OWNER),
        connections[OWNER].cursor() as cursor,
    ):
        cursor.execute(statement)


def test_a_payment_whose_posting_differs_is_found() -> None:
    owed = owe("10.00")
    booked = record(owed, "12.00", user=finance())
    with system_scope(purpose="test"):
        assert first_payment_drift() is None

    with connections[OWNER].cursor() as cursor:
        # As if somebody had changed the row past the guards.
        cursor.execute(
            "SET session_replication_role = replica;"
            "UPDATE billing_payment SET allocated_minor = 900, credited_minor = 300;"
            "SET session_replication_role = DEFAULT"
        )

    with system_scope(purpose="test"):
        drift = first_payment_drift()
    assert drift is not None
    assert drift.payment_id == booked.payment_id
    assert (drift.posted_allocated_minor, drift.posted_credited_minor) == (1000, 200)


@pytest.mark.parametrize("amount", ["1e3", "+5", "5.", "1_000", "\uff15", "0x10", "NaN", "1,000"])
def test_the_form_takes_an_amount_as_a_statement_writes_it_only(
    client: Client, amount: str
) -> None:
    owed = owe("100.00")
    client.force_login(finance())
    answer = client.post(
        f"/console/invoices/{owed.invoice_id}/payment",
        {"amount": amount, "received_on": "2026-04-01", "reference": "B1"},
    )
    assert answer.status_code == 422
    assert b"Write a number such as 1234.50" in answer.content
    assert invoice_of(owed).paid_minor == 0
