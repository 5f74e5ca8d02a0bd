"""Upkeep of partitions by the clock, once a day."""

from datetime import timedelta

from metering.retention.services.keep_partitions import keep_partitions
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("metering.keep_partitions", lease_seconds=3600, max_attempts=3, backoff_seconds=300)
def keep(job: JobRun) -> Result:
    """Make the months ahead and drop what is outlived; running it twice does nothing twice."""
    kept = keep_partitions(now=job.now, progress=lambda: job.progress(0, 1))
    return {
        "made": list(kept.made),
        "dropped": list(kept.dropped),
        "waiting": dict(kept.waiting),
        "rows_removed": kept.rows_removed,
        "busy": kept.is_busy,
    }


schedule(
    name="metering.keep_partitions",
    every=timedelta(days=1),
    kind="metering.keep_partitions",
    catch_up="last",
    offset=timedelta(hours=2, minutes=40),
)
