"""Store a discount that a subscription is to hold; a coupon counts as redeemed with it."""

from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F

from billing.discounts.domain import HeldDiscount
from billing.discounts.models import Coupon
from billing.discounts.queries import redeemable
from billing.invoicing.new_discounts import already_used
from billing.subscriptions.models import Subscription, SubscriptionDiscount
from work.connections import current_alias

_ONCE_A_TENANT = "billing_coupon_once_a_tenant"


def write_discount(
    row: Subscription, held: HeldDiscount, *, now: datetime, actor: str, reason: str = ""
) -> None:
    """In the caller's cross-tenant scope, with the subscription locked.

    Of two tenants that redeem the last of a coupon at once, one gets it. Raises Conflict `coupon_used_up`,
    `coupon_already_used` and as `billing.discounts.queries.redeemable`.
    """
    terms = held.terms
    coupon_id: UUID | None = None
    if terms.coupon:
        # The days were looked at when it was decided; what counts here is the lock.
        coupon_id = redeemable(code=terms.coupon, day=None, lock=True).id
        Coupon.objects.filter(id=coupon_id).update(redeemed=F("redeemed") + 1)
    discount = SubscriptionDiscount(
        id=held.id,
        tenant_id=row.tenant_id,
        subscription=row,
        number=held.number,
        coupon_id=coupon_id,
        name=terms.name,
        type=terms.discount.type,
        value=terms.discount.value,
        currency=terms.currency,
        price_keys=sorted(terms.discount.keys or ()),
        plan_keys=sorted(terms.plans),
        periods=terms.periods,
        starts_on=held.starts_on,
        ends_on=held.ends_on,
        is_advance_billed=held.is_advance_billed,
        reason=reason,
        applied_by=actor,
        applied_at=now,
    )
    try:
        with transaction.atomic(using=current_alias()):
            discount.save(force_insert=True)
    except IntegrityError as error:
        if _ONCE_A_TENANT in str(error):
            # By a subscription of the tenant that ended.
            raise already_used(terms.coupon) from error
        raise
