"""The caller's own tenant, its apps, people and API keys over HTTP."""

from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.errors import NotFound
from kernel.ids import public_id
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery, Strict, path_id
from tenants.api.idempotency import Answer, answer_once
from tenants.api.schema import (
    IDEMPOTENCY_KEY,
    INSTANT,
    NULLABLE_INSTANT,
    NULLABLE_TEXT,
    TEXT,
    UNSAFE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope, Role, TenantStatus
from tenants.queries import (
    AppRow,
    KeyRow,
    MemberRow,
    apps_page,
    key_row,
    keys_page,
    members_page,
    tenant_profile_by_id,
)
from tenants.services.api_keys import create_api_key, revoke_api_key
from tenants.services.create_tenant import create_app

TENANT: Final = record(
    id=id_of("ten"),
    key=TEXT,
    name=TEXT,
    status=one_of(*TenantStatus),
    timezone=TEXT,
    language=TEXT,
    country=TEXT,
    address=TEXT,
    tax_id=TEXT,
    billing_email=TEXT,
    created_at=INSTANT,
)
APP: Final = record(id=id_of("app"), key=TEXT, name=TEXT, created_at=INSTANT)
MEMBER: Final = record(
    id=id_of("mem"), name=TEXT, email=TEXT, role=one_of(*Role), created_at=INSTANT
)
API_KEY: Final = record(
    id=id_of("key"),
    public_id={**TEXT, "description": "The part of the key that is no secret."},
    label=TEXT,
    scope=one_of(*KeyScope),
    status=one_of("active", "expired", "revoked"),
    allowed_addresses=list_of(TEXT),
    created_by={**NULLABLE_TEXT, "description": "The member who made it in the portal."},
    created_at=INSTANT,
    expires_at=INSTANT,
    last_used_at=NULLABLE_INSTANT,
    revoked_at=NULLABLE_INSTANT,
)
NEW_API_KEY: Final = record(
    **API_KEY["properties"], key={**TEXT, "description": "The key itself; shown this once."}
)


class NewApp(Strict):
    """An app to create."""

    key = serializers.CharField(
        max_length=100, help_text="Unique over the deployment; the subject of usage events."
    )
    name = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class NewApiKey(Strict):
    """An API key to make."""

    scope = serializers.ChoiceField(choices=[scope.value for scope in KeyScope])
    label = serializers.CharField(  # type: ignore[assignment]  # a field of this name, not DRF's label
        max_length=100, required=False, default="", allow_blank=True
    )
    allowed_addresses = serializers.ListField(
        child=serializers.CharField(max_length=60),
        required=False,
        default=list,
        max_length=50,
        help_text="Addresses and networks from which the key may be used; none: from everywhere.",
    )


class TenantView(Endpoint):
    """The tenant that the key belongs to."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_tenant", summary="Read your tenant", responses=answers(TENANT)
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            tenant = tenant_profile_by_id(tenant_id=self.caller.tenant_id)
        return Response(
            {
                "id": public_id("ten", tenant.id),
                "key": tenant.key,
                "name": tenant.name,
                "status": tenant.status.value,
                "timezone": tenant.timezone,
                "language": tenant.language,
                "country": tenant.country,
                "address": tenant.address,
                "tax_id": tenant.tax_id,
                "billing_email": tenant.billing_email,
                "created_at": self.instant(tenant.created_at),
            }
        )


class AppsView(ListEndpoint):
    """The tenant's apps."""

    key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.FULL}}
    list_name = "apps"

    @extend_schema(
        operation_id="list_apps",
        summary="List apps, by key",
        parameters=[PageQuery],
        responses=answers(page_of(APP)),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            rows = apps_page(tenant_id=self.caller.tenant_id, after=self.after, limit=self.wanted)
        return self.page(rows, position=lambda row: row.key, shown=lambda row: _app(self, row))

    @extend_schema(
        operation_id="create_app",
        summary="Create an app",
        parameters=[IDEMPOTENCY_KEY],
        request=NewApp,
        responses=answers(APP, *UNSAFE, status=201),
        examples=[
            OpenApiExample("An app", {"key": "acme-chat", "name": "Chat"}, request_only=True)
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        wanted = self.body(NewApp)

        def create() -> Answer:
            now = clock.now()
            app = create_app(
                tenant_id=self.caller.tenant_id, now=now, actor=self.caller.actor, **wanted
            )
            row = AppRow(id=app.id, key=app.key, name=wanted["name"] or app.key, created_at=now)
            return Answer(data=_app(self, row), status=201)

        return answer_once(request=request, endpoint="POST /apps", content=wanted, call=create)


class MembersView(ListEndpoint):
    """The people of the tenant."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "members"

    @extend_schema(
        operation_id="list_members",
        summary="List members, in the order they joined",
        parameters=[PageQuery],
        responses=answers(page_of(MEMBER)),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            rows = members_page(
                tenant_id=self.caller.tenant_id, after=self.after_id, limit=self.wanted
            )
        return self.page(
            rows, position=lambda row: str(row.id), shown=lambda row: _member(self, row)
        )


class KeysView(ListEndpoint):
    """The tenant's API keys."""

    key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.FULL}}
    list_name = "keys"

    @extend_schema(
        operation_id="list_keys",
        summary="List API keys, newest first",
        parameters=[PageQuery],
        responses=answers(page_of(API_KEY)),
    )
    def get(self, request: Request) -> Response:
        now = clock.now()
        with self.scope():
            rows = keys_page(
                tenant_id=self.caller.tenant_id, after=self.after_id, limit=self.wanted
            )
        return self.page(
            rows, position=lambda row: str(row.id), shown=lambda row: _key(self, row, now=now)
        )

    @extend_schema(
        operation_id="create_key",
        summary="Make an API key",
        description=(
            "The key is in this answer and nowhere else. It expires after a year; several may be "
            "valid at once, so that programs can change over."
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=NewApiKey,
        responses=answers(NEW_API_KEY, *UNSAFE, status=201),
        examples=[
            OpenApiExample("To send usage", {"scope": "ingest", "label": "gw1"}, request_only=True)
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        wanted = self.body(NewApiKey)

        def create() -> Answer:
            now = clock.now()
            key = create_api_key(
                tenant_id=self.caller.tenant_id, now=now, actor=self.caller.actor, **wanted
            )
            row = key_row(tenant_id=self.caller.tenant_id, key_id=key.id)
            return Answer(data={**_key(self, row, now=now), "key": key.text}, status=201)

        return answer_once(request=request, endpoint="POST /keys", content=wanted, call=create)


class RevokeKeyView(Endpoint):
    """The end of an API key."""

    key_scopes = {"POST": {KeyScope.FULL}}

    @extend_schema(
        operation_id="revoke_key",
        summary="Revoke an API key",
        description="It is refused from now on. Revoking it again changes nothing.",
        parameters=[IDEMPOTENCY_KEY],
        request=None,
        responses=answers(API_KEY, 404, *UNSAFE),
    )
    def post(self, request: Request, key_id: str) -> HttpResponse:
        self.body(Strict)

        def revoke() -> Answer:
            now, tenant_id = clock.now(), self.caller.tenant_id
            missing = NotFound("api_key_not_found", "There is no such API key.", field="key")
            row_id = path_id(key_id, prefix="key", missing=missing)
            revoke_api_key(tenant_id=tenant_id, key_id=row_id, now=now, actor=self.caller.actor)
            return Answer(data=_key(self, key_row(tenant_id=tenant_id, key_id=row_id), now=now))

        return answer_once(
            request=request, endpoint="POST /keys/{id}/revoke", content=[key_id], call=revoke
        )


def _app(endpoint: Endpoint, row: AppRow) -> dict[str, Any]:
    return {
        "id": public_id("app", row.id),
        "key": row.key,
        "name": row.name,
        "created_at": endpoint.instant(row.created_at),
    }


def _member(endpoint: Endpoint, row: MemberRow) -> dict[str, Any]:
    return {
        "id": public_id("mem", row.id),
        "name": row.name,
        "email": row.email,
        "role": row.role.value,
        "created_at": endpoint.instant(row.created_at),
    }


def _key(endpoint: Endpoint, row: KeyRow, *, now: datetime) -> dict[str, Any]:
    return {
        "id": public_id("key", row.id),
        "public_id": row.public_id,
        "label": row.label,
        "scope": row.scope.value,
        "status": row.state(now=now),
        "allowed_addresses": list(row.allowed_addresses),
        "created_by": row.created_by or None,
        "created_at": endpoint.instant(row.created_at),
        "expires_at": endpoint.instant(row.expires_at),
        "last_used_at": endpoint.instant(row.last_used_at),
        "revoked_at": endpoint.instant(row.revoked_at),
    }
