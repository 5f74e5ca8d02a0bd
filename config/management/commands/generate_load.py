"""Make usage like that of a chat operator, into a file or over HTTP."""

import csv
import gzip
import hashlib
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast
from zoneinfo import ZoneInfo

from config import database
from config.load.bodies import (
    USERS_AT_A_TIME,
    Told,
    csv_rows,
    encoded,
    event_bodies,
    event_lines,
    reports,
)
from config.load.profile import Load, Profile, tenants_of
from config.load.sending import Body, Sent, message_id, send
from config.load.traffic import active_days_of, events_of
from kernel import clock
from kernel.errors import DomainError
from metering.reports.domain import signature
from tenants.domain import KeyScope
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import NewTenant, check_timezone, create_tenants
from work.commands import SummitCommand, WrongUse, date_argument

_TENANTS_AT_A_TIME: Final = 200
_CHUNK_BYTES: Final = 1 << 20
_FORMS: Final = (".csv", ".csv.gz", ".ndjson", ".ndjson.gz")


class Command(SummitCommand):
    help = (
        "Make usage like that of a chat operator: many small tenants and few large ones, the same bytes "
        "for the same options. Into a file for import_usage (.csv) or of CloudEvents (.ndjson), or over "
        "HTTP as events or gateway reports. Memory stays flat."
    )
    requires_database = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--profile",
            choices=[each.value for each in Profile],
            default=Profile.LOG_NORMAL.value,
            help="how the tenants' sizes lie (default: log-normal)",
        )
        parser.add_argument("--tenants", type=_whole, default=100, help="how many (default: 100)")
        parser.add_argument(
            "--users",
            type=_whole,
            default=30_000,
            help="daily active users of all tenants together (default: 30000)",
        )
        parser.add_argument(
            "--messages",
            type=_whole,
            default=15,
            help="the median of a user's messages on a day (default: 15; 1: exactly one each)",
        )
        parser.add_argument(
            "--from", dest="from_day", type=date_argument, required=True, help="first local day"
        )
        parser.add_argument("--days", type=_whole, default=1, help="how many days (default: 1)")
        parser.add_argument("--timezone", default="Asia/Shanghai", help="of the tenants' days")
        parser.add_argument("--seed", type=int, default=1, help="another seed is another load")
        parser.add_argument(
            "--repeats",
            type=int,
            default=3,
            help="of a thousand events, how many are sent twice (default: 3)",
        )
        parser.add_argument("--output", default="", help=f"a file: {', '.join(_FORMS)}")
        parser.add_argument("--url", default="", help="send to this address instead")
        parser.add_argument("--connections", type=_whole, default=2, help="at once (default: 2)")
        parser.add_argument(
            "--keys", default="", help="with --url: a file with app,key in each line"
        )
        parser.add_argument(
            "--prepare",
            action="store_true",
            help="make the tenants first, with an ingest key each, and write the keys to --keys",
        )
        parser.add_argument(
            "--gateway", default="", help="with --url: send as reports of this gateway instead"
        )
        parser.add_argument(
            "--secret-file", default="", help="with --gateway: a file that holds its secret"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            check_timezone(options["timezone"])
        except DomainError as error:
            raise WrongUse(error.message, code=error.code, field=error.field) from error
        if bool(options["output"]) == bool(options["url"]) and not options["prepare"]:
            raise WrongUse("Give --output or --url.")
        if options["output"] and not options["output"].lower().endswith(_FORMS):
            raise WrongUse(f"--output must end in one of {', '.join(_FORMS)}.")
        if options["prepare"] and not options["keys"]:
            raise WrongUse("--prepare writes the keys to the file that --keys names.")
        load = Load(
            seed=options["seed"],
            profile=Profile(options["profile"]),
            tenants=options["tenants"],
            users=options["users"],
            from_day=options["from_day"],
            days=options["days"],
        )
        document: dict[str, Any] = {
            "profile": load.profile.value,
            "seed": load.seed,
            "from": load.from_day,
            "days": load.days,
        }
        begun_seconds = time.monotonic()
        if options["prepare"]:
            document["prepared"] = self._prepare(load, options)
        failed = False
        if options["output"]:
            document |= _written(load, options)
        elif options["url"]:
            told = Told()
            sent = self._sent(load, options, told=told)
            failed = bool(sent.failed or sent.numbers["rejected"])
            document |= {
                **_counts(told),
                "requests": sent.requests,
                "tries": sent.tries,
                "failed": sent.failed,
                **dict(sorted(sent.numbers.items())),
                "faults": dict(sorted(sent.faults.items())),
            }
        document["seconds"] = str(round(time.monotonic() - begun_seconds, 2))
        self.emit(document, failed=failed)

    def _prepare(self, load: Load, options: dict[str, Any]) -> int:
        database.ensure_ready()
        made = 0
        # Keys that were written before are told nowhere else.
        with Path(options["keys"]).open("a", encoding="utf-8") as keys:
            Path(options["keys"]).chmod(0o600)
            for chunk in _chunks(load):
                now = clock.now()
                with system_scope(purpose="generate load", actor="command"):
                    created = create_tenants(
                        tenants=[
                            NewTenant(key=key, name=key, timezone=options["timezone"], apps=(key,))
                            for key in chunk
                        ],
                        now=now,
                        actor="command:generate_load",
                    )
                    for tenant in created:
                        key = create_api_key(
                            tenant_id=tenant.id,
                            scope=KeyScope.INGEST,
                            label="generated load",
                            now=now,
                            actor="command:generate_load",
                        )
                        keys.write(f"{tenant.key},{key.text}\n")
                made += len(created)
                self.progress(f"{made:,} tenants made")
        return made

    def _sent(self, load: Load, options: dict[str, Any], *, told: Told) -> Sent:
        zone = ZoneInfo(options["timezone"])
        if options["gateway"]:
            if not options["secret_file"]:
                raise WrongUse("--gateway needs --secret-file.")
            secret = Path(options["secret_file"]).read_text(encoding="utf-8").strip()
            days = active_days_of(
                load, zone=zone, messages=options["messages"], most_users=USERS_AT_A_TIME
            )
            made = reports(days, gateway=options["gateway"], epoch=f"load-{load.seed}", told=told)
            return send(
                (_signed(encoded(report), secret=secret) for report in made),
                url=options["url"],
                path="/api/v1/reports",
                # In their order: a report that comes before another one is a gap until that comes.
                connections=1,
            )
        if not options["keys"]:
            raise WrongUse("--url needs --keys, or --gateway.")
        with Path(options["keys"]).open(encoding="utf-8", newline="") as file:
            keys = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}  # app and key
        for app in (key for chunk in _chunks(load) for key in chunk):
            if app not in keys:
                raise WrongUse(
                    f"{options['keys']} has no key of {app}: make the tenants with --prepare and the "
                    "same options."
                )
        lines = event_lines(
            events_of(load, zone=zone, messages=options["messages"], repeats=options["repeats"]),
            told=told,
        )
        return send(
            (_with_key(content, key=keys[app]) for app, content in event_bodies(lines)),
            url=options["url"],
            path="/api/v1/events",
            connections=options["connections"],
        )


def _written(load: Load, options: dict[str, Any]) -> dict[str, Any]:
    told, digest, size = Told(), hashlib.sha256(), 0
    events = events_of(
        load,
        zone=ZoneInfo(options["timezone"]),
        messages=options["messages"],
        repeats=options["repeats"],
    )
    path = Path(options["output"])
    is_csv = path.name.lower().removesuffix(".gz").endswith(".csv")
    rows = (
        csv_rows(events, told=told)
        if is_csv
        else (line for _, line in event_lines(events, told=told))
    )
    with _opened(path) as file:
        for chunk in _joined(rows):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
    return {**_counts(told), "bytes": size, "sha256": digest.hexdigest()}


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("wb") as plain:
        if path.suffix.lower() != ".gz":
            yield plain
            return
        # Without a name and a time in its head, the compressed bytes are the same too.
        with gzip.GzipFile(
            filename="", fileobj=plain, mode="wb", compresslevel=1, mtime=0
        ) as zipped:
            yield cast("BinaryIO", zipped)


def _joined(rows: Iterator[bytes]) -> Iterator[bytes]:
    held, size = [], 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= _CHUNK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


def _counts(told: Told) -> dict[str, int]:
    return {
        "tenants": told.tenants,
        "users": told.users,
        "events": told.events,
        "repeats": told.repeats,
    }


def _chunks(load: Load) -> Iterator[list[str]]:
    held: list[str] = []
    for tenant in tenants_of(load):
        held.append(tenant.key)
        if len(held) == _TENANTS_AT_A_TIME:
            yield held
            held = []
    if held:
        yield held


def _with_key(content: bytes, *, key: str) -> Body:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    return Body(content=content, headers=lambda: headers)


def _signed(content: bytes, *, secret: str) -> Body:
    def headers() -> dict[str, str]:
        name, at = message_id(), str(int(clock.now().timestamp()))
        return {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": at,
            "webhook-signature": signature(
                secret=secret, message_id=name, timestamp=at, body=content
            ),
        }

    return Body(content=content, headers=headers)


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= sys.maxsize:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)
