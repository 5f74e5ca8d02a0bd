"""Let a worker leave off a range whose run was paused or cancelled."""

from uuid import UUID

from billing.invoicing.domain import RunState
from billing.invoicing.models import BillingRun
from tenants.scope import system_scope
from work.domain import JobState
from work.jobs import JobRun


def leave_off(*, run_id: UUID, job: JobRun) -> None:
    """Hold the range's job while its run is paused, cancel it with its run; nothing where the run goes on
    again by now. With the run's row locked, as by who decides about it."""
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.select_for_update(of=("self",)).get(id=run_id)
        if run.state == RunState.PAUSED:
            job.stop(state=JobState.PAUSED)
        elif run.state == RunState.CANCELLED:
            job.stop(state=JobState.CANCELLED)
