"""At a test server: play the payer. Refused at Stripe itself, where only Stripe's frame takes cards."""

from datetime import datetime
from uuid import UUID

from billing.payments.domain import TestCard
from billing.payments.gateways.configured import card_gateway
from billing.payments.gateways.port import CardDeclined, CardGateway
from billing.payments.services.observe_intent import AttemptView, known_attempt, observe_intent
from billing.payments.services.withdraw_card_payment import withdraw_card_payment
from kernel.errors import Conflict


def pay_with_test_card(
    *,
    tenant_id: UUID,
    attempt_id: UUID,
    card: TestCard,
    now: datetime,
    gateway: CardGateway | None = None,
) -> AttemptView:
    """Give the card to the attempt's intent and record what came of it.

    A declined card fails the attempt (the next `begin_card_payment` makes another). An attempt that
    waits for the bank's question stays `waiting`. Raises Conflict `payment_not_waiting`,
    GatewayRefused `test_cards_off`, Unavailable when the answer got lost: then settle it.
    """
    gateway = gateway or card_gateway()
    intent_id = _waiting_intent(tenant_id, attempt_id)
    try:
        intent = gateway.pay_with_test_card(intent_id=intent_id, card=card)
    except CardDeclined as declined:
        return withdraw_card_payment(
            tenant_id=tenant_id,
            attempt_id=attempt_id,
            now=now,
            gateway=gateway,
            declined=declined,
        )
    return observe_intent(tenant_id=tenant_id, attempt_id=attempt_id, intent=intent, now=now)


def answer_test_bank(
    *,
    tenant_id: UUID,
    attempt_id: UUID,
    accepted: bool,
    now: datetime,
    gateway: CardGateway | None = None,
) -> AttemptView:
    """Answer the bank's question as the payer; without consent the attempt fails. Raises as above."""
    gateway = gateway or card_gateway()
    intent_id = _waiting_intent(tenant_id, attempt_id)
    secret = gateway.fetch_intent(intent_id=intent_id).client_secret
    declined = CardDeclined("authentication_failed", "The bank's question was not confirmed.")
    try:
        intent = gateway.authenticate_test_card(
            intent_id=intent_id, client_secret=secret, accepted=accepted
        )
    except CardDeclined as refused:
        accepted, declined = False, refused
    if not accepted:
        return withdraw_card_payment(
            tenant_id=tenant_id,
            attempt_id=attempt_id,
            now=now,
            gateway=gateway,
            declined=declined,
        )
    return observe_intent(tenant_id=tenant_id, attempt_id=attempt_id, intent=intent, now=now)


def _waiting_intent(tenant_id: UUID, attempt_id: UUID) -> str:
    known = known_attempt(tenant_id=tenant_id, attempt_id=attempt_id)
    if not known.is_open or known.intent_id is None:
        raise Conflict(
            "payment_not_waiting", "This payment does not wait for a card.", field="payment"
        )
    return known.intent_id
