"""The one clock. Interfaces read it once and pass `now` down; nothing below them reads time.

Tests and sandboxes move it, for their own context only (thread or task).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from kernel.errors import Invalid

_moved: ContextVar[datetime | None] = ContextVar("moved_clock", default=None)


def now() -> datetime:
    """The present instant in UTC, or the one that the clock was moved to."""
    return _moved.get() or datetime.now(UTC)


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


def wall_milliseconds() -> int:
    """Milliseconds since 1970 by the machine's clock, whatever the moved clock says.

    For ids, whose order must follow the order of their making, also inside a sandbox.
    """
    return time.time_ns() // 1_000_000
