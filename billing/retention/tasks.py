"""Retention by the clock: once a day."""

from datetime import timedelta

from billing.retention.services.remove_files import remove_files
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("billing.remove_files", lease_seconds=1800, max_attempts=5)
def remove(job: JobRun) -> Result:
    """Remove what nothing keeps; running it twice removes nothing twice."""
    return {kind.value: count for kind, count in remove_files(now=job.now).items()}


schedule(
    name="billing.remove_files",
    every=timedelta(days=1),
    kind="billing.remove_files",
    catch_up="last",
    offset=timedelta(hours=3, minutes=40),
)
