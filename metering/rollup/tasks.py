"""Roll-up as due work: asked for by each batch in its own transaction, and once a minute anyway."""

from datetime import timedelta

from metering.rollup.services.gather_months import (
    GATHERED_BACK,
    gather_lately,
    gather_months,
)
from metering.rollup.services.roll_up import roll_up_pending
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("metering.roll_up", lease_seconds=600, keep_days=2, urgent=True)
def roll_up(job: JobRun) -> Result:
    """Fold all that is pending, so that of many jobs at once the first does the work.

    It may run twice or side by side: a batch is folded and marked in one transaction.
    """
    folded = roll_up_pending(now=job.now)
    return {"batches": folded.batches, "events": folded.events}


@job_kind("metering.gather_months", lease_seconds=1800)
def gather(job: JobRun) -> Result:
    """Add the days of late to the different users of their months; none is added twice."""
    days = gather_months(
        now=job.now,
        from_day=job.now.date() - GATHERED_BACK,
        progress=lambda: job.progress(0, 1),
    )
    return {"days": days}


@job_kind("metering.gather_lately", lease_seconds=1800, keep_days=2)
def gather_what_came(job: JobRun) -> Result:
    """Add what came lately; looks back over several runs, so that a missed one is made up for."""
    days = gather_lately(
        now=job.now, since=job.now - timedelta(hours=1), progress=lambda: job.progress(0, 1)
    )
    return {"days": days}


schedule(
    name="metering.gather_lately",
    every=timedelta(minutes=10),
    kind="metering.gather_lately",
    catch_up="skip",
    offset=timedelta(minutes=5),
)
schedule(
    name="metering.gather_months",
    every=timedelta(hours=6),
    kind="metering.gather_months",
    catch_up="last",
    offset=timedelta(hours=1),
)
schedule(
    name="metering.roll_up",
    every=timedelta(minutes=1),
    kind="metering.roll_up",
    catch_up="skip",
)
