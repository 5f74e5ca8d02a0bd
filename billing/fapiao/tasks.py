"""Fapiao's job: one a request, until it is issued or failed."""

from uuid import UUID

from billing.fapiao.domain.states import PENDING
from billing.fapiao.queries import requested_at
from billing.fapiao.services.ask_platform import KIND, ask_platform, next_look
from tenants.scope import system_scope
from work.jobs import JobRun, Postponed
from work.registry import Result, job_kind


@job_kind(KIND, lease_seconds=120, max_attempts=20, backoff_seconds=10)
def ask(job: JobRun) -> Result:
    """Ask, and come again while the platform works; an unknown outcome is tried again with rests."""
    fapiao_id = UUID(str(job.payload["fapiao_id"]))
    state = ask_platform(fapiao_id=fapiao_id, now=job.now)
    if state in PENDING:
        with system_scope(purpose="ask the tax platform"):
            since = requested_at(fapiao_id=fapiao_id)
        raise Postponed(run_at=next_look(requested_at=since, now=job.now))
    return {"state": state.value}
