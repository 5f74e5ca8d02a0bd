"""Recognition by the clock: once a day, when the date before is over in every time zone."""

from datetime import UTC, timedelta

from billing.ledger.services.recognize_revenue import recognize_revenue
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule


@job_kind("ledger.recognize_revenue", lease_seconds=1800, max_attempts=5)
def recognize(job: JobRun) -> Result:
    """Post what was earned; running it twice posts nothing twice."""
    over = (job.now.astimezone(UTC) - timedelta(hours=12)).date() - timedelta(days=1)
    recognized = recognize_revenue(through=over, now=job.now)
    return {"days": recognized.days, "transactions": recognized.transactions}


schedule(
    name="ledger.recognize_revenue",
    every=timedelta(days=1),
    kind="ledger.recognize_revenue",
    catch_up="last",
    offset=timedelta(hours=12, minutes=20),
)
