"""SQL by hand, as each role of the application and as the owner: what is final stays as it is."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db import DatabaseError, connections

from billing.certificates.services import certify_day
from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.ask_of_invoice import request_credit
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.print_invoice import print_invoice
from kernel import clock
from kernel.money import Money
from metering.services import close_days
from tenants.scope import system_scope, tenant_scope
from tests.factories import a_plan, a_subscription, a_tenant
from tests.services.test_billing_run import bill
from work.connections import DEFAULT, JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
FROZEN = {
    "billing_invoice": "total_minor = total_minor + 1",
    "billing_invoiceline": "amount_minor = amount_minor + 1",
    "billing_invoicefile": "content = 'x'",
    "billing_creditnote": "reason = 'another'",
    "billing_creditnoteline": "amount_minor = amount_minor - 1",
    "billing_invoicerequest": "total_minor = total_minor - 1",
    "billing_invoicerequestline": "amount_minor = amount_minor - 1",
    "billing_journaltransaction": "description = 'another'",
    "billing_journalentry": "amount_minor = 0",
    "billing_certificate": "state = 'drifted'",
}
"""Each table of final things, with a change that would be a lie."""


@pytest.fixture(scope="module")
def tenant_id(schema: None) -> Iterator[UUID]:
    """A tenant with one row at least in each of the tables; no test changes any."""
    from tests.conftest import empty_tables

    empty_tables()
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    with clock.moved_to(NOW):
        bill("2026-03-01T00:00:00+08:00")
        with system_scope(purpose="test"):
            invoice = Invoice.objects.get()
            for amount in ("1.00", "2.00"):
                line = LineCredit(position=1, amount=Money.of(amount, "CNY"))
                if amount == "1.00":
                    credit_invoice(
                        invoice_id=invoice.id, lines=[line], reason="test", now=NOW, actor="test"
                    )
                else:
                    request_credit(
                        invoice_id=invoice.id, lines=[line], reason="test", now=NOW, actor="test"
                    )
        print_invoice(tenant_id=tenant.id, invoice_id=invoice.id)
        with system_scope(purpose="test"):
            close_days(now=NOW)
        certify_day(day=date(2026, 3, 1), now=NOW)
    yield tenant.id
    empty_tables()


def acting(role: str, tenant_id: UUID) -> AbstractContextManager[object]:
    return tenant_scope(tenant_id) if role == DEFAULT else system_scope(purpose="test")


def content_of(table: str) -> list[object]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"SELECT md5(t::text) FROM {table} t ORDER BY 1")
        return list(cursor.fetchall())


@pytest.fixture
def db() -> Iterator[None]:
    """The tables stay as the module filled them."""
    yield
    connections.close_all()


@pytest.mark.parametrize("role", [DEFAULT, JOBS, OWNER])
@pytest.mark.parametrize("table", FROZEN)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_nobody_changes_what_is_final(tenant_id: UUID, role: str, table: str, verb: str) -> None:
    before = content_of(table)
    assert before
    statement = {
        "UPDATE": f"UPDATE {table} SET {FROZEN[table]}",
        "DELETE": f"DELETE FROM {table}",
        "TRUNCATE": f"TRUNCATE {table} CASCADE",
    }[verb]
    with (
        pytest.raises(DatabaseError) as refused,
        acting(role, tenant_id),
        connections[role].cursor() as cursor,
    ):
        cursor.execute(statement)
    assert getattr(refused.value.__cause__, "pgcode", "") in {"23000", "42501"}
    assert content_of(table) == before


def post(role: str, tenant_id: UUID, entries: list[tuple[str, str, int]]) -> None:
    with acting(role, tenant_id), connections[role].cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_journaltransaction (id, tenant_id, kind, reference, description,"
            " posted_at) VALUES (gen_random_uuid(), %s, 'x', gen_random_uuid()::text, '', now())"
            " RETURNING id",
            [str(tenant_id)],
        )
        (transaction_id,) = cursor.fetchone()
        cursor.execute(
            "INSERT INTO billing_journalentry (id, tenant_id, transaction_id, account, currency,"
            " amount_minor) SELECT gen_random_uuid(), %s, %s, e.account, e.currency, e.minor"
            " FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS e (account, currency, minor)",
            [
                str(tenant_id),
                str(transaction_id),
                *(list(each) for each in zip(*entries, strict=True)),
            ],
        )


@pytest.mark.parametrize("role", [DEFAULT, JOBS, OWNER])
@pytest.mark.parametrize(
    "entries",
    [
        [("receivable", "CNY", 1)],
        [("receivable", "CNY", 100), ("revenue", "CNY", -99)],
        # Zero over currencies is not zero in each.
        [("receivable", "CNY", 100), ("revenue", "EUR", -100)],
    ],
)
def test_nobody_posts_what_does_not_balance(
    tenant_id: UUID, role: str, entries: list[tuple[str, str, int]]
) -> None:
    before = content_of("billing_journalentry")
    with pytest.raises(DatabaseError):
        post(role, tenant_id, entries)
    assert content_of("billing_journalentry") == before


def test_what_balances_is_posted_the_same_way(tenant_id: UUID) -> None:
    """So that the refusals above are about the balance."""
    before = content_of("billing_journalentry")
    for role in (DEFAULT, JOBS):
        post(role, tenant_id, [("receivable", "CNY", 100), ("revenue", "CNY", -100)])
    assert len(content_of("billing_journalentry")) == len(before) + 4


@pytest.mark.parametrize("role", [DEFAULT, JOBS, OWNER])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_numberseries SET last = last - 1",
        "UPDATE billing_numberseries SET year = year + 1",
        "DELETE FROM billing_numberseries",
        "TRUNCATE billing_numberseries",
        # A number that no document bears would be a gap for ever.
        "UPDATE billing_numberseries SET last = last + 1",
        (
            "INSERT INTO billing_numberseries (seller_id, prefix, year, last)"
            " VALUES ('default', 'INV', 2031, 1)"
        ),
    ],
)
def test_nobody_gives_a_number_twice_or_leaves_one_out(
    tenant_id: UUID, role: str, statement: str
) -> None:
    before = content_of("billing_numberseries")
    assert before
    with (
        pytest.raises(DatabaseError) as refused,
        acting(role, tenant_id),
        connections[role].cursor() as cursor,
    ):
        cursor.execute(statement)
    assert getattr(refused.value.__cause__, "pgcode", "") in {"23000", "42501"}
    assert content_of("billing_numberseries") == before


@pytest.mark.parametrize("role", [DEFAULT, JOBS, OWNER])
@pytest.mark.parametrize(
    "born", ["status = 'open'", "status = 'void'", "number = 'INV-2026-999999'", "paid_minor = 1"]
)
def test_an_invoice_begins_as_a_draft(tenant_id: UUID, role: str, born: str) -> None:
    """What is issued went through the drafts, its lines with it."""
    before = content_of("billing_invoice")
    column, _, value = born.partition(" = ")
    changed = (
        f"jsonb_build_object('id', gen_random_uuid(), 'boundary_at', now(), '{column}', {value}"
    )
    cleared = ", 'status', 'draft'" if column != "status" else ""
    cleared += ", 'number', NULL" if column != "number" else ""
    with (
        pytest.raises(DatabaseError) as refused,
        acting(role, tenant_id),
        connections[role].cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO billing_invoice SELECT (jsonb_populate_record(i,"
            f" {changed}{cleared}, 'issued_at', NULL))).* FROM billing_invoice i LIMIT 1"
        )
    assert getattr(refused.value.__cause__, "pgcode", "") in {"23000", "42501"}
    assert content_of("billing_invoice") == before


@pytest.mark.parametrize("role", [DEFAULT, JOBS])
def test_no_role_of_the_application_turns_the_guards_off(tenant_id: UUID, role: str) -> None:
    for statement in (
        "SET session_replication_role = replica",
        "ALTER TABLE billing_invoice DISABLE TRIGGER ALL",
        "DROP TRIGGER billing_invoice_guard ON billing_invoice",
        "ALTER TABLE billing_journalentry NO FORCE ROW LEVEL SECURITY",
        (
            "CREATE OR REPLACE FUNCTION billing_guard_invoice() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$"
        ),
    ):
        with (
            pytest.raises(DatabaseError) as refused,
            acting(role, tenant_id),
            connections[role].cursor() as cursor,
        ):
            cursor.execute(statement)
        assert getattr(refused.value.__cause__, "pgcode", "") == "42501", statement
