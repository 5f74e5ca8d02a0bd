"""``bench ingest``: N events over HTTP from C clients, deduplicated and durable; beside it the same
rows by COPY and one unique-key insert, from as many connections.

Both sides take the same fields of the same events in the same batches, on the same server with the same
durability (a commit that waits for the disk for each batch), from as many clients at once, and both
are warm: connections are open, and each web worker has answered before. The bare side is what is written
by hand to load a file into a table with a unique key: COPY into a temporary table, an insert that
passes over what is known, commit. It neither checks nor hashes anything, and knows its tenants.
"""

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
from datetime import UTC, datetime, timedelta
from typing import Any
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
_WARMING_REQUESTS = 8
_COPY_BYTES = 1 << 20
_START_SECONDS = 60.0


def bench(events: int = 400_000, clients: int = 2) -> dict[str, object]:
    """Send `events` events in requests of 5,000 from `clients` clients, each for its own tenant."""
    make_tenants(tenants=clients, apps=1)
    now = clock.now()
    senders = [_Sender(number=n, events=events // clients, now=now) for n in range(clients)]
    port = free_port()
    server = subprocess.Popen(  # our own program
        [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1",
         f"--port={port}", f"--workers={clients}", "--workers-kill-timeout=10", "--no-access-log",
         "config.wsgi:application"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"},
    )  # fmt: skip
    try:
        wait_for(port)
        for sender in senders:
            sender.warm(port)
        with measured() as ours:
            at_once([lambda sender=sender: sender.send(port) for sender in senders])  # type: ignore[misc]  # bound now
    finally:
        for sender in senders:
            sender.close()  # the server waits for connections that are open
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
        self._app = app
        self._connections: list[http.client.HTTPConnection] = []
        self.rows = [_row(tenant.id, app, index, now) for index in range(events)]
        self._bodies = [
            b"\n".join(_event(row, app.key) for row in self.rows[start : start + _BATCH])
            for start in range(0, events, _BATCH)
        ]

    def warm(self, port: int) -> None:
        """Send an event that is never counted over some connections, until all workers know us."""
        far = _row(self.rows[0][0], self._app, 0, datetime(1971, 1, 1, tzinfo=UTC))
        for _ in range(_WARMING_REQUESTS):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
            self._connections.append(connection)
            self._post(connection, _event(far, self._app.key))

    def send(self, port: int) -> None:
        connection = self._connections[0]
        for body in self._bodies:
            self.accepted += self._post(connection, body)["accepted"]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _post(self, connection: http.client.HTTPConnection, body: bytes) -> dict[str, Any]:
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
        told: dict[str, Any] = json.loads(content)
        return told


_Row = tuple[UUID, UUID, str, str, str, str, str, str, int]
"""Tenant, app, source, id, type, time, user, kind, count: the columns of `bare_event`."""


def _row(tenant_id: UUID, app: App, index: int, now: datetime) -> _Row:
    at = now - timedelta(seconds=index % 86_400)
    return (
        tenant_id, app.id, "bench", f"event-{index}", "message.sent", at.isoformat(),
        f"user-{index % 5_000}", "single", 1,
    )  # fmt: skip


def _event(row: _Row, app_key: str) -> bytes:
    _, _, source, event_id, event_type, at, user, kind, count = row
    return json.dumps(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": source,
            "type": event_type,
            "subject": app_key,
            "time": at,
            "data": {"user": user, "kind": kind, "count": count},
        }
    ).encode()


def _bare_seconds(senders: Sequence[_Sender]) -> float:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bare_event (tenant_id uuid, app_id uuid, source text, event_id text,"
            " type text, at timestamptz, user_id text, kind text, count bigint,"
            " PRIMARY KEY (tenant_id, source, event_id))"
        )
    loaders = [_Loader(sender.rows) for sender in senders]
    with measured() as bare:
        at_once([loader.load for loader in loaders])
    for loader in loaders:
        loader.close()
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM bare_event")
        (loaded,) = cursor.fetchone()
    if loaded != sum(len(sender.rows) for sender in senders):
        raise RuntimeError(f"{loaded} rows were loaded")
    return bare.seconds


class _Loader:
    """One connection of the bare side, and its batches made beforehand."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self._batches = [
            "".join(["\t".join(map(str, row)) + "\n" for row in rows[start : start + _BATCH]])
            for start in range(0, len(rows), _BATCH)
        ]
        address = roles.address()
        self._connection = connect(
            host=address.host,
            port=address.port or None,
            dbname=address.database,
            user=address.owner,
            password=address.owner_password,
        )
        with self._connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE staged (LIKE bare_event)")
        self._connection.commit()

    def load(self) -> None:
        with self._connection.cursor() as cursor:
            for batch in self._batches:
                cursor.copy_expert("COPY staged FROM STDIN", io.StringIO(batch), size=_COPY_BYTES)
                cursor.execute("INSERT INTO bare_event SELECT * FROM staged ON CONFLICT DO NOTHING")
                cursor.execute("TRUNCATE staged")
                self._connection.commit()

    def close(self) -> None:
        self._connection.close()


def at_once(works: Sequence[Callable[[], None]]) -> None:
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


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when the web server on that port answers."""
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
