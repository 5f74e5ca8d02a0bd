"""What Celery drives: run a job, relay the outbox, and the tick that makes up for all losses.

None of these is the truth. Each may be lost, doubled or late; the tables decide what is done.
"""

import logging
from collections.abc import Callable
from uuid import UUID

from celery import shared_task

from kernel import clock
from work import claims, database_clock, dispatch, jobs, outbox, running, schedules

logger = logging.getLogger(__name__)

GO_ON_FOR_SECONDS = 10
"""A worker that was woken goes on to other due jobs for so long before it waits for messages."""


@shared_task(name="work.run_job", ignore_result=True)
def run_job(job_id: str) -> None:
    """Run one job if nobody has, then others that are due."""
    jobs.run_job(job_id=UUID(job_id), now=clock.now, go_on_for_seconds=GO_ON_FOR_SECONDS)


@shared_task(name="work.relay_outbox", ignore_result=True)
def relay_outbox() -> None:
    """Turn waiting messages into jobs."""
    outbox.relay()


@shared_task(name="work.tick", ignore_result=True)
def tick() -> None:
    """Open due slots, relay the outbox, take over from the dead, wake workers for silent work.

    What is due is told by the database's clock. One step's fault does not keep the others from being done.
    """
    running.patiently(database_clock.agree)
    now = clock.now()
    steps: tuple[tuple[str, Callable[[], object]], ...] = (
        ("slots", lambda: schedules.open_due_slots(now=now)),
        ("outbox", outbox.relay),
        ("dead runners", claims.end_leases_of_the_dead),
        ("unknown kinds", claims.take_up_the_unknown),
        (
            "wake",
            lambda: dispatch.wake_for_jobs(
                claims.due_and_silent(
                    now=now, silence=dispatch.WAKE_AGAIN_AFTER, most=dispatch.MOST_WAKES
                )
            ),
        ),
    )
    for name, step in steps:
        try:
            step()
        except Exception:
            logger.exception("tick: the step %r failed and is done again at the next", name)
            running.drop_broken_connections()
