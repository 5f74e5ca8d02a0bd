"""A process of its own for the tests of `work`: ``python -m tests.services.work_process VERB …``."""

import os
import sys
import time
from datetime import UTC, datetime, timedelta

import django

django.setup()

from django.db import OperationalError, transaction  # noqa: E402  # Django comes first

from tests.services import work_kinds  # noqa: E402, F401
from work import dispatch, jobs, outbox, tasks  # noqa: E402
from work.connections import JOBS, transaction_on  # noqa: E402
from work.jobs import JobRequest  # noqa: E402


def tick(seconds: str) -> None:
    """Tick over and over, as beat and worker do every 15 seconds; silence ends sooner too."""
    dispatch.WAKE_AGAIN_AFTER = timedelta(seconds=1)
    while True:
        tasks.tick()
        time.sleep(float(seconds))


def drain() -> None:
    """As a command does: all that is due, then how much it was."""
    while True:
        try:
            summary = jobs.run_pending(
                now=datetime.now(UTC), kinds=["test.effect", "test.listener"]
            )
        except OperationalError:
            continue
        print(summary.done)  # noqa: T201  # the test reads it
        return


def ask(kind: str, count: str, milliseconds: str) -> None:
    """Ask for `count` jobs with keys 0, 1, 2, …"""
    with transaction_on(JOBS):
        jobs.enqueue_many(
            JobRequest(kind=kind, key=f"{kind} {n}", payload={"ms": int(milliseconds)})
            for n in range(int(count))
        )


def ask_and_die() -> None:
    """End between the commit and the waking of a worker."""
    with transaction_on(JOBS):
        transaction.on_commit(lambda: os._exit(9), using=JOBS)
        jobs.enqueue(kind="test.effect", key="orphan", payload={})
        outbox.publish(topic="test.happened", key="orphan", payload={})


def relay() -> None:
    outbox.relay()


if __name__ == "__main__":
    verbs = {each.__name__: each for each in (tick, drain, ask, ask_and_die, relay)}
    verbs[sys.argv[1]](*sys.argv[2:])
