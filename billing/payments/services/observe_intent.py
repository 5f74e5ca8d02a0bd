"""Record what the gateway says of an attempt's intent: the one place where an attempt moves."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.payments.domain import (
    OPEN_STATES,
    AttemptState,
    Gateway,
    IntentStatus,
    Method,
    state_after,
)
from billing.payments.gateways.port import GatewayRefused, Intent
from billing.payments.models import PaymentAttempt
from billing.payments.services.book_payment import Receipt, book_payment, lock_invoice
from kernel.errors import DomainError, NotFound
from kernel.money import Money
from kernel.period import local_day
from tenants.scope import tenant_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """An attempt as screens show it. `error_*` is what the last try of the payer met."""

    id: UUID
    invoice_id: UUID
    number: int
    amount: Money
    state: AttemptState
    error_code: str
    error_message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAttempt:
    """What a call to the gateway needs of an attempt."""

    view: AttemptView
    intent_id: str | None
    requested_at: datetime
    calling_until: datetime | None
    is_open: bool = field(default=True)


def known_attempt(*, tenant_id: UUID, attempt_id: UUID) -> KnownAttempt:
    """The attempt as it is now. Raises NotFound `payment_attempt_not_found`."""
    with tenant_scope(tenant_id):
        attempt = PaymentAttempt.objects.filter(tenant_id=tenant_id, id=attempt_id).first()
    if attempt is None:
        raise _not_found()
    return KnownAttempt(
        view=view_of(attempt),
        intent_id=attempt.intent_id,
        requested_at=attempt.requested_at,
        calling_until=attempt.calling_until,
        is_open=attempt.state in OPEN_STATES,
    )


def observe_intent(
    *,
    tenant_id: UUID,
    attempt_id: UUID,
    intent: Intent,
    now: datetime,
    declined: DomainError | None = None,
) -> AttemptView:
    """Move the attempt to where its intent is, and book the money once if it was taken.

    Safe to call any number of times and in any order: `intent` is what the gateway said just now,
    final states stay, and the payment's key is the intent. An intent that succeeded is booked even
    if the attempt was closed before or has another intent, since the money was taken; what the
    invoice no longer needs is credited. With `declined`, an intent that was ended counts as failed.

    Raises NotFound, and GatewayRefused `intent_mismatch` for an intent of something else.
    """
    with tenant_scope(tenant_id):
        attempt = PaymentAttempt.objects.filter(tenant_id=tenant_id, id=attempt_id).first()
        if attempt is None:
            raise _not_found()
        invoice = lock_invoice(invoice_id=attempt.invoice_id, tenant_id=tenant_id)
        attempt = PaymentAttempt.objects.select_for_update().get(tenant_id=tenant_id, id=attempt_id)
        _check_same(attempt, intent)
        if attempt.intent_id is None:
            attempt.intent_id = intent.id
        if attempt.intent_id == intent.id:
            _move(attempt, intent, now=now, declined=declined)
        if intent.status is IntentStatus.SUCCEEDED and intent.received.minor > 0:
            book_payment(
                invoice=invoice,
                receipt=Receipt(
                    method=Method.CARD,
                    gateway=Gateway(attempt.gateway),
                    external_id=intent.id,
                    amount=intent.received,
                    received_on=local_day(now, ZoneInfo(invoice.timezone)),
                    booked_by=attempt.requested_by,
                ),
                now=now,
            )
        return view_of(attempt)


def close_attempt(
    *, tenant_id: UUID, attempt_id: UUID, error: DomainError, now: datetime
) -> AttemptView:
    """Mark an open attempt failed whose intent the gateway refused, never made or doesn't know."""
    with tenant_scope(tenant_id):
        attempt = PaymentAttempt.objects.select_for_update().get(tenant_id=tenant_id, id=attempt_id)
        if attempt.state in OPEN_STATES:
            attempt.state = AttemptState.FAILED
            attempt.error_code, attempt.error_message = error.code[:100], error.message[:500]
            attempt.concluded_at = now
            attempt.calling_until = None
            attempt.save()
        return view_of(attempt)


def view_of(attempt: PaymentAttempt) -> AttemptView:
    return AttemptView(
        id=attempt.id,
        invoice_id=attempt.invoice_id,
        number=attempt.number,
        amount=Money(attempt.amount_minor, attempt.currency),
        state=AttemptState(attempt.state),
        error_code=attempt.error_code,
        error_message=attempt.error_message,
    )


def _move(
    attempt: PaymentAttempt, intent: Intent, *, now: datetime, declined: DomainError | None
) -> None:
    before = AttemptState(attempt.state)
    after = state_after(before=before, status=intent.status)
    if before in OPEN_STATES:
        code, message = intent.error_code, intent.error_message
        if declined is not None:
            code = str(declined.params.get("reason") or declined.code)
            message = declined.message
            if after is AttemptState.CANCELED:
                after = AttemptState.FAILED
        if after is AttemptState.SUCCEEDED:
            code, message = "", ""
        attempt.error_code, attempt.error_message = code[:100], message[:500]
        attempt.state = after
        attempt.concluded_at = None if after in OPEN_STATES else now
    attempt.seen_at = now
    attempt.calling_until = None
    attempt.save()


def _check_same(attempt: PaymentAttempt, intent: Intent) -> None:
    if (
        intent.metadata.get("attempt") != str(attempt.id)
        or intent.amount.currency != attempt.currency
    ):
        raise GatewayRefused(
            "intent_mismatch", "Stripe's payment is of another attempt than ours; look at both."
        )


def _not_found() -> NotFound:
    return NotFound("payment_attempt_not_found", "There is no such payment.", field="payment")
