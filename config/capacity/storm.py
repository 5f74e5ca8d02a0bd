"""Killing what bills, at random moments that a seed repeats, until the run is done."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import Final, TypeVar

from django.db import InterfaceError, OperationalError, connections

from billing.invoicing.domain import InvoiceStatus, RunState
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.services.spread_run import RANGE_KIND
from config.capacity.programs import Programs
from kernel.errors import DomainError
from work.connections import JOBS
from work.domain import JobState
from work.models import Job

Answer = TypeVar("Answer")

DISASTERS: Final = ("worker", "database", "scheduler", "worker", "worker", "broker")
"""What is struck, in turn."""
_POLL_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 3 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What was killed, and how many documents were issued by then."""

    what: str
    after_documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Weathered:
    """How the run went; `seconds` from the start of the programs to its end."""

    blows: tuple[Blow, ...]
    seconds: float


def weather(programs: Programs, *, blows: int, pause: float, seed: int) -> Weathered:
    """Deal that many blows, about `pause` seconds apart, from when the run is cut into ranges on; gives what
    came of it when the run is done. What is killed is started again at once. Every other blow waits for
    documents to be issued since the last one, so that a run is struck from its beginning to its end.

    Raises RuntimeError when the run fails or never ends.
    """
    chance = random.Random(seed)  # noqa: S311  # a replayable choice of moments
    began = time.monotonic()
    dealt: list[Blow] = []
    planned = [what for what, _ in zip(cycle(DISASTERS), range(blows), strict=False)]
    while not _patient(_is_begun):
        _wait(programs, began)
    next_at = time.monotonic() + pause * chance.uniform(0.2, 1)
    while not _patient(_is_done):
        if planned and time.monotonic() >= next_at:
            documents = _patient(_issued)
            if len(dealt) % 2 == 0 or documents > dealt[-1].after_documents:
                dealt.append(Blow(what=planned.pop(0), after_documents=documents))
                _deal(programs, dealt[-1].what, place=len(dealt))
                next_at = time.monotonic() + pause * chance.uniform(0.5, 1.5)
        _wait(programs, began)
    return Weathered(blows=tuple(dealt), seconds=time.monotonic() - began)


def _deal(programs: Programs, what: str, *, place: int) -> None:
    match what:
        case "worker":
            programs.kill_worker(place)
        case "scheduler":
            programs.kill_scheduler(place)
        case "broker":
            programs.empty_broker()
        case _:
            connections.close_all()
            programs.kill_database()


def _wait(programs: Programs, began: float) -> None:
    if time.monotonic() - began > _MOST_SECONDS:
        raise RuntimeError("the run does not end; see the logs")
    time.sleep(_POLL_SECONDS)
    programs.keep_database()


def _is_begun() -> bool:
    return bool(BillingRun.objects.using(JOBS).filter(ranges__isnull=False).exists())


def _is_done() -> bool:
    """Raises RuntimeError where a part of the run was given up."""
    given_up = Job.objects.using(JOBS).filter(kind=RANGE_KIND, state=JobState.PARKED).first()
    if given_up is not None:
        raise RuntimeError(f"{given_up}: {given_up.error_code}, {given_up.error_detail}")
    runs = BillingRun.objects.using(JOBS).filter(ranges__isnull=False)
    return not runs.exclude(state=RunState.DONE).exists()


def _issued() -> int:
    return Invoice.objects.using(JOBS).exclude(status=InvoiceStatus.DRAFT).count()


def _patient(asked: Callable[[], Answer]) -> Answer:
    """The answer, as soon as the database gives one."""
    while True:
        try:
            return asked()
        except (OperationalError, InterfaceError, DomainError):
            connections.close_all()
            time.sleep(_POLL_SECONDS)
