"""Issue the documents of a change: an invoice, or below zero a credit note to the cash balance."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Max, Sum

from billing.invoicing.changes import SettledDocument
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, Draft
from billing.invoicing.lines import line_rows
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.services.draft_due import invoice_row
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.invoicing.services.issue_documents import Issuable, issue_documents
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.subscriptions.models import Subscription
from kernel.period import Period

SELLER = "default"
_TICK = timedelta(microseconds=1)


def settle_change(
    row: Subscription,
    contract: Contract,
    document: SettledDocument,
    *,
    now: datetime,
    actor: str,
    corrections: int = 0,
) -> Invoice | CreditNote:
    """Issue what a change settles, as of now, in the caller's cross-tenant scope.

    `corrections` is how many corrections its days had before their usage was read.
    """
    if document.is_credit_note:
        return credit_unused(
            row, contract, document.draft, reason=document.reason, now=now, actor=actor
        )
    return issue_at_once(
        row, contract, document.draft, kind=document.kind, now=now, corrections=corrections
    )


def credit_unused(
    row: Subscription, contract: Contract, draft: Draft, *, reason: str, now: datetime, actor: str
) -> CreditNote:
    """Issue a draft that came out negative as a credit note, its amount to the cash balance."""
    billed = _billed_in_advance(row, draft.period)
    left = _left_to_credit(billed)
    lines = []
    invoice = None
    for each, settled in zip(draft.lines, draft.settlement.lines, strict=True):
        source = None
        if each.line.kind is LineKind.CREDIT:
            source = next(
                (
                    line
                    for line in billed
                    if (line.key, line.plan_version_id) == (each.line.key, each.plan_version_id)
                    and line.period_starts_at <= each.line.period.starts_at < line.period_ends_at
                ),
                None,
            )
            # What was charged on a credit note has no line that it could be taken from, nor has the
            # minor unit that a part, split for itself by a change of tax, may round up by.
            if source is not None and left[source.id] < -settled.taxable.minor:
                source = None
            if source is not None:
                left[source.id] += settled.taxable.minor
            invoice = invoice or (source.invoice if source is not None else None)
        lines.append(
            CreditLine(
                key=each.line.key,
                description=each.line.description,
                amount=-settled.taxable,
                tax=-settled.tax,
                tax_terms=each.tax,
                period=each.line.period,
                timing=Timing(each.timing),
                invoice_line_id=source.id if source is not None else None,
                explanation=each.working,
            )
        )
    return issue_credit_note(
        note=NewCreditNote(
            tenant=row.tenant,
            seller=SELLER,
            timezone=contract.cadence.zone.key,
            currency=draft.currency,
            lines=lines,
            reason=reason,
            invoice=invoice,
            settles=False,
            subscription=row,
        ),
        now=now,
        actor=actor,
    )


def _billed_in_advance(row: Subscription, period: Period) -> list[InvoiceLine]:
    """The issued lines that billed a part of the period ahead, the newest first."""
    return list(
        InvoiceLine.objects.filter(
            tenant_id=row.tenant_id,
            invoice__subscription=row,
            invoice__number__isnull=False,
            timing=Timing.IN_ADVANCE.value,
            kind=LineKind.RECURRING,
            period_starts_at__lt=period.ends_at,
            period_ends_at__gt=period.starts_at,
        )
        .select_related("invoice")
        .order_by("-invoice__issued_at", "-invoice__number")
    )


def issue_at_once(
    row: Subscription,
    contract: Contract,
    draft: Draft,
    *,
    kind: InvoiceKind,
    now: datetime,
    corrections: int = 0,
) -> Invoice:
    """Write a document outside the boundaries and issue it as of now; one of nothing gets no number.

    `corrections` is how many corrections its days had before their usage was read.
    """
    invoice = invoice_row(contract, draft, seller=SELLER, at=now, kind=kind)
    # A document of a kind is one of a kind at its instant: those of one instant follow each other.
    last = Invoice.objects.filter(
        tenant_id=row.tenant_id, subscription=row, kind=kind, boundary_at__gte=now
    ).aggregate(last=Max("boundary_at"))["last"]
    if last is not None:
        invoice.boundary_at = last + _TICK
    invoice.tenant = row.tenant
    invoice.corrections_counted = corrections
    invoice.save(force_insert=True)
    InvoiceLine.objects.bulk_create(
        line_rows(invoice_id=invoice.id, contract=contract, draft=draft)
    )
    if draft.is_empty:
        Invoice.objects.filter(id=invoice.id).update(status=InvoiceStatus.VOID)
    else:
        issue_documents(documents=[Issuable(invoice=invoice, draft=draft)], at=now)
    return invoice


def _left_to_credit(lines: list[InvoiceLine]) -> dict[UUID, int]:
    """What of each invoice line no credit note has taken back yet, in minor units."""
    credited = dict(
        CreditNoteLine.objects.filter(
            tenant_id__in={line.tenant_id for line in lines},
            invoice_line_id__in=[line.id for line in lines],
        )
        .values_list("invoice_line_id")
        .annotate(total=Sum("amount_minor"))
    )
    return {
        line.id: line.amount_minor - line.discount_minor - credited.get(line.id, 0)
        for line in lines
    }
