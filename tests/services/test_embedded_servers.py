"""The embedded broker and the stand-in for Stripe, as `make run` starts them."""

import hashlib
import hmac
import http.server
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import stripe as stripe_client

from config.embedded import broker, ports, stripe
from config.environment import CHECKOUT


@contextmanager
def _started(server: broker.Broker | stripe.LocalStripe) -> Iterator[None]:
    with subprocess.Popen(server.command, cwd=CHECKOUT, stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 20
            while not server.is_ready():
                assert process.poll() is None
                assert time.monotonic() < until
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def test_broker_wants_its_password_and_keeps_nothing(tmp_path: Path) -> None:
    server = broker.prepared(tmp_path)
    with _started(server):
        client = redis.Redis.from_url(server.url)
        client.set("key", "value")
        with pytest.raises(redis.exceptions.AuthenticationError):
            redis.Redis(host="127.0.0.1", port=server.port).ping()
        client.close()
    assert stat.S_IMODE((tmp_path / "broker/valkey.conf").stat().st_mode) == 0o600
    again = broker.prepared(tmp_path)
    assert again.url == server.url
    with _started(again):
        client = redis.Redis.from_url(again.url)
        assert client.get("key") is None
        client.close()


def test_port_is_remembered_and_given_up_when_taken(tmp_path: Path) -> None:
    noted = tmp_path / "port"
    port = ports.free_port(remembered_in=noted)
    assert ports.free_port(remembered_in=noted) == port
    with socket.create_server(("127.0.0.1", port)):
        assert ports.is_open(port)
        assert ports.free_port(remembered_in=noted) != port
    assert not ports.is_open(port)


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps the bodies and signatures that it is sent."""

    received: list[tuple[bytes, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((body, self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


def test_stand_in_takes_payments_sends_signed_webhooks_and_remembers(tmp_path: Path) -> None:
    server = stripe.prepared(tmp_path)
    client = stripe_client.StripeClient(
        stripe.SECRET_KEY, base_addresses={"api": server.api_base}, max_network_retries=0
    )
    received: list[tuple[bytes, str]] = []
    handler = type("Receiver", (_Receiver,), {"received": received})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        with _started(server):
            url = f"http://127.0.0.1:{receiver.server_port}/webhooks/stripe"
            server.send_webhooks(to=url, secret="whsec_test")
            intent = client.v1.payment_intents.create(
                {
                    "amount": 1234,
                    "currency": "cny",
                    "payment_method": "pm_card_visa",
                    "confirm": True,
                }
            )
            assert intent.status == "succeeded"
            until = time.monotonic() + 10
            while not any(b"payment_intent.succeeded" in body for body, _ in received):
                assert time.monotonic() < until
                time.sleep(0.05)
        receiver.shutdown()
    body, signature = next(each for each in received if b"payment_intent.succeeded" in each[0])
    parts = dict(part.split("=", 1) for part in signature.split(","))
    expected = hmac.new(b"whsec_test", parts["t"].encode() + b"." + body, hashlib.sha256)
    assert parts["v1"] == expected.hexdigest()

    objects = tmp_path / "stripe/objects.pickle"
    assert stat.S_IMODE(objects.stat().st_mode) == 0o600
    with _started(stripe.prepared(tmp_path)):
        assert client.v1.payment_intents.retrieve(intent.id).amount == 1234


def test_stand_in_listens_on_loopback_only(tmp_path: Path) -> None:
    server = stripe.prepared(tmp_path)
    with _started(server):
        table = Path("/proc/net/tcp")
        listening = table.read_text(encoding="ascii") if table.exists() else ""
        port = f"{server.port:04X}"
        local = [line.split()[1] for line in listening.splitlines()[1:]]
        assert {each.split(":")[0] for each in local if each.endswith(f":{port}")} <= {"0100007F"}


def test_unreadable_state_of_the_stand_in_is_put_aside(tmp_path: Path) -> None:
    server = stripe.prepared(tmp_path)
    objects = tmp_path / "stripe/objects.pickle"
    objects.write_bytes(b"not a pickle")
    with _started(server):
        assert (tmp_path / "stripe/objects.unreadable").exists()
