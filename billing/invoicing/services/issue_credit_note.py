"""Issue a credit note: frozen, numbered in a series of its own, posted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.exchange.domain import NationalTax
from billing.invoicing.domain import (
    InvoiceKind,
    InvoiceStatus,
    check_transition,
    credit_note_prefix,
)
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, Seller
from billing.invoicing.parties_at_issue import Unissued, held_back, to_be_issued
from billing.invoicing.services.issue_documents import announce_together, next_numbers
from billing.invoicing.services.recover_bad_debt import recover_bad_debt
from billing.ledger.domain import BalanceKind, credit_note_postings
from billing.ledger.services import NewTransaction, post_transactions
from billing.ledger.services.add_to_balance import NewLot, add_lots
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
    """Issue one in the caller's scope; see `issue_credit_notes`."""
    return issue_credit_notes(notes=[note], now=now, actor=actor)[0]


def issue_credit_notes(
    *, notes: Sequence[NewCreditNote], now: datetime, actor: str
) -> list[CreditNote]:
    """Issue notes in the caller's scope, all or none, in a few statements however many they are; what
    comes off an invoice's receivable is one more each. Their invoices must be locked.

    Raises Invalid `nothing_to_credit` unless the lines of each sum to more than zero, Conflict
    `invoice_fields_missing` where a note lacks what the law wants on it.
    """
    taxes = [total((line.tax for line in note.lines), currency=note.currency) for note in notes]
    amounts = [
        total((line.amount for line in note.lines), currency=note.currency) + tax
        for note, tax in zip(notes, taxes, strict=True)
    ]
    if any(amount.minor <= 0 for amount in amounts):
        raise Invalid(
            "nothing_to_credit",
            "The lines sum to nothing; credit an amount above zero.",
            field="lines",
        )
    said = to_be_issued(
        [_unissued(note, tax) for note, tax in zip(notes, taxes, strict=True)], at=now
    )
    for refused in held_back(said):
        if refused is not None:
            raise refused
    note_ids = [ids.new_id() for _ in notes]
    to_receivables = [
        _settle(note, amount, note_id=note_id, now=now)
        for note, amount, note_id in zip(notes, amounts, note_ids, strict=True)
    ]
    prefixes = dict(Seller.objects.values_list("code", "number_prefix"))
    numbers = next_numbers(
        [
            (
                note.seller,
                credit_note_prefix(prefixes[note.seller]),
                local_day(now, ZoneInfo(note.timezone)).year,
            )
            for note in notes
        ]
    )
    rows = [
        CreditNote(
            id=note_id,
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
            issuer=says.issuer.stored(),
            buyer=says.recipient.stored(),
            national_tax=None if says.national_tax is None else says.national_tax.stored(),
        )
        for note, note_id, number, tax, amount, to_receivable, says in zip(
            notes, note_ids, numbers, taxes, amounts, to_receivables, said, strict=True
        )
    ]
    CreditNote.objects.bulk_create(rows, batch_size=500)
    CreditNoteLine.objects.bulk_create(
        [
            CreditNoteLine(
                id=ids.new_id(),
                tenant=note.tenant,
                credit_note=row,
                position=position,
                invoice_line_id=line.invoice_line_id,
                key=line.key,
                timing=line.timing,
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
            for row, note in zip(rows, notes, strict=True)
            for position, line in enumerate(note.lines, start=1)
        ],
        batch_size=1000,
    )
    _post(list(zip(rows, notes, strict=True)), now=now)
    _tell(list(zip(rows, notes, strict=True)), now=now, actor=actor)
    return rows


def _unissued(note: NewCreditNote, tax: Money) -> Unissued:
    """The note, whose tax is told by the rate of the invoice that it corrects."""
    told = note.invoice.national_tax if note.invoice is not None else None
    return Unissued(
        tenant=note.tenant,
        seller=note.seller,
        timezone=note.timezone,
        taxes=[]
        if note.invoice is not None and note.invoice.kind == InvoiceKind.TOP_UP
        else [line.tax_terms for line in note.lines],
        tax=tax,
        rate=None if told is None else NationalTax.read(told).rate,
    )


def _settle(note: NewCreditNote, amount: Money, *, note_id: UUID, now: datetime) -> Money:
    """What of the amount, with tax, makes the invoice's receivable smaller."""
    invoice = note.invoice
    owing = {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}
    if invoice is None or not note.settles or invoice.status not in owing:
        return Money.zero(note.currency)
    outstanding = Money(invoice.total_minor - invoice.paid_minor, invoice.currency)
    settled = max(min(amount, outstanding), Money.zero(note.currency))
    if settled:
        recover_bad_debt(invoice=invoice, amount=settled, settled_by=note_id, now=now)
        invoice.paid_minor += settled.minor
        if invoice.paid_minor == invoice.total_minor:
            check_transition(before=InvoiceStatus(invoice.status), after=InvoiceStatus.PAID)
            invoice.status, invoice.paid_at = InvoiceStatus.PAID, now
        invoice.save(update_fields=["paid_minor", "status", "paid_at"])
    return settled


def _post(issued: Sequence[tuple[CreditNote, NewCreditNote]], *, now: datetime) -> None:
    transactions, lots = [], []
    for row, note in issued:
        tax = Money(row.tax_minor, row.currency)
        to_balance = Money(row.to_balance_minor, row.currency)
        deferred = total(
            (line.amount for line in note.lines if line.timing is Timing.IN_ADVANCE),
            currency=note.currency,
        )
        net = Money(row.total_minor, row.currency) - tax
        is_top_up = note.invoice is not None and note.invoice.kind == InvoiceKind.TOP_UP
        topped_up = net if is_top_up else Money.zero(row.currency)
        transactions.append(
            NewTransaction(
                tenant_id=note.tenant.id,
                kind="credit_note",
                reference=f"credit_note:{row.id}",
                description=f"Credit note {row.number}",
                postings=credit_note_postings(
                    deferred=deferred,
                    earned=net - deferred - topped_up,
                    topped_up=topped_up,
                    tax=tax,
                    to_receivable=Money(row.to_receivable_minor, row.currency),
                    to_balance=to_balance,
                ),
            )
        )
        lots.append(
            NewLot(
                tenant_id=note.tenant.id,
                kind=BalanceKind.CASH,
                amount=to_balance,
                source=f"credit_note:{row.id}",
            )
        )
    post_transactions(transactions=transactions, now=now)
    add_lots(lots=lots, now=now)


def _tell(issued: Sequence[tuple[CreditNote, NewCreditNote]], *, now: datetime, actor: str) -> None:
    audit.record_many(
        [
            audit.Entry(
                tenant_id=note.tenant.id,
                actor=actor,
                action="credit_note.issued",
                target=f"credit_note:{row.number}",
                after={
                    "total": f"{Money(row.total_minor, row.currency)}",
                    "invoice": note.invoice.number if note.invoice is not None else None,
                },
                reason=note.reason,
            )
            for row, note in issued
        ],
        now=now,
    )
    outbox.publish_many(
        [
            outbox.NewMessage(
                topic="credit_note.issued",
                key=str(row.id),
                payload={"credit_note_id": str(row.id)},
                tenant_id=note.tenant.id,
            )
            for row, note in issued
        ]
    )
    announce_together(name="credit_notes", document_ids=[row.id for row, _ in issued])
