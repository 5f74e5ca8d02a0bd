"""``Authorization: Bearer KEY``: which tenant speaks, and what its key may do."""

import hmac
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connections
from django.db.models import Q
from django.http import HttpRequest
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

_LAST_USED_STEP: Final = timedelta(minutes=1)
_NO_HASH: Final = bytes(32)
_MOST_RECENT: Final = 10_000
_RECENT_SECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The tenant and key behind an API request; `zone` is the tenant's."""

    tenant_id: UUID
    zone: ZoneInfo
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
        if not header:
            return None
        scheme, _, text = header.partition(" ")
        parts = key_format.parse_key(text.strip()) if scheme.lower() == "bearer" else None
        caller = self._find(parts, address=client_address(request._request)) if parts else None
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
                "SELECT secret_hash, tenant_id, timezone, id, scope, allowed_addresses,"
                " expires_at, revoked_at, last_used_at FROM tenants_find_api_key(%s)",
                [parts.public_id],
            )
            row = cursor.fetchone()
        # The comparison is made for an unknown key too, so that time does not tell the two apart.
        known_hash = _NO_HASH if row is None else bytes(row[0])
        is_right = hmac.compare_digest(known_hash, parts.secret_hash)
        if row is None or not is_right:
            return None
        _, tenant_id, zone, key_id, scope, allowed, expires_at, revoked_at, used_at = row
        if revoked_at is not None or expires_at <= now or not _allowed(address, allowed):
            return None
        if used_at is None or used_at <= now - _LAST_USED_STEP:
            _note_use(tenant_id=tenant_id, key_id=key_id, now=now)
        _recent.remember(parts.secret_hash, tenant_id)
        return Caller(
            tenant_id=tenant_id,
            zone=ZoneInfo(zone),
            key_id=key_id,
            scope=KeyScope(scope),
            public_id=parts.public_id,
        )


class _RecentCallers:
    """Whose keys were right within the last seconds, in this process. Bounded; never lets anybody in."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[UUID, float]] = OrderedDict()  # with seconds
        self._lock = threading.Lock()

    def remember(self, secret_hash: bytes, tenant_id: UUID) -> None:
        with self._lock:
            self._known[secret_hash] = (tenant_id, time.monotonic())
            self._known.move_to_end(secret_hash)
            if len(self._known) > _MOST_RECENT:
                self._known.popitem(last=False)

    def find(self, secret_hash: bytes) -> UUID | None:
        with self._lock:
            known = self._known.get(secret_hash)
        if known is None or time.monotonic() - known[1] > _RECENT_SECONDS:
            return None
        return known[0]


_recent: Final = _RecentCallers()


def recent_tenant(request: Request) -> UUID | None:
    """The tenant whose key the request carries, if the key was right a few seconds ago.

    For refusing alone, as when a tenant sends too much at once: whether the key may enter is looked up
    with every request, so that a revoked one is out at once.
    """
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    parts = key_format.parse_key(text.strip()) if scheme.lower() == "bearer" else None
    return None if parts is None else _recent.find(parts.secret_hash)


def client_address(request: HttpRequest) -> str:
    """The client's address: the connection's, or what our own proxy says that it was.

    A proxy appends the address that it saw to X-Forwarded-For; what stands before the last one came
    from the client, who may write there what it likes.
    """
    if settings.ENVIRONMENT.behind_proxy:
        forwarded = request.headers.get("X-Forwarded-For", "")
        return forwarded.rpartition(",")[2].strip()
    return str(request.META.get("REMOTE_ADDR", ""))


def _allowed(address: str, networks: Any) -> bool:
    """Whether the key may be used from there; an address that can't be read is on no list."""
    wanted = json.loads(networks) if isinstance(networks, str) else networks
    if not wanted:
        return True
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in ip_network(network, strict=False) for network in wanted)


def _note_use(*, tenant_id: UUID, key_id: UUID, now: datetime) -> None:
    """Written at most once a minute, by one of the requests that come at once."""
    with tenant_scope(tenant_id):
        ApiKey.objects.filter(
            Q(last_used_at=None) | Q(last_used_at__lte=now - _LAST_USED_STEP),
            tenant_id=tenant_id,
            id=key_id,
        ).update(last_used_at=now)


class HasScope(BasePermission):
    """Lets a key in whose scope is among the view's ``key_scopes`` for the method; denies otherwise.

    A view declares ``key_scopes = {"GET": {KeyScope.READ}, "POST": {KeyScope.INGEST}}``; a key of
    scope ``full`` may do all that is declared. A method that the view doesn't have is let through to
    be answered with 405.
    """

    message = "The API key's scope does not allow this."
    code = "scope_not_allowed"

    def has_permission(self, request: Request, view: "APIView") -> bool:
        caller = request.auth
        if not isinstance(caller, Caller):
            return False
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method.lower() not in view.http_method_names or not hasattr(view, method.lower()):
            return True
        allowed = getattr(view, "key_scopes", {}).get(method)
        return allowed is not None and (caller.scope in allowed or caller.scope == KeyScope.FULL)
