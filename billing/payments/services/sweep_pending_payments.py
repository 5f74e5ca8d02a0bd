"""Find what no event told: ask for a look at every attempt that is still open."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import F, Q

from billing.payments.domain import OPEN_STATES
from billing.payments.models import PaymentAttempt
from tenants.scope import system_scope
from work.jobs import JobRequest, enqueue_many

_REST: Final = timedelta(minutes=10)
"""What was seen, or asked for, so recently is left to its own event."""

_PAYER_GONE: Final = timedelta(days=7)
"""An attempt that waits so long is ended, so that no forgotten page takes money months later."""

_MOST: Final = 5_000


def sweep_pending_payments(*, slot: str, now: datetime) -> int:
    """One job for each open attempt, to look at it or to end it; gives how many.

    `slot` names the sweep. Those that were looked at longest ago come first, so that a sweep over more
    than 5,000 attempts gets to all in turn.
    """
    with system_scope(purpose="sweep pending payments"):
        attempts = (
            PaymentAttempt.objects.filter(
                Q(seen_at__isnull=True) | Q(seen_at__lt=now - _REST),
                state__in=sorted(OPEN_STATES),
                requested_at__lt=now - _REST,
            )
            .order_by(F("seen_at").asc(nulls_first=True), "requested_at")
            .values_list("id", "tenant_id", "requested_at")[:_MOST]
        )
        return enqueue_many(
            JobRequest(
                kind=(
                    "payments.withdraw_attempt"
                    if requested_at < now - _PAYER_GONE
                    else "payments.settle_attempt"
                ),
                key=f"{attempt_id}:{slot}",
                payload={"attempt_id": str(attempt_id)},
                tenant_id=tenant_id,
            )
            for attempt_id, tenant_id, requested_at in attempts
        )
