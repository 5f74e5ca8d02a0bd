"""Make a tenant with its apps."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kernel import ids
from kernel.errors import Conflict, Invalid
from kernel.zones import zone_named
from tenants import audit
from tenants.domain import TaxTreatment
from tenants.models import App, Tenant
from tenants.names import check_name
from tenants.services.set_tax import TaxStanding, check_standing
from work.connections import current_alias

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._#-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenant:
    """What a new tenant starts with; `apps` are app keys. Country, address, tax id and e-mail stand on
    its invoices; `tax_treatment` and `tax_percent` are its own standing in taxes. With `consolidates_invoices`
    documents of several subscriptions that fall due at one instant become one invoice."""

    key: str
    name: str
    timezone: str
    apps: Sequence[str] = ()
    language: str = "en"
    country: str = ""
    address: str = ""
    tax_id: str = ""
    billing_email: str = ""
    tax_treatment: TaxTreatment = TaxTreatment.UNSAID
    tax_percent: Decimal | None = None
    consolidates_invoices: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApp:
    id: UUID
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedTenant:
    id: UUID
    key: str
    timezone: str
    hash_salt: bytes
    apps: tuple[CreatedApp, ...]


def check_key(key: str, *, field: str) -> str:
    """`key` itself; raises Invalid `invalid_key` unless it may name a tenant or an app."""
    if not _KEY.fullmatch(key):
        raise Invalid(
            "invalid_key",
            f"{field} {key[:120]!r} must be 1 to 100 letters, digits, '.', '_', '#' or '-', and "
            "begin with a letter or digit.",
            field=field,
        )
    return key


def check_timezone(name: str, *, field: str = "timezone") -> str:
    """`name` itself; raises Invalid `unknown_timezone` unless it is an IANA zone."""
    try:
        zone_named(name)
    except Invalid:
        raise Invalid(
            "unknown_timezone",
            f"{field} {name[:80]!r} is not an IANA time zone; use a name like Asia/Shanghai.",
            field=field,
        ) from None
    return name


def create_tenant(*, tenant: NewTenant, now: datetime, actor: str) -> CreatedTenant:
    """Create one tenant and its apps inside the caller's cross-tenant scope.

    Raises Invalid for a key, name or zone that can't be, Conflict `tenant_key_taken` or `app_key_taken`
    when another one holds the key.
    """
    return create_tenants(tenants=[tenant], now=now, actor=actor)[0]


def create_tenants(
    *, tenants: Sequence[NewTenant], now: datetime, actor: str
) -> list[CreatedTenant]:
    """Create many tenants in a few statements, all or none; see `create_tenant`."""
    rows: list[Tenant] = []
    apps: list[App] = []
    for new in tenants:
        check_key(new.key, field="tenant")
        check_timezone(new.timezone)
        check_standing(
            TaxStanding(
                country=new.country,
                tax_id=new.tax_id,
                treatment=new.tax_treatment,
                percent=new.tax_percent,
            )
        )
        row = Tenant(
            id=ids.new_id(),
            key=new.key,
            name=check_name(new.name, field="name") or new.key,
            timezone=new.timezone,
            language=new.language,
            country=new.country,
            address=new.address,
            tax_id=new.tax_id,
            billing_email=new.billing_email,
            tax_treatment=new.tax_treatment,
            tax_percent=new.tax_percent,
            consolidates_invoices=new.consolidates_invoices,
            hash_salt=secrets.token_bytes(32),
            created_at=now,
        )
        rows.append(row)
        for key in new.apps:
            check_key(key, field="app")
            apps.append(App(id=ids.new_id(), tenant=row, key=key, name=key, created_at=now))
    _insert_tenants(rows)
    _insert_apps(apps)
    audit.record_many(
        [
            audit.Entry(
                tenant_id=row.id,
                actor=actor,
                action="tenant.created",
                target=f"tenant:{row.key}",
                after={"name": row.name, "timezone": row.timezone},
            )
            for row in rows
        ],
        now=now,
    )
    created_apps: dict[UUID, list[CreatedApp]] = {}
    for app in apps:
        created_apps.setdefault(app.tenant_id, []).append(CreatedApp(id=app.id, key=app.key))
    return [
        CreatedTenant(
            id=row.id,
            key=row.key,
            timezone=row.timezone,
            hash_salt=bytes(row.hash_salt),
            apps=tuple(created_apps.get(row.id, ())),
        )
        for row in rows
    ]


def create_app(*, tenant_id: UUID, key: str, name: str, now: datetime, actor: str) -> CreatedApp:
    """Add an app to a tenant.

    Raises Invalid `invalid_key`, `invalid_name`, Conflict `app_key_taken`.
    """
    check_key(key, field="app")
    shown = check_name(name, field="name") or key
    app = App(id=ids.new_id(), tenant_id=tenant_id, key=key, name=shown, created_at=now)
    _insert_apps([app])
    audit.record(
        audit.Entry(tenant_id=tenant_id, actor=actor, action="app.created", target=f"app:{key}"),
        now=now,
    )
    return CreatedApp(id=app.id, key=key)


def _insert_tenants(rows: list[Tenant]) -> None:
    inserted = _insert_ignoring_taken(Tenant, rows)
    taken = [row.key for row in rows if row.id not in inserted]
    if taken:
        raise Conflict(
            "tenant_key_taken", f"Tenant key {taken[0]!r} is taken; choose another.", field="tenant"
        )


def _insert_apps(apps: list[App]) -> None:
    inserted = _insert_ignoring_taken(App, apps)
    taken = [app.key for app in apps if app.id not in inserted]
    if taken:
        # App keys are unique over the deployment (contract), so this tells that a key exists
        # somewhere; nothing else about its owner.
        raise Conflict(
            "app_key_taken", f"App key {taken[0]!r} is taken; choose another.", field="app"
        )


def _insert_ignoring_taken(model: type[Tenant] | type[App], rows: list) -> set[UUID]:  # type: ignore[type-arg]  # rows of either model
    """Insert with ON CONFLICT DO NOTHING and tell which ids were inserted.

    A caught IntegrityError would leave the caller's transaction unusable.
    """
    if not rows:
        return set()
    model.objects.using(current_alias()).bulk_create(rows, ignore_conflicts=True, batch_size=2000)
    return set(model.objects.filter(id__in=[row.id for row in rows]).values_list("id", flat=True))
