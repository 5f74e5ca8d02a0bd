"""Invoices and credit notes as electronic documents, for staff."""

from uuid import UUID

from django.http import HttpResponse

from billing.einvoices.services.export_ubl import export_credit_note, export_invoice
from console.access import StaffRequest, staff_page
from tenants.permissions import StaffAction
from ui.exports import xml_response


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="an invoice as UBL")
def invoice_ubl(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """UBL in the form of EN 16931; what has no place there is refused with the rules."""
    file = export_invoice(invoice_id=invoice_id)
    return xml_response(name=file.filename, content=file.content)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="a credit note as UBL")
def credit_note_ubl(request: StaffRequest, credit_note_id: UUID) -> HttpResponse:
    """The same of a credit note."""
    file = export_credit_note(credit_note_id=credit_note_id)
    return xml_response(name=file.filename, content=file.content)
