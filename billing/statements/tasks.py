"""Statements' jobs: one for each that is asked for, and the daily look for the months that are over."""

from datetime import timedelta
from uuid import UUID

from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_monthly import request_monthly_statements
from billing.statements.services.request_statement import KIND
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind(KIND, lease_seconds=1800, max_attempts=5)
def make(job: JobRun) -> Result:
    """Make one; run again it finds it made."""
    state = make_statement(
        statement_id=UUID(str(job.payload["statement_id"])),
        now=job.now,
        on_progress=job.progress,
    )
    return {"state": state.value}


@job_kind("billing.request_monthly_statements", lease_seconds=600, max_attempts=5)
def request_monthly(job: JobRun) -> Result:
    """Ask for those of the months that are over; running it twice asks for none twice."""
    return {"requested": request_monthly_statements(now=job.now)}


schedule(
    name="billing.request_monthly_statements",
    every=timedelta(hours=6),
    kind="billing.request_monthly_statements",
    catch_up="last",
    offset=timedelta(hours=1, minutes=10),
)
