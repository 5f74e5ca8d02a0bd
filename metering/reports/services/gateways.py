"""Make a gateway, revoke it, replace its secret, and release a gap in its reports."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography.fernet import Fernet
from django.conf import settings

from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from metering.reports.domain import check_deployment, check_gateway_key, new_secret
from metering.reports.models import Gateway, GatewayGap
from tenants import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedGateway:
    """`secret` is shown once."""

    id: UUID
    key: str
    secret: str


def create_gateway(*, key: str, deployment: str, now: datetime, actor: str) -> CreatedGateway:
    """Make a gateway with a new secret, in the caller's cross-tenant transaction.

    `deployment` is the cluster whose usage it reports: what it reports is kept apart by it. Raises
    Invalid `bad_gateway_key`, `bad_deployment`, Conflict `gateway_key_taken`.
    """
    check_gateway_key(key)
    check_deployment(deployment)
    if Gateway.objects.filter(key=key).exists():
        raise Conflict(
            "gateway_key_taken", f"There is a gateway {key!r} already; choose another.", field="key"
        )
    secret = new_secret()
    gateway = Gateway(
        id=ids.new_id(),
        key=key,
        deployment=deployment,
        secret=_cipher().encrypt(secret.encode()),
        created_at=now,
        created_by=actor,
    )
    gateway.save(force_insert=True)
    _audit(gateway, "gateway.created", actor=actor, now=now, after={"deployment": deployment})
    return CreatedGateway(id=gateway.id, key=key, secret=secret)


def revoke_gateway(*, key: str, now: datetime, actor: str) -> None:
    """Take no more reports of a gateway; doing it again changes nothing. Raises NotFound."""
    gateway = Gateway.objects.select_for_update().filter(key=key).first()
    if gateway is None:
        raise NotFound("unknown_gateway", "There is no such gateway.", field="gateway")
    if gateway.revoked_at is None:
        gateway.revoked_at = now
        gateway.save(update_fields=["revoked_at"])
        _audit(gateway, "gateway.revoked", actor=actor, now=now)


def release_gap(*, gap_id: UUID, reason: str, now: datetime, actor: str) -> None:
    """Let days be closed in spite of a gap whose reports will not come.

    Reports of it that come after all are still taken. Raises NotFound `unknown_gap`, Invalid
    `reason_missing`; a gap that is released already stays as it is.
    """
    if not reason.strip():
        raise Invalid("reason_missing", "Say why the reports will not come.", field="reason")
    gap = GatewayGap.objects.select_for_update().filter(id=gap_id).first()
    if gap is None:
        raise NotFound(
            "unknown_gap", "There is no such gap; its reports may have come.", field="gap"
        )
    if gap.released_at is not None:
        return
    gap.released_at, gap.released_by, gap.reason = now, actor, reason.strip()[:500]
    gap.save(update_fields=["released_at", "released_by", "reason"])
    gateway = Gateway.objects.get(id=gap.gateway_id)
    _audit(
        gateway,
        "gateway.gap_released",
        actor=actor,
        now=now,
        after={
            "epoch": gap.epoch,
            "first": gap.first_sequence,
            "last": gap.last_sequence,
            "reason": gap.reason,
        },
    )


def note_conflict(*, key: str, sequence: int, now: datetime) -> None:
    """Keep that a gateway sent a sequence again with other content, for operations to see."""
    Gateway.objects.filter(key=key).update(conflict_at=now, conflict_sequence=sequence)


def secret_of(gateway: Gateway) -> str:
    """The secret with which the gateway signs. Raises cryptography's InvalidToken when SECRET_KEY is
    not the one under which it was kept."""
    return _cipher().decrypt(bytes(gateway.secret)).decode()


def _cipher() -> Fernet:
    key = hmac.new(settings.SECRET_KEY.encode(), b"gateway secrets", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _audit(
    gateway: Gateway,
    action: str,
    *,
    actor: str,
    now: datetime,
    after: dict[str, object] | None = None,
) -> None:
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action=action,
            target=f"gateway:{gateway.key}",
            after=after or {},
        ),
        now=now,
    )
