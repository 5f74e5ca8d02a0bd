"""Invoices as PDF: from plain values to bytes, without a database and without network.

Start reading at `content.py` (what a document says), then `render.py`; the layout is `invoice.typ`.
Everything that comes from a tenant reaches the layout as data and is printed literally.
"""

from billing.invoicing.documents.content import DocumentLine, InvoiceDocument, Party, TaxLine
from billing.invoicing.documents.render import render_invoice

__all__ = ["DocumentLine", "InvoiceDocument", "Party", "TaxLine", "render_invoice"]
