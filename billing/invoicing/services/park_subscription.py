"""Leave a subscription aside until its data agree, and let it go on when they do."""

from datetime import datetime

from billing.subscriptions.models import Subscription
from kernel.errors import DomainError
from tenants import audit


def park_subscription(*, subscription: Subscription, fault: DomainError) -> None:
    """Billing leaves it aside, with the reason, while the others go on; in the caller's scope."""
    _write(subscription, code=fault.code, detail=fault.message)


def unpark_subscription(*, subscription: Subscription, code: str, now: datetime) -> bool:
    """If it was parked with that code, it goes on, and this gives true; in the caller's scope."""
    if subscription.parked_code != code:
        return False
    audit.record(
        audit.Entry(
            tenant_id=subscription.tenant_id,
            actor="billing_run",
            action="subscription.unparked",
            target=f"subscription:{subscription.id}",
            before={"code": subscription.parked_code, "detail": subscription.parked_detail},
        ),
        now=now,
    )
    _write(subscription, code="", detail="")
    return True


def _write(subscription: Subscription, *, code: str, detail: str) -> None:
    subscription.parked_code, subscription.parked_detail = code, detail
    Subscription.objects.filter(tenant_id=subscription.tenant_id, id=subscription.id).update(
        parked_code=code, parked_detail=detail
    )
