"""Agree with one tenant on a discount, without a coupon; and end any discount."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.discounts.coupon_file import parse_discount
from billing.invoicing.change_facts import NewDiscount
from billing.invoicing.services.decide_change import decide_change, held_subscription
from billing.invoicing.services.write_discount import write_discount
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import SubscriptionDiscount
from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from kernel.period import local_day
from tenants import audit

_LONGEST: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedDiscount:
    """What is agreed: `document` as a coupon's, without `code`, validity and redemptions; from the
    running billing period on, so far as it is not billed, or from the next."""

    document: Mapping[str, Any]
    when: EffectiveWhen
    reason: str


def agree_discount(
    *,
    tenant_id: UUID,
    agreed: AgreedDiscount,
    now: datetime,
    actor: str,
    subscription_id: UUID | None = None,
) -> int:
    """Give the tenant's running subscription (the named one, if it has several) a discount, in the caller's
    cross-tenant scope; returns its number.

    Raises NotFound `no_subscription`; CouponFaults; Invalid `missing`, `too_long`; Conflict
    `several_subscriptions`, `subscription_ends`; and as `billing.invoicing.new_discounts.with_discount`.
    """
    reason = _reason(agreed.reason)
    terms = parse_discount(agreed.document)
    row, contract = held_subscription(
        tenant_id=tenant_id, subscription_id=subscription_id, now=now, may_be_due=True
    )
    decided = decide_change(
        row=row,
        contract=contract,
        asked=AskedChange(kind=ChangeKind.COUPON, when=agreed.when),
        now=now,
        discount=NewDiscount(id=ids.new_id(), terms=terms),
    )
    held = decided.decision.after.discounts[-1]
    write_discount(row, held, now=now, actor=actor, reason=reason)
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.discount_agreed",
            target=f"subscription:{row.id}",
            after={
                "discount": held.number,
                "name": terms.name,
                "type": terms.discount.type.value,
                "value": f"{terms.discount.value:f}",
                "currency": terms.currency,
                "starts_on": held.starts_on.isoformat(),
                "ends_on": held.ends_on.isoformat() if held.ends_on else None,
                "reason": reason,
            },
        ),
        now=now,
    )
    return held.number


def end_discount(
    *,
    tenant_id: UUID,
    number: int,
    reason: str,
    now: datetime,
    actor: str,
    subscription_id: UUID | None = None,
) -> None:
    """End a discount of the tenant's running subscription (the named one, if it has several), in the
    caller's cross-tenant scope.

    It counts for no billing period from the next on; one that has not begun never counts. What is billed
    stays, and so does the running period, which it was promised for.

    Raises NotFound `no_subscription`, `discount_not_found`; Conflict `several_subscriptions`,
    `discount_ended`; Invalid
    `missing`, `too_long`.
    """
    reason = _reason(reason)
    row, contract = held_subscription(
        tenant_id=tenant_id, subscription_id=subscription_id, now=now, may_be_due=True
    )
    held = next((each for each in contract.discounts if each.number == number), None)
    if held is None:
        raise NotFound(
            "discount_not_found", f"The subscription has no discount {number}.", field="discount"
        )
    cadence = contract.cadence
    day = local_day(now, cadence.zone)
    ends_on = held.starts_on
    # On trial no period runs, and none was promised it yet.
    if held.starts_on <= day:
        ends_on = cadence.period_of(day).served.end_day(cadence.zone)
    if held.ends_on is not None and held.ends_on <= ends_on:
        raise Conflict(
            "discount_ended", f"{held.terms.name} ends by then already.", field="discount"
        )
    SubscriptionDiscount.objects.filter(
        tenant_id=tenant_id, subscription=row, number=number
    ).update(ends_on=ends_on, ended_by=actor)
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.discount_ended",
            target=f"subscription:{row.id}",
            before={"ends_on": held.ends_on.isoformat() if held.ends_on else None},
            after={"discount": number, "ends_on": ends_on.isoformat(), "reason": reason},
        ),
        now=now,
    )


def _reason(text: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid("missing", "reason is empty; say why.", field="reason")
    if len(text) > _LONGEST or "\x00" in text:
        raise Invalid(
            "too_long", f"reason is not a text of at most {_LONGEST} characters.", field="reason"
        )
    return text
