"""``bench reports``: gateway reports with M active-user marks over HTTP, signed, counted once and rolled
up; beside it the same marks by COPY and one unique-key insert.

Both sides make the same number of marks of the same users on the same day in batches of the same size,
with a commit that waits for the disk for each, and both are warm. As many runners roll up as there are gateways. Ours
ends when the marks and the daily values are stored, not when the reports are.
"""

import hashlib
import http.client
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connections
from psycopg2 import connect

from config.bench.ingest import at_once, free_port, wait_for
from config.bench.measure import measured, result
from config.bench.world import make_tenants
from config.postgres import roles
from kernel import clock
from metering.reports.domain import signature
from metering.reports.services.gateways import CreatedGateway, create_gateway
from metering.services import roll_up_pending
from tenants.models import App
from tenants.scope import system_scope
from work.connections import OWNER

_MARKS_A_REPORT = 10_000
_APPS_A_REPORT = 10
_GATEWAYS = 2
_COPY_BYTES = 1 << 20


def bench(marks: int = 400_000) -> dict[str, object]:
    """Report `marks` active users of 20 apps from 2 gateways, 10,000 in a report."""
    make_tenants(tenants=_GATEWAYS * _APPS_A_REPORT, apps=1)
    now = clock.now()
    with system_scope(purpose="bench"):
        apps = list(App.objects.order_by("key"))
        gateways = [
            create_gateway(key=f"gw-{n}", deployment="shared", now=now, actor="bench")
            for n in range(_GATEWAYS)
        ]
    senders = [
        _Sender(
            gateway=gateway,
            apps=apps[number * _APPS_A_REPORT : (number + 1) * _APPS_A_REPORT],
            reports=marks // _GATEWAYS // _MARKS_A_REPORT or 1,
            marks=min(_MARKS_A_REPORT, marks // _GATEWAYS),
            now=now,
        )
        for number, gateway in enumerate(gateways)
    ]
    port = free_port()
    server = subprocess.Popen(  # our own program
        [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1",
         f"--port={port}", f"--workers={_GATEWAYS}", "--workers-kill-timeout=10",
         "--no-access-log", "config.wsgi:application"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"},
    )  # fmt: skip
    try:
        wait_for(port)
        for sender in senders:
            sender.warm(port)
        with measured() as ours:
            at_once([sender.send for sender in senders])
            roll_up_pending(now=now, runners=_GATEWAYS)
    finally:
        for sender in senders:
            sender.close()  # the server waits for connections that are open
        server.terminate()
        server.wait(30)
    expected = sum(len(sender.rows) for sender in senders)
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_active_user")
        (stored,) = cursor.fetchone()
    if stored != expected:
        raise RuntimeError(f"{stored} of {expected} marks were stored")
    return result(
        bench="reports",
        n=expected,
        seconds=ours.seconds,
        bare_seconds=_bare_seconds(senders),
        ratio_of_rates=True,
    )


class _Sender:
    """One gateway, and its reports made beforehand."""

    def __init__(
        self,
        *,
        gateway: CreatedGateway,
        apps: Sequence[App],
        reports: int,
        marks: int,
        now: datetime,
    ) -> None:
        self._gateway = gateway
        self._bodies: list[bytes] = []
        self._connections: list[http.client.HTTPConnection] = []
        self.rows: list[tuple[UUID, UUID, str, bytes]] = []
        starts_at = now - timedelta(minutes=1)
        for number in range(reports):
            each = marks // len(apps) or 1
            users = {
                app: [f"user-{number}-{place}" for place in range(each)]
                for app in apps[: marks // each]
            }
            day = starts_at.date().isoformat()
            for app, names in users.items():
                self.rows += [
                    (app.tenant_id, app.id, day, hashlib.sha256(name.encode()).digest()[:16])
                    for name in names
                ]
            self._bodies.append(
                json.dumps(
                    {
                        "gateway": gateway.key,
                        "sequence": number + 1,
                        "window": {"starts_at": starts_at.isoformat(), "ends_at": now.isoformat()},
                        "apps": [
                            {
                                "app": app.key,
                                "counts": {"message.single.up": "120"},
                                "active_users": names,
                            }
                            for app, names in users.items()
                        ],
                    }
                ).encode()
            )

    def warm(self, port: int) -> None:
        """Open the connection, and let the workers refuse some reports."""
        for _ in range(8):
            self._connections.append(http.client.HTTPConnection("127.0.0.1", port, timeout=300))
            self._post(self._bodies[0].replace(b"gateway", b"unknown", 1), expected=400)

    def send(self) -> None:
        for body in self._bodies:
            self._post(body, expected=200)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def _post(self, body: bytes, *, expected: int) -> None:
        connection = self._connections[-1]
        timestamp = str(int(clock.now().timestamp()))
        connection.request(
            "POST",
            "/api/v1/reports",
            body=body,
            headers={
                "Content-Type": "application/json",
                "webhook-id": "bench",
                "webhook-timestamp": timestamp,
                "webhook-signature": signature(
                    secret=self._gateway.secret, message_id="bench", timestamp=timestamp, body=body
                ),
            },
        )
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != expected:
            raise RuntimeError(f"{answer.status}: {content[:300]!r}")


def _bare_seconds(senders: Sequence[_Sender]) -> float:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bare_mark (tenant_id uuid, app_id uuid, day date, user_hash bytea,"
            " PRIMARY KEY (tenant_id, app_id, day, user_hash))"
        )
    loads = [_Load(sender.rows) for sender in senders]
    with measured() as bare:
        at_once([load.run for load in loads])
    return bare.seconds


class _Load:
    """One connection of the bare side, and its batches made beforehand."""

    def __init__(self, rows: Sequence[tuple[UUID, UUID, str, bytes]]) -> None:
        self._batches = [
            "".join(
                [
                    f"{tenant}\t{app}\t{day}\t\\\\x{user.hex()}\n"
                    for tenant, app, day, user in rows[start : start + _MARKS_A_REPORT]
                ]
            )
            for start in range(0, len(rows), _MARKS_A_REPORT)
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
            cursor.execute("CREATE TEMPORARY TABLE staged (LIKE bare_mark)")
        self._connection.commit()

    def run(self) -> None:
        with self._connection.cursor() as cursor:
            for batch in self._batches:
                cursor.copy_expert("COPY staged FROM STDIN", io.StringIO(batch), size=_COPY_BYTES)
                cursor.execute("INSERT INTO bare_mark SELECT * FROM staged ON CONFLICT DO NOTHING")
                cursor.execute("TRUNCATE staged")
                self._connection.commit()
        self._connection.close()
