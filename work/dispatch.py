"""Waking workers: messages to the broker that may be lost without loss.

A message says "there is work", a row says which. So a failure to send is logged and forgotten:
the sweeper (`work.tasks.tick`) wakes a worker again within a minute.
"""

import logging
import time
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

WAKE_AGAIN_AFTER = timedelta(seconds=30)
"""A due job is announced again when nobody has started it for so long."""

MESSAGE_LIFE = timedelta(seconds=45)
"""A message that no worker took in this time is dropped by the broker's reader: a new one has been
sent by then, so a long queue of jobs never becomes an endless queue of messages."""

MOST_WAKES = 500
"""Messages sent at once; workers go on to further due jobs by themselves."""

_REST_AFTER_FAILURE_SECONDS = 10
_quiet_until = 0.0


def wake_for_jobs(job_ids: Iterable[UUID]) -> None:
    """Ask workers to run these jobs (the first MOST_WAKES of them). Never raises."""
    for count, job_id in enumerate(job_ids):
        if count >= MOST_WAKES or not _send("work.run_job", str(job_id)):
            return


def wake_for_outbox() -> None:
    """Ask a worker to relay the outbox. Never raises."""
    _send("work.relay_outbox")


def _send(task: str, *args: str) -> bool:
    """Send one message; whether the broker took it."""
    global _quiet_until
    if not getattr(settings, "BROKER_URL", "") or time.monotonic() < _quiet_until:
        return False
    try:
        app = import_string(settings.SUMMIT_CELERY_APP)
        app.send_task(
            task,
            args=args,
            expires=MESSAGE_LIFE.total_seconds(),
            retry=False,
            ignore_result=True,
        )
    except Exception as error:  # noqa: BLE001  # each transport has errors of its own
        # One request pays for finding the broker dead, not each of the next seconds' too.
        _quiet_until = time.monotonic() + _REST_AFTER_FAILURE_SECONDS
        logger.warning(
            "the broker took no message (%s: %s); the sweeper will wake workers later",
            type(error).__name__,
            error,
        )
        return False
    return True
