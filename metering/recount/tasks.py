"""The recount by the clock: every quarter of an hour, for days that were closed or corrected since."""

from datetime import timedelta

from metering.recount.services.recount_days import recount_closed_days
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("metering.recount_days", lease_seconds=1800)
def recount_days(job: JobRun) -> Result:
    """Count anew what is new; running it twice counts nothing twice."""
    recounted = recount_closed_days(now=job.now, progress=lambda: job.progress(0, 1))
    return {"tenants": recounted.tenants, "days": recounted.days}


schedule(
    name="metering.recount_days",
    every=timedelta(minutes=15),
    kind="metering.recount_days",
    catch_up="last",
    offset=timedelta(minutes=3),
)
