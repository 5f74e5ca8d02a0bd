"""The load as bytes: rows of a file, events for `POST /events`, reports for `POST /reports`. Pure."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from config.load.traffic import SOURCE, ActiveDay, LoadEvent

EVENTS_AT_A_TIME: Final = 5_000
USERS_AT_A_TIME: Final = 20_000
_APPS_AT_A_TIME: Final = 500


@dataclass(slots=True, kw_only=True)
class Told:
    """What went out so far. `users` are users of days, each once."""

    events: int = 0
    repeats: int = 0
    users: int = 0
    tenants: int = 0
    _app: str = ""
    _last: tuple[str, str, str] = field(default=("", "", ""))

    def note(self, event: LoadEvent) -> None:
        self.events += 1
        self.repeats += event.repeated
        who = (event.app, event.id[:8], event.user)
        if who != self._last:
            self._last = who
            self.users += 1
        self.note_app(event.app)

    def note_app(self, app: str) -> None:
        if app != self._app:
            self._app = app
            self.tenants += 1


def csv_rows(events: Iterable[LoadEvent], *, told: Told) -> Iterator[bytes]:
    """Rows ``app,id,time,user`` for `import_usage`; no field needs quotes."""
    yield b"app,id,time,user\n"
    for event in events:
        told.note(event)
        row = f"{event.app},{event.id},{_time(event)},{event.user}\n".encode()
        yield row + row if event.repeated else row


def event_lines(events: Iterable[LoadEvent], *, told: Told) -> Iterator[tuple[str, bytes]]:
    """Each event's app and its CloudEvent as a line of NDJSON."""
    for event in events:
        told.note(event)
        line = (
            f'{{"specversion":"1.0","id":"{event.id}","source":"{SOURCE}","type":"message.sent",'
            f'"subject":"{event.app}","time":"{_time(event)}","data":{{"user":"{event.user}"}}}}\n'
        ).encode()
        yield event.app, line + line if event.repeated else line


def event_bodies(lines: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Bodies of one app and some thousand events each."""
    app, count = "", 0
    held: list[bytes] = []
    for of_app, line in lines:
        if held and (of_app != app or count >= EVENTS_AT_A_TIME):
            yield app, b"".join(held)
            held, count = [], 0
        app = of_app
        held.append(line)
        count += line.count(b"\n")
    if held:
        yield app, b"".join(held)


def reports(
    days: Iterable[ActiveDay], *, gateway: str, epoch: str, told: Told
) -> Iterator[dict[str, Any]]:
    """Reports of one gateway, numbered from 1, each of one window."""
    sequence = 0
    held: list[ActiveDay] = []
    for day in days:
        told.note_app(day.app)
        told.events += day.messages
        told.users += len(day.users)
        full = sum(len(each.users) for each in held) + len(day.users) > USERS_AT_A_TIME
        other = bool(held) and held[0].starts_at != day.starts_at
        twice = any(each.app == day.app for each in held)
        if held and (full or other or twice or len(held) >= _APPS_AT_A_TIME):
            sequence += 1
            yield _report(held, gateway=gateway, epoch=epoch, sequence=sequence)
            held = []
        held.append(day)
    if held:
        yield _report(held, gateway=gateway, epoch=epoch, sequence=sequence + 1)


def encoded(report: dict[str, Any]) -> bytes:
    """A report in its one form."""
    return json.dumps(report, separators=(",", ":")).encode()


def _report(days: list[ActiveDay], *, gateway: str, epoch: str, sequence: int) -> dict[str, Any]:
    starts_at = days[0].starts_at
    return {
        "gateway": gateway,
        "epoch": epoch,
        "sequence": sequence,
        "window": {
            "starts_at": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "ends_at": f"{starts_at + timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}",
        },
        "apps": [
            {
                "app": day.app,
                "counts": {"message.single.up": str(day.messages)},
                "active_users": list(day.users),
            }
            for day in days
        ],
    }


def _time(event: LoadEvent) -> str:
    # Much faster than a format, and there may be a thousand million of them.
    return event.time.isoformat()[:19] + "Z"
