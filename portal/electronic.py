"""Invoices and credit notes as electronic documents, for the tenant's own systems."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse

from billing.einvoices.services.export_ubl import export_credit_note, export_invoice
from portal.access import Here, member_page
from tenants.permissions import MemberAction
from ui.exports import xml_response


@member_page(action=MemberAction.INVOICES_VIEW)
def invoice_ubl(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """UBL in the form of EN 16931; what has no place there is refused with the rules."""
    file = export_invoice(invoice_id=invoice_id, tenant_id=here.tenant_id)
    return xml_response(name=file.filename, content=file.content)


@member_page(action=MemberAction.INVOICES_VIEW)
def credit_note_ubl(request: HttpRequest, here: Here, credit_note_id: UUID) -> HttpResponse:
    """The same of a credit note."""
    file = export_credit_note(credit_note_id=credit_note_id, tenant_id=here.tenant_id)
    return xml_response(name=file.filename, content=file.content)
