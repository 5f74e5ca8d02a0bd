"""The one clock. Interfaces read it once and pass `now` down; nothing below them reads time.

Tests and sandboxes move it, for their own context only (thread or task). Workers set it by the database's,
so that a machine whose clock is wrong does nothing too early or too late.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Final

from kernel.errors import Invalid

_moved: ContextVar[datetime | None] = ContextVar("moved_clock", default=None)
_correction = timedelta(0)
_CLOSE_ENOUGH: Final = timedelta(seconds=1)
_steady_from: Final = (datetime.now(UTC), time.monotonic())


def now() -> datetime:
    """The present instant in UTC, or the one that the clock was moved to."""
    return _moved.get() or datetime.now(UTC) + _correction


@contextmanager
def moved_to(instant: datetime) -> Iterator[datetime]:
    """Inside, the clock stands still at `instant`. May be nested; the innermost counts.

    Raises Invalid `naive_instant` for an instant without an offset.
    """
    if instant.tzinfo is None:
        raise Invalid("naive_instant", "The instant has no offset; give it one.", field="instant")
    token = _moved.set(instant.astimezone(UTC))
    try:
        yield instant.astimezone(UTC)
    finally:
        _moved.reset(token)


def set_by(present: datetime) -> None:
    """Let this process's clock go by one that said `present` just now, where the machine's differs.

    A second is no difference: asking takes time, and a clock that is set again and again goes back and forth.
    """
    global _correction
    wrong_by = present - datetime.now(UTC)
    _correction = wrong_by if abs(wrong_by) > _CLOSE_ENOUGH else timedelta(0)


def steady_now() -> datetime:
    """An instant that moves on with real time and never jumps, for what counts intervals in one process.

    It tells the machine's time as it was when the process began.
    """
    began_at, began = _steady_from
    return began_at + timedelta(seconds=time.monotonic() - began)


def wall_milliseconds() -> int:
    """Milliseconds since 1970 by the corrected clock of the machine, whatever the moved clock says.

    For ids, whose order must follow the order of their making, also inside a sandbox.
    """
    return time.time_ns() // 1_000_000 + _correction // timedelta(milliseconds=1)
