"""Mail by a provider's API: a real HTTP server answers as the provider does, and tells what became of it."""

import base64
import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import reload
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import clear_url_caches

import billing.mailing.urls
import config.urls
from billing.mailing.domain import MailState
from billing.mailing.gateways.port import MailServerUnavailable
from billing.mailing.services.plan_mails import plan_mails
from billing.mailing.services.send_mails import send_mails
from kernel import clock
from tenants.scope import system_scope
from tests.services.mail_world import BOX, Post, invoices, mails, post, printed

__all__ = ["post"]  # a fixture

pytestmark = pytest.mark.usefixtures("db")


SECRET = "of-the-tests"


@dataclass
class Provider:
    """Postmark's API, as far as one message needs it."""

    address: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    silent: bool = False


@pytest.fixture
def provider(post: Post, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the name that http.server calls
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["X-Postmark-Server-Token"] == "token"
            state.asked.append(body)
            if state.silent:
                self.connection.close()
                return
            said = {"ErrorCode": 0, "Message": "OK", "MessageID": "pm-1", "To": body["To"]}
            if state.status == 422:
                said = {"ErrorCode": 300, "Message": f"Invalid 'To' address: '{body['To']}'."}
            answer = json.dumps(said).encode()
            self.send_response(state.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(settings, "MAIL_PROVIDER", "postmark")
    monkeypatch.setattr(settings, "EMAIL_BACKEND", "anymail.backends.postmark.EmailBackend")
    monkeypatch.setattr(
        settings,
        "ANYMAIL",
        {
            "POSTMARK_SERVER_TOKEN": "token",
            "POSTMARK_API_URL": state.address,
            "WEBHOOK_SECRET": ["old:secret", f"mail:{SECRET}"],
        },
    )
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def address(provider: Provider) -> Iterator[str]:
    """The addresses as they are where a provider is set up."""
    reload(billing.mailing.urls)
    reload(config.urls)
    clear_url_caches()
    yield "/webhooks/mail/"
    settings.MAIL_PROVIDER = ""
    reload(billing.mailing.urls)
    reload(config.urls)
    clear_url_caches()


def sent() -> MailState:
    (invoice,) = invoices()
    printed(invoice)
    with system_scope(purpose="test"):
        plan_mails(invoices=[invoice.id], now=clock.now())
    (mail,) = mails()
    send_mails(batch=mail.batch, clock=clock.now)
    return MailState(mails()[0].state)


def told(address: str, secret: str = SECRET, **event: Any) -> int:
    (mail,) = mails()
    credentials = base64.b64encode(f"mail:{secret}".encode()).decode()
    body = {
        "MessageID": "pm-1",
        "Recipient": BOX,
        "Metadata": {"mail": str(mail.id), "tenant": str(mail.tenant_id), "copy": "1"},
        **event,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = Client().post(
            address,
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Basic {credentials}"},
        )
    return answer.status_code


def test_it_goes_with_its_paper_and_the_provider_names_it(provider: Provider) -> None:
    assert sent() is MailState.SENT
    (asked,) = provider.asked
    (mail,) = mails()
    assert mail.provider_id == "pm-1"
    assert asked["To"] == BOX
    assert asked["Metadata"] == {"mail": str(mail.id), "tenant": str(mail.tenant_id), "copy": "1"}
    (paper,) = asked["Attachments"]
    assert base64.b64decode(paper["Content"]).startswith(b"%PDF-")


@pytest.mark.parametrize(("status", "state"), [(422, "failed"), (500, "uncertain")])
def test_a_refusal_is_for_good_and_a_fault_is_uncertain(
    provider: Provider, status: int, state: str
) -> None:
    provider.status = status
    assert sent() == state
    assert len(provider.asked) == 1


def test_a_lost_answer_is_uncertain(provider: Provider) -> None:
    provider.silent = True
    assert sent() == "uncertain"


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_closed_door_is_tried_again(provider: Provider, status: int) -> None:
    provider.status = status
    with pytest.raises(MailServerUnavailable):
        sent()
    assert mails()[0].state == "waiting"


def test_what_the_provider_tells_is_shown_once_it_is_believed(address: str) -> None:
    assert sent() is MailState.SENT
    at = "2026-03-01T01:00:00Z"
    assert told(address, "wrong", RecordType="Delivery", DeliveredAt=at) == 400
    assert mails()[0].state == "sent"
    assert told(address, RecordType="Delivery", DeliveredAt=at) == 200
    assert mails()[0].state == "delivered"
    assert told(address, RecordType="Open", ReceivedAt=at) == 200
    assert told(address, RecordType="Delivery", DeliveredAt=at, Metadata={}) == 200
    assert mails()[0].state == "delivered"
    assert told(address, RecordType="Bounce", Type="HardBounce", BouncedAt=at) == 200
    (mail,) = mails()
    assert (mail.state, mail.failure_code) == ("bounced", "bounced")


def test_without_a_provider_the_address_is_not_there(post: Post) -> None:
    assert Client().post("/webhooks/mail/").status_code == 404
