"""Running what is due on several processors: a command's own helpers, gone when it ends."""

import multiprocessing
import os
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime
from typing import Final

from django.db import connections

from work import running
from work.collection import collecting_seldom
from work.connections import JOBS
from work.domain import JobState
from work.models import Job
from work.running import RunSummary

_FORKED: Final = multiprocessing.get_context("fork")
"""What this process has imported and parsed, its children have too."""


def run_pending(
    *,
    now: datetime,
    kinds: Collection[str],
    processes: int,
    on_progress: Callable[[], None] = lambda: None,
) -> None:
    """Run all jobs of these kinds that are due at `now` in up to `processes` processes, this one among
    them; as `work.jobs.run_pending`, which each of them calls.

    Call it outside any scope, in a process without threads. `on_progress` is called here after each
    job of this process. A helper that is killed loses nothing: its job is taken over.
    """
    ready = Job.objects.using(JOBS).filter(kind__in=list(kinds), state=JobState.READY).count()
    # A child must not speak on its parent's connections; each opens its own.
    connections.close_all()
    beside = [
        _FORKED.Process(target=_beside, args=(now, kinds, os.getpid()), daemon=True)
        for _ in range(min(processes, ready) - 1)
    ]

    def tell(_: RunSummary) -> None:
        on_progress()

    with collecting_seldom():
        for process in beside:
            process.start()
        running.run_pending(now=now, kinds=kinds, on_progress=tell)
    for process in beside:
        process.join()


def _beside(now: datetime, kinds: Collection[str], parent: int) -> None:
    def stop_with_parent(_: RunSummary) -> None:
        if os.getppid() != parent:
            raise SystemExit

    with suppress(KeyboardInterrupt):  # which the parent answers
        running.run_pending(now=now, kinds=kinds, on_progress=stop_with_parent)
