"""What a subscription holds once another version bills what is drafted and not issued. Pure."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from billing.invoicing.changes import with_phases
from billing.invoicing.drafting import Contract, HeldVersion
from billing.rating.terms import PlanTerms, Timing
from kernel.errors import Conflict
from kernel.period import Period, local_day

_ONE_DAY: Final = timedelta(days=1)


def with_drafts_billed_by(
    contract: Contract, *, new: HeldVersion, replaced: UUID, draft_at: datetime, today: date
) -> Contract:
    """The contract with `new` in the place of the version `replaced`, from the first day on that its
    oldest draft bills, the one of the boundary `draft_at`.

    What was issued stays as it was billed, since no day of it is touched. What was changed or planned
    otherwise stays as well. Raises Conflict `changed_meanwhile` where something changed in the period
    that the draft opens, whose settlement counts on the old version; `advance_counts` where the period's
    arrears count on what was billed in advance, and both versions bill that differently.
    """
    zone = contract.cadence.zone
    boundary = contract.cadence.boundary(draft_at)
    billed = boundary.ended or boundary.opened
    if billed is None:
        return contract
    first_day = billed.served.first_day(zone)
    if contract.changes_within(local_day(draft_at, zone), today + _ONE_DAY):
        raise Conflict(
            "changed_meanwhile",
            "What the subscription holds changed since its draft was made, and was billed by the version "
            "that held; correct its invoice with a credit note.",
        )
    held = _held_on(contract, first_day)
    if (
        boundary.ended is not None
        and held.plan_version_id == replaced
        and _arrears_count_on_advance(contract, boundary.ended.served, held.terms, new.terms)
        and _advance(held.terms) != _advance(new.terms)
    ):
        raise Conflict(
            "advance_counts",
            "What the draft bills counts on what was billed in advance, which the versions bill "
            "differently; correct its invoice with a credit note.",
        )
    phases: list[HeldVersion] = []
    for each in contract.phases:
        if each.plan_version_id != replaced:
            phases.append(each)
        elif each.starts_on >= first_day:
            phases.append(replace(new, starts_on=each.starts_on, cuts=each.cuts))
        else:
            phases.append(each)
            if each is held:
                phases.append(replace(new, starts_on=first_day, cuts=False))
    return with_phases(contract, phases)


def _held_on(contract: Contract, day: date) -> HeldVersion:
    """The stored phase of a day; before the first one's day, the first."""
    held = [each for each in contract.phases if each.starts_on <= day]
    return held[-1] if held else contract.phases[0]


def _advance(terms: PlanTerms) -> list[object]:
    return [price.document for price in terms.prices if price.timing is Timing.IN_ADVANCE]


def _arrears_count_on_advance(contract: Contract, ended: Period, *terms: PlanTerms) -> bool:
    """Whether bounds of a plan, the dearest of its prices or what a fixed discount has left depend on what
    the period's beginning billed."""
    return any(
        each.minimum is not None or each.maximum is not None or each.max_of for each in terms
    ) or any(each.is_fixed for each in contract.offers_in(ended))
