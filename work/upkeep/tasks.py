"""The heartbeat and the tidying of rows that no rule needs any more."""

from datetime import timedelta

from django.db import connections, transaction

from work.connections import JOBS
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule

HEARTBEAT = "work.heartbeat"
HEARTBEAT_EVERY = timedelta(minutes=1)

TIDY_AFTER = timedelta(days=14)
"""Done jobs that a schedule called for, and their slots, are kept so long. Jobs asked for by
business key stay, as do messages: the key guards against doing the work again."""


@job_kind(HEARTBEAT, lease_seconds=30, max_attempts=1)
def heartbeat(job: JobRun) -> Result:
    """Nothing but being done: when the last one was is told by `work.queries.queue_health`."""
    return None


@job_kind("work.tidy")
def tidy(job: JobRun) -> Result:
    """Remove what is older than TIDY_AFTER, but never a schedule's newest slot."""
    with transaction.atomic(using=JOBS), connections[JOBS].cursor() as cursor:
        cursor.execute(
            "DELETE FROM work_job WHERE state = 'done' AND requested_by LIKE 'schedule:%%'"
            " AND finished_at < statement_timestamp() - make_interval(days => %s)",
            [TIDY_AFTER.days],
        )
        jobs = cursor.rowcount
        cursor.execute(
            """
            DELETE FROM work_slot AS old
             WHERE slot_at < %s
               AND EXISTS (SELECT 1 FROM work_slot AS newer
                            WHERE newer.schedule = old.schedule AND newer.slot_at > old.slot_at
                              AND newer.slot_at <= %s)
            """,
            [job.now - TIDY_AFTER, job.now],
        )
        return {"jobs": jobs, "slots": cursor.rowcount}


schedule(name=HEARTBEAT, every=HEARTBEAT_EVERY, kind=HEARTBEAT, catch_up="skip")
schedule(name="work.tidy", every=timedelta(days=1), kind="work.tidy", catch_up="last")
