"""Sends bodies over HTTP: some connections at once, again after what passes, nothing held in memory."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from queue import Queue
from typing import Final
from urllib.parse import urlsplit

Headers = Mapping[str, str]
_TRIES: Final = 20
_LONGEST_WAIT_SECONDS: Final = 30
_PASSING: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One request; its headers are made anew for each try, since a signature ages."""

    content: bytes
    headers: Callable[[], Headers]


@dataclass(slots=True, kw_only=True)
class Sent:
    """What the answers said, added up; `failed` counts bodies that were not taken."""

    requests: int = 0
    tries: int = 0
    failed: int = 0
    numbers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


def send(bodies: Iterable[Body], *, url: str, path: str, connections: int) -> Sent:
    """Send all bodies to `path` below `url`. What gets 429 or 5xx, or no answer, is sent again after the
    time that the answer asks for, with the same content."""
    sent, lock = Sent(), threading.Lock()
    waiting: Queue[Body | None] = Queue(maxsize=2 * connections)
    threads = [
        threading.Thread(target=_work, args=(waiting, url, path, sent, lock), daemon=True)
        for _ in range(connections)
    ]
    for thread in threads:
        thread.start()
    for body in bodies:
        waiting.put(body)
    for _ in threads:
        waiting.put(None)
    for thread in threads:
        thread.join()
    return sent


def _work(
    waiting: "Queue[Body | None]", url: str, path: str, sent: Sent, lock: threading.Lock
) -> None:
    place = urlsplit(url)
    kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = kind(place.hostname or "127.0.0.1", place.port, timeout=120)
    address = place.path.rstrip("/") + path
    while (body := waiting.get()) is not None:
        status, answer, tries = _until_answered(connection, address, body)
        with lock:
            sent.requests += 1
            sent.tries += tries
            _note(sent, status, answer)
    connection.close()


def _until_answered(
    connection: http.client.HTTPConnection, address: str, body: Body
) -> tuple[int, bytes, int]:
    status, answer, wait_seconds = 0, b"", 1
    for tries in range(1, _TRIES + 1):
        try:
            connection.request("POST", address, body.content, dict(body.headers()))
            response = connection.getresponse()
            status, answer = response.status, response.read()
            asked = response.headers.get("Retry-After", "")
        except (OSError, http.client.HTTPException):
            connection.close()
            status, asked = 0, ""
        if status and status not in _PASSING:
            return status, answer, tries
        wait_seconds = (
            int(asked) if asked.isdigit() else min(2 * wait_seconds, _LONGEST_WAIT_SECONDS)
        )
        time.sleep(min(wait_seconds, _LONGEST_WAIT_SECONDS))
    return status, answer, _TRIES


def _note(sent: Sent, status: int, answer: bytes) -> None:
    try:
        told = json.loads(answer)
    except ValueError:
        told = {}
    if status != http.client.OK:
        sent.failed += 1
        sent.faults[str(told.get("code") or status)] += 1
        return
    for name in ("accepted", "duplicates", "active_users"):
        sent.numbers[name] += told.get(name, 0)
    if "status" in told:
        sent.numbers[told["status"]] += 1
    for item in told.get("rejected", ()):
        sent.faults[item["code"]] += 1
    sent.numbers["rejected"] += len(told.get("rejected", ()))


def message_id() -> str:
    """An id of a signed message."""
    return f"msg_{uuid.uuid4().hex}"
