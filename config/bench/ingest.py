"""``bench ingest``: N events over HTTP from C clients, deduplicated and durable; beside it the same
rows by COPY and one unique-key insert, from as many connections."""

import http.client
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connections
from psycopg2 import connect

from config.bench.measure import measured, result
from config.bench.world import make_tenants
from config.postgres import roles
from kernel import clock
from tenants.models import App, Tenant
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from work.connections import OWNER

_BATCH = 5_000
_START_SECONDS = 60.0


def bench(events: int = 100_000, clients: int = 2) -> dict[str, object]:
    """Send `events` events in requests of 5,000 from `clients` clients, each for its own tenant."""
    make_tenants(tenants=clients, apps=1)
    now = clock.now()
    senders = [_Sender(number=n, events=events // clients, now=now) for n in range(clients)]
    port = _free_port()
    server = subprocess.Popen(  # our own program
        [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1",
         f"--port={port}", f"--workers={clients}", "--no-access-log", "config.wsgi:application"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"},
    )  # fmt: skip
    try:
        _wait_for(port)
        with measured() as ours:
            _at_once([lambda sender=sender: sender.send(port) for sender in senders])  # type: ignore[misc]  # bound now
    finally:
        server.terminate()
        server.wait(30)
    sent = sum(sender.accepted for sender in senders)
    if sent != events // clients * clients:
        raise RuntimeError(f"{sent} of {events} events were accepted")
    bare = _bare_seconds(senders)
    return result(
        bench="ingest", n=sent, seconds=ours.seconds, bare_seconds=bare, ratio_of_rates=True
    )


class _Sender:
    """One client: its tenant's key, and its requests made beforehand."""

    def __init__(self, *, number: int, events: int, now: datetime) -> None:
        self.accepted = 0
        with system_scope(purpose="bench"):
            tenant = Tenant.objects.get(key=f"t{number + 1}")
            app = App.objects.get(tenant=tenant)
            key = create_api_key(
                tenant_id=tenant.id, scope="ingest", label="bench", now=now, actor="bench"
            )
        self._key = key.text
        self.rows = [_row(tenant.id, app, index, now) for index in range(events)]
        self._bodies = [
            b"\n".join(_event(row, app.key) for row in self.rows[start : start + _BATCH])
            for start in range(0, events, _BATCH)
        ]

    def send(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        for body in self._bodies:
            connection.request(
                "POST",
                "/api/v1/events",
                body=body,
                headers={
                    "Authorization": f"Bearer {self._key}",
                    "Content-Type": "application/x-ndjson",
                },
            )
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {content[:300]!r}")
            self.accepted += json.loads(content)["accepted"]
        connection.close()


_Row = tuple[UUID, UUID, str, str, str]


def _row(tenant_id: UUID, app: App, index: int, now: datetime) -> _Row:
    at = now - timedelta(seconds=index % 86_400)
    return tenant_id, app.id, f"event-{index}", at.isoformat(), f"user-{index % 5_000}"


def _event(row: _Row, app_key: str) -> bytes:
    _, _, event_id, at, user = row
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": "bench",
            "type": "message.sent",
            "subject": app_key,
            "time": at,
            "data": {"user": user, "kind": "single", "count": 1},
        }
    ).encode()


def _bare_seconds(senders: Sequence[_Sender]) -> float:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bare_event (tenant_id uuid, app_id uuid, event_id text, at timestamptz,"
            " user_id text, PRIMARY KEY (tenant_id, event_id))"
        )
    batches = [
        ["".join("\t".join(map(str, row)) + "\n" for row in sender.rows[start : start + _BATCH])
         for start in range(0, len(sender.rows), _BATCH)]
        for sender in senders
    ]  # fmt: skip
    with measured() as bare:
        _at_once([lambda each=each: _copy(each) for each in batches])  # type: ignore[misc]  # bound now
    return bare.seconds


def _copy(batches: Sequence[str]) -> None:
    address = roles.address()
    connection = connect(
        host=address.host,
        port=address.port or None,
        dbname=address.database,
        user=address.owner,
        password=address.owner_password,
    )
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE staged (LIKE bare_event)")
        connection.commit()
        for batch in batches:
            cursor.copy_expert("COPY staged FROM STDIN", io.StringIO(batch))
            cursor.execute("INSERT INTO bare_event SELECT * FROM staged ON CONFLICT DO NOTHING")
            cursor.execute("TRUNCATE staged")
            connection.commit()
    connection.close()


def _at_once(works: Sequence[Callable[[], None]]) -> None:
    """Do all in threads; raises what the first of them raised."""
    faults: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001  # carried to the caller
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError("the web server of the benchmark did not start")
