"""Where a provider of mail tells what became of a message: its own view checks who speaks and reads it."""

import logging
from datetime import UTC
from typing import Any, Final
from uuid import UUID

from anymail.signals import AnymailTrackingEvent, EventType, tracking
from django.dispatch import receiver

from billing.mailing.services.record_delivery import record_delivery
from kernel import clock

logger = logging.getLogger(__name__)

_DELIVERED: Final = frozenset({EventType.DELIVERED})
_BOUNCED: Final = frozenset({EventType.BOUNCED, EventType.REJECTED, EventType.FAILED})


@receiver(tracking, dispatch_uid="billing.mailing")
def told(sender: Any, event: AnymailTrackingEvent, **_: Any) -> None:
    """Delivered, or bounced. What else it tells, such as that somebody opened it, is not kept."""
    if event.event_type not in _DELIVERED | _BOUNCED:
        return
    try:
        tenant_id = UUID(str(event.metadata["tenant"]))
        mail_id = UUID(str(event.metadata["mail"]))
        copy = int(event.metadata["copy"])
    except (KeyError, TypeError, ValueError):
        # Of a message that is no document's, such as one to reset a password.
        return
    record_delivery(
        tenant_id=tenant_id,
        mail_id=mail_id,
        copy=copy,
        delivered=event.event_type in _DELIVERED,
        detail=str(event.reject_reason or event.event_type),
        at=(event.timestamp or clock.now()).astimezone(UTC),
    )
