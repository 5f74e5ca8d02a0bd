"""What a change does to a subscription, and which documents settle it. Pure.

`decide` answers with the subscription as it will be and the content of the documents that are issued
at once. Previews show the answer, the services that change write it: both are the same to the cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, assert_never

from billing.invoicing.change_facts import Facts
from billing.invoicing.change_settlement import settlement
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import (
    Contract,
    Draft,
    HeldVersion,
    bills_usage,
    draft_document,
    final_lines,
    is_middle_of_day,
)
from billing.invoicing.late_usage import Adjusted, with_adjustments
from billing.invoicing.new_discounts import on_earlier_start, with_discount
from billing.invoicing.overrides import with_overrides
from billing.rating.terms import PriceTerms, Stacking
from billing.rating.usage import Usage
from billing.subscriptions.domain import (
    AskedChange,
    ChangeKind,
    EffectiveWhen,
    Holding,
    Pace,
    Pause,
    check_holding,
)
from kernel.errors import Conflict, Invalid
from kernel.period import Period, local_day, local_midnight

_ONE_DAY = timedelta(days=1)
_NO_USAGE: Usage = {}
_AHEAD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledDocument:
    """A document that a change issues at once. Below zero it is a credit note."""

    draft: Draft
    kind: InvoiceKind
    reason: str

    @property
    def is_credit_note(self) -> bool:
        return self.draft.total.minor < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The subscription after the change, and the documents that settle it.

    With `draft_at` the document of that boundary is still a draft, and it is the change's document.
    """

    after: Contract
    ends_at: datetime | None
    has_ended: bool
    next_boundary_at: datetime | None
    documents: tuple[SettledDocument, ...] = ()
    draft_at: datetime | None = None


def decide(*, facts: Facts, asked: AskedChange, now: datetime) -> Decision:
    """What the change does if it is made at `now`.

    Raises Conflict `subscription_ends`, `same_plan`, `same_quantity`, `already_held`, `addon_not_held`,
    `already_cancelled`, `not_cancelled`, `not_started`, `nothing_planned`, `already_paused`,
    `not_paused`, `not_on_trial`, `on_trial`; Invalid `currency_mismatch`, `unknown_price`,
    `price_is_metered`, `not_an_addon`, `addon_counts_once`, `quantity_out_of_range`; of a coupon as
    `billing.invoicing.new_discounts.with_discount`.
    """
    match asked.kind:
        case ChangeKind.PLAN:
            return _changed(facts, _with_plan(facts, asked, now=now), asked, now=now)
        case ChangeKind.QUANTITY | ChangeKind.ADD | ChangeKind.REMOVE:
            return _changed(facts, _with_quantity(facts, asked, now=now), asked, now=now)
        case ChangeKind.PAUSE:
            return _changed(facts, _paused(facts, asked, now=now), asked, now=now)
        case ChangeKind.RESUME:
            return _changed(facts, _resumed(facts, asked, now=now), asked, now=now)
        case ChangeKind.COUPON:
            return _with_coupon(facts, asked, now=now)
        case ChangeKind.CANCEL:
            return _cancelled(facts, asked, now=now)
        case ChangeKind.UNDO_CANCEL:
            return _cancellation_undone(facts)
        case ChangeKind.UNDO_CHANGE:
            return _plans_undone(facts, now=now)
        case ChangeKind.END_TRIAL:
            return _trial_ended(facts, now=now)
        case _:
            assert_never(asked.kind)


def following_documents(
    *, decision: Decision, now: datetime, usage: Usage, adjusted: Sequence[Adjusted] = ()
) -> list[Draft]:
    """What the billing makes next of the subscription after the change, if no more were used.

    The draft that the change changed, what is due already, and the first boundary after `now`; those
    that come out empty are left out. The first of them bills `adjusted`, late usage of earlier periods.
    """
    cadence = decision.after.cadence
    boundaries = [] if decision.draft_at is None else [decision.draft_at]
    boundary_at = decision.next_boundary_at
    for _ in range(_AHEAD):
        if boundary_at is None:
            break
        boundaries.append(boundary_at)
        if boundary_at > now:
            break
        boundary_at = cadence.after(boundary_at)
    drafts: list[Draft] = []
    for each in boundaries:
        boundary = cadence.boundary(each)
        draft = with_adjustments(
            draft_document(contract=decision.after, boundary=boundary, usage=usage),
            contract=decision.after,
            boundary=boundary,
            adjusted=() if drafts else adjusted,
        )
        if draft is not None and not draft.is_empty:
            drafts.append(draft)
    return drafts


def _effective_on(facts: Facts, asked: AskedChange, *, now: datetime) -> date:
    """The first day of the change. Raises Conflict `subscription_ends`."""
    cadence = facts.contract.cadence
    day = local_day(now, cadence.zone)
    if asked.when is EffectiveWhen.NOW:
        return max(day, cadence.starts_on)
    if facts.ends_at is not None or facts.next_boundary_at is None:
        raise _subscription_ends()
    return local_day(facts.next_boundary_at, cadence.zone)


def _with_plan(facts: Facts, asked: AskedChange, *, now: datetime) -> Contract:
    contract, new = facts.contract, facts.new
    if new is None:
        raise ValueError("a change of plan needs the version that it asks for")
    starts_on = _effective_on(facts, asked, now=now)
    held = contract.version_on(
        starts_on - _ONE_DAY if asked.when is not EffectiveWhen.NOW else starts_on
    )
    if new.terms.currency != held.terms.currency:
        raise Invalid(
            "currency_mismatch",
            f"{new.terms.key} is in {new.terms.currency}, the subscription in "
            f"{held.terms.currency}; end it and subscribe anew.",
            field="plan",
        )
    if asked.when is EffectiveWhen.PERIOD_END:
        kept = [each for each in contract.phases if each.starts_on < starts_on]
        if kept and kept[-1].plan_version_id == new.plan_version_id:
            return with_phases(contract, kept)
        return with_phases(contract, [*kept, replace(new, starts_on=starts_on, cuts=False)])
    if new.plan_version_id == held.plan_version_id:
        raise Conflict(
            "same_plan", "The subscription holds this version of the plan already.", field="plan"
        )
    if facts.is_on_trial(local_day(now, contract.cadence.zone)):
        # On trial nothing was billed yet: it simply holds the other plan.
        return with_phases(contract, [replace(new, starts_on=starts_on, cuts=False)])
    service = contract.cadence.period_of(starts_on)
    is_cut_already = any(each.starts_on == starts_on and each.cuts for each in contract.phases)
    is_another_pace = (new.terms.interval, new.terms.interval_count) != (
        held.terms.interval,
        held.terms.interval_count,
    )
    begins_period = service.served.first_day(contract.cadence.zone) == starts_on
    cuts = is_cut_already or (is_another_pace and not begins_period)
    kept = [each for each in contract.phases if each.starts_on < starts_on]
    if kept and kept[-1].plan_version_id == new.plan_version_id and not cuts:
        return with_phases(contract, kept)
    return with_phases(contract, [*kept, replace(new, starts_on=starts_on, cuts=cuts)])


def with_phases(contract: Contract, phases: Sequence[HeldVersion]) -> Contract:
    """The contract with these versions instead of its own, and its periods cut as they say."""
    first = phases[0].terms
    cadence = replace(
        contract.cadence,
        interval=first.interval,
        interval_count=first.interval_count,
        paces=tuple(
            Pace(
                starts_on=held.starts_on,
                interval=held.terms.interval,
                interval_count=held.terms.interval_count,
                cuts=held.cuts,
            )
            for held in phases[1:]
        ),
    )
    return replace(
        contract,
        phases=tuple(phases),
        versions=tuple(with_overrides(phases, contract.overrides)),
        cadence=cadence,
    )


def _with_quantity(facts: Facts, asked: AskedChange, *, now: datetime) -> Contract:
    contract = facts.contract
    starts_on = _effective_on(facts, asked, now=now)
    terms = contract.version_on(starts_on).terms
    price = check_holding(
        next((price for price in terms.prices if price.key == asked.price), None),
        key=asked.price,
        quantity=Decimal(0) if asked.quantity is None else asked.quantity,
        is_addon=asked.kind is not ChangeKind.QUANTITY,
    )
    held = contract.quantities_on(starts_on).get(price.key, Decimal(0 if price.addon else 1))
    wanted = _wanted_quantity(price, asked, held=held)
    check_holding(price, key=price.key, quantity=wanted, is_addon=False)
    if wanted == held:
        raise Conflict(
            "already_held" if asked.kind is ChangeKind.ADD else "same_quantity",
            f"{held.normalize():f} of {price.key} is held already.",
            field="price" if asked.kind is ChangeKind.ADD else "quantity",
        )
    ending = [
        other.key
        for other in terms.prices
        if price.group
        and other.group == price.group
        and other.key != price.key
        and contract.quantities_on(starts_on).get(other.key)
    ]
    changed = contract
    for key in ending:
        changed = _holding(changed, key, None, starts_on=starts_on)
    is_default = price.addon and not wanted
    return _holding(changed, price.key, None if is_default else wanted, starts_on=starts_on)


def _wanted_quantity(price: PriceTerms, asked: AskedChange, *, held: Decimal) -> Decimal:
    if asked.kind is ChangeKind.QUANTITY:
        if asked.quantity is None:
            raise Invalid(
                "missing", "quantity is missing; write how much is held.", field="quantity"
            )
        return asked.quantity
    if asked.kind is ChangeKind.ADD:
        more = Decimal(1) if asked.quantity is None else asked.quantity
        return more if price.stacking is Stacking.REPLACE else held + more
    gone = held if asked.quantity is None else asked.quantity
    if not held or gone > held:
        raise Conflict(
            "addon_not_held",
            f"{held.normalize():f} of {price.key} is held; name no more than that.",
            field="price",
        )
    return held - gone


def _holding(
    contract: Contract, key: str, quantity: Decimal | None, *, starts_on: date
) -> Contract:
    """From the day on that much is held; what was planned for later is forgotten."""
    kept = [
        each for each in contract.holdings if each.price_key != key or each.starts_on < starts_on
    ]
    new = Holding(price_key=key, starts_on=starts_on, quantity=quantity)
    holdings = sorted([*kept, new], key=lambda each: each.starts_on)
    return replace(contract, holdings=tuple(holdings))


def _with_coupon(facts: Facts, asked: AskedChange, *, now: datetime) -> Decision:
    """It issues nothing; what is not billed yet of the periods that it is for is discounted."""
    contract, new = facts.contract, facts.discount
    if new is None:
        raise ValueError("redeeming a coupon needs what it gives")
    starts_on = _effective_on(facts, asked, now=now)
    is_running = asked.when is EffectiveWhen.NOW
    draft_at = None
    is_advance_billed = is_running and facts.is_advance_billed
    if is_running and not facts.is_on_trial(local_day(now, contract.cadence.zone)):
        day, served = starts_on, contract.cadence.period_of(starts_on).served
        starts_on = served.first_day(contract.cadence.zone)
        if facts.is_opening_draft:
            # A change within the period was settled against the draft as it is: discounted after
            # that, more would have come back than is paid.
            is_advance_billed = bool(contract.changes_within(starts_on, day + _ONE_DAY))
            draft_at = None if is_advance_billed else served.starts_at
    after = with_discount(
        contract,
        new,
        starts_on=starts_on,
        is_advance_billed=is_advance_billed,
    )
    return Decision(
        after=after,
        ends_at=facts.ends_at,
        has_ended=False,
        next_boundary_at=facts.next_boundary_at,
        draft_at=draft_at,
    )


def _paused(facts: Facts, asked: AskedChange, *, now: datetime) -> Contract:
    contract = facts.contract
    if facts.is_on_trial(local_day(now, contract.cadence.zone)):
        raise Conflict(
            "on_trial", "The subscription is on trial; nothing is billed that could rest."
        )
    starts_on = _effective_on(facts, asked, now=now)
    if any(pause.covers(starts_on) for pause in contract.pauses):
        raise Conflict("already_paused", "The subscription is paused, or will be, already.")
    kept = [pause for pause in contract.pauses if pause.starts_on < starts_on]
    if kept and kept[-1].ends_on == starts_on:
        # Resumed and paused again on one day: it was never resumed.
        return replace(contract, pauses=(*kept[:-1], replace(kept[-1], ends_on=None)))
    return replace(contract, pauses=(*kept, Pause(starts_on=starts_on, ends_on=None)))


def _resumed(facts: Facts, asked: AskedChange, *, now: datetime) -> Contract:
    contract = facts.contract
    ends_on = _effective_on(facts, asked, now=now)
    open_pause = next((pause for pause in contract.pauses if pause.ends_on is None), None)
    if open_pause is None:
        raise Conflict("not_paused", "The subscription is not paused.")
    kept = [pause for pause in contract.pauses if pause is not open_pause]
    if open_pause.starts_on < ends_on:
        kept.append(replace(open_pause, ends_on=ends_on))
    return replace(contract, pauses=tuple(kept))


def _changed(facts: Facts, after: Contract, asked: AskedChange, *, now: datetime) -> Decision:
    before = facts.contract
    zone = before.cadence.zone
    day = local_day(now, zone)
    planned = Decision(
        after=after,
        ends_at=facts.ends_at,
        has_ended=False,
        next_boundary_at=facts.next_boundary_at,
    )
    if asked.when is EffectiveWhen.PERIOD_END or facts.is_on_trial(day):
        return planned
    was_cut = any(each.cuts and each.starts_on == day for each in before.phases)
    is_cut = any(each.cuts and each.starts_on == day for each in after.phases)
    # Where it is cut, what was used until then is billed by the document of that boundary.
    following = local_midnight(day, zone) if is_cut and not was_cut else after.cadence.after(now)
    planned = replace(planned, next_boundary_at=following)
    service = before.cadence.period_of(day)
    if facts.is_opening_draft and not was_cut and service.served.first_day(zone) == day:
        return replace(planned, draft_at=service.served.starts_at)
    draft = settlement(facts, before, after, day=day, now=now)
    if draft is None:
        return planned
    document = SettledDocument(
        draft=draft, kind=InvoiceKind.CHANGE, reason=_reason(facts, asked, day)
    )
    return replace(planned, documents=(document,))


def _reason(facts: Facts, asked: AskedChange, day: date) -> str:
    match asked.kind:
        case ChangeKind.PLAN:
            old = facts.contract.version_on(day).terms.key
            new = facts.new.terms.key if facts.new is not None else ""
            return f"Change from {old} to {new}"
        case ChangeKind.PAUSE:
            return "Paused within the period"
        case ChangeKind.RESUME:
            return "Resumed within the period"
        case _:
            return f"Change of {asked.price}"


def _cancelled(facts: Facts, asked: AskedChange, *, now: datetime) -> Decision:
    contract = facts.contract
    zone = contract.cadence.zone
    day = local_day(now, zone)
    if asked.when is EffectiveWhen.PERIOD_END:
        if facts.ends_at is not None:
            raise Conflict("already_cancelled", "The subscription ends with its period already.")
        ends_at = facts.next_boundary_at
        assert ends_at is not None  # noqa: S101  # it runs and does not end
        after = _ending(contract, ends_on=local_day(ends_at, zone), day=day)
        return Decision(
            after=after, ends_at=ends_at, has_ended=False, next_boundary_at=facts.next_boundary_at
        )
    if now <= facts.starts_at:
        raise Conflict("not_started", "The subscription has not started; nothing to end.")
    after = _ending(contract, ends_on=day, day=day)
    ended = Decision(after=after, ends_at=now, has_ended=True, next_boundary_at=None)
    if facts.is_on_trial(day):
        return ended  # nothing was billed
    documents = []
    service = contract.cadence.period_of(day)
    first = service.served.first_day(zone)
    # A draft that opens the period is rated again and then bills no more than was served; where
    # what is held changed since, each change was settled against the whole of it.
    shrinks = facts.is_opening_draft and not contract.changes_within(first, day + _ONE_DAY)
    if not shrinks:
        credit = settlement(facts, contract, after, day=day, now=now)
        if credit is not None:
            documents.append(
                SettledDocument(
                    draft=credit, kind=InvoiceKind.CHANGE, reason="Cancelled within the period"
                )
            )
    counted = counted_until(contract=contract, now=now)
    if counted is not None:
        final = Draft(
            boundary_at=now,
            finalize_at=now,
            period=counted,
            currency=contract.versions[0].terms.currency,
            lines=tuple(
                final_lines(contract=contract, counted=counted, ended_at=now, usage=facts.usage)
            ),
            waits_for_usage=False,
            tax_rounding=contract.taxing.rounding,
        )
        if not final.is_empty or bills_usage(contract=contract, period=counted):
            # One of nothing is not issued, but late usage must find that the period was billed.
            documents.append(SettledDocument(draft=final, kind=InvoiceKind.FINAL, reason=""))
    return replace(
        ended,
        documents=tuple(documents),
        draft_at=service.served.starts_at if shrinks else None,
    )


def counted_until(*, contract: Contract, now: datetime) -> Period | None:
    """The days of the present period whose usage a cancellation at `now` bills; None for none."""
    zone = contract.cadence.zone
    day = local_day(now, zone)
    if day < contract.cadence.starts_on:
        return None
    first = contract.cadence.period_of(day).served.first_day(zone)
    end = day + _ONE_DAY if is_middle_of_day(contract=contract, instant=now) else day
    return Period.of_days(first, end, zone) if end > first else None


def _ending(contract: Contract, *, ends_on: date, day: date) -> Contract:
    """The contract that ends then; a change that was planned for later will not happen."""
    kept = _without_plans(contract, day=day)
    return replace(kept, cadence=replace(kept.cadence, ends_on=ends_on))


def _without_plans(contract: Contract, *, day: date) -> Contract:
    last = max(day, contract.cadence.starts_on)
    pauses = []
    for pause in contract.pauses:
        if pause.starts_on <= last:
            is_planned = pause.ends_on is not None and pause.ends_on > last
            pauses.append(replace(pause, ends_on=None) if is_planned else pause)
    kept = with_phases(contract, [v for v in contract.phases if v.starts_on <= last])
    return replace(
        kept,
        holdings=tuple(each for each in contract.holdings if each.starts_on <= last),
        pauses=tuple(pauses),
    )


def _cancellation_undone(facts: Facts) -> Decision:
    if facts.ends_at is None:
        raise Conflict("not_cancelled", "The subscription does not end; there is nothing to undo.")
    contract = facts.contract
    return Decision(
        after=replace(contract, cadence=replace(contract.cadence, ends_on=None)),
        ends_at=None,
        has_ended=False,
        next_boundary_at=facts.next_boundary_at,
    )


def _plans_undone(facts: Facts, *, now: datetime) -> Decision:
    contract = facts.contract
    after = _without_plans(contract, day=local_day(now, contract.cadence.zone))
    if after == contract:
        raise Conflict("nothing_planned", "No change is planned; there is nothing to undo.")
    return Decision(
        after=after,
        ends_at=facts.ends_at,
        has_ended=False,
        next_boundary_at=facts.next_boundary_at,
    )


def _trial_ended(facts: Facts, *, now: datetime) -> Decision:
    """The day on which the trial ends is the first that is billed, as when it ends by itself."""
    contract = facts.contract
    zone = contract.cadence.zone
    day = local_day(now, zone)
    if not facts.is_on_trial(day):
        raise Conflict("not_on_trial", "The subscription is not on trial.")
    if now < facts.starts_at:
        raise Conflict("not_started", "The subscription has not started; nothing to end.")
    if facts.ends_at is not None:
        raise _subscription_ends()
    first = contract.cadence.starts_on
    moved = replace(contract, cadence=replace(contract.cadence, starts_on=day))
    versions = [
        replace(each, starts_on=day) if each.starts_on <= first else each
        for each in contract.phases
    ]
    after = replace(
        with_phases(moved, versions),
        holdings=tuple(
            replace(each, starts_on=day) if each.starts_on <= first else each
            for each in contract.holdings
        ),
    )
    after = replace(after, discounts=on_earlier_start(after, starts_on=day))
    return Decision(
        after=after,
        ends_at=None,
        has_ended=False,
        next_boundary_at=local_midnight(day, zone),
    )


def _subscription_ends() -> Conflict:
    return Conflict("subscription_ends", "The subscription ends with its period.")
