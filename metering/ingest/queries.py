"""What ingest reads: whose apps these are, what was refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from metering.ingest.models import RejectedEvent
from tenants.models import App, Tenant
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantFacts:
    """What of a tenant its events depend on."""

    id: UUID
    key: str
    timezone: str
    hash_salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFacts:
    id: UUID
    key: str
    tenant_id: UUID


def tenant_facts(*, tenant_ids: Iterable[UUID]) -> dict[UUID, TenantFacts]:
    """The tenants of these ids that the scope shows."""
    rows = Tenant.objects.filter(id__in=list(tenant_ids)).values_list(
        "id", "key", "timezone", "hash_salt"
    )
    return {
        tenant_id: TenantFacts(id=tenant_id, key=key, timezone=timezone, hash_salt=bytes(salt))
        for tenant_id, key, timezone, salt in rows
    }


def apps_by_key(*, keys: Iterable[str]) -> dict[str, AppFacts]:
    """The apps of these keys that the scope shows; another tenant's are as unknown as none."""
    rows = App.objects.filter(key__in=list(keys)).values_list("key", "id", "tenant_id")
    return {
        key: AppFacts(id=app_id, key=key, tenant_id=tenant_id) for key, app_id, tenant_id in rows
    }


def sender_facts(
    *, tenant_id: UUID, app_keys: Iterable[str]
) -> tuple[TenantFacts, dict[str, AppFacts]] | None:
    """One tenant and those of its apps that have these keys, by key, in one query; None when the scope
    shows no such tenant."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant.key, tenant.timezone, tenant.hash_salt, app.key, app.id
              FROM tenants_tenant tenant
              LEFT JOIN tenants_app app ON app.tenant_id = tenant.id AND app.key = ANY (%s)
             WHERE tenant.id = %s
            """,
            [list(app_keys), tenant_id],
        )
        rows = execution.fetchall()
    if not rows:
        return None
    key, timezone, hash_salt, _, _ = rows[0]
    return (
        TenantFacts(id=tenant_id, key=key, timezone=timezone, hash_salt=bytes(hash_salt)),
        {
            app_key: AppFacts(id=app_id, key=app_key, tenant_id=tenant_id)
            for _, _, _, app_key, app_id in rows
            if app_key is not None
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedEvent:
    """A refused event as its tenant and operations see it."""

    id: UUID
    tenant_id: UUID | None
    received_at: datetime
    subject: str
    source: str
    event_id: str
    code: str
    detail: str
    content: Mapping[str, Any] | None


def rejected_events(*, limit: int = 100, code: str = "") -> list[QuarantinedEvent]:
    """The newest refused events that the scope shows, with one code or all."""
    rows = RejectedEvent.objects.order_by("-received_at", "-id")
    if code:
        rows = rows.filter(code=code)
    return [
        QuarantinedEvent(
            id=row.id,
            tenant_id=row.tenant_id,
            received_at=row.received_at,
            subject=row.subject,
            source=row.source,
            event_id=row.event_id,
            code=row.code,
            detail=row.detail,
            content=row.content,
        )
        for row in rows[:limit]
    ]
