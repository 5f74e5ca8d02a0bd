"""Printed invoices: rendered once per language, then the same bytes for ever, and for their tenant only."""

import hashlib
import io
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest
from django.db import connections
from pypdf import PdfReader

from billing.catalog.models import Plan, PlanVersion
from billing.invoicing.models import Invoice, InvoiceFile
from billing.invoicing.services.print_invoice import (
    PrintedDocument,
    print_invoice,
    print_invoice_for_staff,
)
from kernel.errors import Conflict, NotFound
from tenants.models import AccessRecord
from tenants.scope import system_scope
from tests.services.payment_world import NOW, Owed, at_once, finance, invoice_of, owe
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

PLAN = {
    "key": "pro",
    "name": {"en": "Pro", "zh-hans": "专业版"},
    "currency": "CNY",
    "interval": "month",
    "prices": [{"key": "base", "model": "flat", "amount": "1299"}],
}


def issued(*, tenant: str = "acme") -> Owed:
    """An open invoice with one line and its buyer, as issuing leaves it."""
    owed = owe("1299.00", tenant=tenant)
    with system_scope(purpose="test"):
        plan, _ = Plan.objects.get_or_create(key="pro")
        version, _ = PlanVersion.objects.get_or_create(
            plan=plan, number=1, defaults={"document": PLAN, "content_hash": bytes(32)}
        )
    with connections[OWNER].cursor() as cursor:
        # Issued documents are frozen; the owner makes this one whole, past the guards.
        cursor.execute("SET session_replication_role = replica")
        try:
            cursor.execute(
                "UPDATE billing_invoice SET language = 'zh-hans', buyer = %s WHERE id = %s",
                ['{"key": "acme", "name": "北京云枢信息技术有限公司"}', owed.invoice_id],
            )
            cursor.execute(
                """INSERT INTO billing_invoiceline
                     (id, tenant_id, invoice_id, position, key, kind, timing, app_key, description,
                      quantity, unit_price, amount_minor, period_starts_at, period_ends_at,
                      plan_version_id, explanation)
                   VALUES (gen_random_uuid(), %s, %s, 1, 'base', 'recurring', 'in_advance', '',
                           'base', %s, %s, 129900, %s, %s, %s, '{}')""",
                [
                    owed.tenant_id,
                    owed.invoice_id,
                    Decimal(1),
                    Decimal(1299),
                    datetime(2026, 3, 31, 16, tzinfo=UTC),
                    datetime(2026, 4, 30, 16, tzinfo=UTC),
                    version.id,
                ],
            )
        finally:
            cursor.execute("SET session_replication_role = DEFAULT")
    return owed


def text_of(printed: PrintedDocument) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(printed.content)).pages)


def files() -> list[InvoiceFile]:
    with system_scope(purpose="test"):
        return list(InvoiceFile.objects.order_by("language"))


def test_the_paper_says_what_the_invoice_says() -> None:
    owed = issued()

    printed = print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)

    text = text_of(printed)
    assert printed.filename == f"{invoice_of(owed).number}.pdf"
    assert "北京云枢信息技术有限公司" in text
    assert "专业版" in text
    assert "CNY 1,299.00" in text
    # The line's period is April in Shanghai, though it begins on the last of March in UTC.
    assert "2026年4月1日至4月30日" in text.replace(" ", "")


def test_the_same_bytes_are_given_for_ever() -> None:
    owed = issued()
    first = print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)
    with system_scope(purpose="test"):
        Invoice.objects.filter(id=owed.invoice_id).update(
            status="paid", paid_minor=owed.total.minor, paid_at=NOW
        )

    again = print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)

    assert again.content == first.content
    assert again.sha256 == hashlib.sha256(first.content).hexdigest()
    assert len(files()) == 1


def test_each_language_is_a_file_of_its_own() -> None:
    owed = issued()

    printed = print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id, language="en")
    print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)

    assert "Amount due" in text_of(printed)
    assert "Pro" in text_of(printed)
    assert [row.language for row in files()] == ["en", "zh-hans"]


def test_readers_at_once_get_one_file() -> None:
    owed = issued()

    printed = at_once(
        [partial(print_invoice, tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)] * 4
    )

    assert len({each.sha256 for each in printed}) == 1
    assert len(files()) == 1


def test_another_tenants_invoice_is_not_there() -> None:
    mine, theirs = issued(), issued(tenant="other")

    with pytest.raises(NotFound) as refused:
        print_invoice(tenant_id=mine.tenant_id, invoice_id=theirs.invoice_id)

    assert refused.value.code == "invoice_not_found"


def test_a_draft_is_not_printed() -> None:
    owed = issued()
    with system_scope(purpose="test"):
        draft = Invoice.objects.get(id=owed.invoice_id)
        draft.pk, draft.status, draft.number = None, "draft", None
        draft.boundary_at, draft.issued_at, draft.due_on = NOW, None, None
        draft.save(force_insert=True)

    with pytest.raises(Conflict) as refused:
        print_invoice(tenant_id=owed.tenant_id, invoice_id=draft.id)

    assert refused.value.code == "invoice_not_issued"


def test_staff_print_any_and_it_is_recorded() -> None:
    owed = issued()

    printed = print_invoice_for_staff(user=finance(), invoice_id=owed.invoice_id)

    assert printed.content.startswith(b"%PDF-")
    with system_scope(purpose="test"):
        assert AccessRecord.objects.filter(purpose="print an invoice").exists()


def test_a_file_that_was_changed_is_not_handed_out() -> None:
    owed = issued()
    print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica;"
            "UPDATE billing_invoicefile SET content = content || '\\x00'::bytea;"
            "SET session_replication_role = DEFAULT"
        )

    with pytest.raises(RuntimeError, match="changed"):
        print_invoice(tenant_id=owed.tenant_id, invoice_id=owed.invoice_id)
