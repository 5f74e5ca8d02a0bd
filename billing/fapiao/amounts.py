"""The amounts of stored documents that a fapiao is issued for."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import QuerySet

from billing.fapiao.domain.composing import TaxedAmount
from billing.fapiao.domain.content import FapiaoProduct
from billing.fapiao.models import FapiaoProductName
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.taxes.domain.rules import TaxCode


def invoice_amounts(invoice: Invoice) -> list[TaxedAmount]:
    """What an invoice bills less what its credit notes give back, a part a line."""
    lines = InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).order_by(
        "position"
    )
    billed = [
        TaxedAmount(
            category=(line.explanation.get("tax") or {}).get("category", ""),
            code=TaxCode(line.tax_code),
            rate_percent=line.tax_percent,
            net=line.amount_minor - line.discount_minor,
            tax=line.tax_minor,
        )
        for line in lines
    ]
    credited = [each for note in _notes(invoice) for each in _negative(note_amounts(note))]
    return [*billed, *credited]


def note_ids(invoice: Invoice) -> list[str]:
    """The credit notes that `invoice_amounts` took off."""
    return [str(note.id) for note in _notes(invoice)]


def note_amounts(note: CreditNote) -> list[TaxedAmount]:
    """What a credit note gives back, positive, a part a line."""
    lines = CreditNoteLine.objects.filter(
        tenant_id=note.tenant_id, credit_note_id=note.id
    ).order_by("position")
    categories = _categories(lines, tenant_id=note.tenant_id)
    return [
        TaxedAmount(
            category=(line.explanation.get("tax") or {}).get("category")
            or categories.get(line.invoice_line_id, ""),
            code=TaxCode(line.tax_code),
            rate_percent=line.tax_percent,
            net=line.amount_minor,
            tax=line.tax_minor,
        )
        for line in lines
    ]


def products_of(*, seller: str) -> dict[str, FapiaoProduct]:
    """The seller's products by category of products."""
    return {
        row.category: FapiaoProduct(
            name=row.name, code=row.code, unit=row.unit, specification=row.specification
        )
        for row in FapiaoProductName.objects.filter(seller_id=seller)
    }


def _notes(invoice: Invoice) -> QuerySet[CreditNote]:
    notes = CreditNote.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
    return notes.order_by("issued_at", "id")


def _negative(amounts: Iterable[TaxedAmount]) -> list[TaxedAmount]:
    return [
        TaxedAmount(
            category=each.category,
            code=each.code,
            rate_percent=each.rate_percent,
            net=-each.net,
            tax=-each.tax,
        )
        for each in amounts
    ]


def _categories(lines: Iterable[CreditNoteLine], *, tenant_id: UUID) -> dict[UUID | None, str]:
    """The categories of the invoice's lines that are taken back: a note's line need not tell it."""
    ids: Sequence[UUID] = [line.invoice_line_id for line in lines if line.invoice_line_id]
    rows = InvoiceLine.objects.filter(tenant_id=tenant_id, id__in=ids)
    return {
        row_id: (explanation.get("tax") or {}).get("category", "")
        for row_id, explanation in rows.values_list("id", "explanation")
    }
