"""Payments over HTTP: money that came in, and what it settled."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.payments.domain import Method
from billing.payments.queries import PaymentRow, payment_page
from kernel.ids import public_id
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery
from tenants.api.schema import (
    AMOUNT,
    DATE,
    INSTANT,
    NULLABLE_TEXT,
    TEXT,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

PAYMENT: Final = record(
    id=id_of("pay"),
    method=one_of(*Method),
    currency=TEXT,
    amount=AMOUNT,
    allocated={**AMOUNT, "description": "The part that settled invoices."},
    credited={**AMOUNT, "description": "The rest, more than was owed: the tenant's credit."},
    received_on=DATE,
    booked_at=INSTANT,
    invoices=list_of(record(id=id_of("inv"), number=NULLABLE_TEXT, amount=AMOUNT)),
)


class PaymentsView(ListEndpoint):
    """What the tenant has paid."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "payments"

    @extend_schema(
        operation_id="list_payments",
        summary="List payments, newest first",
        parameters=[PageQuery],
        responses=answers(page_of(PAYMENT)),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            rows = payment_page(
                tenant_id=self.caller.tenant_id, after=self.after_id, limit=self.wanted
            )
        return self.page(
            rows, position=lambda row: str(row.id), shown=lambda row: _payment(self, row)
        )


def _payment(endpoint: Endpoint, row: PaymentRow) -> dict[str, Any]:
    return {
        "id": public_id("pay", row.id),
        "method": row.method.value,
        "currency": row.amount.currency,
        "amount": f"{row.amount.amount:f}",
        "allocated": f"{row.allocated.amount:f}",
        "credited": f"{row.credited.amount:f}",
        "received_on": row.received_on.isoformat(),
        "booked_at": endpoint.instant(row.booked_at),
        "invoices": [
            {
                "id": public_id("inv", settled.id),
                "number": settled.number or None,
                "amount": f"{settled.amount.amount:f}",
            }
            for settled in row.invoices
        ],
    }
