"""Work a stored event: whatever it says, look at the gateway's present state and record that.

So the order of events, repeats and gaps change nothing, and neither does the version of the API that
an event was made with.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.payments.gateways.configured import card_gateway
from billing.payments.gateways.port import CardGateway, GatewayRefused
from billing.payments.models import GatewayEvent, PaymentAttempt
from billing.payments.services.observe_intent import observe_intent
from tenants.scope import system_scope

SETTLED = "settled"
IGNORED = "ignored"
UNMATCHED = "unmatched"
REFUSED = "refused"

_OUTCOMES: Final = {
    "intent_not_found": UNMATCHED,
    "intent_mismatch": REFUSED,
    "livemode_mismatch": REFUSED,
}


def work_gateway_event(
    *, name: str, event_id: str, intent_id: str, now: datetime, gateway: CardGateway | None = None
) -> str:
    """Do what the event calls for, once; gives the outcome.

    `settled`: its attempt is where the gateway says; `ignored`: it is about no payment; `unmatched`:
    its payment is none of ours (another system on the same account); `refused`: it does not fit ours,
    a person must look. Raises Unavailable when the gateway can't be reached: then it is tried again.
    """
    with system_scope(purpose="work a gateway's event"):
        event = GatewayEvent.objects.filter(gateway=name, event_id=event_id).first()
    if event is None or event.worked_at is not None:
        return IGNORED if event is None else event.outcome
    outcome, fault = IGNORED, ""
    if intent_id:
        try:
            outcome = _settle(name, intent_id, now=now, gateway=gateway or card_gateway())
        except GatewayRefused as error:
            if error.code not in _OUTCOMES:
                raise
            outcome, fault = _OUTCOMES[error.code], error.message
    with system_scope(purpose="work a gateway's event"):
        GatewayEvent.objects.filter(id=event.id, worked_at__isnull=True).update(
            worked_at=now, outcome=outcome, error=fault[:500]
        )
    return outcome


def _settle(name: str, intent_id: str, *, now: datetime, gateway: CardGateway) -> str:
    intent = gateway.fetch_intent(intent_id=intent_id)
    try:
        attempt_id = UUID(intent.metadata.get("attempt", ""))
    except ValueError:
        return UNMATCHED
    with system_scope(purpose="work a gateway's event"):
        tenant_id = (
            PaymentAttempt.objects.filter(id=attempt_id, gateway=name)
            .values_list("tenant_id", flat=True)
            .first()
        )
    if tenant_id is None:
        return UNMATCHED
    observe_intent(tenant_id=tenant_id, attempt_id=attempt_id, intent=intent, now=now)
    return SETTLED
