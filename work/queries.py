"""What the console and the commands show of due work; on the alias of the caller's scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Min, QuerySet
from django.db.models.functions import Now

from work import registry
from work.connections import JOBS, current_alias, cursor
from work.domain import AT_ONCE, JobState
from work.models import Job, OutboxMessage

HEARTBEAT_LATE_AFTER = timedelta(seconds=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job, as lists show it."""

    id: UUID
    tenant_id: UUID | None
    kind: str
    key: str
    state: JobState
    attempts: int
    max_attempts: int
    run_at: datetime | None
    """None: due since it was asked for."""
    done: int | None
    total: int | None
    error_code: str
    error_detail: str
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetail(JobRow):
    """One job whole."""

    payload: dict[str, Any]
    version: int
    result: Any
    lease_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one job is. `percent` is None while its task has told nothing."""

    state: JobState
    done: int | None
    total: int | None
    percent: int | None
    error_code: str
    error_detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount:
    """How many jobs of one kind are in one state."""

    kind: str
    state: JobState
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """One schedule and its newest slot."""

    name: str
    kind: str
    every: timedelta
    catch_up: str
    last_slot_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHealth:
    """Whether work flows."""

    due: int
    oldest_due_seconds: int
    """How long the job that waits longest has been due."""
    running: int
    overdue_leases: int
    parked: int
    paused: int
    outbox_waiting: int
    outbox_oldest_seconds: int
    last_heartbeat_at: datetime | None
    alive: bool
    """Whether a worker has done a heartbeat within HEARTBEAT_LATE_AFTER."""


def job_counts() -> list[KindCount]:
    """Jobs by kind and state."""
    counted = _jobs().values("kind", "state").annotate(count=Count("id")).order_by("kind", "state")
    return [
        KindCount(kind=row["kind"], state=JobState(row["state"]), count=row["count"])
        for row in counted
    ]


def jobs(
    *,
    states: Sequence[JobState] | None = None,
    kinds: Sequence[str] | None = None,
    tenant_id: UUID | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[JobRow]:
    """The newest jobs first, narrowed by what is given; `before` is the last id of the last page."""
    wanted = _jobs()
    if states is not None:
        wanted = wanted.filter(state__in=list(states))
    if kinds is not None:
        wanted = wanted.filter(kind__in=list(kinds))
    if tenant_id is not None:
        wanted = wanted.filter(tenant_id=tenant_id)
    if before is not None:
        wanted = wanted.filter(pk__lt=before)
    return [JobRow(**_shown(job)) for job in wanted.order_by("-id")[:limit]]


def job(*, job_id: UUID) -> JobDetail | None:
    """One job whole, or None."""
    found = _jobs().filter(pk=job_id).first()
    if found is None:
        return None
    return JobDetail(
        **_shown(found),
        payload=found.payload,
        version=found.version,
        result=found.result,
        lease_until=found.lease_until,
    )


def progress(*, job_id: UUID) -> Progress | None:
    """How far one job is, or None when there is no such job."""
    return _progress(_jobs().filter(pk=job_id).first())


def progress_of(*, kind: str, key: str) -> Progress | None:
    """The same of the newest job of a kind and business key."""
    return _progress(_jobs().filter(kind=kind, key=key).order_by("-created_at").first())


def newest_result(*, kind: str) -> Mapping[str, Any] | None:
    """What the newest job of a kind that is done told; None where none has told anything. Outside any scope."""
    found: Mapping[str, Any] | None = (
        Job.objects.using(JOBS)
        .filter(kind=kind, state=JobState.DONE)
        .order_by("-id")
        .values_list("result", flat=True)
        .first()
    )
    return found


def _progress(found: Job | None) -> Progress | None:
    if found is None:
        return None
    done, total = found.progress_done, found.progress_total
    percent = None if done is None or not total else min(100, done * 100 // total)
    if found.state == JobState.DONE:
        percent = 100
    return Progress(
        state=JobState(found.state),
        done=done,
        total=total,
        percent=percent,
        error_code=found.error_code,
        error_detail=found.error_detail,
    )


def queue_health(*, now: datetime) -> QueueHealth:
    """Whether work flows, at `now`."""
    with cursor() as rows:
        rows.execute(
            """
            SELECT count(*) FILTER (WHERE state = 'ready' AND run_at <= %(now)s),
                   coalesce(max(extract(epoch FROM %(now)s - greatest(run_at, created_at)))
                            FILTER (WHERE state = 'ready' AND run_at <= %(now)s), 0)::bigint,
                   count(*) FILTER (WHERE state = 'running'),
                   count(*) FILTER (WHERE state = 'running'
                                      AND lease_until <= statement_timestamp()),
                   count(*) FILTER (WHERE state = 'parked'),
                   count(*) FILTER (WHERE state = 'paused')
              FROM work_job WHERE state IN ('ready', 'running', 'parked', 'paused')
            """,
            {"now": now},
        )
        due, oldest, running, overdue, parked, paused = rows.fetchone()
    beat = (
        _jobs()
        .filter(kind=_HEARTBEAT, state=JobState.DONE)
        .order_by("-id")
        .values_list("finished_at", flat=True)
        .first()
    )
    outbox = (
        OutboxMessage.objects.using(current_alias())
        .filter(relayed_at__isnull=True)
        .aggregate(count=Count("id"), age=Now() - Min("created_at"))
    )
    age: timedelta = outbox["age"] or timedelta(0)
    return QueueHealth(
        due=due,
        oldest_due_seconds=max(0, oldest),
        running=running,
        overdue_leases=overdue,
        parked=parked,
        paused=paused,
        outbox_waiting=outbox["count"],
        outbox_oldest_seconds=max(0, int(age.total_seconds())),
        last_heartbeat_at=beat,
        alive=beat is not None and now - beat <= HEARTBEAT_LATE_AFTER,
    )


def schedules() -> list[ScheduleRow]:
    """All schedules and when each was last due; for roles that may read slots."""
    with cursor() as rows:
        rows.execute("SELECT schedule, max(slot_at) FROM work_slot GROUP BY schedule")
        last = dict(rows.fetchall())
    return [
        ScheduleRow(
            name=each.name,
            kind=each.kind,
            every=each.cadence.every,
            catch_up=each.catch_up,
            last_slot_at=last.get(each.name),
        )
        for each in registry.schedules()
    ]


_HEARTBEAT = "work.heartbeat"


def _jobs() -> QuerySet[Job]:
    return Job.objects.using(current_alias())


def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": job.pk,
        "tenant_id": job.tenant_id,
        "kind": job.kind,
        "key": job.key,
        "state": JobState(job.state),
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "run_at": None if job.run_at == AT_ONCE else job.run_at,
        "done": job.progress_done,
        "total": job.progress_total,
        "error_code": job.error_code,
        "error_detail": job.error_detail,
        "requested_by": job.requested_by,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
    }
