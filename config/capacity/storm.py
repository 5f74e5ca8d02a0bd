"""Striking what bills, at random moments within its transactions that a seed repeats, until the run is done."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from billing.invoicing.domain import InvoiceStatus, RunState
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.services.spread_run import RANGE_KIND
from config.capacity import gate
from config.capacity.programs import MACHINES, Programs
from config.embedded import postgres
from kernel.errors import DomainError
from work.connections import JOBS
from work.domain import JobState
from work.models import Job

Answer = TypeVar("Answer")

WORKER, DATABASE, SCHEDULER, BROKER = "worker", "database", "scheduler", "broker"
AHEAD, BACK, RIGHT = "clock two days ahead", "clock two days back", "clock right again"
ROUND: Final = (WORKER, DATABASE, AHEAD, WORKER, BROKER, SCHEDULER, BACK, WORKER, DATABASE, RIGHT)
"""What is struck, in an order of chance; then again."""
_WRONG_BY: Final = {
    AHEAD: timedelta(days=2),
    BACK: timedelta(days=-2),
    RIGHT: timedelta(0),
}
_STEPS_A_RANGE: Final = 8
"""At least so many statements write what a range makes."""
_POLL_SECONDS: Final = 0.05
_MOST_SECONDS: Final = 3 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Blow:
    """What was struck, how many documents were issued by then, and whose transactions were open and stood."""

    what: str
    after_documents: int
    within: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weathered:
    """How the run went; `seconds` from the start of the programs to its end."""

    blows: tuple[Blow, ...]
    seconds: float

    @property
    def counted(self) -> dict[str, int]:
        """How often each was struck."""
        return dict(sorted(Counter(each.what for each in self.blows).items()))


def weather(programs: Programs, *, blows: int, ranges: int, seed: int) -> Weathered:
    """Deal up to that many blows, spread over a run of about so many ranges; gives what came of it when the
    run is done. Each falls while a transaction that bills stands open. What is killed is started again at once.

    Raises RuntimeError when the run fails or never ends.
    """
    chance = random.Random(seed)  # noqa: S311  # a replayable choice of moments
    began = time.monotonic()
    dealt: list[Blow] = []
    planned = _planned(blows, chance)
    if planned:
        _patient(lambda: gate.stand_after(1))
    while not _patient(_is_done):
        standing = _patient(gate.standing) if len(dealt) < len(planned) else []
        if standing:
            blow = Blow(
                what=planned[len(dealt)],
                after_documents=_patient(_issued),
                within=tuple(standing),
            )
            dealt.append(blow)
            _deal(programs, blow, machine=_struck(blow, chance))
            programs.keep_database()
            _go_on(left=len(planned) - len(dealt), ranges=ranges, share=chance.uniform(0.2, 1.2))
        _wait(programs, began)
    return Weathered(blows=tuple(dealt), seconds=time.monotonic() - began)


def _planned(blows: int, chance: random.Random) -> list[str]:
    planned: list[str] = []
    while len(planned) < blows:
        planned.extend(chance.sample(ROUND, len(ROUND)))
    return planned[:blows]


def _struck(blow: Blow, chance: random.Random) -> int:
    """The machine that is struck; a worker that stands, where a worker is."""
    machines = list(range(MACHINES))
    standing = [each for each in machines if Programs.name_of(each) in blow.within]
    return chance.choice(standing if blow.what == WORKER and standing else machines)


def _go_on(*, left: int, ranges: int, share: float) -> None:
    """Let the standing go; the next blow is due after some of the steps that are left for each."""
    if left == 0:
        _patient(gate.open_for_good)
        return
    ahead = max(1, ranges - _patient(_ranges_done))
    steps = max(1, int(share * _STEPS_A_RANGE * ahead / left))
    _patient(lambda: gate.stand_after(steps))


def _deal(programs: Programs, blow: Blow, *, machine: int) -> None:
    if blow.what == WORKER:
        programs.kill_worker(machine)
    elif blow.what == SCHEDULER:
        programs.kill_scheduler(machine)
    elif blow.what == BROKER:
        programs.empty_broker()
    elif blow.what == DATABASE:
        connections.close_all()
        programs.kill_database()
    else:
        programs.set_clock(machine, wrong_by=_WRONG_BY[blow.what])


def _wait(programs: Programs, began: float) -> None:
    if time.monotonic() - began > _MOST_SECONDS:
        raise RuntimeError("the run does not end; see the logs")
    time.sleep(_POLL_SECONDS)
    programs.require_all()
    programs.keep_database()


def _is_done() -> bool:
    """Raises RuntimeError where a part of the run was given up."""
    given_up = Job.objects.using(JOBS).filter(kind=RANGE_KIND, state=JobState.PARKED).first()
    if given_up is not None:
        raise RuntimeError(f"{given_up}: {given_up.error_code}, {given_up.error_detail}")
    runs = BillingRun.objects.using(JOBS).filter(ranges__isnull=False)
    return runs.exists() and not runs.exclude(state=RunState.DONE).exists()


def _ranges_done() -> int:
    return sum(BillingRun.objects.using(JOBS).values_list("ranges_done", flat=True))


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
            # Asked right after its death, the server may have counted as running still.
            with suppress(DomainError):
                postgres.ensure_running(settings.SUMMIT_HOME)
