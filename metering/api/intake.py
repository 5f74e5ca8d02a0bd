"""How much a web process takes in at once: so much of one tenant, so many bytes of all.

A process answers with a fixed number of threads, and a thread waits for a body for as long as its client
keeps the connection. What one tenant may have of them is bounded below that number, so that its flood waits
with the tenant and not in front of others. What all may have is bounded too: bodies that never come leave
threads for everything else. So is what all may hold in memory. What is beyond is refused with 429 or 503
and Retry-After before its body is read.
"""

import gc
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final

from django.http import HttpRequest

from kernel.errors import Unavailable
from metering.ingest.domain import limits

MOST_OF_ONE: Final = 4
"""Requests of one tenant (or gateway) that a process carries out at once; `make run` gives it 8 threads."""
MOST_OF_ALL: Final = 6
"""Requests of all together: fewer than those with a body that `tenants.api.bodies` lets in."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""Bytes of inflated bodies that a process holds at once; what is read from them takes a few times as much."""
_COLLECTED_EVERY_BYTES: Final = 64 * 1024 * 1024
_USUAL_INFLATION: Final = 16
_RETRY_SECONDS: Final = 1


class Intake:
    """Counts what is being taken in; shared by the threads of a process."""

    def __init__(
        self,
        *,
        most_of_one: int = MOST_OF_ONE,
        most_of_all: int = MOST_OF_ALL,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._most_of_one = most_of_one
        self._most_of_all = most_of_all
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._of: Counter[Hashable] = Counter()
        self._bytes = 0
        self._bytes_since_collected = 0

    def refuse_if_full(self, who: Hashable) -> None:
        """Raise Unavailable `too_many_at_once` when `who` has its share already."""
        with self._lock:
            if self._of[who] >= self._most_of_one:
                raise _too_many()

    @contextmanager
    def place(self, who: Hashable, *, size: int) -> Iterator[None]:
        """Hold a place for a body of so many bytes.

        One alone is always let in. Raises Unavailable `too_many_at_once`, `overloaded`.
        """
        with self._lock:
            if self._of[who] >= self._most_of_one:
                raise _too_many()
            if self._of.total() >= self._most_of_all or (
                self._bytes and self._bytes + size > self._most_bytes
            ):
                raise Unavailable(
                    "overloaded",
                    "As much is being taken in as there is room for; nothing of this request was "
                    "stored. Send it again in a moment.",
                    params={"retry_after_seconds": _RETRY_SECONDS},
                )
            self._of[who] += 1
            self._bytes += size
        try:
            yield
        finally:
            with self._lock:
                self._bytes -= size
                self._of[who] -= 1
                if not self._of[who]:
                    del self._of[who]
                self._bytes_since_collected += size
                is_due = self._bytes_since_collected >= _COLLECTED_EVERY_BYTES
                if is_due:
                    self._bytes_since_collected = 0
            if is_due:
                # A request and what middleware hangs on it refer to one another, so it goes with a collection
                # only, and those come by the number of objects: few that hold large bodies would pile up.
                gc.collect()


def _too_many() -> Unavailable:
    return Unavailable(
        "too_many_at_once",
        f"More than {MOST_OF_ONE} requests of yours are being carried out at once; nothing of this one "
        "was stored. Wait for answers before you send more, and send this one again.",
        params={"retry_after_seconds": _RETRY_SECONDS},
    )


def size_of(request: HttpRequest) -> int:
    """About how many bytes the body will take: those on the wire, or what they usually inflate to."""
    told = request.META.get("CONTENT_LENGTH") or ""
    length = int(told) if told.isascii() and told.isdigit() else limits.MOST_WIRE_BYTES
    length = min(length, limits.MOST_WIRE_BYTES)
    if request.headers.get("Content-Encoding", "identity").strip().lower() in {"", "identity"}:
        return length
    return min(length * _USUAL_INFLATION, limits.MOST_INFLATED_BYTES)


INTAKE: Final = Intake()
