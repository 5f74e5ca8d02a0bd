"""Invoices and credit notes as PDF: from plain values to bytes, without a database and without network.

Start reading at `content.py` (what a document says), then `render.py` and `credit_note.py`;
the layout is `invoice.typ`.
Everything that comes from a tenant reaches the layout as data and is printed literally.
"""

from billing.invoicing.documents.content import DocumentLine, InvoiceDocument, Party, TaxLine
from billing.invoicing.documents.credit_note import (
    CorrectedInvoice,
    CreditNoteDocument,
    render_credit_note,
)
from billing.invoicing.documents.render import render_invoice

__all__ = [
    "CorrectedInvoice",
    "CreditNoteDocument",
    "DocumentLine",
    "InvoiceDocument",
    "Party",
    "TaxLine",
    "render_credit_note",
    "render_invoice",
]
