"""Replays that staff asked for in the console."""

from uuid import UUID

from metering.quarantine.services.replay_rejected import replay_rejected
from work.jobs import JobRun
from work.registry import Result, job_kind


@job_kind("metering.replay_rejected", lease_seconds=900, keep_days=30)
def replay(job: JobRun) -> Result:
    """Take refused events in; running it twice takes nothing in twice."""
    done = replay_rejected(
        code=str(job.payload["code"]),
        tenant_id=UUID(str(job.payload["tenant_id"])),
        any_age=job.payload["any_age"] is True,
        reason=str(job.payload["reason"]),
        actor=str(job.payload["actor"]),
        now=job.now,
    )
    return {
        "tried": done.tried,
        "accepted": done.accepted,
        "duplicates": done.duplicates,
        "rejected": dict(done.rejected),
    }
