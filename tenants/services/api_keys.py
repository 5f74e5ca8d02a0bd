"""Make and revoke API keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final
from uuid import UUID

from kernel import ids
from kernel.errors import Invalid, NotFound
from tenants import audit, key_format
from tenants.domain import KeyScope
from tenants.models import ApiKey, User

LIFETIME: Final = timedelta(days=365)
MOST_NETWORKS: Final = 50


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
    allowed_addresses: Sequence[str] = (),
) -> CreatedKey:
    """Make a key of `scope` that expires after a year, inside the caller's scope.

    `allowed_addresses` are the addresses and networks (192.0.2.0/24) from which it may be used; none
    means from everywhere. Raises Invalid `unknown_scope`, `invalid_network`.
    """
    if scope not in set(KeyScope):
        raise Invalid(
            "unknown_scope",
            f"scope {scope[:40]!r} must be one of ingest, read, full.",
            field="scope",
        )
    networks = _networks(allowed_addresses)
    text, parts = key_format.new_key()
    row = ApiKey.objects.create(
        id=ids.new_id(),
        tenant_id=tenant_id,
        public_id=parts.public_id,
        secret_hash=parts.secret_hash,
        label=label.strip()[:100],
        scope=scope,
        allowed_addresses=networks,
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
            after={"scope": scope, "label": row.label, "allowed_addresses": networks},
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


def _networks(given: Sequence[str]) -> list[str]:
    """The networks in their one form. Raises Invalid `invalid_network`."""
    if len(given) > MOST_NETWORKS:
        raise Invalid(
            "invalid_network",
            f"allowed_addresses holds over {MOST_NETWORKS} networks; join some.",
            field="allowed_addresses",
        )
    networks = []
    for each in given:
        try:
            networks.append(str(ip_network(each.strip())))
        except ValueError:
            raise Invalid(
                "invalid_network",
                f"allowed_addresses: {each[:60]!r} is not an address or network such as "
                "192.0.2.7 or 192.0.2.0/24.",
                field="allowed_addresses",
            ) from None
    return networks
