"""The Celery application as the proof's programs run it: ``celery --app=config.capacity.deployment``.

It is the one of `config.celery` on a machine whose clock jumps while programs run, and with ranges small
enough for each blow to find one that it can break.
"""

import os
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import time_machine
from celery.signals import beat_init, worker_init, worker_process_init

from config.celery import app
from kernel import clock

TENANTS_A_RANGE: Final = "CAPACITY_TENANTS_A_RANGE"
CLOCK: Final = "CAPACITY_CLOCK"
"""Names a file: by how many seconds this machine's clock is wrong. Without the file, by none."""
SEEN_WITHIN_SECONDS: Final = 0.1


class _MachineClock:
    """All that Python tells of the time of day in this process: our code, Celery's, kombu's."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._wrong_by = 0
        self._travel: Any = None

    def follow(self) -> None:
        while True:
            self._follow_once()
            time.sleep(SEEN_WITHIN_SECONDS)

    def _follow_once(self) -> None:
        wanted = 0
        with suppress(FileNotFoundError, ValueError):
            wanted = int(self._file.read_text(encoding="ascii"))
        if wanted == self._wrong_by:
            return
        if self._travel is None:
            self._travel = time_machine.travel(clock.steady_now(), tick=True).start()
        self._travel.shift(timedelta(seconds=wanted - self._wrong_by))
        self._wrong_by = wanted


_machine: Final = _MachineClock(Path(os.environ[CLOCK]))


def _follow_clock(**_: Any) -> None:
    """A thread in each process, since none outlives a fork; how wrong the clock is, a child inherits."""
    threading.Thread(target=_machine.follow, daemon=True).start()


def _cut_small(**_: Any) -> None:
    from billing.invoicing.services import run_billing  # once Django is set up

    run_billing.TENANTS_A_RANGE = int(os.environ[TENANTS_A_RANGE])


beat_init.connect(_follow_clock, weak=False)
worker_init.connect(_follow_clock, weak=False)
worker_process_init.connect(_follow_clock, weak=False)
worker_process_init.connect(_cut_small, weak=False)

__all__ = ["app"]
