"""Give a coupon no more."""

from datetime import datetime

from billing.discounts.coupon_file import coupon_code
from billing.discounts.models import Coupon
from billing.discounts.queries import coupon_not_found
from tenants import audit


def retire_coupon(*, code: str, now: datetime, actor: str) -> None:
    """Nobody redeems it from now on; what was redeemed stays. In the caller's cross-tenant scope. A
    coupon that is retired stays so. Raises NotFound `coupon_not_found`."""
    found = Coupon.objects.filter(code=coupon_code(code))
    if not found.exists():
        raise coupon_not_found(code)
    if found.filter(retired_at__isnull=True).update(retired_at=now):
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="coupon.retired",
                target=f"coupon:{coupon_code(code)}",
            ),
            now=now,
        )
