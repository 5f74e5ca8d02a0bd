"""Stripe's events: only genuine ones, each once, in any order, and none that fails a payment."""

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.db import connections
from django.test import Client

from billing.payments.domain import TestCard
from billing.payments.gateways.port import OutcomeUnknown
from billing.payments.gateways.stripe import StripeGateway
from billing.payments.models import GatewayEvent, Payment, PaymentAttempt
from billing.payments.services.begin_card_payment import CardPayment, begin_card_payment
from billing.payments.services.pay_with_test_card import pay_with_test_card
from billing.payments.webhooks import MAX_BODY_BYTES
from kernel import clock
from tenants.scope import system_scope
from tests.services.payment_world import (
    NOW,
    SECRET,
    Front,
    Owed,
    an_event,
    at_once,
    balances,
    body_of,
    front,
    gateway,
    invoice_of,
    local_stripe,
    no_call_in_a_transaction,
    owe,
    signed,
    stripe_settings,
)
from work.jobs import run_pending

__all__ = [  # fixtures
    "front",
    "gateway",
    "local_stripe",
    "no_call_in_a_transaction",
    "stripe_settings",
]

pytestmark = pytest.mark.usefixtures("db", "stripe_settings")

WORK = ["payments.work_gateway_event"]


def send(payload: bytes, signature: str | None = None) -> Any:
    """Deliver a body as Stripe would, at the tests' instant."""
    headers = {} if signature == "" else {"Stripe-Signature": signature or signed(payload)}
    with clock.moved_to(NOW):
        return Client(enforce_csrf_checks=True).post(
            "/webhooks/stripe/", payload, content_type="application/json", headers=headers
        )


def events() -> list[GatewayEvent]:
    with system_scope(purpose="test"):
        return list(GatewayEvent.objects.order_by("event_id"))


def payments() -> int:
    with system_scope(purpose="test"):
        return Payment.objects.count()


def begun(gateway: StripeGateway, *, tenant: str = "acme") -> tuple[Owed, CardPayment, str]:
    owed = owe(tenant=tenant)
    payment = begin_card_payment(
        tenant_id=owed.tenant_id,
        invoice_id=owed.invoice_id,
        actor="user:1",
        now=NOW,
        gateway=gateway,
    )
    with system_scope(purpose="test"):
        intent_id = PaymentAttempt.objects.get(id=payment.attempt.id).intent_id
    assert intent_id is not None
    return owed, payment, intent_id


def charged(gateway: StripeGateway, front: Front) -> tuple[Owed, str]:
    """A payment that Stripe took and we don't know of yet."""
    owed, payment, intent_id = begun(gateway)
    front.lose_answers(1, path="/confirm")
    with pytest.raises(OutcomeUnknown):
        pay_with_test_card(
            tenant_id=owed.tenant_id,
            attempt_id=payment.attempt.id,
            card=TestCard.SUCCEEDS,
            now=NOW,
            gateway=gateway,
        )
    return owed, intent_id


def test_an_event_is_stored_then_worked_and_pays_the_invoice(
    gateway: StripeGateway, front: Front
) -> None:
    owed, intent_id = charged(gateway, front)
    event = an_event(intent_id=intent_id)

    answer = send(body_of(event))
    stored = events()[0]
    before = invoice_of(owed).status
    run_pending(now=NOW, kinds=WORK)

    assert answer.status_code == 200
    assert answer.json() == {"received": event["id"], "new": True}
    assert (before, stored.worked_at) == ("open", None)
    assert stored.api_version == "2026-10-28.endive"
    assert stored.payload.encode() == body_of(event)
    assert invoice_of(owed).status == "paid"
    assert events()[0].outcome == "settled"


def test_the_same_event_three_times_at_once_has_one_effect(
    gateway: StripeGateway, front: Front
) -> None:
    owed, intent_id = charged(gateway, front)
    payload = body_of(an_event(intent_id=intent_id))

    answers = at_once([lambda: send(payload)] * 3)
    at_once([lambda: run_pending(now=NOW, kinds=WORK)] * 3)
    again = send(payload)
    run_pending(now=NOW, kinds=WORK)

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert sum(answer.json()["new"] for answer in answers) == 1
    assert again.json()["new"] is False
    assert (len(events()), payments()) == (1, 1)
    assert balances(owed) == {"stripe_clearing": 129900, "revenue": -129900}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_events_in_any_order_end_in_the_same_state(
    gateway: StripeGateway, front: Front, order: tuple[int, ...]
) -> None:
    owed, intent_id = charged(gateway, front)
    told = [
        an_event(intent_id=intent_id, kind="payment_intent.created"),
        an_event(intent_id=intent_id, kind="payment_intent.payment_failed"),
        an_event(intent_id=intent_id, kind="payment_intent.succeeded"),
    ]

    for position in order:
        send(body_of(told[position]))
        run_pending(now=NOW, kinds=WORK)

    with system_scope(purpose="test"):
        assert PaymentAttempt.objects.get().state == "succeeded"
    assert payments() == 1
    assert invoice_of(owed).status == "paid"


def test_an_event_overtakes_the_answer_to_our_own_call(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    front.lose_answers(1)
    with pytest.raises(OutcomeUnknown):
        begin_card_payment(
            tenant_id=owed.tenant_id,
            invoice_id=owed.invoice_id,
            actor="user:1",
            now=NOW,
            gateway=gateway,
        )
    with system_scope(purpose="test"):
        attempt_id = PaymentAttempt.objects.get().id
    made = gateway.find_intent(attempt_id=attempt_id, created_since=NOW)
    assert made is not None

    send(body_of(an_event(intent_id=made.id, kind="payment_intent.created")))
    run_pending(now=NOW, kinds=WORK)

    with system_scope(purpose="test"):
        assert PaymentAttempt.objects.get().intent_id == made.id


def refused(answer: Any, code: str) -> None:
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert events() == []


def test_an_altered_byte_is_refused() -> None:
    payload = body_of(an_event(intent_id="pi_1"))

    refused(send(payload.replace(b"pi_1", b"pi_2"), signed(payload)), "invalid_signature")


def test_a_body_written_anew_is_refused() -> None:
    payload = body_of(an_event(intent_id="pi_1"))
    anew = json.dumps(json.loads(payload)).encode()

    refused(send(anew, signed(payload)), "invalid_signature")


@pytest.mark.parametrize("seconds", [-301, 301])
def test_an_old_or_a_future_timestamp_is_refused(seconds: int) -> None:
    payload = body_of(an_event(intent_id="pi_1"))
    signature = signed(payload, at=NOW + timedelta(seconds=seconds))

    refused(send(payload, signature), "signature_out_of_time")


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_timestamp_within_five_minutes_is_accepted(seconds: int) -> None:
    payload = body_of(an_event(intent_id=""))

    assert send(payload, signed(payload, at=NOW + timedelta(seconds=seconds))).status_code == 200


def test_a_missing_signature_is_refused() -> None:
    refused(send(body_of(an_event(intent_id="pi_1")), ""), "missing_signature")


def test_another_secret_is_refused() -> None:
    payload = body_of(an_event(intent_id="pi_1"))

    refused(send(payload, signed(payload, secret="whsec_other")), "invalid_signature")


def test_both_secrets_hold_while_one_replaces_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRET", f"whsec_new, {SECRET}")
    first = body_of(an_event(intent_id=""))
    second = body_of(an_event(intent_id=""))

    assert send(first, signed(first, secret="whsec_new")).status_code == 200
    # Stripe signs with both meanwhile; one that holds is enough.
    both = signed(second, extra=f",v1={'0' * 64}")
    assert send(second, both).status_code == 200


def test_a_live_event_is_refused_by_a_test_key() -> None:
    refused(send(body_of(an_event(intent_id="pi_1", livemode=True))), "livemode_mismatch")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"id": 1, "type": 2}',
        b'{"id": "evt_\\u0000", "type": "x", "livemode": false}',
        b'{"id": "evt_1", "type": "\\ud800", "livemode": false}',
        b"{}",
    ],
)
def test_a_signed_body_that_is_no_event_is_refused(payload: bytes) -> None:
    refused(send(payload), "unreadable_event")


@pytest.mark.parametrize(
    "gone", ["object", "api_version", "created", "pending_webhooks", "data", "livemode"]
)
@pytest.mark.parametrize("value", ["missing", None])
def test_no_missing_or_empty_field_breaks_the_handler(gone: str, value: str | None) -> None:
    event = an_event(intent_id="pi_unknown")
    if value is None:
        event[gone] = None
    else:
        del event[gone]

    answer = send(body_of(event))
    run_pending(now=NOW, kinds=WORK)

    assert answer.status_code == (400 if gone == "livemode" else 200)
    assert all(row.worked_at is not None for row in events())


@pytest.mark.parametrize("odd", ["\0", "\ud800"])
def test_text_that_no_database_takes_breaks_nothing(odd: str) -> None:
    event = an_event(intent_id="pi_unknown" + odd)
    event["api_version"] = odd

    answer = send(json.dumps(event).encode())
    run_pending(now=NOW, kinds=WORK)

    assert answer.status_code == 200
    assert all(row.worked_at is not None for row in events())


def test_an_event_about_no_payment_is_kept_and_ignored() -> None:
    event = an_event(intent_id="")
    event["type"] = "customer.created"
    event["data"]["object"] = {"id": "cus_1", "object": "customer"}

    send(body_of(event))
    run_pending(now=NOW, kinds=WORK)

    assert [(row.kind, row.outcome) for row in events()] == [("customer.created", "ignored")]


def test_a_payment_of_another_system_on_the_account_is_kept_and_unmatched() -> None:
    send(body_of(an_event(intent_id="pi_of_somebody_else")))
    run_pending(now=NOW, kinds=WORK)

    assert [row.outcome for row in events()] == ["unmatched"]
    assert payments() == 0


def test_a_charges_event_leads_to_its_payment(gateway: StripeGateway, front: Front) -> None:
    owed, intent_id = charged(gateway, front)
    event = an_event(intent_id=intent_id)
    event["type"] = "charge.succeeded"
    event["data"]["object"] = {"id": "ch_1", "object": "charge", "payment_intent": intent_id}

    send(body_of(event))
    run_pending(now=NOW, kinds=WORK)

    assert invoice_of(owed).status == "paid"


def test_an_event_is_tried_again_while_stripe_is_away(gateway: StripeGateway, front: Front) -> None:
    owed, intent_id = charged(gateway, front)
    send(body_of(an_event(intent_id=intent_id)))
    front.lose_answers(2, path="/v1/payment_intents")

    summary = run_pending(now=NOW, kinds=WORK)

    assert summary.done == 1
    assert invoice_of(owed).status == "paid"


def test_a_body_too_large_is_not_read() -> None:
    answer = send(b"x" * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413
    assert events() == []


def test_only_post_is_answered() -> None:
    assert Client().get("/webhooks/stripe/").status_code == 405


def test_without_a_key_an_event_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.conf import settings

    monkeypatch.setattr(settings, "STRIPE_SECRET_KEY", "")

    assert send(body_of(an_event(intent_id="pi_1"))).status_code == 503


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # http.server's name
        return


class Closing(ThreadedWSGIServer):
    """Each request has a thread; its database connections end with it."""

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()


@pytest.fixture
def website() -> Iterator[str]:
    """This service on a loopback port."""
    server = Closing(("127.0.0.1", 0), Quiet)
    server.set_app(WSGIHandler())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_whole_way_with_the_servers_own_webhook(
    gateway: StripeGateway, local_stripe: str, website: str
) -> None:
    register = urllib.request.Request(  # noqa: S310  # a loopback server that the fixture started
        f"{local_stripe}/_config/webhooks/tests",
        data=json.dumps({"url": f"{website}/webhooks/stripe", "secret": SECRET}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    urllib.request.urlopen(register, timeout=5).close()  # noqa: S310  # as above
    owed, payment, intent_id = begun(gateway)
    gateway.pay_with_test_card(intent_id=intent_id, card=TestCard.SUCCEEDS)

    until = time.monotonic() + 20
    while not any(row.object_id == intent_id for row in events()):
        assert time.monotonic() < until
        time.sleep(0.1)
    run_pending(now=clock.now(), kinds=WORK)

    assert invoice_of(owed).status == "paid"
    assert {row.outcome for row in events()} <= {"settled", "ignored", "unmatched"}
    assert balances(owed) == {"stripe_clearing": 129900, "revenue": -129900}
    assert payment.attempt.amount == owed.total
