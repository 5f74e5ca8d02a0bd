"""Credit notes over HTTP: to read. They are issued by two of the operator's people, or by a change of plan.

A tenant's key never credits its own invoice, whatever its scope.
"""

from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.languages import LanguageQuery
from billing.invoicing.credit_note_listing import NoteRow, note_of, note_page
from billing.invoicing.documents.content import PDF
from billing.invoicing.representation import plain
from billing.invoicing.services.print_credit_note import print_credit_note
from billing.taxes.domain.rules import TaxCode
from kernel.errors import NotFound
from kernel.ids import public_id
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery, file_answer, path_id
from tenants.api.schema import (
    AMOUNT,
    INSTANT,
    NULLABLE_TEXT,
    PERIOD,
    TEXT,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

_FIELDS: Final = {
    "id": id_of("crn"),
    "number": TEXT,
    "invoice": {**NULLABLE_TEXT, "description": "The number of the invoice that it corrects."},
    "tenant": TEXT,
    "issued_at": INSTANT,
    "currency": TEXT,
    "subtotal": AMOUNT,
    "tax_total": AMOUNT,
    "total": {**AMOUNT, "description": "In your favour, with tax."},
    "to_receivable": {**AMOUNT, "description": "What comes off the invoice."},
    "to_balance": {**AMOUNT, "description": "What goes to the cash balance."},
    "reason": TEXT,
}
SUMMARY: Final = record(**_FIELDS)
CREDIT_NOTE: Final = record(
    **_FIELDS,
    lines=list_of(
        record(
            key=TEXT,
            description=TEXT,
            amount={**AMOUNT, "description": "Before tax."},
            tax_percent=AMOUNT,
            tax_code=one_of(*TaxCode),
            tax=AMOUNT,
            period=PERIOD,
        )
    ),
)

_NOTE_ID: Final = OpenApiParameter("credit_note_id", id_of("crn"), OpenApiParameter.PATH)


class CreditNotesQuery(PageQuery):
    """Which credit notes."""

    invoice_id = serializers.CharField(
        required=False, default="", help_text="Those that correct this invoice."
    )


class CreditNotesView(ListEndpoint):
    """The tenant's credit notes."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = CreditNotesQuery
    list_name = "credit-notes"

    @extend_schema(
        operation_id="list_credit_notes",
        summary="List credit notes, newest first",
        parameters=[CreditNotesQuery],
        responses=answers(page_of(SUMMARY), 404),
    )
    def get(self, request: Request) -> Response:
        asked = self.asked["invoice_id"]
        missing = NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
        with self.scope():
            rows = note_page(
                tenant_id=self.caller.tenant_id,
                invoice_id=path_id(asked, prefix="inv", missing=missing) if asked else None,
                after=self.after_id,
                limit=self.wanted,
            )
        return self.page(rows, position=lambda row: str(row.id), shown=_summary)


class CreditNoteView(Endpoint):
    """One credit note."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_credit_note",
        summary="Read a credit note with its lines",
        parameters=[_NOTE_ID],
        responses=answers(CREDIT_NOTE, 404),
    )
    def get(self, request: Request, credit_note_id: str) -> Response:
        note_id = _id(credit_note_id)
        with self.scope():
            note = note_of(tenant_id=self.caller.tenant_id, note_id=note_id)
        return Response(
            {
                **_summary(note),
                "lines": [
                    {
                        "key": line.key,
                        "description": line.description,
                        "amount": f"{line.amount.amount:f}",
                        "tax_percent": plain(line.tax_percent),
                        "tax_code": line.tax_terms.code,
                        "tax": f"{line.tax.amount:f}",
                        "period": {
                            "starts_at": line.period.starts_at.astimezone(note.zone).isoformat(),
                            "ends_at": line.period.ends_at.astimezone(note.zone).isoformat(),
                        },
                    }
                    for line in note.lines
                ],
            }
        )


class CreditNotePdfView(Endpoint):
    """The credit note as a file."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = LanguageQuery

    @extend_schema(
        operation_id="download_credit_note",
        summary="Download a credit note as PDF",
        description="The same bytes every time.",
        parameters=[_NOTE_ID, LanguageQuery],
        responses=answers(OpenApiTypes.BINARY, 404, 409, media_type=PDF),
    )
    def get(self, request: Request, credit_note_id: str) -> HttpResponse:
        printed = print_credit_note(
            tenant_id=self.caller.tenant_id,
            credit_note_id=_id(credit_note_id),
            language=self.asked["language"],
        )
        return file_answer(
            content=printed.content,
            media_type=PDF,
            filename=printed.filename,
            sha256=printed.sha256,
        )


def _id(text: str) -> UUID:
    missing = NotFound(
        "credit_note_not_found", "There is no such credit note.", field="credit_note"
    )
    return path_id(text, prefix="crn", missing=missing)


def _summary(note: NoteRow) -> dict[str, Any]:
    return {
        "id": public_id("crn", note.id),
        "number": note.number,
        "invoice": note.invoice_number or None,
        "tenant": note.tenant_key,
        "issued_at": note.issued_at.astimezone(note.zone).isoformat(),
        "currency": note.currency,
        "subtotal": f"{note.subtotal.amount:f}",
        "tax_total": f"{note.tax.amount:f}",
        "total": f"{note.total.amount:f}",
        "to_receivable": f"{note.to_receivable.amount:f}",
        "to_balance": f"{note.to_balance.amount:f}",
        "reason": note.reason,
    }
