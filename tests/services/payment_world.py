"""What payment tests stand on: a real `localstripe` process, a front that adds what Stripe has and
it lacks (idempotency keys) and that can lose answers, an open invoice, and signed events."""

import hashlib
import hmac
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests
from django.db import connections

from billing.invoicing.models import Invoice
from billing.ledger.domain import invoice_postings
from billing.ledger.queries import account_balances
from billing.ledger.services import NewTransaction, post_transaction
from billing.payments.gateways.stripe import StripeGateway
from config.embedded.stripe import SECRET_KEY
from kernel import ids
from kernel.money import Money
from tenants.models import User
from tenants.scope import system_scope
from tenants.services.create_tenant import NewTenant, create_tenant

NOW = datetime(2026, 4, 3, 2, 0, tzinfo=UTC)
SECRET = "whsec_of_the_tests"


@pytest.fixture(scope="session")
def local_stripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real `localstripe`, as `make run` starts it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = tmp_path_factory.mktemp("stripe") / "objects.pickle"
    log = state.with_suffix(".log").open("wb")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "config.embedded.stripe_server",
            f"--port={port}",
            f"--state={state}",
        ],
        cwd=Path(__file__).resolve().parents[2],
        stdout=log,
        stderr=log,
    )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, state.with_suffix(".log").read_text()
                assert time.monotonic() < until
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        log.close()


@dataclass
class Front:
    """Between us and `localstripe`: an HTTP server that keeps idempotency keys as Stripe does."""

    address: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    lose_next: int = 0
    lose_path: str = ""
    answer_with: int = 0
    remembered: dict[str, tuple[str, int, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def made(self, path: str) -> int:
        """How many POST calls to the path reached `localstripe`."""
        return sum(1 for verb, called, _ in self.calls if verb == "POST" and called == path)

    def lose_answers(self, count: int, *, path: str = "") -> None:
        """Do the next calls, then break the connection instead of answering."""
        self.lose_next, self.lose_path = count, path


@pytest.fixture
def no_call_in_a_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail any call to the outside that is made while a database transaction is open."""
    send = requests.Session.send

    def guarded(session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
        held = [each.alias for each in connections.all() if each.in_atomic_block]
        assert not held, f"a call while a transaction is open on {held}"
        return send(session, *args, **kwargs)

    monkeypatch.setattr(requests.Session, "send", guarded)


@pytest.fixture
def front(local_stripe: str, no_call_in_a_transaction: None) -> Iterator[Front]:
    """A front with nothing lost yet."""
    state = Front()
    host, _, port = local_stripe.removeprefix("http://").partition(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.headers.get("Idempotency-Key", "")
            if state.answer_with:
                self.answer(state.answer_with, b'{"error": {"message": "made up"}}')
                return
            with state.lock:
                known = state.remembered.get(key) if key else None
                if known is not None:
                    status, answer = known[1], known[2]
                else:
                    status, answer = self.ask(body)
                    state.calls.append((self.command, self.path.partition("?")[0], key))
                    if key and status < 500:
                        state.remembered[key] = (self.path, status, answer)
                lose = state.lose_next > 0 and state.lose_path in self.path
                state.lose_next -= lose
            if lose:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.answer(status, answer)

        def ask(self, body: bytes) -> tuple[int, bytes]:
            link = http.client.HTTPConnection(host, int(port), timeout=20)
            kept = ("Authorization", "Content-Type")
            headers = {name: self.headers[name] for name in kept if name in self.headers}
            link.request(self.command, self.path, body=body, headers=headers)
            response = link.getresponse()
            answer = response.read()
            link.close()
            return response.status, answer

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = forward  # noqa: N815  # the names that http.server calls

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def gateway(front: Front) -> StripeGateway:
    """The adapter, speaking to `localstripe` through the front; lost answers are not asked for again."""
    return StripeGateway(secret_key=SECRET_KEY, api_base=front.address, retries=0)


@pytest.fixture
def stripe_settings(front: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    """The same as the configured gateway, for views and jobs."""
    from django.conf import settings

    monkeypatch.setattr(settings, "STRIPE_SECRET_KEY", SECRET_KEY)
    monkeypatch.setattr(settings, "STRIPE_API_BASE", front.address)
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRET", SECRET)
    return front


@dataclass(frozen=True)
class Owed:
    """An open invoice of a tenant."""

    tenant_id: UUID
    invoice_id: UUID
    total: Money


def owe(amount: str = "1299.00", currency: str = "CNY", *, tenant: str = "acme") -> Owed:
    """A tenant (made at the first call) and one more open invoice of it, posted to the ledger."""
    total = Money.of(amount, currency)
    with system_scope(purpose="test"):
        from tenants.models import Tenant

        row = Tenant.objects.filter(key=tenant).first()
        tenant_id = (
            row.id
            if row
            else create_tenant(
                tenant=NewTenant(key=tenant, name="北京云枢信息技术", timezone="Asia/Shanghai"),
                now=NOW,
                actor="test",
            ).id
        )
        invoice = Invoice.objects.create(
            id=ids.new_id(),
            tenant_id=tenant_id,
            seller_id="default",
            currency=currency,
            timezone="Asia/Shanghai",
            boundary_at=NOW,
            period_starts_at=datetime(2026, 2, 28, 16, tzinfo=UTC),
            period_ends_at=datetime(2026, 3, 31, 16, tzinfo=UTC),
            finalize_at=NOW,
            subtotal_minor=total.minor,
            total_minor=total.minor,
        )
        Invoice.objects.filter(id=invoice.id).update(
            status="open",
            number=f"INV-2026-{Invoice.objects.count():06}",
            issued_at=NOW,
            due_on=date(2026, 4, 18),
        )
        post_transaction(
            transaction=NewTransaction(
                tenant_id=tenant_id,
                kind="invoice",
                reference=f"invoice:{invoice.id}",
                description="test",
                postings=invoice_postings(
                    recurring_in_advance=Money.zero(currency),
                    arrears=total,
                    tax=Money.zero(currency),
                ),
            ),
            now=NOW,
        )
    return Owed(tenant_id=tenant_id, invoice_id=invoice.id, total=total)


def invoice_of(owed: Owed) -> Invoice:
    with system_scope(purpose="test"):
        return Invoice.objects.get(id=owed.invoice_id)


def balances(owed: Owed) -> dict[str, int]:
    """The tenant's ledger in minor units, debit positive; accounts at zero left out."""
    with system_scope(purpose="test"):
        found = account_balances(tenant_id=owed.tenant_id)
    return {account: money.minor for (account, _), money in found.items() if money}


def finance(role: str = "finance") -> User:
    with system_scope(purpose="test"):
        return User.objects.create_user(email=f"{role}@example.com", password=None, staff_role=role)


def an_event(
    *, intent_id: str, kind: str = "payment_intent.succeeded", **changes: Any
) -> dict[str, Any]:
    """An event as Stripe sends it, with the parts that we read."""
    return {
        "id": f"evt_{ids.new_id().hex}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(NOW.timestamp()),
        "livemode": False,
        "pending_webhooks": 1,
        "type": kind,
        "data": {"object": {"id": intent_id, "object": "payment_intent"}},
    } | changes


def signed(payload: bytes, *, at: datetime = NOW, secret: str = SECRET, extra: str = "") -> str:
    """The Stripe-Signature header of a payload."""
    stamp = int(at.timestamp())
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={stamp}{extra},v1={digest}"


def body_of(event: dict[str, Any]) -> bytes:
    return json.dumps(event, indent=2).encode()


@contextmanager
def own_connections() -> Iterator[None]:
    """For the body of a thread: its database connections end with it."""
    try:
        yield
    finally:
        connections.close_all()


def at_once(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Run all at the same moment in threads; gives results or exceptions, in order."""
    barrier = threading.Barrier(len(tasks))
    results: list[Any] = [None] * len(tasks)

    def run(position: int) -> None:
        with own_connections():
            barrier.wait()
            try:
                results[position] = tasks[position]()
            except Exception as error:  # noqa: BLE001  # the test looks at what was raised
                results[position] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
