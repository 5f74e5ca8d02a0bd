"""The life of a job: asked for, run, done or parked. The face of this package's other modules.

A job is a row with a unique business key. `enqueue` writes it in the caller's transaction; a
worker (woken through the broker, or by the sweeper when the broker lost the message) claims it
under a lease, runs its task, and marks it. The rules of claiming are in `claims.py`, the runners in
`running.py`, and what a person may do with a job, or with all jobs of
one undertaking, in `decisions.py` and `group_decisions.py`.
"""

from work.decisions import cancel, pause, resume, retry
from work.enqueueing import JobRequest, enqueue, enqueue_many
from work.failures import LeaseLost, Postponed
from work.group_decisions import Group, cancel_all, pause_all, resume_all, retry_all
from work.running import JobRun, ParkedJob, RunSummary, run_due, run_job, run_pending

__all__ = [
    "Group",
    "JobRequest",
    "JobRun",
    "LeaseLost",
    "ParkedJob",
    "Postponed",
    "RunSummary",
    "cancel",
    "cancel_all",
    "enqueue",
    "enqueue_many",
    "pause",
    "pause_all",
    "resume",
    "resume_all",
    "retry",
    "retry_all",
    "run_due",
    "run_job",
    "run_pending",
]
