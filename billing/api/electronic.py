"""Invoices and credit notes as electronic documents, over HTTP."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from billing.einvoices.domain.ubl import MEDIA_TYPE
from billing.einvoices.services.export_ubl import UblFile, export_credit_note, export_invoice
from kernel.errors import NotFound
from tenants.api.endpoint import Endpoint, file_answer, path_id
from tenants.api.schema import answers, id_of
from tenants.domain import KeyScope

_TOLD: Final = (
    "UBL 2.1 in the form of EN 16931, the same bytes every time. One that breaks a rule of the norm, such as "
    "an amount with three decimals, is refused with the rules: 409 `einvoice_breaks_rules`."
)


class InvoiceUblView(Endpoint):
    """An invoice as an electronic document."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="download_invoice_ubl",
        summary="Download an invoice as UBL",
        description=f"{_TOLD} A draft has none: 409 `invoice_not_issued`.",
        parameters=[OpenApiParameter("invoice_id", id_of("inv"), OpenApiParameter.PATH)],
        responses=answers(OpenApiTypes.BINARY, 404, 409, media_type=MEDIA_TYPE),
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        wanted = _id(invoice_id, prefix="inv", code="invoice_not_found", name="invoice")
        with self.scope():
            return _answer(export_invoice(invoice_id=wanted, tenant_id=self.caller.tenant_id))


class CreditNoteUblView(Endpoint):
    """A credit note as an electronic document."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="download_credit_note_ubl",
        summary="Download a credit note as UBL",
        description=_TOLD,
        parameters=[OpenApiParameter("credit_note_id", id_of("crn"), OpenApiParameter.PATH)],
        responses=answers(OpenApiTypes.BINARY, 404, 409, media_type=MEDIA_TYPE),
    )
    def get(self, request: Request, credit_note_id: str) -> HttpResponse:
        wanted = _id(credit_note_id, prefix="crn", code="credit_note_not_found", name="credit note")
        with self.scope():
            return _answer(
                export_credit_note(credit_note_id=wanted, tenant_id=self.caller.tenant_id)
            )


def _id(text: str, *, prefix: str, code: str, name: str) -> UUID:
    missing = NotFound(code, f"There is no such {name}.", field=name.replace(" ", "_"))
    return path_id(text, prefix=prefix, missing=missing)


def _answer(file: UblFile) -> HttpResponse:
    return file_answer(
        content=file.content, media_type=MEDIA_TYPE, filename=file.filename, sha256=file.sha256
    )
