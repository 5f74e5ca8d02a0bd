"""Find what no event told: ask for a look at every attempt that is still open."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from billing.payments.domain import OPEN_STATES
from billing.payments.models import PaymentAttempt
from tenants.scope import system_scope
from work.jobs import JobRequest, enqueue_many

_REST: Final = timedelta(minutes=10)
"""What was seen, or asked for, so recently is left to its own event."""

_PAYER_GONE: Final = timedelta(days=30)
_MOST: Final = 5_000


def sweep_pending_payments(*, slot: str, now: datetime) -> int:
    """One job for each open attempt of the last 30 days; gives how many. `slot` names the sweep.

    Oldest looks first, so that a sweep over more than 5,000 attempts gets to all in turn.
    """
    with system_scope(purpose="sweep pending payments"):
        attempts = (
            PaymentAttempt.objects.filter(
                Q(seen_at__isnull=True) | Q(seen_at__lt=now - _REST),
                state__in=sorted(OPEN_STATES),
                requested_at__lt=now - _REST,
                requested_at__gt=now - _PAYER_GONE,
            )
            .order_by("seen_at", "requested_at")
            .values_list("id", "tenant_id")[:_MOST]
        )
        return enqueue_many(
            JobRequest(
                kind="payments.settle_attempt",
                key=f"{attempt_id}:{slot}",
                payload={"attempt_id": str(attempt_id)},
                tenant_id=tenant_id,
            )
            for attempt_id, tenant_id in attempts
        )
