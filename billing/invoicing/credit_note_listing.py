"""Issued credit notes as pages and the API show them; each query runs in the caller's scope."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from billing.invoicing.line_taxes import TaxSum, stored_tax, tax_sums
from billing.invoicing.models import CreditNote, CreditNoteLine
from billing.taxes.domain.rules import LineTax
from kernel.errors import NotFound
from kernel.money import Money
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteLine:
    """One amount, before tax; negative where a charge was set against it."""

    key: str
    description: str
    amount: Money
    tax_terms: LineTax
    tax: Money
    period: Period

    @property
    def tax_percent(self) -> Decimal:
        return self.tax_terms.percent


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteRow:
    """A credit note; amounts are in the tenant's favour. `invoice_id` is of the invoice that it corrects; `buyer`
    is the tenant's name as it was issued."""

    id: UUID
    number: str
    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    invoice_id: UUID | None
    invoice_number: str
    buyer: str
    zone: ZoneInfo
    issued_at: datetime
    currency: str
    reason: str
    tax: Money
    total: Money
    to_receivable: Money
    to_balance: Money
    lines: Sequence[NoteLine] = ()

    @property
    def subtotal(self) -> Money:
        return self.total - self.tax

    @property
    def taxes(self) -> tuple[TaxSum, ...]:
        """Tax for each rate."""
        return tax_sums(
            ((line.tax_terms, line.amount, line.tax) for line in self.lines), currency=self.currency
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotePage:
    """Some credit notes, without their lines, and how many there are."""

    rows: Sequence[NoteRow]
    total: int


SORTS: Final = {
    "number": "number",
    "tenant": "tenant__name",
    "issued": "issued_at",
    "total": "total_minor",
}


def notes_of_invoice(*, tenant_id: UUID, invoice_id: UUID) -> list[NoteRow]:
    """The credit notes that correct an invoice, oldest first, with their lines."""
    found = _notes(tenant_id).filter(invoice_id=invoice_id)
    return _with_lines(list(found.order_by("issued_at", "number")))


def note_page(
    *, tenant_id: UUID, invoice_id: UUID | None = None, after: UUID | None = None, limit: int
) -> list[NoteRow]:
    """Up to `limit` of the tenant's credit notes, newest first, those after the note `after`; of one
    invoice where it is given."""
    found = _notes(tenant_id)
    if invoice_id is not None:
        found = found.filter(invoice_id=invoice_id)
    if after is not None:
        found = found.filter(id__lt=after)
    return [_row(note) for note in found.order_by("-id")[:limit]]


def note_rows(
    *,
    tenant_id: UUID | None = None,
    search: str = "",
    sort: str = "issued",
    descending: bool = True,
    limit: int,
    offset: int = 0,
) -> NotePage:
    """Credit notes of the scope, or of one tenant, whose number, or that of the invoice, or whose tenant's name
    or key holds `search`; `sort` is one of `SORTS`."""
    found = _notes(tenant_id)
    if search:
        wanted = Q(number__icontains=search) | Q(invoice__number__icontains=search)
        if tenant_id is None:
            wanted |= Q(tenant__name__icontains=search) | Q(tenant__key__icontains=search)
        found = found.filter(wanted)
    sign = "-" if descending else ""
    ordered = found.order_by(f"{sign}{SORTS[sort]}", f"{sign}id")
    return NotePage(
        rows=[_row(note) for note in ordered[offset : offset + limit]], total=found.count()
    )


def note_of(*, note_id: UUID, tenant_id: UUID | None = None) -> NoteRow:
    """A credit note with its lines, of the tenant where one is given. Raises NotFound `credit_note_not_found`."""
    note = _notes(tenant_id).filter(id=note_id).first()
    if note is None:
        raise NotFound(
            "credit_note_not_found", "There is no such credit note.", field="credit_note"
        )
    return _with_lines([note])[0]


def _notes(tenant_id: UUID | None) -> QuerySet[CreditNote]:
    found = CreditNote.objects.select_related("tenant", "invoice")
    return found if tenant_id is None else found.filter(tenant_id=tenant_id)


def _with_lines(notes: Sequence[CreditNote]) -> list[NoteRow]:
    lines: dict[UUID, list[NoteLine]] = defaultdict(list)
    if notes:
        for line in CreditNoteLine.objects.filter(
            tenant_id=notes[0].tenant_id, credit_note__in=notes
        ).order_by("credit_note_id", "position"):
            lines[line.credit_note_id].append(_line(line, currency=notes[0].currency))
    return [_row(note, lines=lines[note.id]) for note in notes]


def _line(line: CreditNoteLine, *, currency: str) -> NoteLine:
    return NoteLine(
        key=line.key,
        description=line.description,
        amount=Money(line.amount_minor, currency),
        tax_terms=stored_tax(
            percent=line.tax_percent, code=line.tax_code, explanation=line.explanation
        ),
        tax=Money(line.tax_minor, currency),
        period=Period(line.period_starts_at, line.period_ends_at),
    )


def _row(note: CreditNote, *, lines: Sequence[NoteLine] = ()) -> NoteRow:
    return NoteRow(
        id=note.id,
        number=note.number,
        tenant_id=note.tenant_id,
        tenant_key=note.tenant.key,
        tenant_name=note.tenant.name,
        invoice_id=note.invoice_id,
        invoice_number=(note.invoice.number or "") if note.invoice is not None else "",
        buyer=note.buyer.get("name", "") or note.tenant.name,
        zone=ZoneInfo(note.timezone),
        issued_at=note.issued_at,
        currency=note.currency,
        reason=note.reason,
        tax=Money(note.tax_minor, note.currency),
        total=Money(note.total_minor, note.currency),
        to_receivable=Money(note.to_receivable_minor, note.currency),
        to_balance=Money(note.to_balance_minor, note.currency),
        lines=tuple(lines),
    )
