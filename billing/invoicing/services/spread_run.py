"""Execute a billing run by many workers: each range of its tenants is a job of its own."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.domain import RunState
from billing.invoicing.models import BillingRun
from billing.invoicing.services.run_billing import plan_run, prepare_run
from billing.invoicing.tenant_ranges import NamedTenants, TenantRange, Tenants
from tenants.scope import system_scope
from work import jobs
from work.domain import Payload
from work.jobs import Group, JobRequest

RUN_KIND: Final = "billing.run"
RANGE_KIND: Final = "billing.run_range"


def range_jobs(run_id: UUID) -> Group:
    """The jobs of a run's ranges."""
    return Group(kind=RANGE_KIND, requested_by=f"billing_run:{run_id}")


def run_job(run_id: UUID) -> Group:
    """The job that cuts a run into its ranges; a run by the schedule has none of this kind."""
    return Group(kind=RUN_KIND, key=str(run_id))


def spread_run(*, run_id: UUID, clock: Callable[[], datetime]) -> int:
    """Prepare a run and ask for a job for each of its ranges; gives how many.

    Repeatable: ranges are cut and asked for in one transaction, once. Those of a run that was paused
    meanwhile are held back; of one that was cancelled there are none.
    """
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.get(id=run_id)
    if run.ranges is not None or run.state == RunState.CANCELLED:
        return run.ranges or 0
    prepare_run(run_id=run_id, clock=clock)
    with system_scope(purpose=f"billing run {run_id}"):
        state = BillingRun.objects.select_for_update(of=("self",)).get(id=run_id).state
        if state == RunState.CANCELLED:
            return 0
        ranges = plan_run(run_id=run_id, now=clock())
        jobs.enqueue_many(
            JobRequest(
                kind=RANGE_KIND,
                key=f"{run_id}:{each.first}",
                payload={"run_id": str(run_id), **_payload(each)},
                requested_by=range_jobs(run_id).requested_by,
            )
            for each in ranges
        )
        if state == RunState.PAUSED:
            jobs.pause_all(range_jobs(run_id))
    return len(ranges)


def tenants_of_job(payload: Payload) -> Tenants:
    """The tenants that a range's job bills."""
    named = payload.get("tenants")
    if isinstance(named, list):
        return NamedTenants(ids=[UUID(str(each)) for each in named])
    first, end = payload["first"], payload["end"]
    return TenantRange(first=UUID(str(first)), end=None if end is None else UUID(str(end)))


def _payload(tenants: Tenants) -> Payload:
    if isinstance(tenants, NamedTenants):
        return {"tenants": [str(each) for each in tenants.ids]}
    return {
        "first": str(tenants.first),
        "end": None if tenants.end is None else str(tenants.end),
    }
