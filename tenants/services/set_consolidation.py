"""Say whether a tenant wants one invoice for all its subscriptions, or one for each."""

from datetime import datetime
from uuid import UUID

from kernel.errors import NotFound
from tenants import audit
from tenants.models import Tenant


def set_consolidation(*, tenant_id: UUID, consolidates: bool, now: datetime, actor: str) -> None:
    """What is issued from here on goes by it; issued invoices stay. In the caller's scope.

    Raises NotFound `tenant_not_found`.
    """
    row = Tenant.objects.select_for_update(no_key=True).filter(id=tenant_id).first()
    if row is None:
        raise NotFound("tenant_not_found", "There is no such tenant.", field="tenant")
    if row.consolidates_invoices == consolidates:
        return
    row.consolidates_invoices = consolidates
    row.save(update_fields=["consolidates_invoices"])
    audit.record(
        audit.Entry(
            tenant_id=row.id,
            actor=actor,
            action="tenant.consolidation_set",
            target=f"tenant:{row.key}",
            before={"consolidates_invoices": not consolidates},
            after={"consolidates_invoices": consolidates},
        ),
        now=now,
    )
