"""Reading coupons."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.discounts.coupon_file import coupon_code
from billing.discounts.domain import DiscountTerms
from billing.discounts.models import Coupon
from billing.rating.adjustments.discounts import Discount, DiscountType
from kernel.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class CouponRow:
    """A coupon with how often it was redeemed."""

    id: UUID
    terms: DiscountTerms
    valid_from: date | None
    valid_to: date | None
    max_redemptions: int | None
    redeemed: int
    created_by: str
    created_at: datetime
    retired_at: datetime | None

    @property
    def is_used_up(self) -> bool:
        return self.max_redemptions is not None and self.redeemed >= self.max_redemptions


def coupon_page(*, limit: int, after: UUID | None = None, search: str = "") -> Sequence[CouponRow]:
    """Up to `limit` coupons, newest first, those after `after`; with `search`, by code or name."""
    found = Coupon.objects.order_by("-id")
    if after is not None:
        found = found.filter(id__lt=after)
    if search:
        found = found.filter(code__icontains=search) | found.filter(name__icontains=search)
    return tuple(map(_row, found[:limit]))


def coupon_by_code(code: str) -> CouponRow:
    """Raises NotFound `coupon_not_found`."""
    row = Coupon.objects.filter(code=coupon_code(code)).first()
    if row is None:
        raise coupon_not_found(code)
    return _row(row)


def redeemable(*, code: str, day: date | None, lock: bool = False) -> Coupon:
    """The coupon, if it may be redeemed on a local day (None: on some day); with `lock`, nobody else
    redeems it until the transaction ends.

    Raises NotFound `coupon_not_found`; Conflict `coupon_retired`, `coupon_not_valid_yet`,
    `coupon_expired`, `coupon_used_up`.
    """
    wanted = coupon_code(code)
    found = Coupon.objects.filter(code=wanted)
    row = (found.select_for_update() if lock else found).first()
    if row is None:
        raise coupon_not_found(code)
    if row.retired_at is not None:
        raise Conflict("coupon_retired", f"{wanted} is not given any more.", field="coupon")
    if row.valid_from is not None and day is not None and day < row.valid_from:
        raise Conflict(
            "coupon_not_valid_yet",
            f"{wanted} may be redeemed from {row.valid_from} on.",
            field="coupon",
            params={"day": row.valid_from.isoformat()},
        )
    if row.valid_to is not None and day is not None and day >= row.valid_to:
        raise Conflict(
            "coupon_expired",
            f"{wanted} could be redeemed before {row.valid_to}.",
            field="coupon",
            params={"day": row.valid_to.isoformat()},
        )
    if _row(row).is_used_up:
        raise Conflict(
            "coupon_used_up", f"{wanted} was redeemed as often as it may be.", field="coupon"
        )
    return row


def terms_of_coupon(row: Coupon) -> DiscountTerms:
    """What the coupon gives."""
    return DiscountTerms(
        name=row.name,
        discount=Discount(
            type=DiscountType(row.type), value=row.value, keys=frozenset(row.price_keys) or None
        ),
        currency=row.currency,
        plans=frozenset(row.plan_keys),
        periods=row.periods,
        coupon=row.code,
    )


def coupon_not_found(code: str) -> NotFound:
    return NotFound(
        "coupon_not_found", f"There is no coupon {code.strip()[:40]!r}; check it.", field="coupon"
    )


def _row(row: Coupon) -> CouponRow:
    return CouponRow(
        id=row.id,
        terms=terms_of_coupon(row),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        max_redemptions=row.max_redemptions,
        redeemed=row.redeemed,
        created_by=row.created_by,
        created_at=row.created_at,
        retired_at=row.retired_at,
    )
