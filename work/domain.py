"""The rules of due work that need neither database nor clock: states, back-off, slots, payloads."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Literal, TypeAlias, assert_never
from uuid import UUID

PayloadValue: TypeAlias = str | int | bool | Sequence["PayloadValue"] | None
Payload: TypeAlias = Mapping[str, PayloadValue]
"""What a job carries: ids, dates and counts, as JSON. Never amounts, never personal data."""

CatchUp: TypeAlias = Literal["all", "last", "skip"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AT_ONCE = EPOCH
"""The `run_at` of a job that waits for no instant. Not the current time: work that is asked for
under a moved clock is due there too, and due jobs come in the order of their asking."""

MAX_PAYLOAD_CHARACTERS = 8_000

PUNCTUAL = timedelta(minutes=5)
"""A slot seen within this time (or half its interval) came, it was not missed."""

SLOTS_AT_A_TIME = 1_000
"""At most so many missed slots of one schedule are made up for in one tick, oldest first."""


class JobState(StrEnum):
    """Where a job is in its life.

    ready → running → done; running → ready (tried again) or parked (a person must look);
    ready ↔ paused, ready/paused/parked → cancelled, parked/cancelled → ready by a person.
    """

    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    PARKED = "parked"
    PAUSED = "paused"
    CANCELLED = "cancelled"


def backoff(*, job_id: UUID, attempt: int, base: timedelta, cap: timedelta) -> timedelta:
    """How long a job rests after its failed `attempt` (1 for the first).

    Doubles from `base` up to `cap`, then takes 50 to 100 % of it so that jobs which failed
    together do not return together. The share comes from the job's id, not from chance, so that
    a simulation replays.
    """
    full = min(base * (1 << min(attempt - 1, 30)), cap)
    digest = hashlib.sha256(f"{job_id}:{attempt}".encode()).digest()
    per_mille = 500 + int.from_bytes(digest[:4]) % 501
    return full * per_mille / 1000


def check_payload(payload: Payload) -> None:
    """Refuse a payload that would not come back from JSON as it went in.

    Raises TypeError for a value of another type, ValueError for one that is too big.
    """
    for name, value in payload.items():
        if not isinstance(name, str):
            raise TypeError(f"payload name {name!r} is not a string")
        _check_value(value, name=name)
    if sum(len(name) + len(str(value)) for name, value in payload.items()) > MAX_PAYLOAD_CHARACTERS:
        raise ValueError("a payload carries ids, not content: it is over 8,000 characters")


def _check_value(value: object, *, name: str) -> None:
    if isinstance(value, list | tuple):
        for each in value:
            _check_value(each, name=name)
    elif not (value is None or isinstance(value, str | int)):
        raise TypeError(
            f"payload {name!r} holds a {type(value).__name__}; "
            "only strings, integers, booleans, null and lists of them travel"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When a schedule is due: at ``epoch + offset + n × every``, in UTC.

    A tenant's local time is no part of it: a job looks up whose local day has ended.
    """

    every: timedelta
    offset: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.every < timedelta(seconds=1):
            raise ValueError("a schedule's interval is at least one second")
        if not timedelta(0) <= self.offset < self.every:
            raise ValueError("a schedule's offset lies within its interval")

    def last_slot(self, *, now: datetime) -> datetime:
        """The newest slot at or before `now`."""
        elapsed = now - EPOCH - self.offset
        return EPOCH + self.offset + self.every * (elapsed // self.every)

    def slots_between(self, *, after: datetime, now: datetime, most: int) -> list[datetime]:
        """The slots in ``(after, now]``, oldest first, at most `most` of them."""
        slot = self.last_slot(now=after) + self.every
        slots: list[datetime] = []
        while slot <= now and len(slots) < most:
            slots.append(slot)
            slot += self.every
        return slots


def due_slots(
    *, cadence: Cadence, catch_up: CatchUp, last: datetime | None, now: datetime
) -> list[datetime]:
    """The slots that a schedule still owes at `now`, oldest first.

    `last` is the newest slot at or before `now` that was opened; None for a new schedule, which
    starts with the newest slot. `catch_up` tells what happens with those that were missed while
    no scheduler ran: "all" runs each (billing periods), "last" only the newest (reports), "skip"
    none (heartbeats).

    With "all", one call gives at most SLOTS_AT_A_TIME; the next call goes on from there.
    """
    newest = cadence.last_slot(now=now)
    if last is None:
        return [newest]
    if newest <= last:
        return []
    match catch_up:
        case "all":
            return cadence.slots_between(after=last, now=now, most=SLOTS_AT_A_TIME)
        case "last":
            return [newest]
        case "skip":
            return [newest] if now - newest <= min(cadence.every / 2, PUNCTUAL) else []
        case _:
            assert_never(catch_up)
