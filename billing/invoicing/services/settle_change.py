"""Issue the documents of a change: an invoice, or below zero a credit note to the cash balance."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Max, Q, Sum

from billing.invoicing.changes import SettledDocument
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.parties_at_issue import Unissued, held_back, to_be_issued
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_notes,
)
from billing.invoicing.services.issue_documents import Issuable, issue_documents
from billing.invoicing.storing import Document, invoice_row, store_documents
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.subscriptions.models import Subscription
from kernel.errors import Conflict

SELLER = "default"
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """A document of a change that is to be issued. `corrections` is how many corrections its days had
    before their usage was read."""

    row: Subscription
    contract: Contract
    document: SettledDocument
    corrections: int = 0


def incomplete(settlings: Sequence[Settling], *, now: datetime) -> dict[UUID, Conflict]:
    """The subscriptions whose documents would lack what the law wants on them, and why. Three queries at
    most, for those who leave them out and go on with the others."""
    said = to_be_issued(
        [
            Unissued(
                tenant=each.row.tenant,
                seller=SELLER,
                timezone=each.contract.cadence.zone.key,
                taxes=[line.tax for line in each.document.draft.lines],
                tax=each.document.draft.settlement.tax_total,
            )
            for each in settlings
        ],
        at=now,
    )
    return {
        each.row.id: refused
        for each, refused in zip(settlings, held_back(said), strict=True)
        if refused is not None and not each.document.draft.is_empty
    }


def settle_changes(
    settlings: Sequence[Settling], *, now: datetime, actor: str
) -> list[Invoice | CreditNote]:
    """Issue what changes settle, as of now, in the caller's cross-tenant scope, in their order: an
    invoice, or below zero a credit note to the cash balance. A few statements however many they are.

    Raises Conflict `invoice_fields_missing` where one lacks what the law wants on it: then none is issued.
    """
    sources = _sources(settlings)
    notes = [
        (each, found)
        for each, found in zip(settlings, sources, strict=True)
        if each.document.is_credit_note
    ]
    invoices = [
        (each, found)
        for each, found in zip(settlings, sources, strict=True)
        if not each.document.is_credit_note
    ]
    issued: dict[int, Invoice | CreditNote] = {}
    for (each, _), note in zip(
        notes,
        issue_credit_notes(notes=[_note(*each) for each in notes], now=now, actor=actor)
        if notes
        else [],
        strict=True,
    ):
        issued[id(each)] = note
    for (each, _), invoice in zip(invoices, _issue_invoices(invoices, now=now), strict=True):
        issued[id(each)] = invoice
    return [issued[id(each)] for each in settlings]


def _note(each: Settling, sources: Sequence[InvoiceLine | None]) -> NewCreditNote:
    draft = each.document.draft
    return NewCreditNote(
        tenant=each.row.tenant,
        seller=SELLER,
        timezone=each.contract.cadence.zone.key,
        currency=draft.currency,
        lines=[
            CreditLine(
                key=line.line.key,
                description=line.line.description,
                amount=-settled.taxable,
                tax=-settled.tax,
                tax_terms=line.tax,
                period=line.line.period,
                timing=Timing(line.timing),
                invoice_line_id=source.id if source is not None else None,
                explanation=line.working,
            )
            for line, settled, source in zip(
                draft.lines, draft.settlement.lines, sources, strict=True
            )
        ],
        reason=each.document.reason,
        invoice=next((source.invoice for source in sources if source is not None), None),
        settles=False,
        subscription=each.row,
    )


def _issue_invoices(
    settlings: Sequence[tuple[Settling, Sequence[InvoiceLine | None]]], *, now: datetime
) -> list[Invoice]:
    """Write documents outside the boundaries and issue them as of now; one of nothing gets no number."""
    if not settlings:
        return []
    last = {
        (subscription_id, kind): boundary_at
        for subscription_id, kind, boundary_at in Invoice.objects.filter(
            tenant_id__in={each.row.tenant_id for each, _ in settlings},
            subscription__in=[each.row for each, _ in settlings],
            boundary_at__gte=now,
        )
        .values_list("subscription_id", "kind")
        .annotate(last=Max("boundary_at"))
    }
    documents: list[Document] = []
    issuable: list[Issuable] = []
    for each, sources in settlings:
        draft, kind = each.document.draft, each.document.kind
        # What a document gives back of a line, no credit note gives back again.
        told = tuple(
            line if source is None else replace(line, adjusts=source.id)
            for line, source in zip(draft.lines, sources, strict=True)
        )
        draft = replace(draft, lines=told)
        invoice = invoice_row(each.contract, draft, seller=SELLER, at=now, kind=kind)
        # A document of a kind is one of a kind at its instant: those of one instant follow each other.
        before = last.get((each.row.id, kind.value))
        if before is not None:
            invoice.boundary_at = before + _TICK
        last[each.row.id, kind.value] = invoice.boundary_at
        invoice.tenant = each.row.tenant
        invoice.corrections_counted = each.corrections
        documents.append(Document(invoice=invoice, draft=draft))
        if not draft.is_empty:
            issuable.append(Issuable(invoice=invoice, draft=draft))
    store_documents(documents)
    invoices = [each.invoice for each in documents]
    issued = {each.invoice.id for each in issuable}
    empty = [invoice.id for invoice in invoices if invoice.id not in issued]
    if empty:
        Invoice.objects.filter(id__in=empty).update(status=InvoiceStatus.VOID)
    issue_documents(documents=issuable, at=now)
    return invoices


def _sources(settlings: Sequence[Settling]) -> list[list[InvoiceLine | None]]:
    """For each line of each document that gives back the issued line that it is taken from.

    What was charged on a credit note has no line that it could be taken from, nor has the minor unit that
    a part, split for itself by a change of tax, may round up by.
    """
    changes = [each for each in settlings if each.document.kind is InvoiceKind.CHANGE]
    billed = _billed_in_advance(changes)
    left = _left_to_credit([line for lines in billed.values() for line in lines])
    found: list[list[InvoiceLine | None]] = []
    for settling in settlings:
        draft = settling.document.draft
        sources: list[InvoiceLine | None] = []
        for each, settled in zip(draft.lines, draft.settlement.lines, strict=True):
            source = None
            if each.line.kind is LineKind.CREDIT:
                source = next(
                    (
                        line
                        for line in billed.get(settling.row.id, ())
                        if (line.key, line.plan_version_id) == (each.line.key, each.plan_version_id)
                        and line.period_starts_at
                        <= each.line.period.starts_at
                        < line.period_ends_at
                    ),
                    None,
                )
            if source is not None and left[source.id] < -settled.taxable.minor:
                source = None
            if source is not None:
                left[source.id] += settled.taxable.minor
            sources.append(source)
        found.append(sources)
    return found


def _billed_in_advance(settlings: Sequence[Settling]) -> dict[UUID, list[InvoiceLine]]:
    """The issued lines that billed a part of the documents' periods ahead, the newest first, by
    subscription."""
    if not settlings:
        return {}
    rows = [each.row for each in settlings]
    periods = [each.document.draft.period for each in settlings]
    found: dict[UUID, list[InvoiceLine]] = defaultdict(list)
    for line in (
        InvoiceLine.objects.filter(
            Q(invoice__subscription__in=rows) | Q(subscription__in=rows),
            tenant_id__in={row.tenant_id for row in rows},
            invoice__number__isnull=False,
            timing=Timing.IN_ADVANCE.value,
            kind=LineKind.RECURRING,
            period_starts_at__lt=max(period.ends_at for period in periods),
            period_ends_at__gt=min(period.starts_at for period in periods),
        )
        .select_related("invoice")
        .order_by("-invoice__issued_at", "-invoice__number")
    ):
        key = line.subscription_id or line.invoice.subscription_id
        if key is not None:
            found[key].append(line)
    return found


def _left_to_credit(lines: Sequence[InvoiceLine]) -> dict[UUID, int]:
    """What of each invoice line no document of a change and no credit note has taken back yet, in minor
    units."""
    if not lines:
        return {}
    tenant_ids, line_ids = {line.tenant_id for line in lines}, [line.id for line in lines]
    credited = dict(
        CreditNoteLine.objects.filter(tenant_id__in=tenant_ids, invoice_line_id__in=line_ids)
        .values_list("invoice_line_id")
        .annotate(total=Sum("amount_minor"))
    )
    adjusted = dict(
        InvoiceLine.objects.filter(tenant_id__in=tenant_ids, adjusts__in=line_ids)
        .values_list("adjusts")
        .annotate(total=Sum(F("amount_minor") - F("discount_minor")))
    )
    return {
        line.id: line.amount_minor
        - line.discount_minor
        + adjusted.get(line.id, 0)
        - credited.get(line.id, 0)
        for line in lines
    }
