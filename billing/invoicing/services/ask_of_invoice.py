"""Ask that an issued invoice be credited or written off; somebody else approves."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billing.invoicing.crediting import LineCredit, lock_issued, with_taxes
from billing.invoicing.domain import InvoiceKind, InvoiceStatus, RequestedAction
from billing.invoicing.models import Invoice
from billing.invoicing.request_models import InvoiceRequest, InvoiceRequestLine
from kernel import ids
from kernel.errors import Conflict, Invalid
from kernel.money import Money, total
from tenants import audit


def request_credit(
    *, invoice_id: UUID, lines: Sequence[LineCredit], reason: str, now: datetime, actor: str
) -> UUID:
    """Ask for a credit note, in the caller's cross-tenant transaction; gives the request's id.

    While it waits it holds what it asks for: no other credit takes it. Raises as `lock_issued` and
    `with_taxes`, and Invalid `reason_missing`.
    """
    invoice = lock_issued(invoice_id=invoice_id)
    told = _reason(reason)
    crediting = with_taxes(invoice, lines)
    tax = total((each.tax for each in crediting), currency=invoice.currency)
    net = total((each.amount for each in crediting), currency=invoice.currency)
    row = _ask(
        invoice,
        RequestedAction.CREDIT,
        amount=net + tax,
        tax=tax,
        reason=told,
        now=now,
        actor=actor,
    )
    InvoiceRequestLine.objects.bulk_create(
        [
            InvoiceRequestLine(
                id=ids.new_id(),
                tenant_id=invoice.tenant_id,
                request=row,
                invoice_line=each.line,
                position=each.line.position,
                amount_minor=each.amount.minor,
                tax_minor=each.tax.minor,
            )
            for each in crediting
        ]
    )
    return row.id


def request_write_off(*, invoice_id: UUID, reason: str, now: datetime, actor: str) -> UUID:
    """Ask that all that an open invoice still owes be given up; gives the request's id.

    Raises as `lock_issued`; Conflict `invoice_not_open`, `write_off_waits`, `top_up_not_lost`; Invalid `reason_missing`.
    """
    invoice = lock_issued(invoice_id=invoice_id)
    told = _reason(reason)
    if invoice.kind == InvoiceKind.TOP_UP:
        raise Conflict(
            "top_up_not_lost",
            "Nothing was delivered for a top-up that is not paid: credit it instead.",
        )
    owed = owed_of_open(invoice)
    if InvoiceRequest.objects.filter(
        tenant_id=invoice.tenant_id,
        invoice=invoice,
        action=RequestedAction.WRITE_OFF,
        state="waiting",
    ).exists():
        raise Conflict("write_off_waits", "Somebody asked for it already; it waits for approval.")
    return _ask(
        invoice,
        RequestedAction.WRITE_OFF,
        amount=owed,
        tax=Money.zero(invoice.currency),
        reason=told,
        now=now,
        actor=actor,
    ).id


def owed_of_open(invoice: Invoice) -> Money:
    """What an open invoice owes. Raises Conflict `invoice_not_open`."""
    if invoice.status != InvoiceStatus.OPEN or invoice.total_minor <= invoice.paid_minor:
        raise Conflict(
            "invoice_not_open", "Only an open invoice that owes something can be written off."
        )
    return Money(invoice.total_minor - invoice.paid_minor, invoice.currency)


def _reason(text: str) -> str:
    if not text.strip():
        raise Invalid("reason_missing", "Say why; it is kept with the request.", field="reason")
    return text.strip()[:500]


def _ask(
    invoice: Invoice,
    action: RequestedAction,
    *,
    amount: Money,
    tax: Money,
    reason: str,
    now: datetime,
    actor: str,
) -> InvoiceRequest:
    row = InvoiceRequest.objects.create(
        tenant_id=invoice.tenant_id,
        invoice=invoice,
        action=action,
        currency=invoice.currency,
        tax_minor=tax.minor,
        total_minor=amount.minor,
        reason=reason,
        requested_by=actor,
        requested_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=invoice.tenant_id,
            actor=actor,
            action=f"invoice.{action}_requested",
            target=f"invoice:{invoice.number}",
            after={"request": str(row.id), "total": f"{amount}"},
            reason=reason,
        ),
        now=now,
    )
    return row
