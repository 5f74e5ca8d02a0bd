"""Mailing's jobs: what issued documents call for, and sending it."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.mailing.services.plan_mails import SEND, plan_mails
from billing.mailing.services.resend_many import RESEND, resend_all
from billing.mailing.services.send_mails import send_mails
from kernel import clock
from tenants.scope import system_scope
from work.jobs import JobRun, Postponed
from work.registry import Result, job_kind, subscriber

_TRIES: Final = 100
"""With rests of up to a quarter of an hour: about a day."""
_SOON: Final = timedelta(seconds=5)
_LATEST: Final = timedelta(minutes=10)


@subscriber("documents.issued", kind="mailing.plan")
def plan(job: JobRun) -> Result:
    """Write down the mails of documents that were issued together."""
    with system_scope(purpose="mail documents"):
        planned = plan_mails(
            invoices=_ids(job, "invoices"), credit_notes=_ids(job, "credit_notes"), now=job.now
        )
    return {"mails": planned}


def _ids(job: JobRun, name: str) -> list[UUID]:
    """The documents of a kind that were issued together; a message from before it had the kind has none."""
    told = job.payload.get(name, [])
    if not isinstance(told, list):
        raise TypeError(f"the payload's {name} are no list")
    return [UUID(str(each)) for each in told]


@job_kind(RESEND, lease_seconds=120, max_attempts=10)
def resend(job: JobRun) -> Result:
    """Send again all that a person asked for, step by step."""
    again = resend_all(
        wanted=str(job.payload["wanted"]),
        until=datetime.fromisoformat(str(job.payload["until"])),
        actor=str(job.payload["actor"]),
        clock=clock.now,
        on_progress=job.progress,
    )
    return {"mails": again}


@job_kind(SEND, lease_seconds=120, max_attempts=_TRIES, backoff_seconds=30)
def send(job: JobRun) -> Result:
    """Send a batch; come again while some of its documents aren't printed."""
    sent = send_mails(
        batch=UUID(str(job.payload["batch"])),
        clock=clock.now,
        on_progress=job.progress,
        last_try=job.attempt >= _TRIES,
    )
    if sent.unprinted_since is not None:
        # Soon at first, then after as long as it has taken: a large run prints for hours.
        waited = job.now - sent.unprinted_since
        raise Postponed(run_at=job.now + min(max(waited, _SOON), _LATEST))
    return dict(sent.outcomes)
