"""The preview of the next document: what it says is what is billed when nothing more is used."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from billing.invoicing.listings import invoice_detail
from billing.invoicing.models import Invoice
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from billing.invoicing.services.run_billing import create_run, execute_run
from kernel import clock
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, STANDARD, a_plan, a_subscription, a_tenant, some_usage

APRIL = datetime(2026, 3, 31, 16, tzinfo=UTC)
"""The first instant of April in Shanghai."""


def test_preview_is_what_is_billed(db: None) -> None:
    """199 in advance, and 5.00 for each started 10 of the 32 users above 10 on the highest day."""
    a_plan()
    tenant = a_tenant(apps=("chat", "live"))
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 20): 42, date(2026, 3, 21): 11})
    with tenant_scope(tenant.id):
        (preview,) = preview_next_invoices(tenant_id=tenant.id, now=APRIL - timedelta(days=3))
    assert preview.drafted_at == APRIL
    assert preview.total.minor == 19900 + 4 * 500
    with system_scope(purpose="test"):
        run_id = create_run(at=APRIL, finalize=False, requested_by="", now=NOW)
    execute_run(run_id=run_id, clock=clock.now)
    with tenant_scope(tenant.id):
        drafted = Invoice.objects.get(boundary_at=APRIL)
        billed = invoice_detail(invoice_id=drafted.id, now=APRIL, tenant_id=tenant.id)
    for told, stored in zip(preview.lines, billed.lines, strict=True):
        # What was stored is JSON: its lists were tuples, its objects mappings of any kind. It also
        # names the phrase of the printed description.
        working = json.loads(json.dumps(told.explanation, default=dict))
        assert {key: stored.explanation[key] for key in working} == working
        assert replace(told, explanation=stored.explanation) == stored
    assert preview.period == billed.period


def test_preview_grows_with_usage(db: None) -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    totals = []
    for users in (0, 10, 11, 31):
        if users:
            some_usage(tenant, {date(2026, 3, 2): users})
        with tenant_scope(tenant.id):
            (preview,) = preview_next_invoices(tenant_id=tenant.id, now=NOW + timedelta(days=3))
            totals.append(preview.total.minor)
    assert totals == [19900, 19900, 20400, 21400]


def test_there_is_none_without_a_subscription_or_a_price(db: None) -> None:
    tenant = a_tenant()
    with tenant_scope(tenant.id):
        assert preview_next_invoices(tenant_id=tenant.id, now=NOW) == ()
    free = {**STANDARD, "prices": [{"key": "base", "model": "flat", "amount": "0"}]}
    a_plan(free, key="free")
    a_subscription(tenant, plan="free")
    with tenant_scope(tenant.id):
        assert preview_next_invoices(tenant_id=tenant.id, now=NOW) == ()


def test_another_tenants_scope_sees_none(db: None) -> None:
    a_plan()
    tenant, other = a_tenant(), a_tenant("other", apps=("other-chat",))
    a_subscription(tenant)
    with tenant_scope(other.id):
        assert preview_next_invoices(tenant_id=tenant.id, now=NOW) == ()
