"""Taking a job, keeping it, giving it back: every change of a job's state by a runner.

Each function is one short transaction on the jobs role. Leases are counted by the database's
clock, so that machines whose clocks differ agree. Every mark names the token of the run, so that
a runner whose lease ended can't mark what is another's by now.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, QuerySet, Value
from django.db.models.functions import Now

from work import processes, registry
from work.connections import JOBS
from work.domain import JobState, Payload, backoff
from work.failures import (
    AWAITS_NEWER_WORKER,
    RUNNER_LOST,
    Failure,
    LeaseLost,
    unknown_kind,
    unknown_version,
)
from work.models import Job
from work.registry import JobKind, Result

BACKOFF_CAP = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job that this process may run until its lease ends."""

    job_id: UUID
    kind: JobKind
    key: str
    tenant_id: UUID | None
    payload: Payload
    version: int
    attempt: int
    max_attempts: int
    requested_by: str
    token: str


def claim(
    *, now: datetime, kinds: Collection[str] | None = None, job_id: UUID | None = None
) -> Claim | None:
    """Take the job of that id, or the next one that is due at `now`; None when there is none.

    A job whose runner was lost comes first. Parks, and passes over, what this process doesn't
    know and what has used up its starts.
    """
    while True:
        with transaction.atomic(using=JOBS):
            job = _candidate(now=now, kinds=kinds, job_id=job_id)
            if job is None:
                return None
            kind = registry.find_kind(job.kind)
            fault = _fault(job, kind)
            if kind is not None and fault is None:
                return _take(job, kind)
            if fault is not None:
                _park(_jobs().filter(pk=job.pk), fault)


def _candidate(*, now: datetime, kinds: Collection[str] | None, job_id: UUID | None) -> Job | None:
    """The row to take, locked; rows that another claim holds are passed over. A lost one comes first,
    then what is urgent."""
    wanted = _jobs().select_for_update(skip_locked=True)
    if kinds is not None:
        wanted = wanted.filter(kind__in=list(kinds))
    if job_id is not None:
        wanted = wanted.filter(pk=job_id)
    lost = wanted.filter(state=JobState.RUNNING, lease_until__lte=Now())
    due = wanted.filter(state=JobState.READY, run_at__lte=now)
    due = due.order_by("run_at", "id")
    urgent = [kind.name for kind in registry.kinds().values() if kind.urgent]
    return (
        lost.order_by("lease_until").first() or due.filter(kind__in=urgent).first() or due.first()
    )


def _fault(job: Job, kind: JobKind | None) -> Failure | None:
    """Why the job can't be started, if so."""
    if kind is None:
        return unknown_kind(job.kind)
    if job.version > kind.version:
        return unknown_version(version=job.version, known=kind.version)
    if job.attempts >= job.max_attempts:
        return RUNNER_LOST
    return None


def _take(job: Job, kind: JobKind) -> Claim:
    token = processes.new_token()
    _jobs().filter(pk=job.pk).update(
        state=JobState.RUNNING,
        attempts=F("attempts") + 1,
        lease_until=Now() + kind.lease,
        leased_by=token,
        started_at=Now(),
        finished_at=None,
        progress_done=None,
        progress_total=None,
    )
    return Claim(
        job_id=job.pk,
        kind=kind,
        key=job.key,
        tenant_id=job.tenant_id,
        payload=job.payload,
        version=job.version,
        attempt=job.attempts + 1,
        max_attempts=job.max_attempts,
        requested_by=job.requested_by,
        token=token,
    )


def extend(claim: Claim, *, done: int | None = None, total: int | None = None) -> None:
    """Renew the lease and say how far the work is. Raises LeaseLost."""
    changes: dict[str, Any] = {"lease_until": Now() + claim.kind.lease}
    if done is not None:
        changes |= {"progress_done": done, "progress_total": total}
    if not _held(claim).update(**changes):
        raise LeaseLost(f"{claim.kind.name} {claim.key}")


def hold(claim: Claim) -> None:
    """Lock the job's row until the open transaction ends: nobody else can take it before that.

    Raises LeaseLost when somebody has.
    """
    if _held(claim).select_for_update().first() is None:
        raise LeaseLost(f"{claim.kind.name} {claim.key}")


def finish(claim: Claim, *, result: Result) -> None:
    """Mark the job done. Raises LeaseLost when it is no longer this run's to mark."""
    marked = _held(claim).update(
        state=JobState.DONE,
        result=None if result is None else dict(result),
        error_code="",
        error_detail="",
        finished_at=Now(),
        lease_until=None,
        leased_by="",
    )
    if not marked:
        raise LeaseLost(f"{claim.kind.name} {claim.key}")


def fail(claim: Claim, failure: Failure, *, now: datetime, rest: bool) -> bool:
    """Record a failed run: the job rests and comes again, or is parked. Whether it was parked.

    Without `rest` it comes again at once, behind what is due already: a command that finishes its
    own work doesn't wait. Raises LeaseLost.
    """
    if failure.final or claim.attempt >= claim.max_attempts:
        marked = _park(_held(claim), failure)
    else:
        pause = timedelta(0)
        if rest:
            pause = backoff(
                job_id=claim.job_id,
                attempt=claim.attempt,
                base=claim.kind.backoff,
                cap=BACKOFF_CAP,
            )
        # `now` is when the run began; it failed as much later as the database saw it run.
        due = Value(now + pause, DateTimeField())
        marked = _held(claim).update(
            state=JobState.READY,
            run_at=ExpressionWrapper(due + (Now() - F("started_at")), DateTimeField())
            if rest
            else due,
            error_code=failure.code,
            error_detail=failure.detail,
            dispatched_at=None,
            lease_until=None,
            leased_by="",
        )
    if not marked:
        raise LeaseLost(f"{claim.kind.name} {claim.key}")
    return failure.final or claim.attempt >= claim.max_attempts


def give_back(claim: Claim, *, run_at: datetime | None = None) -> None:
    """Return an unfinished job as if this run had not begun. Raises LeaseLost."""
    changes: dict[str, Any] = {} if run_at is None else {"run_at": run_at}
    marked = _held(claim).update(
        state=JobState.READY,
        attempts=F("attempts") - 1,
        dispatched_at=None,
        lease_until=None,
        leased_by="",
        **changes,
    )
    if not marked:
        raise LeaseLost(f"{claim.kind.name} {claim.key}")


def stop(claim: Claim, *, state: JobState) -> None:
    """Mark a job paused as if this run had not begun, or cancelled. Raises LeaseLost."""
    changes: dict[str, Any] = {"finished_at": Now()}
    if state == JobState.PAUSED:
        changes = {"attempts": F("attempts") - 1}
    marked = _held(claim).update(state=state, lease_until=None, leased_by="", **changes)
    if not marked:
        raise LeaseLost(f"{claim.kind.name} {claim.key}")


def end_leases_of_the_dead() -> int:
    """End the leases of runs whose process on this machine is gone; gives how many."""
    machine = processes.machine()
    if not machine:
        return 0
    held = _jobs().filter(
        state=JobState.RUNNING, lease_until__gt=Now(), leased_by__startswith=f"{machine}:"
    )
    dead = [token for token in held.values_list("leased_by", flat=True) if processes.is_gone(token)]
    if not dead:
        return 0
    return _jobs().filter(state=JobState.RUNNING, leased_by__in=dead).update(lease_until=Now())


def take_up_the_unknown() -> int:
    """Make jobs ready that an older worker parked and that this process knows; gives how many."""
    count = 0
    for kind in registry.kinds().values():
        count += (
            _jobs()
            .filter(
                state=JobState.PARKED,
                error_code__in=AWAITS_NEWER_WORKER,
                kind=kind.name,
                version__lte=kind.version,
            )
            .update(
                state=JobState.READY,
                error_code="",
                error_detail="",
                finished_at=None,
                dispatched_at=None,
            )
        )
    return count


def due_and_silent(*, now: datetime, silence: timedelta, most: int) -> list[UUID]:
    """Jobs that are due but for which no worker was woken within `silence`; marks them as woken.

    Those with an ended lease are among them.
    """
    with transaction.atomic(using=JOBS):
        silent = _jobs().select_for_update(skip_locked=True)
        lost = silent.filter(state=JobState.RUNNING, lease_until__lte=Now())
        due = silent.filter(state=JobState.READY, run_at__lte=now).exclude(
            dispatched_at__gt=Now() - silence
        )
        ids = [
            *lost.order_by("lease_until").values_list("pk", flat=True)[:most],
            *due.order_by("run_at", "id").values_list("pk", flat=True)[:most],
        ]
        _jobs().filter(pk__in=ids).update(dispatched_at=Now())
    return ids


def _held(claim: Claim) -> QuerySet[Job]:
    return _jobs().filter(pk=claim.job_id, state=JobState.RUNNING, leased_by=claim.token)


def _park(jobs: QuerySet[Job], failure: Failure) -> int:
    return jobs.update(
        state=JobState.PARKED,
        error_code=failure.code,
        error_detail=failure.detail,
        finished_at=Now(),
        lease_until=None,
        leased_by="",
    )


def _jobs() -> QuerySet[Job]:
    return Job.objects.using(JOBS)
