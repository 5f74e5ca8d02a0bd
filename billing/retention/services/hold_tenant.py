"""Hold what is kept of a tenant, and let it go."""

from datetime import datetime
from uuid import UUID

from billing.retention.models import LegalHold
from billing.retention.services.locking import lock_retention
from kernel.errors import Conflict, Invalid, NotFound
from tenants import audit


def set_legal_hold(*, tenant_id: UUID, reason: str, now: datetime, actor: str) -> UUID:
    """Let nothing of the tenant be removed until the hold is lifted; gives its id. In a cross-tenant scope.

    Raises Invalid `hold_without_reason`.
    """
    lock_retention()
    hold = LegalHold.objects.create(
        tenant_id=tenant_id, reason=_reason(reason), set_by=actor, set_at=now
    )
    _record(hold, "legal_hold.set", reason=reason, now=now, actor=actor)
    return hold.id


def lift_legal_hold(*, hold_id: UUID, reason: str, now: datetime, actor: str) -> None:
    """Lift a hold; the rules count again. In a cross-tenant scope.

    Raises NotFound `hold_not_found`, Conflict `hold_lifted`, Invalid `hold_without_reason`.
    """
    hold = LegalHold.objects.select_for_update().filter(id=hold_id).first()
    if hold is None:
        raise NotFound("hold_not_found", "There is no such legal hold.", field="hold")
    if hold.lifted_at is not None:
        raise Conflict("hold_lifted", "This legal hold was lifted already.", field="hold")
    hold.lift_reason, hold.lifted_by, hold.lifted_at = _reason(reason), actor, now
    hold.save(update_fields=["lift_reason", "lifted_by", "lifted_at"])
    _record(hold, "legal_hold.lifted", reason=reason, now=now, actor=actor)


def _reason(text: str) -> str:
    if not text.strip():
        raise Invalid(
            "hold_without_reason", "Write why, such as the case's number.", field="reason"
        )
    return text.strip()[:300]


def _record(hold: LegalHold, action: str, *, reason: str, now: datetime, actor: str) -> None:
    audit.record(
        audit.Entry(
            tenant_id=hold.tenant_id,
            actor=actor,
            action=action,
            target=f"legal_hold:{hold.id}",
            reason=reason.strip()[:300],
        ),
        now=now,
    )
