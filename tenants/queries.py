"""Reading tenants, their people, keys, apps and trail; rows are values, never models.

Each query runs inside the caller's scope (`tenants.scope`), which decides whose rows it sees; only
`memberships_of` answers outside a scope, through a function that looks for one person's rows.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from kernel.errors import NotFound
from tenants.domain import KeyScope, Role, TenantStatus
from tenants.models import ApiKey, App, AuditRecord, Member, Tenant, User
from work.connections import cursor

_TENANT_ORDER: Final = {
    "name": ("name", "key"),
    "key": ("key",),
    "created": ("created_at", "key"),
    "status": ("status", "key"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """One tenant that a person belongs to, and as what."""

    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRow:
    """A tenant in a list; `apps` is how many app keys it has."""

    id: UUID
    key: str
    name: str
    status: TenantStatus
    timezone: str
    country: str
    apps: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantPage:
    """Some tenants, and how many the filter finds in all."""

    rows: Sequence[TenantRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantProfile:
    """What is known of one tenant."""

    id: UUID
    key: str
    name: str
    status: TenantStatus
    timezone: str
    language: str
    country: str
    address: str
    tax_id: str
    billing_email: str
    consolidates_invoices: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRow:
    """An app of a tenant."""

    id: UUID
    key: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A person in a tenant."""

    id: UUID
    name: str
    email: str
    role: Role
    is_active: bool
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """An API key without its secret, which nobody can read back."""

    id: UUID
    public_id: str
    label: str
    scope: KeyScope
    created_by: str
    allowed_addresses: Sequence[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None

    def state(self, *, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRow:
    """One record of an audit trail. `actor` is an e-mail address where a person acted."""

    sequence: int
    at: datetime
    actor: str
    action: str
    target: str
    before: Any
    after: Any
    reason: str


def memberships_of(*, user_id: int) -> tuple[Membership, ...]:
    """The tenants of a person who has signed in, by name; runs outside a scope."""
    with cursor() as db:
        db.execute("SELECT * FROM tenants_memberships_of(%s)", [user_id])
        return tuple(
            Membership(tenant_id=tenant_id, tenant_key=key, tenant_name=name, role=Role(role))
            for tenant_id, key, name, role in db.fetchall()
        )


def tenant_rows(
    *,
    search: str = "",
    status: str = "",
    sort: str = "name",
    descending: bool = False,
    limit: int,
    offset: int = 0,
) -> TenantPage:
    """Tenants whose name, key or an app's key contains `search` (letters' case doesn't matter)."""
    found = _matching(search=search, status=status)
    order = _TENANT_ORDER.get(sort, _TENANT_ORDER["name"])
    fields = [f"-{order[0]}" if descending else order[0], *order[1:]]
    total = found.count()
    page = list(found.order_by(*fields)[offset : offset + limit])
    apps = dict(
        App.objects.filter(tenant_id__in=[tenant.id for tenant in page])
        .values_list("tenant_id")
        .annotate(Count("id"))
    )
    return TenantPage(
        rows=tuple(
            TenantRow(
                id=tenant.id,
                key=tenant.key,
                name=tenant.name,
                status=TenantStatus(tenant.status),
                timezone=tenant.timezone,
                country=tenant.country,
                apps=apps.get(tenant.id, 0),
                created_at=tenant.created_at,
            )
            for tenant in page
        ),
        total=total,
    )


def tenant_counts() -> dict[TenantStatus, int]:
    """How many tenants there are in each status."""
    counts = dict(Tenant.objects.values_list("status").annotate(Count("id")))
    return {status: counts.get(status.value, 0) for status in TenantStatus}


def tenant_profile(*, key: str) -> TenantProfile:
    """The tenant of that key. Raises NotFound `tenant_not_found`."""
    tenant = Tenant.objects.filter(key=key).first()
    if tenant is None:
        raise NotFound("tenant_not_found", "There is no such tenant.", field="tenant")
    return _profile(tenant)


def tenant_profile_by_id(*, tenant_id: UUID) -> TenantProfile:
    """The tenant of that id. Raises NotFound `tenant_not_found`."""
    tenant = Tenant.objects.filter(id=tenant_id).first()
    if tenant is None:
        raise NotFound("tenant_not_found", "There is no such tenant.", field="tenant")
    return _profile(tenant)


def apps_of(*, tenant_id: UUID) -> tuple[AppRow, ...]:
    """The tenant's apps, by key."""
    return tuple(map(_app, App.objects.filter(tenant_id=tenant_id).order_by("key")))


def apps_page(*, tenant_id: UUID, after: str, limit: int) -> tuple[AppRow, ...]:
    """Up to `limit` of the tenant's apps by key, those after the key `after`."""
    found = App.objects.filter(tenant_id=tenant_id, key__gt=after).order_by("key")
    return tuple(map(_app, found[:limit]))


def members_of(*, tenant_id: UUID) -> tuple[MemberRow, ...]:
    """The tenant's people, by e-mail address."""
    return tuple(map(_member, _members(tenant_id).order_by("user__email")))


def members_page(*, tenant_id: UUID, after: UUID | None, limit: int) -> tuple[MemberRow, ...]:
    """Up to `limit` of the tenant's people in the order they joined, those after `after`."""
    found = _members(tenant_id).order_by("id")
    if after is not None:
        found = found.filter(id__gt=after)
    return tuple(map(_member, found[:limit]))


def keys_of(*, tenant_id: UUID) -> tuple[KeyRow, ...]:
    """The tenant's API keys, usable ones first, then newest first."""
    keys = map(_key, _keys(tenant_id).order_by("revoked_at", "-created_at", "id"))
    return tuple(sorted(keys, key=lambda key: key.revoked_at is not None))


def keys_page(*, tenant_id: UUID, after: UUID | None, limit: int) -> tuple[KeyRow, ...]:
    """Up to `limit` of the tenant's API keys, newest first, those after `after`."""
    found = _keys(tenant_id).order_by("-id")
    if after is not None:
        found = found.filter(id__lt=after)
    return tuple(map(_key, found[:limit]))


def key_row(*, tenant_id: UUID, key_id: UUID) -> KeyRow:
    """One of the tenant's API keys. Raises NotFound `api_key_not_found`."""
    found = _keys(tenant_id).filter(id=key_id).first()
    if found is None:
        raise NotFound("api_key_not_found", "There is no such API key.", field="key")
    return _key(found)


def trail_of(*, tenant_id: UUID, target: str = "", limit: int) -> tuple[TrailRow, ...]:
    """The newest records of the tenant's audit trail; of one `target` where it is given."""
    records = AuditRecord.objects.filter(tenant_id=tenant_id)
    if target:
        records = records.filter(target=target)
    page = list(records.order_by("-sequence")[:limit])
    people = people_of({record.actor for record in page})
    return tuple(
        TrailRow(
            sequence=record.sequence,
            at=record.at,
            actor=people.get(record.actor, record.actor),
            action=record.action,
            target=record.target,
            before=record.before,
            after=record.after,
            reason=record.reason,
        )
        for record in page
    )


def _matching(*, search: str, status: str) -> QuerySet[Tenant]:
    found = Tenant.objects.all()
    if status:
        found = found.filter(status=status)
    if search:
        named = Q(name__icontains=search) | Q(key__icontains=search)
        of_app = App.objects.filter(key__icontains=search).values("tenant_id")
        found = found.filter(named | Q(id__in=of_app))
    return found


def _profile(tenant: Tenant) -> TenantProfile:
    return TenantProfile(
        id=tenant.id,
        key=tenant.key,
        name=tenant.name,
        status=TenantStatus(tenant.status),
        timezone=tenant.timezone,
        language=tenant.language,
        country=tenant.country,
        address=tenant.address,
        tax_id=tenant.tax_id,
        billing_email=tenant.billing_email,
        consolidates_invoices=tenant.consolidates_invoices,
        created_at=tenant.created_at,
    )


def _app(app: App) -> AppRow:
    return AppRow(id=app.id, key=app.key, name=app.name or app.key, created_at=app.created_at)


def _members(tenant_id: UUID) -> QuerySet[Member]:
    return Member.objects.filter(tenant_id=tenant_id).select_related("user")


def _member(member: Member) -> MemberRow:
    return MemberRow(
        id=member.id,
        name=member.user.name,
        email=member.user.email,
        role=Role(member.role),
        is_active=member.user.is_active,
        created_at=member.created_at,
    )


def _keys(tenant_id: UUID) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(tenant_id=tenant_id).select_related("created_by")


def _key(key: ApiKey) -> KeyRow:
    return KeyRow(
        id=key.id,
        public_id=key.public_id,
        label=key.label,
        scope=KeyScope(key.scope),
        created_by=key.created_by.email if key.created_by else "",
        allowed_addresses=tuple(key.allowed_addresses),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


def people_of(actors: Collection[str]) -> dict[str, str]:
    """The e-mail addresses of those actors that are people (`user:7`); the others are left out."""
    ids = {
        int(actor.removeprefix("user:"))
        for actor in actors
        if actor.removeprefix("user:").isdecimal()
    }
    found = User.objects.filter(pk__in=ids).values_list("pk", "email")
    return {f"user:{pk}": email for pk, email in found}
