"""End a card payment that is no longer wanted, so that nobody pays an invoice twice."""

from datetime import datetime
from uuid import UUID

from billing.payments.gateways.configured import card_gateway
from billing.payments.gateways.port import CardGateway, GatewayRefused
from billing.payments.services.observe_intent import AttemptView, known_attempt, observe_intent
from billing.payments.services.settle_card_payment import settle_card_payment
from kernel.errors import DomainError


def withdraw_card_payment(
    *,
    tenant_id: UUID,
    attempt_id: UUID,
    now: datetime,
    gateway: CardGateway | None = None,
    declined: DomainError | None = None,
) -> AttemptView:
    """End the attempt's intent; one that was paid in the meantime is booked instead.

    An attempt whose intent is not known yet is looked up first. Raises Unavailable when Stripe
    can't be reached: then call it again.
    """
    known = known_attempt(tenant_id=tenant_id, attempt_id=attempt_id)
    gateway = gateway or card_gateway()
    if known.is_open and known.intent_id is None:
        settle_card_payment(tenant_id=tenant_id, attempt_id=attempt_id, now=now, gateway=gateway)
        known = known_attempt(tenant_id=tenant_id, attempt_id=attempt_id)
    if not known.is_open or known.intent_id is None:
        return known.view
    try:
        intent = gateway.cancel_intent(
            intent_id=known.intent_id, idempotency_key=f"withdraw-{attempt_id}"
        )
    except GatewayRefused:
        # It is paid, being paid, or ended already: see which.
        intent = gateway.fetch_intent(intent_id=known.intent_id)
    return observe_intent(
        tenant_id=tenant_id, attempt_id=attempt_id, intent=intent, now=now, declined=declined
    )
