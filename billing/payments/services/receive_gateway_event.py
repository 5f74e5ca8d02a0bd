"""Take in a gateway's event: verify, store once, ask for the work, answer."""

from dataclasses import dataclass
from datetime import datetime

from billing.payments.gateways.configured import card_gateway, webhook_secrets
from billing.payments.gateways.port import CardGateway
from billing.payments.models import GatewayEvent
from kernel import ids
from tenants.scope import system_scope
from work.jobs import enqueue


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    event_id: str
    kind: str
    is_new: bool


def receive_gateway_event(
    *, payload: bytes, signature: str, now: datetime, gateway: CardGateway | None = None
) -> ReceivedEvent:
    """Store a genuine event and the job that works it, in one transaction; a repeat changes nothing.

    Nothing is read of a body whose signature does not hold. Raises EventRefused (400);
    Unavailable `card_payments_off` where no gateway is set up.
    """
    gateway = gateway or card_gateway()
    event = gateway.read_event(
        payload=payload, signature=signature, secrets=webhook_secrets(), now=now
    )
    row = GatewayEvent(
        id=ids.new_id(),
        gateway=gateway.name,
        event_id=event.id,
        kind=event.kind,
        api_version=event.api_version,
        livemode=event.livemode,
        object_id=event.object_id,
        payload=event.payload,
        occurred_at=event.occurred_at,
        received_at=now,
    )
    with system_scope(purpose="receive a gateway's event"):
        GatewayEvent.objects.bulk_create([row], ignore_conflicts=True)
        is_new = GatewayEvent.objects.filter(id=row.id).exists()
        enqueue(
            kind="payments.work_gateway_event",
            key=f"{gateway.name}:{event.id}",
            payload={
                "gateway": gateway.name,
                "event_id": event.id,
                "intent_id": event.intent_id,
            },
        )
    return ReceivedEvent(event_id=event.id, kind=event.kind, is_new=is_new)
