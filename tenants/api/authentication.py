"""``Authorization: Bearer KEY``: which tenant speaks, and what its key may do."""

import hmac
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import connections
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from kernel import clock
from tenants import key_format
from tenants.domain import KeyScope
from tenants.models import ApiKey
from tenants.scope import tenant_scope
from work.connections import DEFAULT

if TYPE_CHECKING:  # REST framework's views import this module through its settings
    from rest_framework.views import APIView

_LAST_USED_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The tenant and key behind an API request."""

    tenant_id: UUID
    key_id: UUID
    scope: KeyScope
    public_id: str

    is_authenticated = True
    is_active = True

    @property
    def actor(self) -> str:
        """How the audit trail names this caller."""
        return f"api_key:{self.public_id}"


class ApiKeyAuthentication(BaseAuthentication):
    """Finds the caller by its key; one answer for every key that may not enter."""

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        header = request.headers.get("Authorization", "")
        scheme, _, text = header.partition(" ")
        if not header:
            return None
        parts = key_format.parse_key(text.strip()) if scheme.lower() == "bearer" else None
        caller = self._find(parts, address=request.META.get("REMOTE_ADDR", "")) if parts else None
        if caller is None:
            raise AuthenticationFailed(
                "The API key is not valid: unknown, mistyped, expired or revoked.",
                "invalid_api_key",
            )
        return caller, caller

    def _find(self, parts: key_format.KeyParts, *, address: str) -> Caller | None:
        now = clock.now()
        with connections[DEFAULT].cursor() as cursor:
            cursor.execute(
                "SELECT tenant_id, id, secret_hash, scope, allowed_addresses, expires_at,"
                " revoked_at, last_used_at FROM tenants_find_api_key(%s)",
                [parts.public_id],
            )
            row = cursor.fetchone()
        if row is None:
            return None
        tenant_id, key_id, secret_hash, scope, allowed, expires_at, revoked_at, used_at = row
        if not hmac.compare_digest(bytes(secret_hash), parts.secret_hash):
            return None
        if revoked_at is not None or expires_at <= now or not _allowed(address, allowed):
            return None
        if used_at is None or used_at <= now - _LAST_USED_STEP:
            _note_use(tenant_id=tenant_id, key_id=key_id, now=now)
        return Caller(
            tenant_id=tenant_id, key_id=key_id, scope=KeyScope(scope), public_id=parts.public_id
        )


def _allowed(address: str, networks: Any) -> bool:
    wanted = json.loads(networks) if isinstance(networks, str) else networks
    if not wanted:
        return True
    return any(ip_address(address) in ip_network(network) for network in wanted)


def _note_use(*, tenant_id: UUID, key_id: UUID, now: datetime) -> None:
    with tenant_scope(tenant_id):
        ApiKey.objects.filter(id=key_id).update(last_used_at=now)


class HasScope(BasePermission):
    """Lets a key in whose scope is among the view's ``key_scopes`` for the method; denies otherwise.

    A view declares ``key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.INGEST}}``; a key of
    scope ``full`` may do all that is declared.
    """

    message = "The API key's scope does not allow this."
    code = "scope_not_allowed"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            return False
        method = "GET" if request.method == "HEAD" else request.method
        allowed = getattr(view, "key_scopes", {}).get(method)
        return allowed is not None and (caller.scope in allowed or caller.scope == KeyScope.FULL)
