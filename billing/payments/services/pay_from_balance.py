"""Pay an issued invoice from the tenant's balance: by priority, then voucher, gift and cash."""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from billing.invoicing.domain import InvoiceKind, InvoiceStatus, check_transition
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.services.recover_bad_debt import recover_bad_debt
from billing.ledger.domain import BalanceKind, draw_order, draw_postings
from billing.ledger.models import BalanceLot
from billing.ledger.services import NewTransaction, post_transaction
from billing.payments.models import BalanceDraw
from billing.payments.services.book_payment import lock_invoice, outstanding_of
from billing.rating.adjustments.credits import (
    PayableLine,
    ScopedCredit,
    drawn_credits,
    read_scope,
)
from kernel import ids
from kernel.money import Money
from tenants.scope import system_scope
from work import outbox


def pay_issued_from_balance(*, issued_at: datetime) -> int:
    """Pay all open invoices that were issued at an instant, tenants with a balance only; gives how many.

    Opens its own scopes, one an invoice, so that it may be killed and repeated.
    """
    with system_scope(purpose="pay from balances"):
        lots = _usable(now=issued_at).filter(
            tenant_id=OuterRef("tenant_id"), currency=OuterRef("currency")
        )
        found = list(
            Invoice.objects.filter(Exists(lots), status=InvoiceStatus.OPEN, issued_at=issued_at)
            .exclude(kind=InvoiceKind.TOP_UP)
            .order_by("number")
            .values_list("tenant_id", "id")
        )
    for tenant_id, invoice_id in found:
        with system_scope(purpose="pay from balances"):
            pay_from_balance(tenant_id=tenant_id, invoice_id=invoice_id, now=issued_at)
    return len(found)


def pay_from_balance(*, tenant_id: UUID, invoice_id: UUID, now: datetime) -> Money:
    """Draw what the invoice needs from the tenant's lots, in the caller's scope; gives the sum.

    In the order of `draw_order`; a lot with a limited scope pays lines that it covers. Once for each invoice: what is granted
    after its issue waits for the next one. A top-up is paid from outside alone. Raises NotFound `invoice_not_found`.
    """
    invoice = lock_invoice(invoice_id=invoice_id, tenant_id=tenant_id)
    needed = outstanding_of(invoice)
    nothing = Money.zero(invoice.currency)
    # A balance that topped itself up would only go round.
    if (
        invoice.kind == InvoiceKind.TOP_UP
        or not needed
        or BalanceDraw.objects.filter(tenant_id=tenant_id, invoice=invoice).exists()
    ):
        return nothing
    lots = sorted(
        _usable(now=now)
        .filter(tenant_id=tenant_id, currency=invoice.currency)
        .select_for_update()
        .order_by("id"),
        key=lambda lot: draw_order(
            priority=lot.priority,
            kind=BalanceKind(lot.kind),
            expires_at=lot.expires_at,
            granted_at=lot.granted_at,
        ),
    )
    parts = drawn_credits(
        [
            ScopedCredit(left=Money(lot.left_minor, lot.currency), scope=read_scope(lot.scope))
            for lot in lots
        ],
        lines=_payable_lines(invoice),
        outstanding=needed,
    )
    draws: list[BalanceDraw] = []
    drawn: dict[BalanceKind, Money] = defaultdict(lambda: nothing)
    for lot, part in zip(lots, parts, strict=True):
        if not part:
            continue
        lot.left_minor -= part.minor
        drawn[BalanceKind(lot.kind)] += part
        draws.append(
            BalanceDraw(
                id=ids.new_id(),
                tenant_id=tenant_id,
                lot=lot,
                invoice=invoice,
                amount_minor=part.minor,
                drawn_at=now,
            )
        )
    if not draws:
        return nothing
    BalanceLot.objects.bulk_update(lots, ["left_minor"])
    BalanceDraw.objects.bulk_create(draws)
    paid = sum((draw.amount_minor for draw in draws), start=0)
    recover_bad_debt(
        invoice=invoice,
        amount=Money(paid, invoice.currency),
        settled_by="balance",
        now=now,
    )
    _settle(invoice, paid, now=now)
    post_transaction(
        transaction=NewTransaction(
            tenant_id=tenant_id,
            kind="balance_draw",
            reference=f"invoice:{invoice.id}",
            description=f"Balance pays {invoice.number}",
            postings=draw_postings(drawn=list(drawn.items())),
        ),
        now=now,
    )
    return Money(paid, invoice.currency)


def _payable_lines(invoice: Invoice) -> list[PayableLine]:
    """The invoice's lines, after their discounts and with their tax."""
    rows = list(
        InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice=invoice)
        .order_by("position")
        .values_list(
            "key",
            "plan_version__plan__key",
            "app_key",
            F("amount_minor") - F("discount_minor") + F("tax_minor"),
        )
    )
    return [
        PayableLine(price=key, plan=plan or "", app=app, gross=Money(minor, invoice.currency))
        for key, plan, app, minor in rows
    ]


def _usable(*, now: datetime) -> QuerySet[BalanceLot]:
    return BalanceLot.objects.filter(left_minor__gt=0).filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    )


def _settle(invoice: Invoice, paid_minor: int, *, now: datetime) -> None:
    invoice.paid_minor += paid_minor
    if invoice.paid_minor == invoice.total_minor:
        check_transition(before=InvoiceStatus(invoice.status), after=InvoiceStatus.PAID)
        invoice.status, invoice.paid_at = InvoiceStatus.PAID, now
        outbox.publish(
            topic="invoice.paid",
            key=str(invoice.id),
            payload={"invoice_id": str(invoice.id)},
            tenant_id=invoice.tenant_id,
        )
    invoice.save(update_fields=["paid_minor", "status", "paid_at"])
