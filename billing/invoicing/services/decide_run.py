"""What a person decides about a billing run: pause, resume, cancel, try again.

In the caller's cross-tenant scope; each decision goes into the deployment's audit trail, with who made it.
Each raises NotFound `run_not_found`, and Conflict `run_state_conflict` for a run that is in no state for it.

The run's row is locked by who decides, and by a worker that leaves off: either the worker's job is held
before a decision to resume looks for held jobs, or the worker sees the run resumed and goes on.
"""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import (
    CANCELLABLE,
    OVER,
    PAUSABLE,
    RESUMABLE,
    RETRIABLE,
    RunState,
)
from billing.invoicing.models import BillingRun
from billing.invoicing.services.spread_run import RUN_KIND, range_jobs, run_job
from billing.invoicing.services.start_run import start_run
from kernel.errors import Conflict, NotFound
from tenants import audit
from work import jobs


def pause_run(*, run_id: UUID, actor: str, now: datetime) -> None:
    """Let no worker begin another chunk of the run; what is being done is finished and kept."""
    run = _locked(run_id, allowed=PAUSABLE)
    _become(run, RunState.PAUSED, action="billing_run.paused", actor=actor, now=now)
    for group in (range_jobs(run_id), run_job(run_id)):
        jobs.pause_all(group)


def resume_run(*, run_id: UUID, actor: str, now: datetime) -> None:
    """Go on from where the run was paused."""
    run = _locked(run_id, allowed=RESUMABLE)
    state = RunState.QUEUED if run.started_at is None else RunState.RUNNING
    # Measured anew: a pause is no slowness.
    run.measured_from, run.measured_ranges = now, run.ranges_done
    _become(
        run,
        RunState.FAILED if run.error else state,
        action="billing_run.resumed",
        actor=actor,
        now=now,
    )
    for group in (range_jobs(run_id), run_job(run_id)):
        jobs.resume_all(group)


def cancel_run(*, run_id: UUID, actor: str, now: datetime) -> None:
    """End the run where it stands. What it drafted and finalised stays; the next run finds the rest."""
    run = _locked(run_id, allowed=CANCELLABLE)
    run.finished_at = now
    _become(run, RunState.CANCELLED, action="billing_run.cancelled", actor=actor, now=now)
    for group in (range_jobs(run_id), run_job(run_id)):
        jobs.cancel_all(group)


def retry_run(*, run_id: UUID, actor: str, now: datetime) -> None:
    """Do what is left of a run that failed: its jobs that were parked start again."""
    run = _locked(run_id, allowed=RETRIABLE)
    run.error, run.finished_at = "", None
    run.measured_from, run.measured_ranges = now, run.ranges_done
    _become(run, RunState.RUNNING, action="billing_run.retried", actor=actor, now=now)
    if run.ranges is not None:
        jobs.retry_all(range_jobs(run_id))
    elif not jobs.retry_all(run_job(run_id)):
        # It was begun by the schedule, whose job has a name of its own.
        jobs.enqueue(
            kind=RUN_KIND, key=str(run_id), payload={"run_id": str(run_id)}, requested_by=actor
        )


def retry_parked(*, run_id: UUID, actor: str, now: datetime) -> UUID:
    """Try the tenants again that the run left aside, and no others, in a run of its own as of `now`.

    Raises Conflict `nothing_parked` where it left nobody aside.
    """
    run = _locked(run_id, allowed=OVER)
    if run.dry or not run.parked:
        raise Conflict("nothing_parked", "The run left no tenant aside.", field="run")
    return start_run(
        at=now,
        finalize=run.finalize,
        dry=run.dry,
        tenant_key="",
        retry_of=run.id,
        requested_by=actor,
        now=now,
    )


def _locked(run_id: UUID, *, allowed: Collection[RunState]) -> BillingRun:
    run = BillingRun.objects.select_for_update(of=("self",)).filter(id=run_id).first()
    if run is None:
        raise NotFound("run_not_found", "There is no such billing run.", field="run")
    if run.state not in allowed:
        states = " or ".join(sorted(allowed))
        raise Conflict(
            "run_state_conflict",
            f"The run is {run.state}; only one that is {states} can be changed that way.",
            field="run",
            params={"state": run.state, "allowed": sorted(allowed)},
        )
    return run


def _become(run: BillingRun, state: RunState, *, action: str, actor: str, now: datetime) -> None:
    before, run.state = run.state, state
    run.save()
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action=action,
            target=f"billing_run:{run.id}",
            before={"state": before},
            after={"state": state.value, "ranges_done": run.ranges_done},
        ),
        now=now,
    )
