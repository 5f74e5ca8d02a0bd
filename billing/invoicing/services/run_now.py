"""Bill at once: a command's own run, on all of the machine's processors and without any worker."""

import os
from collections.abc import Callable
from datetime import datetime

from billing.invoicing.domain import HALTED, RunState
from billing.invoicing.models import BillingRun
from billing.invoicing.services.count_run import RunResult, run_result
from billing.invoicing.services.run_billing import create_run
from billing.invoicing.services.spread_run import RANGE_KIND, RUN_KIND
from kernel.errors import Conflict
from tenants.scope import system_scope
from work import jobs, parallel


def run_now(
    *,
    at: datetime,
    finalize: bool,
    tenant_key: str = "",
    dry: bool = False,
    requested_by: str,
    clock: Callable[[], datetime],
    on_progress: Callable[[RunResult], None] = lambda _: None,
) -> RunResult:
    """Record a run, a `dry` one if so, and do it to its end; workers that are there take ranges of it as well.

    Raises NotFound as `create_run`, Conflict `run_failed` where a range failed again and again: it is
    parked, the others are billed; `run_halted` where somebody paused or cancelled it meanwhile. Killed, it
    is gone on with by workers, or by the next run.
    """
    with system_scope(purpose="bill", actor=requested_by):
        run_id = create_run(
            at=at,
            finalize=finalize,
            tenant_key=tenant_key,
            dry=dry,
            requested_by=requested_by,
            now=clock(),
        )
        jobs.enqueue(
            kind=RUN_KIND,
            key=str(run_id),
            payload={"run_id": str(run_id)},
            requested_by=requested_by,
        )

    def tell() -> None:
        with system_scope(purpose=f"billing run {run_id}"):
            result = run_result(run_id=run_id)
        on_progress(result)

    jobs.run_pending(now=clock(), kinds={RUN_KIND})
    parallel.run_pending(
        now=clock(), kinds={RANGE_KIND}, processes=os.cpu_count() or 1, on_progress=tell
    )
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.get(id=run_id)
        if run.state in HALTED:
            raise Conflict(
                "run_halted",
                f"The run is {run.state}: of its {run.ranges} parts {run.ranges_done} are done. Resume it in "
                "the console, or start another.",
                params={"state": run.state},
            )
        if run.state != RunState.DONE:
            raise Conflict(
                "run_failed",
                f"Of {run.ranges} parts of the run {run.ranges_done} are done; its other jobs are "
                f"parked ({run.error}): mend the cause and try them again.",
            )
        return run_result(run_id=run_id)
