"""Running jobs: the one that a worker was woken for, or all that is due, in this process.

A task runs outside any transaction. What it raises is recorded in the job's row; it never stops
the runner. A broken database connection fails one job, which is tried again.
"""

import logging
import time
from collections.abc import Callable, Collection
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections, transaction

from work import claims, database_clock, outbox, registry, schedules
from work.claims import Claim
from work.connections import JOBS
from work.domain import JobState, Payload
from work.failures import Failure, LeaseLost, Postponed, failure_of
from work.models import Job
from work.registry import Result

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_inside_task: ContextVar[bool] = ContextVar("inside_task", default=False)

_DATABASE_PATIENCE_SECONDS = 60
_PROGRESS_EVERY_SECONDS = 0.5
_POLL_SECONDS = 0.2


class JobRun:
    """One run of one job, as its task sees it."""

    def __init__(self, *, claim: Claim, now: datetime) -> None:
        self._claim = claim
        self._completed = False
        self._told_at = time.monotonic()
        # Inside a sandbox everything happens in one transaction that is rolled back.
        self._in_sandbox = connections[JOBS].in_atomic_block
        self.now = now
        """The instant for which the job runs; pass it on."""

    @property
    def id(self) -> UUID:
        return self._claim.job_id

    @property
    def key(self) -> str:
        return self._claim.key

    @property
    def tenant_id(self) -> UUID | None:
        return self._claim.tenant_id

    @property
    def payload(self) -> Payload:
        return self._claim.payload

    @property
    def version(self) -> int:
        """The payload's version: at most what the kind declares."""
        return self._claim.version

    @property
    def attempt(self) -> int:
        """1 at the first start."""
        return self._claim.attempt

    @property
    def requested_by(self) -> str:
        return self._claim.requested_by

    @property
    def completed(self) -> bool:
        """Whether `complete` or `stop` was called."""
        return self._completed

    def progress(self, done: int, total: int) -> None:
        """Say that `done` of `total` parts are finished, and keep the lease for another while.

        To be called between scopes, more often than the lease is long; it may be called as often
        as one likes, since it writes twice a second at most. Raises LeaseLost: stop at once.
        """
        if connections[JOBS].in_atomic_block and not self._in_sandbox:
            raise RuntimeError("report progress between scopes: inside one nobody would see it")
        if done < total and time.monotonic() - self._told_at < _PROGRESS_EVERY_SECONDS:
            return
        claims.extend(self._claim, done=done, total=total)
        self._told_at = time.monotonic()

    def fence(self) -> None:
        """Inside a system scope: let its transaction commit only while this run holds the job.

        For an effect without a unique key of its own. Raises LeaseLost.
        """
        self._demand_transaction()
        claims.hold(self._claim)

    def complete(self, *, result: Result = None) -> None:
        """Inside a system scope: mark the job done, so that effect and mark commit together.

        What the task then returns is ignored. Raises LeaseLost.
        """
        self._demand_transaction()
        claims.finish(self._claim, result=result)
        transaction.on_commit(self._set_completed, using=JOBS)
        if self._in_sandbox:
            self._set_completed()

    def stop(self, *, state: Literal[JobState.PAUSED, JobState.CANCELLED]) -> None:
        """Inside a system scope: leave off unfinished, since what the job belongs to is held or given up.

        A paused job counts this start not. What the task then returns is ignored. Raises LeaseLost.
        """
        self._demand_transaction()
        claims.stop(self._claim, state=state)
        transaction.on_commit(self._set_completed, using=JOBS)
        if self._in_sandbox:
            self._set_completed()

    def gives_up_after(self, error: Exception) -> bool:
        """Whether the job will be parked if this run ends with `error`."""
        return failure_of(error).final or self.attempt >= self._claim.max_attempts

    def _set_completed(self) -> None:
        self._completed = True

    def _demand_transaction(self) -> None:
        if not connections[JOBS].in_atomic_block:
            raise RuntimeError("open a system scope first: the mark belongs to its transaction")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedJob:
    """A job that a person must look at."""

    job_id: UUID
    tenant_id: UUID | None
    kind: str
    key: str
    code: str
    detail: str


@dataclass(slots=True, kw_only=True)
class RunSummary:
    """What a runner did."""

    done: int = 0
    tried_again: int = 0
    postponed: int = 0
    lost: int = 0
    parked: list[ParkedJob] = field(default_factory=list)


def run_job(*, job_id: UUID, now: Callable[[], datetime], go_on_for_seconds: int) -> RunSummary:
    """Run the job of that id if it is due and free, then others that are due while time remains.

    `now` is read before each job, of a clock that was just set by the database's. Workers call this; one
    message may thus start many short jobs.
    """
    summary = RunSummary()
    until = time.monotonic() + go_on_for_seconds
    patiently(database_clock.agree)
    patiently(claims.end_leases_of_the_dead)
    claim = patiently(lambda: claims.claim(now=now(), job_id=job_id))
    if claim is not None:
        _run(claim, now=now(), rest=True, summary=summary)
    while time.monotonic() < until:
        patiently(database_clock.agree)
        claim = patiently(lambda: claims.claim(now=now()))
        if claim is None:
            break
        _run(claim, now=now(), rest=True, summary=summary)
    return summary


def run_pending(
    *,
    now: datetime,
    kinds: Collection[str] | None = None,
    on_progress: Callable[[RunSummary], None] | None = None,
) -> RunSummary:
    """Run all that is due at `now`, in this process, until nothing of it is left; for commands.

    Relays the outbox first and after each job, so that what follows from a job is run too. With
    `kinds`, only jobs of those kinds are run, and nothing is relayed where none of them listens. Needs no worker and no broker; where workers run,
    both share the jobs, and this waits for those that a worker has begun. A failed job is tried
    again without rest until it is done or parked.

    Call it outside any scope (in a sandbox, inside the sandbox's transaction). Raises RuntimeError
    inside a task, which would wait for itself: a task enqueues what follows.
    """
    if _inside_task.get():
        raise RuntimeError("a task enqueues further work, it does not run it")
    summary = RunSummary()
    listeners = {kind for names in registry.subscriptions().values() for kind in names}
    relays = kinds is None or not listeners.isdisjoint(kinds)
    patiently(claims.end_leases_of_the_dead)
    while True:
        if relays:
            patiently(outbox.relay)
        claim = patiently(lambda: claims.claim(now=now, kinds=kinds))
        if claim is not None:
            _run(claim, now=now, rest=False, summary=summary)
            if on_progress is not None:
                on_progress(summary)
        elif patiently(lambda: _others_run(kinds)):
            time.sleep(_POLL_SECONDS)
            patiently(claims.end_leases_of_the_dead)
        else:
            return summary


def run_due(
    *,
    now: datetime,
    kinds: Collection[str] | None = None,
    on_progress: Callable[[RunSummary], None] | None = None,
) -> RunSummary:
    """As `run_pending`, after opening the slots of every schedule that is due at `now`."""
    patiently(lambda: schedules.open_due_slots(now=now))
    return run_pending(now=now, kinds=kinds, on_progress=on_progress)


def patiently(step: Callable[[], Answer]) -> Answer:
    """Do a short database step, again while the database is away, for up to a minute.

    The step must be one transaction, so that doing it again is safe. Raises OperationalError when
    the database does not come back, and at once inside an open transaction.
    """
    until = time.monotonic() + _DATABASE_PATIENCE_SECONDS
    pause = 0.1
    while True:
        try:
            return step()
        except (OperationalError, InterfaceError):
            if _in_transaction() or time.monotonic() > until:
                raise
            drop_broken_connections()
            time.sleep(pause)
            pause = min(pause * 2, 2)


def drop_broken_connections() -> None:
    """Close what the database has closed on its side; the next query connects anew."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            # Some error happened on it, so the check is made whatever its age.
            connection.errors_occurred = True
            connection.close_if_unusable_or_obsolete()


def _run(claim: Claim, *, now: datetime, rest: bool, summary: RunSummary) -> None:
    """Run a claimed job and record how it ended."""
    job = JobRun(claim=claim, now=now)
    name = f"{claim.kind.name} {claim.key}"
    inside = _inside_task.set(True)
    try:
        try:
            result = claim.kind.task(job)
        except LeaseLost:
            raise
        except Postponed as later:
            run_at = later.run_at
            _mark(lambda: claims.give_back(claim, run_at=run_at))
            summary.postponed += 1
        except Exception as error:  # noqa: BLE001  # whatever a task raises is its job's failure
            _record_failure(
                claim, failure_of(error), error=error, now=now, rest=rest, summary=summary
            )
        except BaseException:
            # Ctrl-C or an orderly stop: the job is somebody else's again, at once.
            _mark(lambda: claims.give_back(claim))
            raise
        else:
            if not job.completed:
                _mark(lambda: claims.finish(claim, result=result))
            summary.done += 1
    except LeaseLost:
        logger.warning("lost lease: %s, attempt %d is too late", name, claim.attempt)
        summary.lost += 1
    finally:
        _inside_task.reset(inside)


def _record_failure(
    claim: Claim,
    failure: Failure,
    *,
    error: Exception,
    now: datetime,
    rest: bool,
    summary: RunSummary,
) -> None:
    drop_broken_connections()
    parked = _mark(lambda: claims.fail(claim, failure, now=now, rest=rest))
    logger.log(
        logging.ERROR if parked else logging.WARNING,
        "job %s %s: attempt %d of %d failed with %s, %s",
        claim.kind.name,
        claim.key,
        claim.attempt,
        claim.max_attempts,
        failure.code,
        "parked" if parked else "to be tried again",
        exc_info=None if failure.final else error,
    )
    if not parked:
        summary.tried_again += 1
        return
    summary.parked.append(
        ParkedJob(
            job_id=claim.job_id,
            tenant_id=claim.tenant_id,
            kind=claim.kind.name,
            key=claim.key,
            code=failure.code,
            detail=failure.detail,
        )
    )


def _mark(step: Callable[[], Answer]) -> Answer:
    """Record an outcome even if the database restarts just now.

    Where the first try committed but its answer was lost, the second finds the job no longer held:
    that is LeaseLost, and right, since the job's state is what was asked for.
    """
    return patiently(step)


def _others_run(kinds: Collection[str] | None) -> bool:
    """Whether other runners have begun jobs of these kinds that they may still finish or lose."""
    if _in_transaction():
        return False
    running = Job.objects.using(JOBS).filter(state=JobState.RUNNING)
    if kinds is not None:
        running = running.filter(kind__in=list(kinds))
    return running.exists()


def _in_transaction() -> bool:
    return any(each.in_atomic_block for each in connections.all(initialized_only=True))
