"""Issue a credit note: frozen, numbered in a series of its own, posted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.domain import InvoiceStatus, check_transition, credit_note_prefix
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, Seller
from billing.invoicing.services.issue_documents import buyer_of, next_numbers
from billing.ledger.domain import BalanceKind, credit_note_postings
from billing.ledger.services import NewTransaction, add_to_balance, post_transaction
from billing.rating.terms import Timing
from billing.subscriptions.models import Subscription
from billing.taxes.domain.rules import NO_TAX, LineTax
from kernel import ids
from kernel.errors import Invalid
from kernel.money import Money, total
from kernel.period import Period, local_day
from tenants import audit
from tenants.models import Tenant
from work import outbox


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLine:
    """An amount in the tenant's favour, after discounts and before tax; negative where a charge is set
    against it. `tax` goes back with it, by the rate of `tax_terms`.

    `timing` tells whether it was billed ahead of its service, so that its revenue is still deferred.
    """

    key: str
    description: str
    amount: Money
    period: Period
    timing: Timing
    tax: Money
    tax_terms: LineTax = NO_TAX
    invoice_line_id: UUID | None = None
    explanation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCreditNote:
    """What to credit. With `settles`, the invoice's receivable comes first and cash is the rest;
    without, all of it becomes cash. `document` is the draft that is issued as this note."""

    tenant: Tenant
    seller: str
    timezone: str
    currency: str
    lines: Sequence[CreditLine]
    reason: str
    invoice: Invoice | None = None
    settles: bool = True
    subscription: Subscription | None = None
    document: Invoice | None = None


def issue_credit_note(*, note: NewCreditNote, now: datetime, actor: str) -> CreditNote:
    """Issue in the caller's scope; the invoice, if any, must be locked.

    Raises Invalid `nothing_to_credit` unless the lines sum to more than zero.
    """
    tax = total((line.tax for line in note.lines), currency=note.currency)
    amount = total((line.amount for line in note.lines), currency=note.currency) + tax
    if amount.minor <= 0:
        raise Invalid(
            "nothing_to_credit",
            "The lines sum to nothing; credit an amount above zero.",
            field="lines",
        )
    to_receivable = _settle(note, amount, now=now)
    day = local_day(now, ZoneInfo(note.timezone))
    prefix = credit_note_prefix(Seller.objects.get(code=note.seller).number_prefix)
    (number,) = next_numbers([(note.seller, prefix, day.year)])
    row = CreditNote.objects.create(
        id=ids.new_id(),
        tenant=note.tenant,
        seller_id=note.seller,
        invoice=note.invoice,
        subscription=note.subscription,
        document=note.document,
        number=number,
        currency=note.currency,
        timezone=note.timezone,
        language=note.tenant.language,
        issued_at=now,
        reason=note.reason[:500],
        tax_minor=tax.minor,
        total_minor=amount.minor,
        to_receivable_minor=to_receivable.minor,
        to_balance_minor=(amount - to_receivable).minor,
        buyer=buyer_of(note.tenant),
    )
    CreditNoteLine.objects.bulk_create(
        [
            CreditNoteLine(
                id=ids.new_id(),
                tenant=note.tenant,
                credit_note=row,
                position=position,
                invoice_line_id=line.invoice_line_id,
                key=line.key,
                description=line.description[:300],
                amount_minor=line.amount.minor,
                tax_percent=line.tax_terms.percent,
                tax_code=line.tax_terms.code,
                tax_minor=line.tax.minor,
                period_starts_at=line.period.starts_at,
                period_ends_at=line.period.ends_at,
                explanation={
                    **line.explanation,
                    **({"tax": line.tax_terms.document} if line.tax_terms.said_by else {}),
                },
            )
            for position, line in enumerate(note.lines, start=1)
        ]
    )
    _post(row, note, amount=amount, tax=tax, to_receivable=to_receivable, now=now)
    _tell(row, note, amount=amount, now=now, actor=actor)
    return row


def _settle(note: NewCreditNote, amount: Money, *, now: datetime) -> Money:
    """What of the amount, with tax, makes the invoice's receivable smaller."""
    invoice = note.invoice
    owing = {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}
    if invoice is None or not note.settles or invoice.status not in owing:
        return Money.zero(note.currency)
    outstanding = Money(invoice.total_minor - invoice.paid_minor, invoice.currency)
    settled = max(min(amount, outstanding), Money.zero(note.currency))
    if settled:
        invoice.paid_minor += settled.minor
        if invoice.paid_minor == invoice.total_minor:
            check_transition(before=InvoiceStatus(invoice.status), after=InvoiceStatus.PAID)
            invoice.status, invoice.paid_at = InvoiceStatus.PAID, now
        invoice.save(update_fields=["paid_minor", "status", "paid_at"])
    return settled


def _post(
    row: CreditNote,
    note: NewCreditNote,
    *,
    amount: Money,
    tax: Money,
    to_receivable: Money,
    now: datetime,
) -> None:
    deferred = total(
        (line.amount for line in note.lines if line.timing is Timing.IN_ADVANCE),
        currency=note.currency,
    )
    post_transaction(
        transaction=NewTransaction(
            tenant_id=note.tenant.id,
            kind="credit_note",
            reference=f"credit_note:{row.id}",
            description=f"Credit note {row.number}",
            postings=credit_note_postings(
                deferred=deferred,
                earned=amount - tax - deferred,
                tax=tax,
                to_receivable=to_receivable,
                to_balance=amount - to_receivable,
            ),
        ),
        now=now,
    )
    add_to_balance(
        tenant_id=note.tenant.id,
        kind=BalanceKind.CASH,
        amount=amount - to_receivable,
        source=f"credit_note:{row.id}",
        now=now,
    )


def _tell(
    row: CreditNote, note: NewCreditNote, *, amount: Money, now: datetime, actor: str
) -> None:
    audit.record(
        audit.Entry(
            tenant_id=note.tenant.id,
            actor=actor,
            action="credit_note.issued",
            target=f"credit_note:{row.number}",
            after={
                "total": f"{amount}",
                "invoice": note.invoice.number if note.invoice is not None else None,
            },
            reason=note.reason,
        ),
        now=now,
    )
    outbox.publish(
        topic="credit_note.issued",
        key=str(row.id),
        payload={"credit_note_id": str(row.id)},
        tenant_id=note.tenant.id,
    )
