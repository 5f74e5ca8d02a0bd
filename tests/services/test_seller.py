"""Who issues the invoices: what the command changes, prints and refuses."""

import io
import json
import re
from datetime import datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections, transaction
from pypdf import PdfReader

from billing.invoicing.domain import credit_note_prefix
from billing.invoicing.listings import invoice_detail
from billing.invoicing.models import Invoice, NumberSeries
from billing.invoicing.services.issue_documents import next_numbers
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from kernel import clock
from kernel.errors import Invalid
from tenants import audit
from tenants.models import AuditRecord
from tenants.scope import system_scope, tenant_scope
from tests.factories import a_plan, a_subscription, a_tenant
from work.commands import CommandFault
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")


def set_seller(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("set_seller", *arguments, "--json", stdout=out)
    printed: dict[str, Any] = json.loads(out.getvalue())
    return printed


def test_what_is_given_is_changed_and_the_rest_stays() -> None:
    assert set_seller()["name"] == "Your company"
    set_seller("--name", "峰会云通讯有限公司", "--country", "CN")
    seller = set_seller("--number-prefix", "SUM")
    assert (seller["name"], seller["country"], seller["number_prefix"]) == (
        "峰会云通讯有限公司",
        "CN",
        "SUM",
    )
    with system_scope(purpose="test"):
        assert AuditRecord.objects.filter(action="seller.described").count() == 2
        assert audit.verify() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", " "),
        ("--name", "x" * 201),
        ("--country", "China"),
        ("--number-prefix", "inv 1"),
        ("--number-prefix", ""),
        ("--number-prefix", "INV1234567"),
        ("--country", "DE", "--tax-id", "136695976"),
        ("--iban", "DE89370400440532013001"),
        ("--bic", "COBA"),
    ],
)
def test_what_an_invoice_can_not_carry_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandFault) as refused:
        set_seller(*arguments)
    assert refused.value.code == "invalid_seller"
    assert isinstance(refused.value.__cause__, Invalid)
    assert set_seller()["name"] == "Your company"


def test_numbers_of_the_longest_prefix_are_short_and_each_series_counts_for_itself() -> None:
    """At most 30 characters of capitals, digits and dashes, also after a hundred million documents a year."""
    prefix = set_seller("--number-prefix", "ACME-2-DE")["number_prefix"]
    notes = credit_note_prefix(prefix)
    series = [("default", each, 2026) for each in (prefix, notes, prefix, notes)]
    with system_scope(purpose="test"):
        numbers = next_numbers(series)
        NumberSeries.objects.update(last=10**8)
        numbers += next_numbers(series[1:2])
        transaction.set_rollback(True, using=JOBS)  # no document bears them
    assert numbers == [
        "ACME-2-DE-2026-000001",
        "ACME-2-DE-CN-2026-000001",
        "ACME-2-DE-2026-000002",
        "ACME-2-DE-CN-2026-000002",
        "ACME-2-DE-CN-2026-100000001",
    ]
    assert all(re.fullmatch(r"[A-Z0-9-]{1,30}", number) for number in numbers)


def test_an_issued_invoice_keeps_the_seller_as_it_stood() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    set_seller(
        "--name", "Summit Cloud Ltd", "--address", "1 Old Road", "--bank-details", "Old Bank 1"
    )
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat("2026-03-01T00:00:00+08:00"),
            finalize=True,
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)
    set_seller("--name", "Other Ltd", "--address", "2 New Road", "--bank-details", "New Bank 2")
    with tenant_scope(tenant.id):
        invoice = Invoice.objects.get()
        shown = invoice_detail(invoice_id=invoice.id, now=clock.now(), tenant_id=tenant.id)
    assert (shown.seller_name, shown.seller_bank_details) == ("Summit Cloud Ltd", "Old Bank 1")
    # Printed for the first time, in a language that nobody had asked for, after the seller has moved.
    printed = print_invoice(tenant_id=tenant.id, invoice_id=invoice.id, language="zh-hans")
    text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(printed.content)).pages)
    for said in ("Summit Cloud Ltd", "1 Old Road", "Old Bank 1"):
        assert said in text
    assert "Other Ltd" not in text
    with pytest.raises(IntegrityError), connections[OWNER].cursor() as cursor:
        cursor.execute("UPDATE billing_invoice SET issuer = '{}'")
