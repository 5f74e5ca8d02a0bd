"""Stripe, or a server that speaks its interface: the only module that imports the `stripe` package."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import requests
import stripe
from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

from billing.payments.domain import CardForm, Gateway, IntentStatus, TestCard
from billing.payments.gateways.port import (
    CardDeclined,
    EventRefused,
    GatewayBusy,
    GatewayRefused,
    Intent,
    OutcomeUnknown,
    VerifiedEvent,
)
from billing.payments.gateways.stripe_amounts import from_stripe, to_stripe
from billing.payments.gateways.stripe_signature import check_signature
from kernel.errors import Invalid
from kernel.money import Money

API_VERSION: Final = "2026-10-28.endive"
"""Pinned: a new version of the package must not change what we read. The webhook endpoint at Stripe
is made with the same version; each stored event carries its own."""

STRIPE_ITSELF: Final = "https://api.stripe.com"

_TIMEOUT_SECONDS: Final = (5.0, 20.0)
_PAGE: Final = 100
_MOST_PAGES: Final = 30
_TEST_NUMBERS: Final = {
    TestCard.SUCCEEDS: "4242424242424242",
    TestCard.DECLINED: "4000000000000341",
    TestCard.NEEDS_AUTHENTICATION: "4000002760003184",
}

# Stripe's package would otherwise tell Stripe about this machine and how long its requests took.
stripe.enable_telemetry = False
# At DEBUG it writes whole answers, client secrets included, into the log.
logging.getLogger("stripe").setLevel(logging.WARNING)


class StripeGateway:
    """`CardGateway` by Stripe's API."""

    name: str = Gateway.STRIPE.value

    def __init__(
        self, *, secret_key: str, publishable_key: str = "", api_base: str = "", retries: int = 1
    ) -> None:
        """`api_base` empty is Stripe itself. Raises Invalid `live_key_at_test_server`.

        `retries`: how often a call whose answer got lost is repeated at once with its key.
        """
        base = api_base.rstrip("/") or STRIPE_ITSELF
        self.publishable_key: str = publishable_key
        self.livemode: bool = "_live_" in secret_key
        self.form: CardForm = CardForm.ELEMENTS if base == STRIPE_ITSELF else CardForm.TEST_CARDS
        if self.livemode and self.form is CardForm.TEST_CARDS:
            raise Invalid(
                "live_key_at_test_server",
                "STRIPE_SECRET_KEY is a live key and STRIPE_API_BASE another server than Stripe; "
                "use a test key there.",
                field="STRIPE_SECRET_KEY",
            )
        session = None
        if urlsplit(base).hostname in {"127.0.0.1", "::1", "localhost"}:
            # A proxy that the environment names can't reach this machine's own loopback.
            session = requests.Session()
            session.trust_env = False
        self._client = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": base},
            max_network_retries=retries,
            http_client=stripe.RequestsClient(timeout=_TIMEOUT_SECONDS, session=session),
        )

    def create_payment_intent(
        self,
        *,
        amount: Money,
        tenant_id: UUID,
        invoice_id: UUID,
        attempt_id: UUID,
        number: str,
        idempotency_key: str,
    ) -> Intent:
        params: PaymentIntentCreateParams = {
            "amount": to_stripe(amount),
            "currency": amount.currency.lower(),
            "metadata": {
                "tenant": str(tenant_id),
                "invoice": str(invoice_id),
                "attempt": str(attempt_id),
                "invoice_number": number,
            },
        }
        if self.form is CardForm.ELEMENTS:
            # The pinned version's name of what was `payment_method_types`, which test servers know.
            params["allowed_payment_method_types"] = ["card"]
        with _failures():
            made = self._client.v1.payment_intents.create(
                params=params, options={"idempotency_key": idempotency_key}
            )
            return self._intent(made.to_dict())

    def fetch_intent(self, *, intent_id: str) -> Intent:
        with _failures():
            return self._intent(self._client.v1.payment_intents.retrieve(intent_id).to_dict())

    def find_intent(self, *, attempt_id: UUID, created_since: datetime) -> Intent | None:
        # Stripe's search would be one call, but lags behind by a minute or more; lists don't.
        params: PaymentIntentListParams = {"limit": _PAGE}
        if self.form is CardForm.ELEMENTS:
            since = created_since - timedelta(minutes=5)
            params["created"] = {"gte": int(since.timestamp())}
        for _ in range(_MOST_PAGES):
            with _failures():
                page = self._client.v1.payment_intents.list(params=params).to_dict()
                found = page.get("data") or []
                for data in found:
                    if (data.get("metadata") or {}).get("attempt") == str(attempt_id):
                        return self._intent(data)
            if not found or not page.get("has_more"):
                return None
            params["starting_after"] = found[-1]["id"]
        raise OutcomeUnknown(
            "payment_outcome_unknown",
            "Stripe has too many payments to look through; wait for its event.",
        )

    def cancel_intent(self, *, intent_id: str, idempotency_key: str) -> Intent:
        with _failures():
            ended = self._client.v1.payment_intents.cancel(
                intent_id, options={"idempotency_key": idempotency_key}
            )
            return self._intent(ended.to_dict())

    def pay_with_test_card(self, *, intent_id: str, card: TestCard) -> Intent:
        self._demand_test_server()
        with _failures():
            method = self._post(
                "/v1/payment_methods",
                type="card",
                card={
                    "number": _TEST_NUMBERS[card],
                    "exp_month": 12,
                    "exp_year": 2040,
                    "cvc": "123",
                },
            )
            self._post(f"/v1/payment_intents/{intent_id}", payment_method=method["id"])
            return self._intent(self._post(f"/v1/payment_intents/{intent_id}/confirm"))

    def authenticate_test_card(
        self, *, intent_id: str, client_secret: str, accepted: bool
    ) -> Intent:
        self._demand_test_server()
        with _failures():
            return self._intent(
                self._post(
                    f"/v1/payment_intents/{intent_id}/_authenticate",
                    client_secret=client_secret,
                    success="true" if accepted else "false",
                )
            )

    def read_event(
        self, *, payload: bytes, signature: str, secrets: Sequence[str], now: datetime
    ) -> VerifiedEvent:
        check_signature(payload=payload, header=signature, secrets=secrets, now=now)
        try:
            text = payload.decode("utf-8")
            event = json.loads(text)
            event_id, kind = event["id"], event["type"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EventRefused("unreadable_event", "The body is not an event.") from error
        if not (event_id and kind and _text(event_id) == event_id and _text(kind) == kind):
            raise EventRefused("unreadable_event", "The event has no usable id or type.")
        if len(event_id) > 200 or len(kind) > 100:
            raise EventRefused("unreadable_event", "The event's id or type is too long.")
        if event.get("livemode") is not self.livemode:
            raise EventRefused(
                "livemode_mismatch",
                "The event is of the other mode (live or test) than our key.",
            )
        data = event.get("data")
        thing = data.get("object") if isinstance(data, dict) else None
        thing = thing if isinstance(thing, dict) else {}
        return VerifiedEvent(
            id=event_id,
            kind=kind,
            api_version=_text(event.get("api_version"))[:40],
            livemode=self.livemode,
            occurred_at=_instant(event.get("created"), default=now),
            object_id=_text(thing.get("id"))[:200],
            intent_id=_intent_id(thing)[:200],
            payload=text,
        )

    def _intent(self, data: Mapping[str, Any]) -> Intent:
        if data.get("livemode") is not self.livemode:
            raise GatewayRefused(
                "livemode_mismatch", "Stripe's object is of the other mode than our key."
            )
        currency = _text(data.get("currency"))
        error = data.get("last_payment_error") or {}
        status = IntentStatus.UNKNOWN
        if data.get("status") in set(IntentStatus):
            status = IntentStatus(data["status"])
        amount = from_stripe(int(data["amount"]), currency)
        taken = data.get("amount_received")
        if taken is None:
            # A test server may not say it.
            received = amount if status is IntentStatus.SUCCEEDED else Money.zero(amount.currency)
        else:
            received = from_stripe(int(taken), currency)
        return Intent(
            id=_text(data["id"]),
            status=status,
            amount=amount,
            received=received,
            client_secret=_text(data.get("client_secret")),
            metadata={
                str(name): str(value) for name, value in (data.get("metadata") or {}).items()
            },
            error_code=_text(error.get("decline_code") or error.get("code")),
            error_message=_text(error.get("message")),
        )

    def _post(self, path: str, **params: Any) -> dict[str, Any]:
        answer = self._client.raw_request("post", path, **params)
        data = answer.data
        if not isinstance(data, dict):
            raise OutcomeUnknown("payment_outcome_unknown", "The answer is not an object.")
        return dict(data)

    def _demand_test_server(self) -> None:
        if self.form is not CardForm.TEST_CARDS:
            raise GatewayRefused(
                "test_cards_off", "Test cards are played at a test server only, not at Stripe."
            )


@contextmanager
def _failures() -> Iterator[None]:
    """Stripe's errors as ours; see `port`."""
    try:
        yield
    except stripe.CardError as error:
        raise CardDeclined(
            "card_declined",
            error.user_message or "The card was declined.",
            params={"reason": _text(error.code)},
        ) from error
    except stripe.RateLimitError as error:
        raise _busy() from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        raise GatewayRefused(
            "gateway_credentials", "Stripe refuses our key; check STRIPE_SECRET_KEY."
        ) from error
    except stripe.APIConnectionError as error:
        raise _unknown() from error
    except stripe.StripeError as error:
        if error.http_status == 409:
            raise _busy() from error
        if error.http_status is None or error.http_status >= 500 or error.http_status < 400:
            raise _unknown() from error
        not_there = error.http_status == 404 or error.code == "resource_missing"
        raise GatewayRefused(
            "intent_not_found" if not_there else "gateway_refused",
            f"Stripe refuses: {error.user_message or error.code or error.http_status}"[:500],
            params={"reason": _text(error.code)},
        ) from error


def _busy() -> GatewayBusy:
    return GatewayBusy("gateway_busy", "Stripe is busy with this payment; try again.")


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "payment_outcome_unknown",
        "Stripe's answer did not arrive; the payment is looked up and not made twice.",
    )


def _text(value: object) -> str:
    """The text, or "" for anything else; without what no database takes: NUL, half surrogate pairs."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "").encode("utf-8", errors="replace").decode()


def _instant(value: object, *, default: datetime) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool):
        return default
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        return default


def _intent_id(thing: Mapping[str, Any]) -> str:
    """The intent that an object is, or belongs to (charges, refunds and disputes name theirs)."""
    if thing.get("object") == "payment_intent":
        return _text(thing.get("id"))
    named = thing.get("payment_intent")
    return _text(named.get("id") if isinstance(named, dict) else named)
