"""Day close by the clock: every quarter of an hour, for the zones whose midnight has passed."""

from datetime import timedelta
from typing import Final

from django.conf import settings

from metering.days.services.close_days import close_days
from metering.rollup.services.roll_up import roll_up_pending
from tenants.scope import system_scope
from work import jobs
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule

_RECOUNT: Final = "metering.recount_days"


@job_kind("metering.close_days", lease_seconds=900)
def close_due_days(job: JobRun) -> Result:
    """Close what is over, and have it counted anew; running it twice closes nothing twice."""
    # In steps first, so that the closing transaction folds the last arrivals only.
    roll_up_pending(now=job.now)
    with system_scope(purpose="close days"):
        closed = close_days(now=job.now, settling=settling_time())
        if closed.days:
            jobs.enqueue(kind=_RECOUNT, key=f"close:{job.id}", payload={})
    return {"tenants": closed.tenants, "days": closed.days}


def settling_time() -> timedelta:
    """How long after a local midnight late arrivals still belong to the day: the setting
    SUMMIT_SETTLING_SECONDS, 0 by default."""
    return timedelta(seconds=getattr(settings, "SUMMIT_SETTLING_SECONDS", 0))


schedule(
    name="metering.close_days",
    every=timedelta(minutes=15),
    kind="metering.close_days",
    catch_up="last",
)
