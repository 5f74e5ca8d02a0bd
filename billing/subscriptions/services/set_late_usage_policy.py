"""Say what becomes of a subscription's late usage: the next invoice, a document of its own, or nothing."""

from datetime import datetime
from uuid import UUID

from billing.subscriptions.domain import LateUsagePolicy
from billing.subscriptions.models import Subscription
from kernel.errors import Invalid, NotFound
from tenants import audit


def set_late_usage_policy(
    *,
    subscription_id: UUID,
    policy: LateUsagePolicy,
    reason: str,
    now: datetime,
    actor: str,
) -> None:
    """Set the policy, in the caller's cross-tenant scope; what was settled before stays as it is.

    Raises NotFound `subscription_not_found`, Invalid `reason_missing` for waiving without a reason.
    """
    row = Subscription.objects.select_for_update().filter(id=subscription_id).first()
    if row is None:
        raise NotFound(
            "subscription_not_found", "There is no such subscription.", field="subscription"
        )
    if policy is LateUsagePolicy.WAIVE and not reason.strip():
        raise Invalid(
            "reason_missing",
            "Usage that is not billed needs a reason; say why it is waived.",
            field="reason",
        )
    before = {"policy": row.late_usage, "reason": row.late_usage_reason}
    row.late_usage = policy
    row.late_usage_reason = reason.strip()[:500]
    row.save(update_fields=["late_usage", "late_usage_reason"])
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=actor,
            action="subscription.late_usage_policy_set",
            target=f"subscription:{row.id}",
            before=before,
            after={"policy": policy.value, "reason": row.late_usage_reason},
            reason=row.late_usage_reason,
        ),
        now=now,
    )
