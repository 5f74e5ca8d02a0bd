"""Hand out an issued document as UBL."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from billing.einvoices.domain.mapping import electronic_invoice
from billing.einvoices.domain.rules import refuse_broken_rules
from billing.einvoices.domain.source import SourceDocument
from billing.einvoices.domain.ubl import ubl_bytes
from billing.einvoices.queries import issued_credit_note, issued_invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class UblFile:
    """The file; `sha256` is the hexadecimal digest of `content`."""

    number: str
    content: bytes
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.number}.xml"


def export_invoice(*, invoice_id: UUID, tenant_id: UUID | None = None) -> UblFile:
    """An issued invoice, of the tenant where one is given, in the caller's scope: the same bytes each time.

    Raises Conflict `einvoice_breaks_rules` where the norm has no place for it, and as `issued_invoice`.
    """
    return _written(issued_invoice(invoice_id=invoice_id, tenant_id=tenant_id))


def export_credit_note(*, credit_note_id: UUID, tenant_id: UUID | None = None) -> UblFile:
    """The same of a credit note. Raises NotFound `credit_note_not_found`, Conflict
    `einvoice_breaks_rules`."""
    return _written(issued_credit_note(credit_note_id=credit_note_id, tenant_id=tenant_id))


def _written(document: SourceDocument) -> UblFile:
    invoice = electronic_invoice(document)
    refuse_broken_rules(invoice)
    content = ubl_bytes(invoice)
    return UblFile(
        number=document.number, content=content, sha256=hashlib.sha256(content).hexdigest()
    )
