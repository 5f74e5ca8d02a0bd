"""Web server, database and roll-up are killed at random moments while events and reports are sent with
retries: nothing is lost after its acknowledgement, and nothing counts twice.

Killing a backend of the database with SIGKILL makes the whole server recover as after a crash.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import psutil
import pytest
from django.db import DatabaseError, InterfaceError, connections

from config.bench.ingest import free_port, wait_for
from kernel import clock
from metering.queries import usage_differences
from metering.reports.domain import signature
from metering.reports.models import GatewayGap, GatewayReport
from metering.reports.services.gateways import create_gateway
from metering.services import roll_up_pending
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from tests.factories import a_tenant
from tests.services.forks import Fork, Forks
from tests.services.metering_world import stored_events, stored_usage
from work.connections import OWNER

pytestmark = [
    pytest.mark.usefixtures("db"),
    pytest.mark.skipif(
        bool(os.environ.get("DATABASE_URL")),
        reason="kills the database server, so only its own one",
    ),
]

_USERS = 40
_BATCH = 60
_GIVE_UP_SECONDS = 240.0


@dataclass(kw_only=True)
class Server:
    """The web server on a port that it keeps when it is killed and started again."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers. One that ends because the database is just recovering is started
        again, as the supervisor does."""
        until = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < until:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1",
                 f"--port={self.port}", "--workers=2", "--no-access-log", "config.wsgi:application"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"},
            )  # fmt: skip
            with suppress(RuntimeError):
                wait_for(self.port)
                return
            self.kill()
        raise AssertionError("the web server did not start")

    def kill(self) -> None:
        """The server and its workers, at once."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    started = Forks('load_command_class("work", "run_jobs")')
    yield started
    started.end()


@dataclass(kw_only=True)
class Sender:
    """Sends bodies one after another; each again and again, as it is, until it is acknowledged."""

    port: int
    path: str
    tries: int = 0
    answers: list[dict[str, Any]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def send(self, body: bytes, headers: dict[str, str]) -> bool:
        """Whether it was acknowledged; only 2xx is an acknowledgement."""
        until = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < until:
            self.tries += 1
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
                continue
            finally:
                connection.close()
            if answer.status == 200:
                self.answers.append(json.loads(content))
                return True
            if answer.status < 500 and answer.status != 429:
                self.faults.append(f"{answer.status}: {content[:200]!r}")
                return False
            time.sleep(0.1)
        self.faults.append("no acknowledgement")
        return False


@dataclass(kw_only=True)
class Expected:
    """What was sent, counted in plain Python."""

    ids: Counter[str] = field(default_factory=Counter)
    users: set[str] = field(default_factory=set)
    messages: int = 0
    reports: int = 0


def an_event(app: str, number: int, at: datetime) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"{app}-{number}",
        "source": "storm",
        "type": "message.sent",
        "subject": app,
        "time": at.isoformat(),
        "data": {"user": f"u{number % _USERS}"},
    }


def send_events(
    sender: Sender,
    *,
    app: str,
    key: str,
    over: threading.Event,
    at: datetime,
    seed: int,
    into: Expected,
) -> None:
    """Until it is over, batches of new events, each with some of those before once more and in another
    order."""
    chance = random.Random(seed)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for batch in count():
        if over.is_set():
            return
        fresh = range(batch * _BATCH, (batch + 1) * _BATCH)
        again = [chance.randrange((batch + 1) * _BATCH) for _ in range(_BATCH // 4)]
        numbers = [*fresh, *again]
        chance.shuffle(numbers)
        body = json.dumps([an_event(app, number, at) for number in numbers]).encode()
        if not sender.send(body, headers):
            return
        into.ids.update({f"{app}-{number}": 1 for number in fresh})
        into.users |= {f"u{number % _USERS}" for number in fresh}
        into.messages += len(fresh)


def send_reports(
    sender: Sender, *, app: str, secret: str, over: threading.Event, at: datetime, into: Expected
) -> None:
    for sequence in count(1):
        if over.is_set():
            return
        body = json.dumps(
            {
                "gateway": "storm",
                "sequence": sequence,
                "window": {
                    "starts_at": at.isoformat(),
                    "ends_at": (at + timedelta(minutes=1)).isoformat(),
                },
                "apps": [
                    {
                        "app": app,
                        "counts": {"message.group.up": str(sequence)},
                        "active_users": [f"u{sequence % _USERS}", f"r{sequence}"],
                    }
                ],
            }
        ).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": f"m{sequence}",
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(
                secret=secret, message_id=f"m{sequence}", timestamp=timestamp, body=body
            ),
        }
        if not sender.send(body, headers):
            return
        into.reports += 1
        into.users |= {f"u{sequence % _USERS}", f"r{sequence}"}
        into.messages += sequence


def crash_database() -> bool:
    """Kill one of its backends, so that the server recovers as after a crash."""
    try:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                " ORDER BY random() LIMIT 1"
            )
            row = cursor.fetchone()
    except (DatabaseError, InterfaceError):
        connections[OWNER].close()
        return False
    finally:
        connections[OWNER].close()
    if row is None or "postgres" not in psutil.Process(row[0]).name():
        return False
    with suppress(ProcessLookupError):
        os.kill(row[0], signal.SIGKILL)
    return True


def wait_for_database() -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with connections[OWNER].cursor() as cursor:
                cursor.execute("SELECT 1")
            return
        except (DatabaseError, InterfaceError):
            connections[OWNER].close()
            time.sleep(0.1)
    raise AssertionError("the database did not come back")


def storm(*, server: Server, forks: Forks, kills: int, seed: int) -> Counter[str]:
    """Kill something at random moments, so many times."""
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    running: Fork | None = None
    kinds = ["database", "roll-up", "web"]
    while sum(killed.values()) < kills:
        if running is None:
            running = forks.start("run_jobs")
        time.sleep(chance.uniform(0.05, 1.2))
        kind = kinds[sum(killed.values()) % len(kinds)]
        if kind == "web":
            server.kill()
            server.start()
        elif kind == "database" and not crash_database():
            continue
        elif kind == "roll-up":
            running.kill()
            running.wait()
            running = None
        killed[kind] += 1
    if running is not None:
        running.kill()
        running.wait()
    return killed


def weathered(*, server: Server, forks: Forks, kills: int, seed: int) -> None:
    """Let the storm go over two tenants' events and a gateway's reports, then count everything."""
    at = clock.now().replace(microsecond=0) - timedelta(days=2)
    tenants = [a_tenant(f"t{n}", apps=(f"app{n}",), timezone="UTC") for n in range(2)]
    with system_scope(purpose="test"):
        keys = [
            create_api_key(
                tenant_id=each.id, scope="ingest", label="", now=clock.now(), actor="test"
            ).text
            for each in tenants
        ]
        gateway = create_gateway(key="storm", deployment="", now=clock.now(), actor="test")
    over = threading.Event()
    expected = [Expected(), Expected()]
    of_events = [Sender(port=server.port, path="/api/v1/events") for _ in tenants]
    of_reports = Sender(port=server.port, path="/api/v1/reports")
    reported = Expected()
    threads = [
        threading.Thread(
            target=send_events,
            args=(of_events[n],),
            kwargs={
                "app": f"app{n}",
                "key": keys[n],
                "over": over,
                "at": at,
                "seed": seed + n,
                "into": expected[n],
            },
        )
        for n in range(2)
    ]
    threads.append(
        threading.Thread(
            target=send_reports,
            args=(of_reports,),
            kwargs={
                "app": "app0",
                "secret": gateway.secret,
                "over": over,
                "at": at,
                "into": reported,
            },
        )
    )
    for thread in threads:
        thread.start()
    try:
        storm(server=server, forks=forks, kills=kills, seed=seed)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    connections.close_all()
    wait_for_database()

    senders = [*of_events, of_reports]
    assert [fault for each in senders for fault in each.faults] == []
    assert sum(each.tries for each in senders) > sum(len(each.answers) for each in senders)
    roll_up_pending(now=clock.now())
    with system_scope(purpose="test"):
        stored = Counter(each.event_id for each in stored_events() if each.source == "storm")
        differences = usage_differences(from_day=at.date(), to_day=at.date() + timedelta(days=1))
        assert GatewayReport.objects.count() == reported.reports > 0
        assert GatewayGap.objects.count() == 0
    # Each once that was acknowledged, and none that was not sent.
    assert stored == expected[0].ids + expected[1].ids
    assert differences == []
    for number, (tenant, told) in enumerate(zip(tenants, expected, strict=True)):
        usage = stored_usage(tenant.id)
        users = told.users | (reported.users if number == 0 else set())
        messages = told.messages + (reported.messages if number == 0 else 0)
        assert usage[tenant.apps[0].id, "dau", "", at.date()] == len(users)
        assert sum(value for place, value in usage.items() if place[1] == "messages") == messages


def test_nothing_is_lost_or_doubled_in_a_storm(server: Server, forks: Forks) -> None:
    weathered(server=server, forks=forks, kills=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(10, 16))
def test_nothing_is_lost_or_doubled_in_long_storms(seed: int, server: Server, forks: Forks) -> None:
    weathered(server=server, forks=forks, kills=40, seed=seed)
