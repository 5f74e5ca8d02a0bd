"""Begin, or go on with, the payment of an invoice by card.

The order: the attempt's row is committed, then Stripe is called
with a key made from that row, then the outcome is committed. So a crash at any point leaves a row
from which the outcome is found again, and two tabs or a double click get the same intent.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.invoicing.models import Invoice
from billing.payments.domain import (
    CALL_LEASE,
    KEY_LIFETIME,
    OPEN_STATES,
    AttemptState,
    CardForm,
    Gateway,
    IntentStatus,
)
from billing.payments.gateways.configured import card_gateway
from billing.payments.gateways.port import CardGateway, GatewayRefused, Intent, OutcomeUnknown
from billing.payments.models import PaymentAttempt
from billing.payments.services.book_payment import lock_invoice, outstanding_of
from billing.payments.services.observe_intent import (
    AttemptView,
    close_attempt,
    observe_intent,
    view_of,
)
from billing.payments.services.withdraw_card_payment import withdraw_card_payment
from kernel import ids
from kernel.errors import Conflict, DomainError, Invalid
from kernel.money import Money
from tenants.scope import tenant_scope

_WAIT_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPayment:
    """What the payment page needs.

    With form `elements`, Stripe's script takes `publishable_key` and `client_secret`; with
    `test_cards`, the page offers the test cards, and the bank's question when
    `needs_authentication`. `client_secret` goes to the payer's page and nowhere else.
    """

    attempt: AttemptView
    form: CardForm
    publishable_key: str
    client_secret: str = field(repr=False)
    needs_authentication: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """This caller alone talks to the gateway about the attempt now."""

    attempt: AttemptView
    intent_id: str | None
    requested_at: datetime
    outstanding: Money
    number: str


def begin_card_payment(
    *,
    tenant_id: UUID,
    invoice_id: UUID,
    actor: str,
    now: datetime,
    gateway: CardGateway | None = None,
) -> CardPayment:
    """The open card payment of the invoice's whole outstanding amount, made if there is none.

    Raises NotFound `invoice_not_found`; Conflict `invoice_not_open` when nothing is left to pay,
    `payment_in_progress` while the bank works on one or another caller talks to Stripe; Unavailable
    `card_payments_off`, `gateway_busy`, and `payment_outcome_unknown`, after which the same call
    finds out; GatewayRefused and Invalid when Stripe won't charge this.
    """
    gateway = gateway or card_gateway()
    began_at = time.monotonic()
    while time.monotonic() - began_at < _WAIT_SECONDS:
        moment = now + timedelta(seconds=time.monotonic() - began_at)
        claim = _claim(tenant_id=tenant_id, invoice_id=invoice_id, actor=actor, now=moment)
        if claim is None:
            time.sleep(_POLL_SECONDS)
            continue
        intent = _intent_of(claim, tenant_id=tenant_id, gateway=gateway, now=moment)
        if intent is None:
            continue
        attempt = observe_intent(
            tenant_id=tenant_id, attempt_id=claim.attempt.id, intent=intent, now=moment
        )
        if attempt.state in OPEN_STATES and intent.amount != claim.outstanding:
            # A bank transfer came in since: the intent would take more than is owed.
            attempt = withdraw_card_payment(
                tenant_id=tenant_id, attempt_id=attempt.id, now=moment, gateway=gateway
            )
        if attempt.state is AttemptState.PROCESSING:
            break
        if attempt.state is AttemptState.WAITING and intent.amount == claim.outstanding:
            return CardPayment(
                attempt=attempt,
                form=gateway.form,
                publishable_key=gateway.publishable_key,
                client_secret=intent.client_secret,
                needs_authentication=intent.status is IntentStatus.REQUIRES_ACTION,
            )
        # It came to an end meanwhile: what is left, if anything, is a new attempt's.
    raise Conflict(
        "payment_in_progress",
        "A payment of this invoice is under way; look again in a minute.",
        field="invoice",
    )


def _claim(*, tenant_id: UUID, invoice_id: UUID, actor: str, now: datetime) -> _Claim | None:
    """The attempt to talk about, under a lease; None while another caller holds it."""
    with tenant_scope(tenant_id):
        invoice = lock_invoice(invoice_id=invoice_id, tenant_id=tenant_id)
        attempt = (
            PaymentAttempt.objects.select_for_update()
            .filter(tenant_id=tenant_id, invoice_id=invoice_id, state__in=sorted(OPEN_STATES))
            .first()
        )
        if attempt is None:
            attempt = _new_attempt(invoice, actor=actor, now=now)
        elif attempt.calling_until is not None and attempt.calling_until > now:
            return None
        attempt.calling_until = now + CALL_LEASE
        attempt.save()
        return _Claim(
            attempt=view_of(attempt),
            intent_id=attempt.intent_id,
            requested_at=attempt.requested_at,
            outstanding=outstanding_of(invoice),
            number=str(invoice.number),
        )


def _new_attempt(invoice: Invoice, *, actor: str, now: datetime) -> PaymentAttempt:
    outstanding = outstanding_of(invoice)
    if not outstanding:
        raise Conflict(
            "invoice_not_open",
            "Nothing of this invoice is left to pay.",
            field="invoice",
            params={"status": invoice.status},
        )
    before = PaymentAttempt.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
    return PaymentAttempt(
        id=ids.new_id(),
        tenant_id=invoice.tenant_id,
        invoice_id=invoice.id,
        number=before.count() + 1,
        gateway=Gateway.STRIPE,
        currency=outstanding.currency,
        amount_minor=outstanding.minor,
        state=AttemptState.REQUESTED,
        requested_by=actor[:200],
        requested_at=now,
    )


def _intent_of(
    claim: _Claim, *, tenant_id: UUID, gateway: CardGateway, now: datetime
) -> Intent | None:
    """Ask the gateway; None when the attempt came to nothing and another may be made."""
    attempt_id = claim.attempt.id

    def close(error: DomainError) -> None:
        close_attempt(tenant_id=tenant_id, attempt_id=attempt_id, error=error, now=now)

    try:
        if claim.intent_id is not None:
            return _fetched(claim.intent_id, gateway=gateway, close=close)
        if now - claim.requested_at > KEY_LIFETIME:
            found = gateway.find_intent(attempt_id=attempt_id, created_since=claim.requested_at)
            if found is None:
                close(OutcomeUnknown("never_made", "Stripe never heard of this payment."))
            return found
        return _made(claim, tenant_id=tenant_id, gateway=gateway, close=close)
    except DomainError as error:
        _release(tenant_id=tenant_id, attempt_id=attempt_id, error=error)
        raise


def _fetched(
    intent_id: str, *, gateway: CardGateway, close: Callable[[DomainError], None]
) -> Intent | None:
    try:
        return gateway.fetch_intent(intent_id=intent_id)
    except GatewayRefused as error:
        if error.code != "intent_not_found":
            raise
        # Another account's key, or a test server that forgot: that intent can't be paid any more.
        close(error)
        return None


def _made(
    claim: _Claim,
    *,
    tenant_id: UUID,
    gateway: CardGateway,
    close: Callable[[DomainError], None],
) -> Intent:
    try:
        return gateway.create_payment_intent(
            amount=claim.attempt.amount,
            tenant_id=tenant_id,
            invoice_id=claim.attempt.invoice_id,
            attempt_id=claim.attempt.id,
            number=claim.number,
            idempotency_key=f"attempt-{claim.attempt.id}",
        )
    except (GatewayRefused, Invalid) as error:
        close(error)
        raise


def _release(*, tenant_id: UUID, attempt_id: UUID, error: DomainError) -> None:
    """Let the next caller ask again; what is not known is said, not guessed."""
    with tenant_scope(tenant_id):
        PaymentAttempt.objects.filter(
            tenant_id=tenant_id, id=attempt_id, state__in=sorted(OPEN_STATES)
        ).update(calling_until=None, error_code=error.code[:100], error_message=error.message[:500])
