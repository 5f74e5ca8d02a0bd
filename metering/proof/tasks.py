"""Proof by the clock: every quarter of an hour, for the days that were closed since."""

from datetime import timedelta

from metering.proof.services.prove_days import prove_closed_days
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("metering.prove_days", lease_seconds=1800)
def prove_days(job: JobRun) -> Result:
    """Sign what is closed and not signed yet; running it twice signs nothing twice."""
    proven = prove_closed_days(now=job.now)
    return {"proofs": proven.proofs, "marks": proven.marks}


schedule(
    name="metering.prove_days",
    every=timedelta(minutes=15),
    kind="metering.prove_days",
    catch_up="last",
)
