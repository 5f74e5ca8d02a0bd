"""Reading coupons, with every fault listed. Pure.

A file is a list of coupons, or an object with a list under "coupons".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.catalog.domain.fields import Faults, Fields
from billing.discounts.domain import DiscountTerms
from billing.rating.adjustments.discounts import Discount, DiscountType
from kernel.currencies import exponent
from kernel.errors import Invalid
from kernel.money import Money

_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9_-]{2,39}")
_HIGHEST: Final = Decimal(100)
MOST_PERIODS: Final = 1200
MOST_REDEMPTIONS: Final = 2_147_483_647


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCoupon:
    """A coupon as it is made: what it gives, on which days it may be redeemed (until before
    `valid_to`), and how often in all (None: without bound)."""

    terms: DiscountTerms
    valid_from: date | None = None
    valid_to: date | None = None
    max_redemptions: int | None = None


class CouponFaults(PlanFaults):
    """The coupons are refused as a whole; code `invalid_coupon`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults, code="invalid_coupon")


def coupon_code(text: str) -> str:
    """The code as it is stored: capitals, whatever was typed."""
    return text.strip().upper()


def parse_coupons(document: object) -> tuple[NewCoupon, ...]:
    """The coupons of a file. Raises CouponFaults with every fault."""
    faults = Faults()
    listed = document.get("coupons") if isinstance(document, Mapping) else document
    fields = Fields({"coupons": listed}, path="", faults=faults)
    read = [(each, _read(each)) for each in fields.items("coupons")]
    seen: set[str] = set()
    for each, coupon in read:
        if coupon.terms.coupon in seen:
            each.fault("code", "duplicate_code", "stands twice; give each coupon its own code.")
        seen.add(coupon.terms.coupon)
    if faults.found:
        raise CouponFaults(faults.found)
    return tuple(coupon for _, coupon in read)


def parse_discount(document: object) -> DiscountTerms:
    """A discount that is agreed without a coupon: the same fields but for the coupon's own. Raises
    CouponFaults."""
    faults = Faults()
    fields = Fields(document, path="", faults=faults)
    name = fields.text("name") if fields.has("name") else ""
    if not name:
        fields.missing("name")
    terms = _terms(fields, name=name, coupon="")
    fields.refuse_unknown()
    if faults.found:
        raise CouponFaults(faults.found)
    return terms


def _read(fields: Fields) -> NewCoupon:
    code = coupon_code(fields.text("code")) if fields.has("code") else ""
    if not code:
        fields.missing("code")
    elif not _CODE.fullmatch(code):
        fields.fault(
            "code",
            "bad_code",
            "is not a code of 3 to 40 letters, digits, '-' and '_', such as WELCOME20.",
        )
    name = fields.text("name") if fields.has("name") else code
    terms = _terms(fields, name=name, coupon=code)
    valid_from, valid_to = fields.day("valid_from"), fields.day("valid_to")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        fields.fault("valid_to", "end_before_start", "is not after valid_from; correct it.")
    max_redemptions = None
    if fields.has("max_redemptions"):
        max_redemptions = fields.whole_number(
            "max_redemptions", default=None, lowest=1, highest=MOST_REDEMPTIONS
        )
    fields.refuse_unknown()
    return NewCoupon(
        terms=terms, valid_from=valid_from, valid_to=valid_to, max_redemptions=max_redemptions
    )


def _terms(fields: Fields, *, name: str, coupon: str) -> DiscountTerms:
    kind = fields.choice("type", DiscountType, default=None, code="unknown_discount_type")
    value = fields.figure("value", above_zero=True)
    currency = ""
    if fields.has("currency"):
        currency = fields.text("currency")
        try:
            exponent(currency)
        except Invalid as refusal:
            fields.fault("currency", refusal.code, "is not an ISO 4217 code; write one.")
            currency = ""
        if kind is not DiscountType.FIXED:
            fields.fault("currency", "not_fixed", "is only for a fixed amount; leave it out.")
    elif kind is DiscountType.FIXED:
        fields.missing("currency")
    if kind is DiscountType.PERCENTAGE and value > _HIGHEST:
        fields.fault("value", "out_of_range", "is above 100 percent; write 0 to 100.")
        value = _HIGHEST
    if kind is DiscountType.FIXED and currency:
        try:
            Money.of(value, currency, field="value")
        except Invalid as refusal:
            fields.fault("value", refusal.code, f"is no amount that {currency} can state.")
    prices, plans = _keys(fields, "prices"), _keys(fields, "plans")
    if kind is DiscountType.USAGE and not prices:
        fields.fault("prices", "missing", "is missing; name the prices whose usage is free.")
    periods = None
    if fields.has("periods"):
        periods = fields.whole_number("periods", default=None, lowest=1, highest=MOST_PERIODS)
    return DiscountTerms(
        name=name,
        discount=Discount(type=kind, value=value, keys=prices or None),
        currency=currency,
        plans=plans,
        periods=periods,
        coupon=coupon,
    )


def _keys(fields: Fields, name: str) -> frozenset[str]:
    """A list of keys; left out or null is no limit."""
    if not fields.has(name):
        return frozenset()
    found = set()
    for path, value in fields.entries(name):
        if isinstance(value, str) and 0 < len(value) <= 100:
            found.add(value)
        else:
            fields.fault(
                path.removeprefix(f"{fields.path}.") if fields.path else path,
                "not_a_key",
                "is not a key; write keys as texts.",
            )
    return frozenset(found)
