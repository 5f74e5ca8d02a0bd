"""Issue a draft that came out negative as a credit note (contract section 4)."""

from datetime import datetime

from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.drafting import Draft
from billing.invoicing.models import CreditNote, Invoice, InvoiceLine
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.rating.terms import Timing

REASON = "Late usage of periods that were billed before"


def issue_as_credit_note(
    *, invoice: Invoice, draft: Draft, now: datetime, actor: str
) -> CreditNote:
    """Give back what the draft comes to, in the caller's scope: its amount becomes cash of the balance.

    The draft's row must be written with its lines, and its tenant and subscription loaded. It becomes
    void without a number and keeps its lines, so that they count as billed; the note names it and, as
    the invoice that it corrects, the first one that an adjustment names.
    """
    adjusted = [each.adjusts for each in draft.lines if each.adjusts is not None]
    corrected = (
        InvoiceLine.objects.select_related("invoice")
        .filter(tenant_id=invoice.tenant_id, id__in=adjusted, invoice__number__isnull=False)
        .order_by("period_starts_at", "position")
        .first()
    )
    Invoice.objects.filter(id=invoice.id).update(status=InvoiceStatus.VOID)
    invoice.status = InvoiceStatus.VOID
    return issue_credit_note(
        note=NewCreditNote(
            tenant=invoice.tenant,
            seller=invoice.seller_id,
            timezone=invoice.timezone,
            currency=draft.currency,
            lines=[
                CreditLine(
                    key=each.line.key,
                    description=each.line.description,
                    amount=-settled.taxable,
                    tax=-settled.tax,
                    tax_terms=each.tax,
                    period=each.line.period,
                    timing=Timing(each.timing),
                    explanation=each.working,
                )
                for each, settled in zip(draft.lines, draft.settlement.lines, strict=True)
            ],
            reason=REASON,
            invoice=corrected.invoice if corrected is not None else None,
            settles=False,
            subscription=invoice.subscription,
            document=invoice,
        ),
        now=now,
        actor=actor,
    )
