"""What the services ask of a card gateway, and how it can fail. Plain values only.

The four failures are told apart because each needs another answer: a decline goes to the payer, a
refusal to the operator, a busy gateway did nothing and may be asked again, and an unknown outcome
(a timeout, a broken connection, a server error) is never taken for a failure: it is resolved by the
same call with the same key, or by looking.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from billing.payments.domain import CardForm, IntentStatus, TestCard
from kernel.errors import Conflict, Invalid, Unavailable
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A payment intent as the gateway sees it now. `received` is what it has really taken.

    `client_secret` lets a browser, and only it, complete this one payment: it is shown to nobody but
    the payer and never stored or logged.
    """

    id: str
    status: IntentStatus
    amount: Money
    received: Money
    client_secret: str = field(repr=False)
    metadata: Mapping[str, str]
    error_code: str = ""
    error_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvent:
    """An event whose signature held. `intent_id` is the payment intent it is about, or empty."""

    id: str
    kind: str
    api_version: str
    livemode: bool
    occurred_at: datetime
    object_id: str
    intent_id: str
    payload: str = field(repr=False)


class OutcomeUnknown(Unavailable):
    """The gateway may or may not have done it: `payment_outcome_unknown`."""


class GatewayBusy(Unavailable):
    """The gateway did nothing and asks to be asked again: `gateway_busy`."""


class GatewayRefused(Conflict):
    """The gateway will not do it, however often it is asked."""


class CardDeclined(Conflict):
    """The card was not charged; another one may be."""


class EventRefused(Invalid):
    """Not a genuine event of our account; nothing of it is stored."""


class CardGateway(Protocol):
    """A gateway that takes cards."""

    @property
    def name(self) -> str: ...

    @property
    def form(self) -> CardForm: ...

    @property
    def publishable_key(self) -> str: ...

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
        """Make the intent of an attempt; the same key again gives the same intent.

        Raises Invalid when the gateway can't charge such an amount, and the failures above.
        """
        ...

    def fetch_intent(self, *, intent_id: str) -> Intent:
        """The intent as it is now. Raises GatewayRefused `intent_not_found`."""
        ...

    def find_intent(self, *, attempt_id: UUID, created_since: datetime) -> Intent | None:
        """The intent that was made for an attempt, if the gateway has one."""
        ...

    def cancel_intent(self, *, intent_id: str, idempotency_key: str) -> Intent:
        """End an intent that was not paid. Raises GatewayRefused when it can't be ended any more."""
        ...

    def pay_with_test_card(self, *, intent_id: str, card: TestCard) -> Intent:
        """At a test server only: play the payer who gives that card. Raises CardDeclined."""
        ...

    def authenticate_test_card(
        self, *, intent_id: str, client_secret: str, accepted: bool
    ) -> Intent:
        """At a test server only: play the payer who confirms at the bank, or does not."""
        ...

    def read_event(
        self, *, payload: bytes, signature: str, secrets: Sequence[str], now: datetime
    ) -> VerifiedEvent:
        """Verify the raw body and only then read it. Raises EventRefused."""
        ...
