"""Say on the run itself that it broke off."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import HALTED, RunState
from billing.invoicing.models import BillingRun
from tenants.scope import system_scope


def fail_run(*, run_id: UUID, error: str, now: datetime) -> None:
    """Mark a run as failed with its reason: one of its jobs is parked, and a person must look. The others
    go on. A run that is paused keeps the reason, and has failed when it is resumed."""
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.select_for_update(of=("self",)).get(id=run_id)
        run.error, run.progressed_at = error[:2000], now
        if run.state not in HALTED:
            run.state, run.finished_at = RunState.FAILED, now
        run.save(update_fields=["state", "error", "progressed_at", "finished_at"])
