"""Offer a private plan to a tenant."""

from datetime import datetime
from uuid import UUID

from billing.catalog.models import Plan, PlanOffer
from kernel import ids
from kernel.errors import NotFound
from tenants import audit


def offer_plan(*, tenant_id: UUID, plan_key: str, now: datetime, actor: str) -> None:
    """Let the tenant see and take the plan, in the caller's cross-tenant scope; again does nothing.

    Raises NotFound `plan_not_found`.
    """
    plan = Plan.objects.filter(key=plan_key).first()
    if plan is None:
        raise NotFound(
            "plan_not_found", f"There is no plan {plan_key!r}; load it first.", field="plan"
        )
    _, is_new = PlanOffer.objects.get_or_create(
        tenant_id=tenant_id, plan=plan, defaults={"id": ids.new_id(), "offered_at": now}
    )
    if is_new:
        audit.record(
            audit.Entry(
                tenant_id=tenant_id,
                actor=actor,
                action="plan.offered",
                target=f"plan:{plan_key}",
                after={"plan": plan_key},
            ),
            now=now,
        )
