"""Make and revoke API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from kernel import ids
from kernel.errors import Invalid, NotFound
from tenants import audit, key_format
from tenants.domain import KeyScope
from tenants.models import ApiKey, User

LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedKey:
    """`text` is shown once and kept nowhere."""

    id: UUID
    public_id: str
    text: str
    scope: KeyScope
    expires_at: datetime


def create_api_key(
    *,
    tenant_id: UUID,
    scope: str,
    label: str,
    now: datetime,
    actor: str,
    created_by: User | None = None,
) -> CreatedKey:
    """Make a key of `scope` that expires after a year, inside the caller's scope.

    Raises Invalid `unknown_scope`.
    """
    if scope not in set(KeyScope):
        raise Invalid(
            "unknown_scope",
            f"scope {scope[:40]!r} must be one of ingest, read, full.",
            field="scope",
        )
    text, parts = key_format.new_key()
    row = ApiKey.objects.create(
        id=ids.new_id(),
        tenant_id=tenant_id,
        public_id=parts.public_id,
        secret_hash=parts.secret_hash,
        label=label.strip()[:100],
        scope=scope,
        created_by=created_by,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="api_key.created",
            target=f"api_key:{parts.public_id}",
            after={"scope": scope, "label": row.label},
        ),
        now=now,
    )
    return CreatedKey(
        id=row.id,
        public_id=row.public_id,
        text=text,
        scope=KeyScope(scope),
        expires_at=row.expires_at,
    )


def revoke_api_key(*, tenant_id: UUID, key_id: UUID, now: datetime, actor: str) -> None:
    """Revoke a key at once; revoking it again changes nothing. Raises NotFound."""
    row = ApiKey.objects.select_for_update().filter(tenant_id=tenant_id, id=key_id).first()
    if row is None:
        raise NotFound("api_key_not_found", "There is no such API key.", field="key")
    if row.revoked_at is not None:
        return
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="api_key.revoked",
            target=f"api_key:{row.public_id}",
        ),
        now=now,
    )
