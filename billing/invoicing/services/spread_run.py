"""Execute a billing run by many workers: each range of its tenants is a job of its own."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.models import BillingRun
from billing.invoicing.services.run_billing import plan_run, prepare_run
from tenants.scope import system_scope
from work import jobs
from work.jobs import JobRequest

RANGE_KIND: Final = "billing.run_range"


def spread_run(*, run_id: UUID, clock: Callable[[], datetime]) -> int:
    """Prepare a run and ask for a job for each of its ranges; gives how many.

    Repeatable: ranges are cut and asked for in one transaction, once.
    """
    with system_scope(purpose=f"billing run {run_id}"):
        asked = BillingRun.objects.values_list("ranges", flat=True).get(id=run_id)
    if asked is not None:
        return asked
    prepare_run(run_id=run_id, clock=clock)
    with system_scope(purpose=f"billing run {run_id}"):
        ranges = plan_run(run_id=run_id, now=clock())
        jobs.enqueue_many(
            JobRequest(
                kind=RANGE_KIND,
                key=f"{run_id}:{each.first}",
                payload={
                    "run_id": str(run_id),
                    "first": str(each.first),
                    "end": None if each.end is None else str(each.end),
                },
                requested_by=f"billing_run:{run_id}",
            )
            for each in ranges
        )
    return len(ranges)
