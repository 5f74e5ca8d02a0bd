"""Bring an attempt to where Stripe says it is. Called after the payer comes back, by events, by the sweep."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.payments.domain import AttemptState
from billing.payments.gateways.configured import card_gateway
from billing.payments.gateways.port import CardGateway, OutcomeUnknown
from billing.payments.services.observe_intent import (
    AttemptView,
    close_attempt,
    known_attempt,
    observe_intent,
)

_SETTLING_IN: Final = timedelta(hours=1)
"""So long after the request an intent that Stripe doesn't list was never made."""


def settle_card_payment(
    *, tenant_id: UUID, attempt_id: UUID, now: datetime, gateway: CardGateway | None = None
) -> AttemptView:
    """Fetch the attempt's intent and record it; idempotent, and blind to the order of calls.

    Raises NotFound `payment_attempt_not_found`; Unavailable when Stripe can't be reached.
    """
    known = known_attempt(tenant_id=tenant_id, attempt_id=attempt_id)
    if known.view.state is AttemptState.SUCCEEDED:
        return known.view
    if known.intent_id is None and not known.is_open:
        return known.view
    gateway = gateway or card_gateway()
    if known.intent_id is not None:
        intent = gateway.fetch_intent(intent_id=known.intent_id)
    else:
        if known.calling_until is not None and known.calling_until > now:
            return known.view
        found = gateway.find_intent(attempt_id=attempt_id, created_since=known.requested_at)
        if found is None:
            if now - known.requested_at < _SETTLING_IN:
                return known.view
            never_made = OutcomeUnknown("never_made", "Stripe never heard of this payment.")
            return close_attempt(
                tenant_id=tenant_id, attempt_id=attempt_id, error=never_made, now=now
            )
        intent = found
    return observe_intent(tenant_id=tenant_id, attempt_id=attempt_id, intent=intent, now=now)
