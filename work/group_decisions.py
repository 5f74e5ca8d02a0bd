"""What a person decides about all jobs of one undertaking at once, in the caller's scope.

An undertaking's jobs have one kind, and `requested_by` or a key in common. Jobs in no state for the decision
stay as they are: a running one looks by itself whether it may go on (`JobRun.stop`). Each gives how many
jobs it changed.
"""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from work import dispatch
from work.connections import current_alias
from work.domain import AT_ONCE, JobState
from work.models import Job

_READY_AT_ONCE: dict[str, Any] = {
    "state": JobState.READY,
    "attempts": 0,
    "run_at": AT_ONCE,
    "error_code": "",
    "error_detail": "",
    "finished_at": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Jobs of a kind, with that key or asked for by that undertaking."""

    kind: str
    key: str = ""
    requested_by: str = ""


def pause_all(group: Group) -> int:
    """Hold back those that have not begun."""
    return _jobs(group, JobState.READY).update(state=JobState.PAUSED)


def resume_all(group: Group) -> int:
    """Let paused ones run at once."""
    return _start(_jobs(group, JobState.PAUSED))


def retry_all(group: Group) -> int:
    """Let parked ones start again, with all their attempts."""
    return _start(_jobs(group, JobState.PARKED))


def cancel_all(group: Group) -> int:
    """Let those that are not running never run."""
    return _jobs(group, JobState.READY, JobState.PAUSED, JobState.PARKED).update(
        state=JobState.CANCELLED, finished_at=Now()
    )


def _start(jobs: QuerySet[Job]) -> int:
    started = list(jobs.select_for_update().values_list("pk", flat=True))
    Job.objects.filter(pk__in=started).update(**_READY_AT_ONCE, dispatched_at=Now())
    transaction.on_commit(lambda: dispatch.wake_for_jobs(started), using=current_alias())
    return len(started)


def _jobs(group: Group, *states: JobState) -> QuerySet[Job]:
    wanted = {"key": group.key, "requested_by": group.requested_by}
    return Job.objects.filter(
        kind=group.kind,
        state__in=list(states),
        **{name: value for name, value in wanted.items() if value},
    )
