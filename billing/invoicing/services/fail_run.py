"""Say on the run itself that it broke off."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import RunState
from billing.invoicing.models import BillingRun
from tenants.scope import system_scope


def fail_run(*, run_id: UUID, error: str, now: datetime) -> None:
    """Mark a run as failed with its reason; its job may still try again, which sets it running."""
    with system_scope(purpose=f"billing run {run_id}"):
        BillingRun.objects.filter(id=run_id).update(
            state=RunState.FAILED, error=error[:2000], progressed_at=now, finished_at=now
        )
