"""Take back amounts of an issued invoice's lines by a credit note."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, Sum

from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.rating.terms import Timing
from kernel.errors import Conflict, Invalid, NotFound
from kernel.money import Money
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCredit:
    """What to take back of the line at a position, counted from 1."""

    position: int
    amount: Money


def credit_invoice(
    *, invoice_id: UUID, lines: Sequence[LineCredit], reason: str, now: datetime, actor: str
) -> str:
    """Issue a credit note on an invoice, in the caller's scope; gives its number.

    What the invoice still owes comes down first; the rest, which was paid, becomes cash of the balance.
    All credits of a line together are never above the line, with what late usage adjusted of it. Raises NotFound `invoice_not_found`,
    `line_not_found`; Conflict `invoice_not_issued`, `above_line`; Invalid `amount_not_positive`,
    `currency_mismatch`, `nothing_to_credit`.
    """
    invoice = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("tenant", "subscription")
        .filter(id=invoice_id)
        .first()
    )
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.number is None or invoice.status in {InvoiceStatus.DRAFT, InvoiceStatus.VOID}:
        raise Conflict(
            "invoice_not_issued",
            "Only an invoice that was issued and is not void can be credited.",
            field="invoice",
        )
    found = {
        line.position: line
        for line in InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice=invoice)
    }
    left = _left(invoice, found)
    note_lines = []
    for wanted in lines:
        line = found.get(wanted.position)
        if line is None:
            raise NotFound(
                "line_not_found", f"The invoice has no line {wanted.position}.", field="lines"
            )
        if wanted.amount.currency != invoice.currency:
            raise Invalid("currency_mismatch", f"The invoice is in {invoice.currency}.")
        if wanted.amount.minor <= 0:
            raise Invalid("amount_not_positive", "amount is not above zero.", field="lines")
        left[wanted.position] -= wanted.amount.minor
        if left[wanted.position] < 0:
            raise Conflict(
                "above_line",
                f"Line {wanted.position} has less than {wanted.amount} left to credit.",
                field="lines",
            )
        note_lines.append(
            CreditLine(
                key=line.key,
                description=line.description,
                amount=wanted.amount,
                period=Period(line.period_starts_at, line.period_ends_at),
                timing=Timing(line.timing),
                invoice_line_id=line.id,
                explanation={"invoice": invoice.number, "line": line.position},
            )
        )
    note = issue_credit_note(
        note=NewCreditNote(
            tenant=invoice.tenant,
            seller=invoice.seller_id,
            timezone=invoice.timezone,
            currency=invoice.currency,
            lines=note_lines,
            reason=reason,
            invoice=invoice,
            subscription=invoice.subscription,
        ),
        now=now,
        actor=actor,
    )
    return note.number


def _left(invoice: Invoice, lines: dict[int, InvoiceLine]) -> dict[int, int]:
    """What each line has left to credit, in minor units, by position.

    A line and all that adjust it for late usage are together not credited beyond their sum: what an
    adjustment has given back is not there any more.
    """
    firsts = {line.adjusts or line.id for line in lines.values()}
    issued = ~Q(invoice__status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID]) | Q(
        invoice__issued_as__isnull=False
    )
    related = list(
        InvoiceLine.objects.filter(Q(id__in=firsts) | Q(adjusts__in=firsts), issued)
        .filter(tenant_id=invoice.tenant_id, invoice__subscription=invoice.subscription)
        .values_list("id", "adjusts", "amount_minor")
    )
    credited: dict[UUID | None, int] = defaultdict(int)
    credited.update(
        CreditNoteLine.objects.filter(
            tenant_id=invoice.tenant_id, invoice_line__in=[line_id for line_id, _, _ in related]
        )
        .values_list("invoice_line_id")
        .annotate(credited=Sum("amount_minor"))
    )
    together: dict[UUID, int] = defaultdict(int)
    for line_id, adjusts, amount_minor in related:
        together[adjusts or line_id] += amount_minor - credited[line_id]
    return {
        position: min(line.amount_minor - credited[line.id], together[line.adjusts or line.id])
        for position, line in lines.items()
    }
