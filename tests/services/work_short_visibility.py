"""The Celery application for a test: Redis hands a message out again after two seconds, and each start is told."""

import os
from typing import Any

from celery.signals import task_prerun

from config.celery import app

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 2,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}


@task_prerun.connect
def tell(*, task: Any, args: Any, **_: Any) -> None:
    if task.name == "work.run_job":
        with open(os.environ["STARTS"], "a", encoding="ascii") as file:  # noqa: PTH123
            file.write(f"{args[0]}\n")


__all__ = ["app"]
