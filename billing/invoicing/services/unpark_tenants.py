"""Let subscriptions that were left aside go on, since a run is to try them again."""

from datetime import datetime

from billing.invoicing.models import BillingRun
from billing.invoicing.services.count_run import tenants_of
from billing.subscriptions.models import Subscription
from tenants import audit


def unpark_tenants(run: BillingRun, *, now: datetime) -> None:
    """Unpark all subscriptions of the tenants that the run names, in the caller's scope; what still
    contradicts is parked again by it. Two statements and the audit trail's."""
    parked = list(
        Subscription.objects.select_for_update(of=("self",))
        .filter(**tenants_of(run))
        .exclude(parked_code="")
        .order_by("tenant_id", "id")
    )
    audit.record_many(
        [
            audit.Entry(
                tenant_id=row.tenant_id,
                actor=run.requested_by or "billing_run",
                action="subscription.unparked",
                target=f"subscription:{row.id}",
                before={"code": row.parked_code, "detail": row.parked_detail},
            )
            for row in parked
        ],
        now=now,
    )
    Subscription.objects.filter(id__in=[row.id for row in parked]).update(
        parked_code="", parked_detail=""
    )
