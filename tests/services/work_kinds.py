"""Kinds of jobs for the tests of `work`, known to the test process and to the workers it starts.

Effects and starts are rows, so that any process can leave one and none can take one back.
"""

import os
import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from django.db import connections

from kernel.errors import Invalid, Unavailable
from work.connections import JOBS, OWNER, transaction_on
from work.jobs import JobRun, Postponed, run_pending
from work.registry import Result, job_kind, schedule, subscriber

TABLES = """
CREATE TABLE IF NOT EXISTS work_test_start (
    id bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL, attempt integer NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS work_test_effect (
    id bigint GENERATED ALWAYS AS IDENTITY, key text NOT NULL);
"""


def make_tables() -> None:
    with connections[JOBS].cursor() as cursor:
        cursor.execute("SELECT current_user")
        (role,) = cursor.fetchone()
    with connections[OWNER].cursor() as cursor:
        cursor.execute(TABLES)
        cursor.execute(f'GRANT SELECT, INSERT ON work_test_start, work_test_effect TO "{role}"')


def drop_tables() -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS work_test_start, work_test_effect")


def note_start(job: JobRun) -> None:
    with connections[JOBS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO work_test_start (key, attempt) VALUES (%s, %s)", [job.key, job.attempt]
        )


def note_effect(job: JobRun) -> None:
    with connections[JOBS].cursor() as cursor:
        cursor.execute("INSERT INTO work_test_effect (key) VALUES (%s)", [job.key])


def starts() -> dict[str, int]:
    return _counted("work_test_start")


def effects() -> dict[str, int]:
    return _counted("work_test_effect")


def _counted(table: str) -> dict[str, int]:
    with connections[JOBS].cursor() as cursor:
        cursor.execute(f"SELECT key, count(*) FROM {table} GROUP BY key")
        return dict(cast(Sequence[tuple[str, int]], cursor.fetchall()))


@job_kind("test.effect", lease_seconds=30)
def effect(job: JobRun) -> Result:
    """Effect and mark in one transaction, after some milliseconds' work."""
    note_start(job)
    time.sleep(cast(int, job.payload.get("ms", 0)) / 1000)
    with transaction_on(JOBS):
        note_effect(job)
        job.complete(result={"attempt": job.attempt})
    return None


@job_kind("test.urgent", max_attempts=4, backoff_seconds=10, urgent=True)
def urgent(job: JobRun) -> Result:
    note_start(job)
    if job.attempt <= cast(int, job.payload.get("failures", 0)):
        raise RuntimeError("not yet")
    return None


@job_kind("test.slow", lease_seconds=2)
def slow(job: JobRun) -> Result:
    """Long work under a short lease, which it renews; slow in its first run only."""
    note_start(job)
    if job.attempt == 1:
        for step in range(100):
            time.sleep(cast(int, job.payload["ms"]) / 1000 / 100)
            job.progress(step + 1, 100)
    with transaction_on(JOBS):
        job.fence()
        note_effect(job)
    return {"attempt": job.attempt}


@job_kind("test.deaf", lease_seconds=1)
def deaf(job: JobRun) -> Result:
    """Longer than its lease, and silent: another takes over, and its effect must not commit."""
    note_start(job)
    if job.attempt == 1:
        time.sleep(cast(int, job.payload["ms"]) / 1000)
    with transaction_on(JOBS):
        job.fence()
        note_effect(job)
    return {"attempt": job.attempt}


@job_kind("test.suicide", max_attempts=5, backoff_seconds=0)
def suicide(job: JobRun) -> Result:
    note_start(job)
    os.kill(os.getpid(), signal.SIGKILL)
    return None


@job_kind("test.flaky", max_attempts=4, backoff_seconds=10)
def flaky(job: JobRun) -> Result:
    note_start(job)
    if job.attempt <= cast(int, job.payload["failures"]):
        raise Unavailable("gateway_down", "The gateway does not answer; try again later.")
    note_effect(job)
    return {"attempt": job.attempt}


@job_kind("test.broken", max_attempts=3)
def broken(job: JobRun) -> Result:
    raise ZeroDivisionError("a fault of the program")


@job_kind("test.invalid")
def invalid(job: JobRun) -> Result:
    raise Invalid("plan_missing", "There is no plan; subscribe the tenant first.", field="plan")


@job_kind("test.nested")
def nested(job: JobRun) -> Result:
    run_pending(now=job.now)
    return None


@job_kind("test.interrupted")
def interrupted(job: JobRun) -> Result:
    raise KeyboardInterrupt


@job_kind("test.patient")
def patient(job: JobRun) -> Result:
    note_start(job)
    if "wait" in job.payload and job.now.year < 2027:
        raise Postponed(run_at=job.now + timedelta(hours=1))
    return None


@job_kind("test.versioned", version=2)
def versioned(job: JobRun) -> Result:
    return {"version": job.version}


@subscriber("test.happened", kind="test.listener")
def listener(job: JobRun) -> Result:
    with transaction_on(JOBS):
        note_effect(job)
        job.complete()
    return None


@subscriber("test.happened", kind="test.second_listener")
def second_listener(job: JobRun) -> Result:
    return None


@job_kind("test.short_lived", keep_days=1)
def short_lived(job: JobRun) -> Result:
    return None


@job_kind("test.scheduled")
def scheduled(job: JobRun) -> Result:
    return None


schedule(name="test.hourly", every=timedelta(hours=1), kind="test.scheduled", catch_up="all")
schedule(
    name="test.daily",
    every=timedelta(days=1),
    offset=timedelta(hours=2),
    kind="test.scheduled",
    catch_up="last",
)
schedule(name="test.beat", every=timedelta(minutes=1), kind="test.scheduled", catch_up="skip")
