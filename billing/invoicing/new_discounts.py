"""A discount that comes to a subscription: for which periods, and whether it can be for them. Pure."""

from dataclasses import replace
from datetime import date

from billing.discounts.domain import HeldDiscount
from billing.invoicing.change_facts import NewDiscount
from billing.invoicing.drafting import Contract
from billing.rating.adjustments.discounts import DiscountType
from billing.rating.terms import PriceTerms, Timing
from kernel.errors import Conflict, Invalid


def with_discount(
    contract: Contract, new: NewDiscount, *, starts_on: date, is_advance_billed: bool
) -> Contract:
    """The contract with the discount for the billing periods that begin on `starts_on` or later.

    `is_advance_billed`: what the first of them bills in advance is billed already, or settled. Raises Invalid
    `currency_mismatch`; Conflict `discount_not_for_plan`, `nothing_to_discount`, `coupon_already_used`.
    """
    terms = new.terms
    held = contract.version_on(starts_on).terms
    if terms.currency and terms.currency != held.currency:
        raise Invalid(
            "currency_mismatch",
            f"{terms.name} is an amount in {terms.currency}, the subscription in {held.currency}.",
            field="coupon",
        )
    covered = [price for price in held.prices if _covers(new, price)]
    if not covered or (terms.plans and held.key not in terms.plans):
        raise Conflict(
            "discount_not_for_plan",
            f"{terms.name} is not for {held.key} or any price of it.",
            field="coupon",
        )
    if is_advance_billed and all(price.timing is Timing.IN_ADVANCE for price in covered):
        raise Conflict(
            "nothing_to_discount",
            "What the discount is for is billed already for the running period; let it begin with the "
            "next: when = period_end.",
            field="when",
        )
    if terms.coupon and any(
        each.terms.coupon == terms.coupon and each.ends_on != each.starts_on
        for each in contract.discounts
    ):
        raise already_used(terms.coupon)
    discount = HeldDiscount(
        id=new.id,
        number=max((each.number for each in contract.discounts), default=0) + 1,
        terms=terms,
        starts_on=starts_on,
        ends_on=None
        if terms.periods is None
        else _end_of(contract, starts_on=starts_on, periods=terms.periods),
        is_advance_billed=is_advance_billed,
    )
    return replace(contract, discounts=(*contract.discounts, discount))


def on_earlier_start(contract: Contract, *, starts_on: date) -> tuple[HeldDiscount, ...]:
    """The discounts of a contract whose trial was ended: those that were to begin with its first paid
    period begin with it on `starts_on`, for no more periods than before."""
    return tuple(
        each
        if each.starts_on <= starts_on or each.ends_on == each.starts_on
        else replace(
            each,
            starts_on=starts_on,
            ends_on=each.ends_on
            if each.ends_on is None or each.terms.periods is None
            else min(
                each.ends_on,
                _end_of(contract, starts_on=starts_on, periods=each.terms.periods),
            ),
        )
        for each in contract.discounts
    )


def already_used(code: str) -> Conflict:
    return Conflict("coupon_already_used", f"{code} was redeemed already.", field="coupon")


def _covers(new: NewDiscount, price: PriceTerms) -> bool:
    discount = new.terms.discount
    is_usage = discount.type is DiscountType.USAGE
    return discount.covers(price.key) and (price.metering is not None or not is_usage)


def _end_of(contract: Contract, *, starts_on: date, periods: int) -> date:
    """The first day that so many billing periods from then on leave out."""
    cadence = replace(contract.cadence, ends_on=None)
    day = starts_on
    for _ in range(periods):
        day = cadence.period_of(day).served.end_day(cadence.zone)
    return day
