"""Credit notes as the command line shows them (contract section 4): positive amounts."""

from typing import Any
from zoneinfo import ZoneInfo

from billing.invoicing.models import CreditNote, CreditNoteLine
from kernel.decimals import plain_text
from kernel.money import Money


def credit_notes(*, tenant_key: str = "") -> list[dict[str, Any]]:
    """All credit notes of the scope, or one tenant's, by issue, tenant and number."""
    found = CreditNote.objects.select_related("tenant", "invoice")
    if tenant_key:
        found = found.filter(tenant__key=tenant_key)
    notes = list(found.order_by("issued_at", "tenant__key", "number"))
    lines: dict[Any, list[CreditNoteLine]] = {note.id: [] for note in notes}
    for line in CreditNoteLine.objects.filter(credit_note__in=notes).order_by("position"):
        lines[line.credit_note_id].append(line)
    return [_document(note, lines[note.id]) for note in notes]


def _document(note: CreditNote, lines: list[CreditNoteLine]) -> dict[str, Any]:
    zone = ZoneInfo(note.timezone)

    def amount(minor: int) -> str:
        return f"{Money(minor, note.currency).amount:f}"

    return {
        "number": note.number,
        "invoice": note.invoice.number if note.invoice is not None else None,
        "tenant": note.tenant.key,
        "issued_at": note.issued_at.astimezone(zone).isoformat(),
        "currency": note.currency,
        "lines": [
            {
                "key": line.key,
                "description": line.description,
                "amount": amount(line.amount_minor),
                "tax_percent": plain_text(line.tax_percent),
                "tax_code": line.tax_code,
                "tax": amount(line.tax_minor),
                "period": {
                    "starts_at": line.period_starts_at.astimezone(zone).isoformat(),
                    "ends_at": line.period_ends_at.astimezone(zone).isoformat(),
                },
            }
            for line in lines
        ],
        "subtotal": amount(note.total_minor - note.tax_minor),
        "tax_total": amount(note.tax_minor),
        "total": amount(note.total_minor),
        "to_receivable": amount(note.to_receivable_minor),
        "to_balance": amount(note.to_balance_minor),
        "reason": note.reason,
    }
