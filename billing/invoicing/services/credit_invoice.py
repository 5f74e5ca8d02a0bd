"""Take back amounts of an issued invoice's lines by a credit note."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billing.invoicing.crediting import LineCredit, TaxedCredit, lock_issued, tax_of, with_taxes
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.rating.terms import Timing
from kernel.period import Period


def credit_invoice(
    *, invoice_id: UUID, lines: Sequence[LineCredit], reason: str, now: datetime, actor: str
) -> str:
    """Issue a credit note on an invoice at once, in the caller's scope; gives its number.

    People ask for one instead (`request_credit`), and another approves. What the invoice still owes comes
    down first; the rest, which was paid, becomes cash of the balance. Raises as `lock_issued` and
    `with_taxes`.
    """
    invoice = lock_issued(invoice_id=invoice_id)
    note = issue_on(invoice, with_taxes(invoice, lines), reason=reason, now=now, actor=actor)
    return note.number


def issue_on(
    invoice: Invoice, crediting: Sequence[TaxedCredit], *, reason: str, now: datetime, actor: str
) -> CreditNote:
    """Issue a credit note on a locked invoice for amounts that were checked."""
    return issue_credit_note(
        note=NewCreditNote(
            tenant=invoice.tenant,
            seller=invoice.seller_id,
            timezone=invoice.timezone,
            currency=invoice.currency,
            lines=[
                CreditLine(
                    key=line.key,
                    description=line.description,
                    amount=each.amount,
                    period=Period(line.period_starts_at, line.period_ends_at),
                    timing=Timing(line.timing),
                    tax=each.tax,
                    tax_terms=tax_of(line),
                    invoice_line_id=line.id,
                    explanation={"invoice": invoice.number, "line": line.position},
                )
                for each in crediting
                for line in [each.line]
            ],
            reason=reason,
            invoice=invoice,
            subscription=invoice.subscription,
        ),
        now=now,
        actor=actor,
    )
