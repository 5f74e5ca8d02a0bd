"""More than fits is refused before it takes memory, and one tenant's flood does not keep others waiting."""

import gc
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest

from config.bench.ingest import free_port, wait_for
from kernel import clock
from kernel.errors import Unavailable
from metering.api.intake import MOST_OF_ALL, MOST_OF_ONE, Intake, size_of
from metering.ingest.domain import limits
from metering.services import roll_up_pending
from tenants.api.bodies import MOST_AT_ONCE, MOST_OF_ONE_KEY
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from tests.factories import a_tenant
from tests.services.metering_world import message, stored_usage
from work.connections import cursor

pytestmark = pytest.mark.usefixtures("db")

THREADS = 8
FLOODERS = 12
FLOOD_SECONDS = 6.0


def code_of(intake: Intake, who: str, size: int = 1) -> str:
    try:
        with intake.place(who, size=size):
            return "in"
    except Unavailable as refused:
        return refused.code if refused.params["retry_after_seconds"] >= 1 else "no time told"


def test_one_has_its_share_and_others_have_theirs() -> None:
    intake = Intake(most_of_one=2, most_bytes=100)
    with intake.place("a", size=1), intake.place("a", size=1):
        assert code_of(intake, "a") == "too_many_at_once"
        assert code_of(intake, "b") == "in"
        with pytest.raises(Unavailable):
            intake.refuse_if_full("a")
    assert code_of(intake, "a") == "in"
    intake.refuse_if_full("a")


def test_all_have_so_many_bytes_and_one_alone_is_let_in() -> None:
    intake = Intake(most_of_one=9, most_of_all=9, most_bytes=100)
    with intake.place("a", size=500):
        assert code_of(intake, "b", 1) == "overloaded"
    with intake.place("a", size=60):
        assert code_of(intake, "b", 40) == "in"
        assert code_of(intake, "b", 41) == "overloaded"


def test_all_together_leave_threads_for_everything_else() -> None:
    intake = Intake(most_of_one=2, most_of_all=3)
    with intake.place("a", size=1), intake.place("a", size=1), intake.place("b", size=1):
        assert code_of(intake, "c") == "overloaded"
        assert code_of(intake, "a") == "too_many_at_once"
    assert code_of(intake, "c") == "in"
    assert MOST_OF_ONE < MOST_OF_ONE_KEY < MOST_OF_ALL < MOST_AT_ONCE < THREADS


def test_a_place_is_given_back_when_the_request_fails() -> None:
    intake = Intake(most_of_one=1, most_bytes=10)
    with pytest.raises(ZeroDivisionError), intake.place("a", size=10):
        raise ZeroDivisionError
    assert code_of(intake, "a", 10) == "in"


@pytest.mark.parametrize(
    ("length", "coding", "size"),
    [
        ("1000", "", 1000),
        ("1000", "identity", 1000),
        ("1000", "gzip", 16_000),
        ("99999999999", "", limits.MOST_WIRE_BYTES),
        ("99999999999", "zstd", limits.MOST_INFLATED_BYTES),
        ("", "", limits.MOST_WIRE_BYTES),
        ("many", "gzip", limits.MOST_INFLATED_BYTES),
    ],
)
def test_a_body_takes_what_it_may_inflate_to(length: str, coding: str, size: int) -> None:
    request = HttpRequest()
    request.META = {"CONTENT_LENGTH": length, "HTTP_CONTENT_ENCODING": coding}
    assert size_of(request) == size


class Client:
    """A tenant with a key and a connection of its own for each thread."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.tenant = a_tenant(name, apps=(f"{name}-app",))
        self.app = f"{name}-app"
        with system_scope(purpose="test"):
            self.key = create_api_key(
                tenant_id=self.tenant.id, scope="ingest", label="", now=clock.now(), actor="test"
            ).text

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(
        self, connection: http.client.HTTPConnection, body: bytes
    ) -> tuple[int, dict[str, Any], str]:
        connection.request(
            "POST",
            "/api/v1/events",
            body=body,
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/x-ndjson",
            },
        )
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content), answer.headers.get("Retry-After", "")

    def body(self, first: str, count: int) -> bytes:
        at = clock.now() - timedelta(minutes=1)
        return b"\n".join(
            json.dumps(message(f"{first}-{n}", f"u{n % 500}", at, app=self.app)).encode()
            for n in range(count)
        )


@pytest.fixture
def server(db: None) -> Iterator[tuple[int, int]]:
    """One web process as `make run` starts it: its port and process id."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "granian", "--interface=wsgi", "--host=127.0.0.1",
         f"--port={port}", "--workers=1", f"--blocking-threads={THREADS}",
         "--workers-kill-timeout=10", "--no-access-log", "config.wsgi:application"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "ALLOWED_HOSTS": "127.0.0.1"},
    )  # fmt: skip
    try:
        wait_for(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def memory_mb(pid: int) -> int:
    """The resident memory of a process and its children."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(
                line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
            )
        except OSError:
            continue
        if str(pid) in {told["Pid"].strip(), told["PPid"].strip()} and "VmRSS" in told:
            total += int(told["VmRSS"].split()[0])
    return total // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_a_flood_of_one_tenant_is_refused_and_others_go_on(server: tuple[int, int]) -> None:
    port, pid = server
    flooding, quiet = Client(port, "flood"), Client(port, "quiet")
    bodies = [[flooding.body(f"{n}-{m}", 4_000) for m in range(4)] for n in range(FLOODERS)]
    over = threading.Event()
    statuses: Counter[int] = Counter()
    told_to_wait: set[str] = set()
    accepted: Counter[str] = Counter()
    lock = threading.Lock()

    def flood(own: list[bytes]) -> None:
        connection = flooding.connect()
        while not over.is_set():
            for body in own:
                try:
                    status, answer, retry_after = flooding.post(connection, body)
                except OSError:
                    # A server may close before all was sent; then it is sent anew.
                    connection.close()
                    continue
                with lock:
                    statuses[status] += 1
                    if status == 429:
                        told_to_wait.add(retry_after)
                        assert answer["code"] == "too_many_at_once"
                    else:
                        accepted["flood"] += answer["accepted"]

    def quiet_seconds(count: int, name: str) -> list[float]:
        connection = quiet.connect()
        took_seconds = []
        for n in range(count):
            at_seconds = time.monotonic()
            status, answer, _ = quiet.post(connection, quiet.body(f"{name}-{n}", 5))
            took_seconds.append(time.monotonic() - at_seconds)
            assert (status, answer["accepted"]) == (200, 5)
            accepted["quiet"] += 5
        return took_seconds

    quiet_seconds(10, "warm")
    alone = quiet_seconds(20, "alone")
    before_mb = memory_mb(pid)
    threads = [threading.Thread(target=flood, args=(own,)) for own in bodies]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    beside: list[float] = []
    until_seconds = time.monotonic() + FLOOD_SECONDS
    while time.monotonic() < until_seconds:
        beside += quiet_seconds(5, f"beside-{len(beside)}")
    most_mb = memory_mb(pid)
    over.set()
    for thread in threads:
        thread.join()

    assert set(statuses) == {200, 429}
    assert told_to_wait == {"1"}
    # The flood itself is served too, as far as its share goes.
    assert accepted["flood"] >= 4_000
    # Others are not queued behind it: each still gets its answer while several of the flood are worked on.
    assert len(beside) >= 10
    assert statistics.median(beside) < max(1.0, 20 * statistics.median(alone))
    # Bodies of the flood's 12 clients would be held all at once; those of its share are.
    assert most_mb - before_mb < 400
    assert MOST_OF_ONE < THREADS
    roll_up_pending(now=clock.now())
    with system_scope(purpose="test"), cursor() as execution:
        for client, name in ((flooding, "flood"), (quiet, "quiet")):
            execution.execute(
                "SELECT count(*) FROM metering_event_identity WHERE tenant_id = %s",
                [str(client.tenant.id)],
            )
            assert execution.fetchone() == (accepted[name],)
    counted = stored_usage(quiet.tenant.id)
    assert (
        sum(value for (_, meter, _, _), value in counted.items() if meter == "messages")
        == (accepted["quiet"])
    )


def test_a_key_that_was_revoked_is_out_at_once(server: tuple[int, int]) -> None:
    from tenants.services.api_keys import revoke_api_key

    client = Client(server[0], "acme")
    connection = client.connect()
    assert client.post(connection, client.body("a", 1))[0] == 200
    with system_scope(purpose="test"):
        revoke_api_key(
            tenant_id=client.tenant.id, key_id=_key_id(client), now=clock.now(), actor="test"
        )
    assert client.post(connection, client.body("b", 1))[0] == 401


def _key_id(client: Client) -> Any:
    with cursor() as execution:
        execution.execute(
            "SELECT id FROM tenants_apikey WHERE tenant_id = %s", [str(client.tenant.id)]
        )
        return execution.fetchone()[0]


def test_reports_that_nobody_signed_keep_no_gateway_of_another_address_out(
    server: tuple[int, int],
) -> None:
    port, _ = server
    headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
    stalled = [
        socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.2", 0))
        for _ in range(THREADS)
    ]
    try:
        for connection in stalled:
            connection.sendall(
                b"POST /api/v1/reports HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n"
                + b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
                + b"\r\n{"
            )
        reporting = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers["Content-Type"] = "application/json"
        for _ in range(THREADS):
            reporting.request("POST", "/api/v1/reports", body="{}", headers=headers)
            told = reporting.getresponse()
            # Read as a whole, and found to be none.
            assert (told.status, json.loads(told.read())["code"]) == (400, "bad_report")
    finally:
        for connection in stalled:
            connection.close()


def test_bodies_that_never_come_keep_nobody_else_out(server: tuple[int, int]) -> None:
    port, _ = server
    clients = [Client(port, name) for name in ("one", "two")]
    told = [f"Authorization: Bearer {client.key}" for client in clients]
    # Not one of a gateway, which only the whole body could tell.
    told.append("webhook-id: 1\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA")
    # Forms are for everybody, and what Stripe sends is looked at as a whole too.
    told += ["Cookie: csrftoken=" + "a" * 32, "Stripe-Signature: t=1,v1=a"]
    paths = ["/api/v1/events", "/api/v1/events", "/api/v1/reports", "/accounts/login/"]
    paths.append("/webhooks/stripe")
    stalled = []
    try:
        for path, headers in zip(paths, told, strict=True):
            for _ in range(2 * THREADS):
                connection = socket.create_connection(("127.0.0.1", port))
                stalled.append(connection)
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                    f"Content-Length: 1000\r\n{headers}\r\n\r\n[".encode()
                )
        for _ in range(2 * THREADS):
            asking = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            asking.request("GET", "/healthz")
            assert asking.getresponse().status == 200
            asking.close()
    finally:
        for connection in stalled:
            connection.close()
    # Given up by their clients, they give their places back.
    connection_of_one = clients[0].connect()
    for _ in range(600):
        status, answer, _ = clients[0].post(connection_of_one, clients[0].body("after", 1))
        if status == 200:
            break
        time.sleep(0.05)
    assert (status, answer["accepted"]) == (200, 1)


def test_what_requests_leave_behind_goes_after_so_many_bytes() -> None:
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    intake = Intake()
    gc.disable()
    try:
        left = weakref.ref(Circle())
        with intake.place("somebody", size=1):
            pass
        assert left() is not None
        with intake.place("somebody", size=64 * 1024 * 1024):
            pass
        assert left() is None
    finally:
        gc.enable()
