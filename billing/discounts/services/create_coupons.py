"""Make coupons."""

from collections.abc import Sequence
from datetime import datetime

from billing.catalog.domain.faults import Fault
from billing.discounts.coupon_file import CouponFaults, NewCoupon, parse_coupons
from billing.discounts.models import Coupon
from kernel import ids
from tenants import audit


def create_coupons(*, document: object, now: datetime, actor: str) -> Sequence[str]:
    """Make the coupons of a document, all or none, in the caller's cross-tenant scope; gives their codes.

    Raises CouponFaults with every fault: `coupon_exists` for a code that there is.
    """
    coupons = parse_coupons(document)
    codes = [each.terms.coupon for each in coupons]
    made = Coupon.objects.bulk_create(
        [_row(each, now=now, actor=actor) for each in coupons], ignore_conflicts=True
    )
    stored = set(
        Coupon.objects.filter(id__in=[row.id for row in made]).values_list("code", flat=True)
    )
    if taken := [place for place, code in enumerate(codes) if code not in stored]:
        raise CouponFaults(
            [
                Fault(
                    path=f"coupons[{place}].code",
                    code="coupon_exists",
                    message=f"coupons[{place}].code {codes[place]} is taken; choose another.",
                )
                for place in taken
            ]
        )
    for each in coupons:
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="coupon.created",
                target=f"coupon:{each.terms.coupon}",
                after={
                    "type": each.terms.discount.type.value,
                    "value": f"{each.terms.discount.value:f}",
                    "currency": each.terms.currency,
                    "periods": each.terms.periods,
                    "max_redemptions": each.max_redemptions,
                },
            ),
            now=now,
        )
    return codes


def _row(coupon: NewCoupon, *, now: datetime, actor: str) -> Coupon:
    terms = coupon.terms
    return Coupon(
        id=ids.new_id(),
        code=terms.coupon,
        name=terms.name,
        type=terms.discount.type,
        value=terms.discount.value,
        currency=terms.currency,
        price_keys=sorted(terms.discount.keys or ()),
        plan_keys=sorted(terms.plans),
        periods=terms.periods,
        valid_from=coupon.valid_from,
        valid_to=coupon.valid_to,
        max_redemptions=coupon.max_redemptions,
        created_by=actor,
        created_at=now,
    )
