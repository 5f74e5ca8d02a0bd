"""What kinds of work there are, what listens to the outbox, and what is scheduled.

Declared where the work is done, in a topic's `tasks.py`::

    @job_kind("billing.draft_chunk", lease_seconds=120, max_attempts=5)
    def draft_chunk(job: JobRun) -> Result:
        drafted = draft_invoices(subscription_ids=job.payload["subscriptions"], now=job.now)
        return {"drafted": drafted}

    schedule(name="billing.run", every=timedelta(hours=1), kind="billing.run", catch_up="last")

    @subscriber("invoice.finalized", kind="payments.collect")
    def collect(job: JobRun) -> Result: ...

A task calls one service. It runs outside any transaction and opens its own scopes; it may run
more than once, so its effect rests on a unique business key (or on `JobRun.complete`, which
commits effect and mark together).
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from work.domain import Cadence, CatchUp

if TYPE_CHECKING:
    from work.jobs import JobRun

Result: TypeAlias = Mapping[str, Any] | None
"""What a finished job leaves in its row: counts and ids, as JSON."""

Task: TypeAlias = "Callable[[JobRun], Result]"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobKind:
    """One kind of job and the limits it runs under."""

    name: str
    task: Task
    lease: timedelta
    max_attempts: int
    version: int
    backoff: timedelta
    keep_done: timedelta | None
    urgent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job that comes again and again."""

    name: str
    cadence: Cadence
    kind: str
    catch_up: CatchUp


_kinds: dict[str, JobKind] = {}
_subscriptions: dict[str, list[str]] = {}
_schedules: dict[str, Schedule] = {}


def job_kind(
    name: str,
    *,
    lease_seconds: int = 120,
    max_attempts: int = 5,
    version: int = 1,
    backoff_seconds: int = 5,
    keep_days: int | None = None,
    urgent: bool = False,
) -> Callable[[Task], Task]:
    """Declare the decorated function as the task of jobs of kind `name`.

    `lease_seconds`: a runner that neither finishes nor reports progress for so long has lost the
    job. `max_attempts`: starts, the ones that killed their process included, before the job is
    parked. `version`: the newest form of the payload that the task understands (it understands the
    older ones too); a newer one is parked until a newer worker comes. `backoff_seconds`: the rest
    after the first failure; it doubles with each. `keep_days`: done jobs are removed after so many
    days; by default they stay, since the key of a job that is gone guards against nothing. `urgent`: it goes
    before all that is not, such as the hundred thousand jobs that print a billing run's invoices; a part
    of the run that is tried again would else wait for all of them.

    Raises ValueError when the name is taken.
    """

    def declare(task: Task) -> Task:
        if name in _kinds:
            raise ValueError(f"job kind {name!r} is declared twice")
        _kinds[name] = JobKind(
            name=name,
            task=task,
            lease=timedelta(seconds=lease_seconds),
            max_attempts=max_attempts,
            version=version,
            backoff=timedelta(seconds=backoff_seconds),
            keep_done=None if keep_days is None else timedelta(days=keep_days),
            urgent=urgent,
        )
        return task

    return declare


def subscriber(
    topic: str,
    *,
    kind: str,
    lease_seconds: int = 120,
    max_attempts: int = 5,
    version: int = 1,
    backoff_seconds: int = 5,
) -> Callable[[Task], Task]:
    """Declare the decorated function as a job kind that every message of `topic` calls for.

    The job carries the message's payload and version; its key is ``<topic>:<message key>``.
    """

    def declare(task: Task) -> Task:
        declared = job_kind(
            kind,
            lease_seconds=lease_seconds,
            max_attempts=max_attempts,
            version=version,
            backoff_seconds=backoff_seconds,
        )(task)
        _subscriptions.setdefault(topic, []).append(kind)
        return declared

    return declare


def schedule(
    *,
    name: str,
    every: timedelta,
    kind: str,
    catch_up: CatchUp,
    offset: timedelta = timedelta(0),
) -> None:
    """Declare that a job of `kind` is due `every` so often, counted from the epoch plus `offset`.

    The job's payload is ``{"slot_at": <ISO 8601, UTC>}``. For `catch_up` see `domain.due_slots`.
    Raises ValueError when the name is taken.
    """
    if name in _schedules:
        raise ValueError(f"schedule {name!r} is declared twice")
    _schedules[name] = Schedule(
        name=name, cadence=Cadence(every=every, offset=offset), kind=kind, catch_up=catch_up
    )


def find_kind(name: str) -> JobKind | None:
    """The kind of that name, or None when this process does not know it."""
    return _kinds.get(name)


def kind_named(name: str) -> JobKind:
    """The kind of that name; raises LookupError when no imported task module declares it."""
    try:
        return _kinds[name]
    except KeyError:
        raise LookupError(
            f"no job kind {name!r}: declare it with @job_kind in a tasks.py"
        ) from None


def kinds() -> Mapping[str, JobKind]:
    """All kinds that this process knows, by name."""
    return dict(_kinds)


def subscriptions() -> Mapping[str, tuple[str, ...]]:
    """The job kinds that listen to each topic."""
    return {topic: tuple(names) for topic, names in _subscriptions.items()}


def schedules() -> tuple[Schedule, ...]:
    """All schedules, by name."""
    return tuple(_schedules[name] for name in sorted(_schedules))


def import_tasks(package: str) -> None:
    """Import every module called `tasks` below `package`, so that it declares its work."""
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, prefix=f"{package}."):
        if module.name.rpartition(".")[2] == "tasks":
            importlib.import_module(module.name)
