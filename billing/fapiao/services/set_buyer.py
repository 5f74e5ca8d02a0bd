"""Say for whom a tenant's fapiao are issued."""

from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from billing.fapiao.domain.content import FapiaoTitle
from billing.fapiao.domain.validation import FapiaoFaults, title_faults
from billing.fapiao.models import FapiaoBuyer
from tenants import audit


def set_fapiao_buyer(*, tenant_id: UUID, title: FapiaoTitle, now: datetime, actor: str) -> None:
    """Keep the title for the tenant's next fapiao, in the caller's scope; those asked for stay as they
    are. Raises FapiaoFaults with every fault."""
    faults = list(title_faults(title))
    if faults:
        raise FapiaoFaults(faults)
    FapiaoBuyer.objects.update_or_create(
        tenant_id=tenant_id, defaults={**asdict(title), "changed_at": now}
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="fapiao.buyer_set",
            target=f"tenant:{tenant_id}",
            # No more than what it takes to see that it changed: bank and phone stay where they are.
            after={"name": title.name, "tax_id": title.tax_id, "kind": title.kind.value},
        ),
        now=now,
    )
