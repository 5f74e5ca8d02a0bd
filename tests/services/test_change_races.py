"""A change while another process issues or credits what was billed of the period."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.db import connections

from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services import finalize_due
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.draft_due import draft_due
from billing.ledger.queries import first_imbalance
from billing.subscriptions.domain import AskedChange, ChangeKind
from kernel.money import Money
from metering.services import close_days
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant

pytestmark = pytest.mark.usefixtures("db")

MAY = datetime(2026, 5, 1, tzinfo=UTC)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
GRACE_OVER = datetime(2026, 5, 2, tzinfo=UTC)


def plan(key: str, amount: str) -> dict[str, Any]:
    return {
        "key": key,
        "currency": "CNY",
        "grace": "PT24H",
        "prices": [
            {"key": "base", "model": "flat", "amount": amount, "prorate": True},
            {
                "key": "peak",
                "meter": "dau",
                "period_aggregation": "max_day",
                "model": "per_unit",
                "unit_price": "1",
            },
        ],
    }


@pytest.fixture
def acme() -> CreatedTenant:
    """On `small` (310 a month) since April 1st; the document that opens May is a draft."""
    a_plan(plan("small", "310"))
    a_plan(plan("large", "620"))
    tenant = a_tenant(timezone="UTC")
    a_subscription(tenant, plan="small", starts_on=date(2026, 4, 1))
    while draft_due(at=MAY).subscriptions:
        pass
    with system_scope(purpose="test"):
        close_days(now=GRACE_OVER, tenant_ids=[tenant.id])
    return tenant


def in_thread(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("asked", "changed", "given_back"),
    [
        (AskedChange(kind=ChangeKind.PLAN, plan="large"), [310_00], []),
        (AskedChange(kind=ChangeKind.CANCEL), [], [310_00]),
    ],
)
def test_what_is_issued_meanwhile_is_settled(
    acme: CreatedTenant,
    monkeypatch: pytest.MonkeyPatch,
    asked: AskedChange,
    changed: list[int],
    given_back: list[int],
) -> None:
    """Finalising has rated the draft by the old plan, and the change comes before it is issued."""
    is_rated, may_go = threading.Event(), threading.Event()
    rewrite = finalize_due._rewrite

    def paused(rated: Any) -> None:
        is_rated.set()
        may_go.wait(timeout=30)
        rewrite(rated)

    def change() -> None:
        with system_scope(purpose="test"):
            change_subscription(tenant_id=acme.id, asked=asked, now=NOON, actor="test")

    monkeypatch.setattr(finalize_due, "_rewrite", paused)
    finalising = in_thread(lambda: finalize_due.finalize_due(at=GRACE_OVER, finalize=True))
    assert is_rated.wait(timeout=30)
    changing = in_thread(change)
    changing.join(timeout=1)
    assert changing.is_alive()  # it waits for the document
    may_go.set()
    finalising.join(timeout=60)
    changing.join(timeout=60)

    with system_scope(purpose="test"):
        opening = Invoice.objects.get(kind=InvoiceKind.SUBSCRIPTION, boundary_at=MAY)
        assert opening.total_minor == 310_00
        changes = Invoice.objects.filter(kind=InvoiceKind.CHANGE)
        assert list(changes.values_list("total_minor", flat=True)) == changed
        assert list(CreditNote.objects.values_list("total_minor", flat=True)) == given_back
        assert first_imbalance() is None


def test_what_is_credited_meanwhile_is_not_given_back_again(acme: CreatedTenant) -> None:
    """A credit note over all of May is not committed yet when the subscription is cancelled."""
    finalize_due.finalize_due(at=GRACE_OVER, finalize=True)
    with system_scope(purpose="test"):
        opening = Invoice.objects.get(kind=InvoiceKind.SUBSCRIPTION, boundary_at=MAY)
    is_credited, may_commit = threading.Event(), threading.Event()

    def credit() -> None:
        with system_scope(purpose="test"):
            credit_invoice(
                invoice_id=opening.id,
                lines=[LineCredit(position=1, amount=Money(310_00, "CNY"))],
                reason="outage",
                now=GRACE_OVER,
                actor="test",
            )
            is_credited.set()
            may_commit.wait(timeout=30)

    def cancel() -> None:
        with system_scope(purpose="test"):
            change_subscription(
                tenant_id=acme.id,
                asked=AskedChange(kind=ChangeKind.CANCEL),
                now=datetime(2026, 5, 16, tzinfo=UTC),
                actor="test",
            )

    crediting = in_thread(credit)
    assert is_credited.wait(timeout=30)
    cancelling = in_thread(cancel)
    cancelling.join(timeout=1)
    assert cancelling.is_alive()
    may_commit.set()
    crediting.join(timeout=60)
    cancelling.join(timeout=60)

    with system_scope(purpose="test"):
        assert list(CreditNote.objects.values_list("total_minor", flat=True)) == [310_00]
