"""Change a subscription: its plan, what is held, pauses, its end (contract section 4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from billing.invoicing.changes import counted_until
from billing.invoicing.drafting import Contract, is_middle_of_day
from billing.invoicing.late_usage import last_day_values
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.recounts import compare_usage
from billing.invoicing.services.decide_change import Decided, decide_change, held_subscription
from billing.invoicing.services.settle_change import Settling, settle_changes
from billing.invoicing.services.write_discount import write_discount
from billing.subscriptions.domain import (
    AskedChange,
    ChangeKind,
    EffectiveWhen,
    SubscriptionStatus,
)
from billing.subscriptions.models import (
    Subscription,
    SubscriptionDiscount,
    SubscriptionHolding,
    SubscriptionPause,
    SubscriptionPhase,
)
from kernel import ids
from kernel.period import Period, local_day
from metering import queries as metering
from metering.queries import Span
from metering.services import close_days, roll_up
from tenants import audit

_ACTIONS: Final = {
    ChangeKind.PLAN: "subscription.plan_changed",
    ChangeKind.QUANTITY: "subscription.quantity_changed",
    ChangeKind.ADD: "subscription.addon_added",
    ChangeKind.REMOVE: "subscription.addon_removed",
    ChangeKind.CANCEL: "subscription.cancelled",
    ChangeKind.UNDO_CANCEL: "subscription.cancellation_undone",
    ChangeKind.UNDO_CHANGE: "subscription.change_undone",
    ChangeKind.PAUSE: "subscription.paused",
    ChangeKind.RESUME: "subscription.resumed",
    ChangeKind.END_TRIAL: "subscription.trial_ended",
    ChangeKind.COUPON: "subscription.coupon_redeemed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What was issued for a change."""

    subscription_id: UUID
    invoices: tuple[Invoice, ...]
    credit_notes: tuple[CreditNote, ...]


def change_subscription(
    *,
    tenant_id: UUID,
    asked: AskedChange,
    now: datetime,
    actor: str,
    subscription_id: UUID | None = None,
) -> Changed:
    """Do what is asked of the tenant's running subscription (the named one, if it has several), in the
    caller's cross-tenant scope.

    At the period's end: its next document bills what is held from there. Now: the change day belongs to
    what is new, and one document is issued at once, with a negative line for the unused days of each
    price and a charge line; the anchor stays. Where it comes out negative it is a credit note, and its
    amount goes to the cash balance. While the document that opens the period is still a draft, a
    change on the period's first day only changes that draft. A cancellation now also bills usage up to
    this instant. A coupon issues nothing: what is not billed yet of its periods is discounted.

    Raises NotFound `no_subscription`; Conflict `several_subscriptions`, `billing_due`; and as
    `billing.invoicing.services.decide_change.decide_change`.
    """
    row, contract = held_subscription(
        tenant_id=tenant_id,
        subscription_id=subscription_id,
        now=now,
        may_be_due=asked.kind is ChangeKind.COUPON,
    )
    counted = None
    if asked.kind is ChangeKind.CANCEL and asked.when is EffectiveWhen.NOW:
        counted = counted_until(contract=contract, now=now)
    corrections = 0 if counted is None else _count_usage(contract, counted, now=now)
    decided = decide_change(row=row, contract=contract, asked=asked, now=now)
    invoices: list[Invoice] = []
    credit_notes: list[CreditNote] = []
    settlings = [
        Settling(row=row, contract=decided.before, document=document, corrections=corrections)
        for document in decided.decision.documents
    ]
    for each, issued in zip(
        settlings, settle_changes(settlings, now=now, actor=actor), strict=True
    ):
        if not isinstance(issued, Invoice):
            credit_notes.append(issued)
        elif not each.document.draft.is_empty:
            invoices.append(issued)
    if counted is not None and is_middle_of_day(contract=contract, instant=now):
        day = local_day(now, contract.cadence.zone)
        row.last_day_usage = last_day_values(decided.usage, day=day)
    if asked.kind is ChangeKind.COUPON:
        write_discount(row, decided.decision.after.discounts[-1], now=now, actor=actor)
    else:
        write_decision(decided, asked=asked, now=now)
    audit.record(change_entry(decided, asked, now=now, actor=actor), now=now)
    return Changed(
        subscription_id=row.id, invoices=tuple(invoices), credit_notes=tuple(credit_notes)
    )


def _count_usage(contract: Contract, counted: Period, *, now: datetime) -> int:
    """Count all that has come, and close the days that are over: what comes for them from here on is
    late usage. Gives how many corrections the days have. Raises Conflict `usage_differs_from_recount`.
    """
    roll_up(now=now, tenant_ids=[contract.tenant_id], most_events=None, wait=True)
    close_days(now=now, tenant_ids=[contract.tenant_id])
    zone = contract.cadence.zone
    span = Span(
        tenant_id=contract.tenant_id,
        from_day=counted.first_day(zone),
        to_day=counted.end_day(zone),
    )
    (corrections,) = metering.correction_counts(spans=[span])
    compared = compare_usage(billed=[(contract, [counted])], now=now)
    for fault in compared.faults.values():
        raise fault
    return corrections


def write_decision(decided: Decided, *, asked: AskedChange, now: datetime) -> None:
    """Store the subscription as the decision says it will be; see `write_decisions`."""
    write_decisions([decided], asked=asked, now=now)


def write_decisions(decided: Sequence[Decided], *, asked: AskedChange, now: datetime) -> None:
    """Store subscriptions as the decisions of one change say they will be: a few statements for their
    plans, one each for holdings and pauses that change."""
    _write_versions(decided, now=now)
    for each in decided:
        row, decision = each.row, each.decision
        _write_holdings(row, each.before, decision.after, now=now)
        _write_pauses(row, each.before, decision.after, now=now)
        _write_discount_days(row, each.before, decision.after)
        row.starts_on = decision.after.cadence.starts_on
        row.ends_at, row.next_boundary_at = decision.ends_at, decision.next_boundary_at
        if decision.has_ended:
            row.status = SubscriptionStatus.ENDED
        if asked.when is EffectiveWhen.NOW:
            day = local_day(now, each.before.cadence.zone)
            row.plan_version_id = decision.after.version_on(day).plan_version_id
    Subscription.objects.bulk_update(
        [each.row for each in decided],
        ["starts_on", "ends_at", "next_boundary_at", "status", "plan_version", "last_day_usage"],
        batch_size=500,
    )


def _write_versions(decided: Sequence[Decided], *, now: datetime) -> None:
    changed = [each for each in decided if each.decision.after.phases != each.before.phases]
    if not changed:
        return
    phases = SubscriptionPhase.objects.filter(
        tenant_id__in={each.row.tenant_id for each in changed},
        subscription__in=[each.row for each in changed],
    )
    changed_at = {
        (subscription_id, starts_on): changed_at
        for subscription_id, starts_on, changed_at in phases.values_list(
            "subscription_id", "starts_on", "changed_at"
        )
    }
    phases.delete()
    new: list[SubscriptionPhase] = []
    for decision in changed:
        row, before, after = decision.row, decision.before, decision.decision.after
        if len(after.phases) == 1 and after.phases[0].starts_on == after.cadence.starts_on:
            # As if it had never changed; what it holds stands in its own row.
            row.plan_version_id = after.phases[0].plan_version_id
            continue
        known = {(each.starts_on, each.plan_version_id, each.cuts) for each in before.phases}
        new.extend(
            SubscriptionPhase(
                id=ids.new_id(),
                tenant_id=row.tenant_id,
                subscription=row,
                starts_on=each.starts_on,
                plan_version_id=each.plan_version_id,
                cuts=each.cuts,
                changed_at=changed_at.get((row.id, each.starts_on), now)
                if (each.starts_on, each.plan_version_id, each.cuts) in known
                else now,
            )
            for each in after.phases
        )
    SubscriptionPhase.objects.bulk_create(new, batch_size=1000)


def _write_holdings(row: Subscription, before: Contract, after: Contract, *, now: datetime) -> None:
    kept = set(before.holdings) & set(after.holdings)
    if len(kept) == len(before.holdings) == len(after.holdings):
        return
    stored = SubscriptionHolding.objects.filter(tenant_id=row.tenant_id, subscription=row)
    keys: set[tuple[str, date]] = {(each.price_key, each.starts_on) for each in kept}
    gone = [each.id for each in stored if (each.price_key, each.starts_on) not in keys]
    stored.filter(id__in=gone).delete()
    SubscriptionHolding.objects.bulk_create(
        [
            SubscriptionHolding(
                id=ids.new_id(),
                tenant_id=row.tenant_id,
                subscription=row,
                price_key=each.price_key,
                starts_on=each.starts_on,
                quantity=each.quantity,
                changed_at=now,
            )
            for each in after.holdings
            if each not in kept
        ]
    )


def _write_pauses(row: Subscription, before: Contract, after: Contract, *, now: datetime) -> None:
    if after.pauses == before.pauses:
        return
    stored = SubscriptionPause.objects.filter(tenant_id=row.tenant_id, subscription=row)
    kept = set(before.pauses) & set(after.pauses)
    stored.exclude(starts_on__in=[each.starts_on for each in kept]).delete()
    SubscriptionPause.objects.bulk_create(
        [
            SubscriptionPause(
                id=ids.new_id(),
                tenant_id=row.tenant_id,
                subscription=row,
                starts_on=each.starts_on,
                ends_on=each.ends_on,
                changed_at=now,
            )
            for each in after.pauses
            if each not in kept
        ]
    )


def _write_discount_days(row: Subscription, before: Contract, after: Contract) -> None:
    """What was to begin after a trial begins with the day on which it was ended."""
    for old, new in zip(before.discounts, after.discounts, strict=True):
        if (old.starts_on, old.ends_on) != (new.starts_on, new.ends_on):
            SubscriptionDiscount.objects.filter(
                tenant_id=row.tenant_id, subscription=row, number=new.number
            ).update(starts_on=new.starts_on, ends_on=new.ends_on)


def change_entry(decided: Decided, asked: AskedChange, *, now: datetime, actor: str) -> audit.Entry:
    """What the audit trail keeps of a change."""
    row, decision = decided.row, decided.decision
    before: dict[str, Any] = {}
    after: dict[str, Any] = {"when": asked.when.value}
    match asked.kind:
        case ChangeKind.PLAN:
            held = decided.before.version_on(local_day(now, decided.before.cadence.zone))
            before = {"plan": held.terms.key, "version": held.number}
            new = decided.facts.new
            after["plan"], after["version"] = asked.plan, new.number if new is not None else None
        case ChangeKind.QUANTITY | ChangeKind.ADD | ChangeKind.REMOVE:
            last = [each for each in decision.after.holdings if each.price_key == asked.price][-1]
            before["quantity"] = _shown(
                decided.before.quantities_on(last.starts_on).get(asked.price)
            )
            after["price"], after["quantity"] = asked.price, _shown(last.quantity)
            after["starts_on"] = last.starts_on.isoformat()
        case ChangeKind.COUPON:
            redeemed = decision.after.discounts[-1]
            after["coupon"], after["discount"] = redeemed.terms.coupon, redeemed.number
            after["starts_on"] = redeemed.starts_on.isoformat()
        case ChangeKind.CANCEL:
            after["ends_at"] = (decision.ends_at or now).isoformat()
        case _:
            pass
    return audit.Entry(
        tenant_id=row.tenant_id,
        actor=actor,
        action=_ACTIONS[asked.kind],
        target=f"subscription:{row.id}",
        before=before or None,
        after=after,
    )


def _shown(quantity: Any) -> str | None:
    return None if quantity is None else f"{quantity.normalize():f}"
