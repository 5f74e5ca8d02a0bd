"""Certificates by the clock: every six hours, once the days of all zones are over."""

from datetime import timedelta

from billing.certificates.services import certify_recent_days
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("billing.certify_days", lease_seconds=1800, max_attempts=3)
def certify_days(job: JobRun) -> Result:
    """Sign what is closed; running it twice signs nothing twice."""
    certified = certify_recent_days(now=job.now)
    return {
        "days": len(certified),
        "made": sum(each.is_new for each in certified.values()),
        "drifted": sum(not each.found.agrees for each in certified.values()),
    }


schedule(
    name="billing.certify_days",
    every=timedelta(hours=6),
    kind="billing.certify_days",
    catch_up="last",
    offset=timedelta(minutes=40),
)
