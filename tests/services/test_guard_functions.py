"""What the database refuses stays refused when temporary tables stand before the ones that a guard reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connections, transaction

from billing.invoicing.models import Invoice
from billing.ledger.models import JournalTransaction
from tenants import guard_functions
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from tests.services.test_billing_run import bill
from work.connections import DEFAULT, JOBS, OWNER

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.one_node]


@pytest.fixture
def billed() -> UUID:
    """A tenant with an issued invoice."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35})
    bill("2026-04-02T00:00:00+08:00")
    return tenant.id


@contextmanager
def shadowed(alias: str, *tables: str, tenant: UUID) -> Iterator[None]:
    """A transaction of the role in which empty tables of these names come first."""
    try:
        with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
            cursor.execute(f"SET LOCAL app.tenant = '{tenant}'")
            for table in tables:
                cursor.execute(
                    f"CREATE TEMPORARY TABLE {table} (LIKE public.{table}) ON COMMIT DROP"
                )
            yield
    finally:
        connections[alias].close()


def refused(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute(statement)


def posted(tenant: UUID, key: UUID, *entries: tuple[str, int]) -> str:
    rows = ", ".join(
        f"(gen_random_uuid(), '{tenant}', '{key}', '{account}', 'CNY', {minor})"
        for account, minor in entries
    )
    return (
        "INSERT INTO public.billing_journalentry"
        f" (id, tenant_id, transaction_id, account, currency, amount_minor) VALUES {rows}"
    )


@pytest.mark.parametrize("alias", [DEFAULT, JOBS])
def test_an_unbalanced_transaction(billed: UUID, alias: str) -> None:
    key = uuid4()
    with shadowed(alias, "billing_journalentry", "billing_journaltransaction", tenant=billed):
        with connections[alias].cursor() as cursor:
            cursor.execute(
                "INSERT INTO public.billing_journaltransaction"
                " (id, tenant_id, kind, reference, description, posted_at)"
                f" VALUES ('{key}', '{billed}', 'test', 'test', '', now())"
            )
        refused(alias, posted(billed, key, ("receivable", 500)))


@pytest.mark.parametrize("alias", [DEFAULT, JOBS])
def test_a_transaction_that_was_posted_gets_no_more_entries(billed: UUID, alias: str) -> None:
    with system_scope(purpose="test"):
        key = JournalTransaction.objects.earliest("posted_at").id
    with shadowed(alias, tenant=billed):
        refused(alias, posted(billed, key, ("receivable", 500), ("revenue", -500)))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE public.billing_invoiceline SET amount_minor = amount_minor + 1",
        "DELETE FROM public.billing_invoiceline",
        "UPDATE public.billing_invoiceline SET invoice_id = gen_random_uuid()",
    ],
)
def test_the_lines_of_an_issued_invoice(billed: UUID, statement: str) -> None:
    with system_scope(purpose="test"):
        assert Invoice.objects.filter(number__isnull=False).exists()
    with shadowed(JOBS, "billing_invoice", tenant=billed):
        refused(JOBS, statement)


@pytest.mark.parametrize("alias", [DEFAULT, JOBS])
def test_an_invoice_that_is_called_paid_and_is_not(billed: UUID, alias: str) -> None:
    with shadowed(alias, tenant=billed):
        refused(alias, "UPDATE billing_invoice SET status = 'paid' WHERE status = 'open'")


def test_the_usage_of_a_closed_day(billed: UUID) -> None:
    with shadowed(JOBS, "metering_watermark", tenant=billed):
        refused(JOBS, "UPDATE public.metering_daily_usage SET value = value + 1")


def test_no_function_of_a_trigger_can_be_shown_other_tables() -> None:
    with connections[OWNER].cursor() as cursor:
        assert guard_functions.not_fixed(cursor) == []
        cursor.execute(
            "SELECT DISTINCT p.proconfig::text[] FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
            " WHERE NOT t.tgisinternal AND t.tgrelid IN (SELECT oid FROM pg_class"
            "       WHERE relnamespace = current_schema()::regnamespace)"
        )
        assert cursor.fetchall() == [(["search_path=public, pg_temp"],)]
