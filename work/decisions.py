"""What a person may decide about a job, in the caller's scope (the console's staff scope).

Each raises NotFound `job_not_found`, and Conflict `job_state_conflict` when the job is in no state
for it.
"""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now

from kernel.errors import Conflict, NotFound
from work import dispatch
from work.connections import current_alias
from work.domain import AT_ONCE, JobState
from work.models import Job


def retry(*, job_id: UUID) -> None:
    """Let a parked or cancelled job start again, with all its attempts."""
    _change(
        job_id,
        verb="retried",
        allowed={JobState.PARKED, JobState.CANCELLED},
        changes={
            "state": JobState.READY,
            "attempts": 0,
            "run_at": AT_ONCE,
            "error_code": "",
            "error_detail": "",
            "finished_at": None,
            "dispatched_at": Now(),
        },
    )
    transaction.on_commit(lambda: dispatch.wake_for_jobs([job_id]), using=current_alias())


def cancel(*, job_id: UUID) -> None:
    """Let a job that is not running never run."""
    _change(
        job_id,
        verb="cancelled",
        allowed={JobState.READY, JobState.PAUSED, JobState.PARKED},
        changes={"state": JobState.CANCELLED, "finished_at": Now()},
    )


def pause(*, job_id: UUID) -> None:
    """Hold back a job that has not begun."""
    _change(job_id, verb="paused", allowed={JobState.READY}, changes={"state": JobState.PAUSED})


def resume(*, job_id: UUID) -> None:
    """Let a paused job run at its time."""
    _change(
        job_id,
        verb="resumed",
        allowed={JobState.PAUSED},
        changes={"state": JobState.READY, "dispatched_at": None},
    )


def _change(
    job_id: UUID, *, verb: str, allowed: Collection[JobState], changes: dict[str, Any]
) -> None:
    with transaction.atomic(using=current_alias()):
        job = Job.objects.select_for_update().filter(pk=job_id).first()
        if job is None:
            raise NotFound("job_not_found", f"There is no job {job_id}.", field="job_id")
        if job.state not in allowed:
            states = " or ".join(sorted(allowed))
            raise Conflict(
                "job_state_conflict",
                f"The job is {job.state}; only one that is {states} can be {verb}.",
                field="job_id",
                params={"state": job.state, "allowed": sorted(allowed)},
            )
        Job.objects.filter(pk=job_id).update(**changes)
