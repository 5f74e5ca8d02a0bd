"""Issued documents as they were kept, for the electronic ones made of them."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.queries import terms_of
from billing.einvoices.domain.content import Preceding
from billing.einvoices.domain.source import SourceDocument, SourceLine
from billing.exchange.domain import NationalTax
from billing.invoicing.documents.working import working_text
from billing.invoicing.issuer import issuer_of
from billing.invoicing.line_names import line_name
from billing.invoicing.line_taxes import stored_tax
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.parties.domain.party import Recipient
from billing.rating.lines import LineKind
from kernel.errors import Conflict, NotFound
from kernel.money import Money
from kernel.period import local_day

_TICK = timedelta(microseconds=1)


def issued_invoice(*, invoice_id: UUID, tenant_id: UUID | None = None) -> SourceDocument:
    """An issued invoice, of the tenant where one is given, in the caller's scope. Two queries.

    Raises NotFound `invoice_not_found`, Conflict `invoice_not_issued`.
    """
    found = Invoice.objects.select_related("seller").filter(id=invoice_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    invoice = found.first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.number is None or invoice.issued_at is None:
        raise Conflict(
            "invoice_not_issued",
            "This invoice is a draft; it has an electronic form when it is issued.",
            field="invoice",
        )
    zone = ZoneInfo(invoice.timezone)
    lines = (
        InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
        .select_related("plan_version")
        .order_by("position")
    )
    return SourceDocument(
        number=invoice.number,
        is_credit_note=False,
        issued_on=local_day(invoice.issued_at, zone),
        due_on=invoice.due_on,
        language=invoice.language,
        currency=invoice.currency,
        issuer=issuer_of(invoice),
        recipient=Recipient.read(invoice.buyer),
        national_tax=_national_tax(invoice.national_tax),
        lines=[
            _invoice_line(line, zone=zone, currency=invoice.currency, language=invoice.language)
            for line in lines
        ],
        total=Money(invoice.total_minor, invoice.currency),
    )


def issued_credit_note(*, credit_note_id: UUID, tenant_id: UUID | None = None) -> SourceDocument:
    """A credit note, of the tenant where one is given, in the caller's scope. Two queries.

    Raises NotFound `credit_note_not_found`.
    """
    found = CreditNote.objects.select_related("seller", "invoice").filter(id=credit_note_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    note = found.first()
    if note is None:
        raise NotFound(
            "credit_note_not_found", "There is no such credit note.", field="credit_note"
        )
    zone = ZoneInfo(note.timezone)
    lines = CreditNoteLine.objects.filter(
        tenant_id=note.tenant_id, credit_note_id=note.id
    ).order_by("position")
    return SourceDocument(
        number=note.number,
        is_credit_note=True,
        issued_on=local_day(note.issued_at, zone),
        due_on=None,
        language=note.language,
        currency=note.currency,
        issuer=issuer_of(note),
        recipient=Recipient.read(note.buyer),
        national_tax=_national_tax(note.national_tax),
        lines=[_note_line(line, zone=zone, currency=note.currency) for line in lines],
        total=Money(note.total_minor, note.currency),
        corrects=_preceding(note.invoice),
        reason=note.reason,
    )


def _invoice_line(line: InvoiceLine, *, zone: ZoneInfo, currency: str, language: str) -> SourceLine:
    told = [
        line.app_key,
        working_text(kind=line.kind, explanation=line.explanation, language=language),
    ]
    first_day, last_day = _days(line.period_starts_at, line.period_ends_at, zone)
    return SourceLine(
        position=line.position,
        name=line_name(line, language=language),
        description=" · ".join(each for each in told if each),
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=Money(line.amount_minor, currency),
        discount=Money(line.discount_minor, currency),
        tax=stored_tax(percent=line.tax_percent, code=line.tax_code, explanation=line.explanation),
        tax_amount=Money(line.tax_minor, currency),
        first_day=first_day,
        last_day=last_day,
        interval=_interval(line),
    )


def _interval(line: InvoiceLine) -> str:
    """The interval of which the line bills a whole one, "" where it bills something else."""
    version = line.plan_version
    if version is None or line.kind != LineKind.RECURRING or not _is_whole(line.explanation):
        return ""
    terms = terms_of(version_id=version.id, document=version.document)
    return terms.interval.value if terms.interval_count == 1 else ""


def _is_whole(explanation: dict[str, Any]) -> bool:
    """Whether the line bills a whole interval and no part of one."""
    part, _, whole = str(explanation.get("proration", "")).partition("/")
    return part == whole and "tax_split" not in explanation


def _note_line(line: CreditNoteLine, *, zone: ZoneInfo, currency: str) -> SourceLine:
    first_day, last_day = _days(line.period_starts_at, line.period_ends_at, zone)
    return SourceLine(
        position=line.position,
        name=line.description or line.key,
        quantity=Decimal(1),
        unit_price=None,
        amount=Money(line.amount_minor, currency),
        discount=Money.zero(currency),
        tax=stored_tax(percent=line.tax_percent, code=line.tax_code, explanation=line.explanation),
        tax_amount=Money(line.tax_minor, currency),
        first_day=first_day,
        last_day=last_day,
    )


def _days(starts_at: datetime, ends_at: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """The first and the last local day, both included."""
    return local_day(starts_at, zone), local_day(max(ends_at - _TICK, starts_at), zone)


def _preceding(invoice: Invoice | None) -> Preceding | None:
    if invoice is None or invoice.number is None or invoice.issued_at is None:
        return None
    return Preceding(
        number=invoice.number, issued_on=local_day(invoice.issued_at, ZoneInfo(invoice.timezone))
    )


def _national_tax(kept: dict[str, Any] | None) -> NationalTax | None:
    return None if kept is None else NationalTax.read(kept)
