"""Changes of a subscription over HTTP: previewed, asked for, read."""

from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.invoices import LINE_FIELDS
from billing.invoicing.representation import plain
from billing.invoicing.services.preview_change import (
    ChangePreview,
    PreviewedDocument,
    preview_change,
)
from billing.invoicing.services.request_change import request_change
from billing.subscriptions.domain import AskedChange, ChangeKind, ChangeState, EffectiveWhen
from billing.subscriptions.queries import (
    ChangeRow,
    change_not_found,
    change_of,
    change_page,
    require_subscription,
    subscription_not_found,
)
from kernel import clock
from kernel.decimals import parse_decimal
from kernel.ids import public_id
from kernel.period import Period
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery, Strict, path_id
from tenants.api.idempotency import Answer, answer_once
from tenants.api.schema import (
    AMOUNT,
    IDEMPOTENCY_KEY,
    INSTANT,
    NULLABLE_INSTANT,
    NULLABLE_TEXT,
    PERIOD,
    TEXT,
    UNSAFE,
    WHOLE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

DOCUMENT: Final = record(
    kind=one_of("invoice", "credit_note"),
    issued_at={**INSTANT, "description": "The earliest instant at which it is issued."},
    period=PERIOD,
    currency=TEXT,
    total={**AMOUNT, "description": "With tax. A credit note's amounts are in your favour."},
    lines=list_of(record(**LINE_FIELDS)),
)
PREVIEW: Final = record(
    subscription=id_of("sub"),
    plan=TEXT,
    version=WHOLE,
    period={**PERIOD, "nullable": True, "description": "The period that runs after the change."},
    ends_at=NULLABLE_INSTANT,
    documents={**list_of(DOCUMENT), "description": "Issued at once."},
    following={
        **list_of(DOCUMENT),
        "description": "What the billing makes next, if no more is used.",
    },
)
CHANGE: Final = record(
    id=id_of("chg"),
    subscription=id_of("sub"),
    kind=one_of(*ChangeKind),
    when=one_of(*EffectiveWhen),
    plan=NULLABLE_TEXT,
    version={**WHOLE, "nullable": True},
    price=NULLABLE_TEXT,
    quantity={**AMOUNT, "nullable": True},
    coupon=NULLABLE_TEXT,
    state=one_of(*ChangeState),
    error={
        **record(code=TEXT, detail=TEXT),
        "nullable": True,
        "description": "Why it was refused.",
    },
    documents={
        **list_of(
            record(kind=one_of("invoice", "credit_note"), id=NULLABLE_TEXT, number=NULLABLE_TEXT)
        ),
        "description": "What was issued for it.",
    },
    requested_at=INSTANT,
    concluded_at=NULLABLE_INSTANT,
)

_SUBSCRIPTION_ID: Final = OpenApiParameter("subscription_id", id_of("sub"), OpenApiParameter.PATH)
_CHANGE_ID: Final = OpenApiParameter("change_id", id_of("chg"), OpenApiParameter.PATH)
_UPGRADE: Final = OpenApiExample(
    "Another plan", {"kind": "change_plan", "plan": "pro", "when": "now"}, request_only=True
)
_QUANTITY: Final = OpenApiExample(
    "More seats",
    {"kind": "change_quantity", "price": "seats", "quantity": "7", "when": "period_end"},
    request_only=True,
)


class NewChange(Strict):
    """What to change, and when."""

    kind = serializers.ChoiceField(choices=[kind.value for kind in ChangeKind])
    when = serializers.ChoiceField(
        choices=[when.value for when in EffectiveWhen],
        required=False,
        default=EffectiveWhen.NOW.value,
        help_text="At once, or when the period ends.",
    )
    plan = serializers.CharField(
        max_length=100, required=False, default="", help_text="Of `change_plan`: the plan's key."
    )
    version = serializers.IntegerField(
        min_value=1,
        max_value=2_147_483_647,
        required=False,
        default=None,
        help_text="Of `change_plan`: a version of it; the one in force when left out.",
    )
    price = serializers.CharField(
        max_length=100,
        required=False,
        default="",
        help_text="Of quantities and add-ons: the price's key.",
    )
    quantity = serializers.CharField(
        max_length=60,
        required=False,
        default=None,
        help_text="How much is held from then on, or how many of an add-on come or go.",
    )
    coupon = serializers.CharField(
        max_length=40, required=False, default="", help_text="Of `apply_coupon`: the code."
    )


class PreviewView(Endpoint):
    """What a change would bill."""

    key_scopes = {"POST": {KeyScope.READ}}

    @extend_schema(
        operation_id="preview_change",
        summary="Preview a change of a subscription",
        description=(
            "The documents that the change would issue now, line by line as they would be issued, and "
            "what the billing makes next. Changes nothing."
        ),
        parameters=[_SUBSCRIPTION_ID],
        request=NewChange,
        responses=answers(PREVIEW, 404, 409, 413, 415),
        examples=[_UPGRADE, _QUANTITY],
    )
    def post(self, request: Request, subscription_id: str) -> Response:
        wanted = _found(self, subscription_id)
        asked = _asked(self)
        with self.scope():
            preview = preview_change(
                tenant_id=self.caller.tenant_id,
                subscription_id=wanted,
                asked=asked,
                now=clock.now(),
            )
        return Response(_preview(preview))


class ChangesView(ListEndpoint):
    """What was asked of a subscription."""

    key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.FULL}}
    list_name = "changes"

    @extend_schema(
        operation_id="list_changes",
        summary="List the changes of a subscription, newest first",
        parameters=[_SUBSCRIPTION_ID, PageQuery],
        responses=answers(page_of(CHANGE), 404),
    )
    def get(self, request: Request, subscription_id: str) -> Response:
        wanted = _subscription_id(subscription_id)
        with self.scope():
            rows = change_page(
                tenant_id=self.caller.tenant_id,
                subscription_id=wanted,
                after=self.after_id,
                limit=self.wanted,
            )
        return self.page(
            rows, position=lambda row: str(row.id), shown=lambda row: _change(self, row)
        )

    @extend_schema(
        operation_id="change_subscription",
        summary="Change a subscription",
        description=(
            "Another plan, quantities, add-ons, a coupon, a pause, the end, or taking one of them back. It is "
            "recorded and carried out at once in the background: read it again for its outcome, or wait "
            "for `state` to leave `pending`."
        ),
        parameters=[_SUBSCRIPTION_ID, IDEMPOTENCY_KEY],
        request=NewChange,
        responses=answers(CHANGE, 404, *UNSAFE, status=202),
        examples=[_UPGRADE, _QUANTITY],
    )
    def post(self, request: Request, subscription_id: str) -> HttpResponse:
        wanted = _found(self, subscription_id)
        asked = _asked(self)

        def ask() -> Answer:
            tenant_id = self.caller.tenant_id
            change_id = request_change(
                tenant_id=tenant_id,
                subscription_id=wanted,
                asked=asked,
                now=clock.now(),
                actor=self.caller.actor,
            )
            row = change_of(tenant_id=tenant_id, subscription_id=wanted, change_id=change_id)
            return Answer(data=_change(self, row), status=202)

        return answer_once(
            request=request,
            endpoint="POST /subscriptions/{id}/changes",
            content=[subscription_id, self.body(NewChange)],
            call=ask,
        )


class ChangeView(Endpoint):
    """One change of a subscription."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_change",
        summary="Read a change and its outcome",
        parameters=[_SUBSCRIPTION_ID, _CHANGE_ID],
        responses=answers(CHANGE, 404),
    )
    def get(self, request: Request, subscription_id: str, change_id: str) -> Response:
        missing = change_not_found()
        of = path_id(subscription_id, prefix="sub", missing=missing)
        wanted = path_id(change_id, prefix="chg", missing=missing)
        with self.scope():
            row = change_of(tenant_id=self.caller.tenant_id, subscription_id=of, change_id=wanted)
        return Response(_change(self, row))


def _subscription_id(text: str) -> UUID:
    return path_id(text, prefix="sub", missing=subscription_not_found())


def _found(endpoint: Endpoint, text: str) -> UUID:
    """The id, if the tenant has the subscription: what it has not is told before a faulty body."""
    wanted = _subscription_id(text)
    with endpoint.scope():
        require_subscription(tenant_id=endpoint.caller.tenant_id, subscription_id=wanted)
    return wanted


def _asked(endpoint: Endpoint) -> AskedChange:
    body = endpoint.body(NewChange)
    quantity = body["quantity"]
    return AskedChange(
        kind=ChangeKind(body["kind"]),
        when=EffectiveWhen(body["when"]),
        plan=body["plan"],
        version=body["version"],
        price=body["price"],
        quantity=None if quantity is None else parse_decimal(quantity, field="quantity"),
        coupon=body["coupon"],
    )


def _preview(preview: ChangePreview) -> dict[str, Any]:
    zone = ZoneInfo(preview.timezone)
    return {
        "subscription": public_id("sub", preview.subscription_id),
        "plan": preview.plan_key,
        "version": preview.plan_version,
        "period": None if preview.period is None else _period(preview.period, zone),
        "ends_at": preview.ends_at.astimezone(zone).isoformat() if preview.ends_at else None,
        "documents": [_document(each) for each in preview.documents],
        "following": [_document(each) for each in preview.following],
    }


def _document(document: PreviewedDocument) -> dict[str, Any]:
    zone = ZoneInfo(document.timezone)
    return {
        "kind": "credit_note" if document.is_credit_note else "invoice",
        "issued_at": document.issued_at.astimezone(zone).isoformat(),
        "period": _period(document.period, zone),
        "currency": document.total.currency,
        "total": f"{document.total.amount:f}",
        "lines": [
            {
                "key": line.key,
                "kind": line.kind,
                "app": line.app_key or None,
                "description": line.description,
                "quantity": plain(line.quantity),
                "unit_price": None if line.unit_price is None else plain(line.unit_price),
                "amount": f"{line.amount.amount:f}",
                "discount": f"{line.discount.amount:f}",
                "taxable": f"{(line.amount - line.discount).amount:f}",
                "tax_percent": plain(line.tax_terms.percent),
                "tax_code": line.tax_terms.code.value,
                "tax": f"{line.tax.amount:f}",
                "period": _period(line.period, zone),
                "explanation": line.explanation,
            }
            for line in document.lines
        ],
    }


def _period(period: Period, zone: ZoneInfo) -> dict[str, str]:
    return {
        "starts_at": period.starts_at.astimezone(zone).isoformat(),
        "ends_at": period.ends_at.astimezone(zone).isoformat(),
    }


def _change(endpoint: Endpoint, row: ChangeRow) -> dict[str, Any]:
    asked = row.asked
    return {
        "id": public_id("chg", row.id),
        "subscription": public_id("sub", row.subscription_id),
        "kind": asked.kind.value,
        "when": asked.when.value,
        "plan": asked.plan or None,
        "version": asked.version,
        "price": asked.price or None,
        "quantity": None if asked.quantity is None else plain(asked.quantity),
        "coupon": asked.coupon or None,
        "state": row.state.value,
        "error": {"code": row.error_code, "detail": row.error_detail} if row.error_code else None,
        "documents": [
            {
                "kind": each["kind"],
                "id": public_id("inv", UUID(each["id"])) if each["kind"] == "invoice" else None,
                "number": each["number"] or None,
            }
            for each in row.documents
        ],
        "requested_at": endpoint.instant(row.requested_at),
        "concluded_at": endpoint.instant(row.concluded_at),
    }
