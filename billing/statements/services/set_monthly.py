"""Set whether a tenant gets a statement each month."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.statements.models import MonthlyStatement
from kernel.period import local_day
from tenants import audit
from tenants.models import Tenant


def set_monthly_statements(*, tenant_id: UUID, wanted: bool, now: datetime, actor: str) -> None:
    """Let the tenant have one of each month from the present one on, or no more; in the caller's scope.
    Nothing where it is so already."""
    found = MonthlyStatement.objects.filter(tenant_id=tenant_id)
    if found.exists() == wanted:
        return
    if wanted:
        zone = ZoneInfo(Tenant.objects.values_list("timezone", flat=True).get(id=tenant_id))
        MonthlyStatement.objects.create(
            tenant_id=tenant_id,
            since=local_day(now, zone).replace(day=1),
            changed_by=actor,
            changed_at=now,
        )
    else:
        found.delete()
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="statement.monthly_set",
            target=f"tenant:{tenant_id}",
            before={"monthly": not wanted},
            after={"monthly": wanted},
        ),
        now=now,
    )
