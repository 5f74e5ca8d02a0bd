"""Invoices over HTTP: as data, as their working, as a file."""

from typing import Any, Final
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.languages import LanguageQuery
from billing.invoicing.documents.content import PDF
from billing.invoicing.documents.working import working_text
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.queries import InvoiceDetail, InvoiceFilter, invoice_of, invoice_page
from billing.invoicing.representation import invoice_document, invoice_summary, why_this_price
from billing.invoicing.services.print_invoice import print_invoice
from billing.taxes.domain.rules import TaxCode
from kernel.errors import NotFound
from tenants.api.endpoint import Day, Endpoint, ListEndpoint, PageQuery, file_answer, path_id
from tenants.api.schema import (
    AMOUNT,
    ANY_OBJECT,
    NULLABLE_DATE,
    NULLABLE_INSTANT,
    NULLABLE_TEXT,
    PERIOD,
    TEXT,
    WHOLE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

LINE_FIELDS: Final = {
    "key": TEXT,
    "kind": TEXT,
    "app": NULLABLE_TEXT,
    "description": TEXT,
    "quantity": AMOUNT,
    "unit_price": {**AMOUNT, "nullable": True},
    "amount": {**AMOUNT, "description": "Before discounts and tax."},
    "discount": AMOUNT,
    "taxable": {**AMOUNT, "description": "The amount less its discount."},
    "tax_percent": AMOUNT,
    "tax_code": one_of(*TaxCode),
    "tax": AMOUNT,
    "period": PERIOD,
    "explanation": {**ANY_OBJECT, "description": "The whole working of the amount."},
}
_INVOICE_FIELDS: Final = {
    "id": id_of("inv"),
    "number": {**NULLABLE_TEXT, "description": "Null while it is a draft."},
    "tenant": TEXT,
    "kind": one_of(*InvoiceKind),
    "status": one_of(*InvoiceStatus),
    "issued_at": NULLABLE_INSTANT,
    "due_on": NULLABLE_DATE,
    "period": PERIOD,
    "currency": TEXT,
    "subtotal": AMOUNT,
    "discount_total": AMOUNT,
    "tax_total": AMOUNT,
    "total": AMOUNT,
    "due": AMOUNT,
}
INVOICE_SUMMARY: Final = record(**_INVOICE_FIELDS)
_TAX: Final = record(
    percent=AMOUNT,
    code=one_of(*TaxCode),
    taxable=AMOUNT,
    tax=AMOUNT,
    text={**ANY_OBJECT, "description": "What the law wants printed, by language."},
)
_SECTION: Final = record(
    plan=TEXT,
    lines={**list_of(WHOLE), "description": "The places of its lines, from 1."},
    subtotal={**AMOUNT, "description": "The sum of its lines, before discounts and tax."},
)
INVOICE: Final = record(
    **_INVOICE_FIELDS,
    taxes=list_of(_TAX),
    lines=list_of(record(**LINE_FIELDS)),
    sections={
        **list_of(_SECTION),
        "description": "The subscriptions of an invoice that consolidates several; else none.",
    },
)
EXPLANATION: Final = record(
    id=id_of("inv"),
    number=NULLABLE_TEXT,
    currency=TEXT,
    total=AMOUNT,
    lines=list_of(
        record(
            **LINE_FIELDS,
            working={**TEXT, "description": "The working's gist in one sentence."},
            why={
                **record(
                    plan=NULLABLE_TEXT,
                    version={**WHOLE, "nullable": True},
                    effective_from=NULLABLE_DATE,
                    terms={**ANY_OBJECT, "nullable": True, "description": "The price's wording."},
                    override={
                        **ANY_OBJECT,
                        "nullable": True,
                        "description": "The contract's clause, where it words the price differently.",
                    },
                ),
                "description": "Which text the price comes from; nothing where no plan priced it.",
            },
        )
    ),
)

_INVOICE_ID: Final = OpenApiParameter("invoice_id", id_of("inv"), OpenApiParameter.PATH)


class InvoicesQuery(PageQuery):
    """Which invoices."""

    status = serializers.ChoiceField(
        choices=[status.value for status in InvoiceStatus], required=False
    )

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python and can't be an attribute's name.
        return {
            **super().get_fields(),
            "from": Day(required=False, help_text="Periods that start on this local day or later."),
            "to": Day(required=False, help_text="Periods that start before this local day."),
        }


class InvoicesView(ListEndpoint):
    """The tenant's invoices."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = InvoicesQuery
    list_name = "invoices"

    @extend_schema(
        operation_id="list_invoices",
        summary="List invoices, newest first",
        parameters=[InvoicesQuery],
        responses=answers(page_of(INVOICE_SUMMARY)),
    )
    def get(self, request: Request) -> Response:
        status = self.asked.get("status")
        with self.scope():
            rows = invoice_page(
                tenant_id=self.caller.tenant_id,
                wanted=InvoiceFilter(
                    period_from=self.asked.get("from"), period_to=self.asked.get("to")
                ),
                status=InvoiceStatus(status) if status else None,
                after=self.after_id,
                limit=self.wanted,
            )
        return self.page(rows, position=lambda row: str(row.id), shown=invoice_summary)


class InvoiceView(Endpoint):
    """One invoice."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_invoice",
        summary="Read an invoice with its lines",
        parameters=[_INVOICE_ID],
        responses=answers(INVOICE, 404),
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        return Response({"sections": [], **invoice_document(_invoice(self, invoice_id))})


class ExplanationView(Endpoint):
    """How the amounts of an invoice came about."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = LanguageQuery

    @extend_schema(
        operation_id="explain_invoice",
        summary="Read the working of an invoice's lines",
        parameters=[_INVOICE_ID, LanguageQuery],
        responses=answers(EXPLANATION, 404),
    )
    def get(self, request: Request, invoice_id: str) -> Response:
        detail = _invoice(self, invoice_id)
        document = invoice_document(detail)
        language = self.asked["language"] or "en"
        return Response(
            {
                **{name: document[name] for name in ("id", "number", "currency", "total")},
                "lines": [
                    {
                        **shown,
                        "working": working_text(
                            kind=line.kind, explanation=line.explanation, language=language
                        ),
                        "why": why_this_price(line),
                    }
                    for line, shown in zip(detail.lines, document["lines"], strict=True)
                ],
            }
        )


class InvoicePdfView(Endpoint):
    """The invoice as a file."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = LanguageQuery

    @extend_schema(
        operation_id="download_invoice",
        summary="Download an invoice as PDF",
        description="The same bytes every time. A draft has no file: 409 `invoice_not_issued`.",
        parameters=[_INVOICE_ID, LanguageQuery],
        responses=answers(OpenApiTypes.BINARY, 404, 409, media_type=PDF),
    )
    def get(self, request: Request, invoice_id: str) -> HttpResponse:
        printed = print_invoice(
            tenant_id=self.caller.tenant_id,
            invoice_id=_id(invoice_id),
            language=self.asked["language"],
        )
        return file_answer(
            content=printed.content,
            media_type=PDF,
            filename=printed.filename,
            sha256=printed.sha256,
        )


def _invoice(endpoint: Endpoint, invoice_id: str) -> InvoiceDetail:
    wanted = _id(invoice_id)
    with endpoint.scope():
        return invoice_of(tenant_id=endpoint.caller.tenant_id, invoice_id=wanted)


def _id(text: str) -> UUID:
    missing = NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    return path_id(text, prefix="inv", missing=missing)
