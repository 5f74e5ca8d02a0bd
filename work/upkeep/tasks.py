"""The heartbeat, and the removal of rows that no rule needs any more."""

from datetime import timedelta

from django.db import connections, transaction

from work import registry
from work.connections import JOBS
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule

HEARTBEAT = "work.heartbeat"
HEARTBEAT_EVERY = timedelta(minutes=1)

TIDY_AFTER = timedelta(days=14)
"""Done jobs that a schedule called for, and their slots, are kept so long. Of jobs that were asked
for by business key, only kinds that say so (`keep_days`) are removed: the key guards against doing
the work again, as it does for messages."""

_BATCH = 5_000


@job_kind(HEARTBEAT, lease_seconds=30, max_attempts=1, urgent=True)
def heartbeat(job: JobRun) -> Result:
    """Nothing but being done: when the last one was is told by `work.queries.queue_health`."""
    return None


@job_kind("work.tidy", lease_seconds=300)
def tidy(job: JobRun) -> Result:
    """Remove what is old, in short transactions, but never a schedule's newest slot."""
    removed = _remove_jobs(job, "requested_by LIKE %s", ["schedule:%"], keep_days=TIDY_AFTER.days)
    for kind in registry.kinds().values():
        if kind.keep_done is not None:
            removed += _remove_jobs(job, "kind = %s", [kind.name], keep_days=kind.keep_done.days)
    with transaction.atomic(using=JOBS), connections[JOBS].cursor() as cursor:
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
        return {"jobs": removed, "slots": cursor.rowcount}


def _remove_jobs(job: JobRun, condition: str, values: list[str], *, keep_days: int) -> int:
    """Remove done jobs of that condition that ended over `keep_days` ago; gives how many."""
    removed = 0
    while True:
        with transaction.atomic(using=JOBS), connections[JOBS].cursor() as cursor:
            cursor.execute(
                f"""
                DELETE FROM work_job WHERE id IN (
                    SELECT id FROM work_job
                     WHERE state = 'done' AND {condition}
                       AND finished_at < statement_timestamp() - make_interval(days => %s)
                     LIMIT %s)
                """,  # noqa: S608  # the condition is one of the two above
                [*values, keep_days, _BATCH],
            )
            count = int(cursor.rowcount)
        removed += count
        if count < _BATCH:
            return removed
        job.progress(removed, removed + _BATCH)


schedule(name=HEARTBEAT, every=HEARTBEAT_EVERY, kind=HEARTBEAT, catch_up="skip")
schedule(name="work.tidy", every=timedelta(days=1), kind="work.tidy", catch_up="last")
