"""The document of a change: what was billed in advance and is not used, and what is charged instead. Pure.

What was billed in advance from the change day on comes back, line by line as it was billed, with its share
of the discounts; what is held from then on is charged; both for prices with `prorate`. A price without is
owed for a period as a whole, once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby

from billing.discounts.domain import on_plan
from billing.invoicing.change_facts import BilledAhead, ChargedKey, Facts
from billing.invoicing.drafting import (
    Contract,
    Draft,
    HeldState,
    HeldVersion,
    draft_lines,
    spent_when_opened,
)
from billing.rating.adjustments.discounts import PeriodDiscount, Taken
from billing.rating.context import HeldPart
from billing.rating.lines import RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import Timing
from billing.rating.unused import taken_back_lines, unused_lines
from billing.subscriptions.domain import ServicePeriod
from kernel.allocation import allocate
from kernel.decimals import exact
from kernel.money import Money, round_amount, total
from kernel.period import Period

_ONE_DAY = timedelta(days=1)


def settlement(
    facts: Facts, before: Contract, after: Contract, *, day: date, now: datetime
) -> Draft | None:
    """What comes back and what is charged from the day on; None where that is nothing."""
    zone = before.cadence.zone
    gone, comes = before.state_on(day), after.state_on(day)
    old = before.cadence.period_of(day)
    unused = Period.of_days(day, old.served.end_day(zone), zone)
    unused_ones = [] if gone.is_paused else _credits(before, gone, old, unused)
    replaced: list[RatedLine] = []
    charges: list[RatedLine] = []
    ends_on = after.cadence.ends_on
    period = unused
    if not comes.is_paused and (ends_on is None or day < ends_on):
        new = after.cadence.period_of(day)
        period = Period.of_days(day, new.served.end_day(zone), zone)
        charges, replaced = _charges(after, comes, new, period, facts.charged)
    if gone.version.plan_version_id == comes.version.plan_version_id:
        same = _what_stays([*unused_ones, *replaced], charges)
        unused_ones = [line for line in unused_ones if line.key not in same]
        replaced = [line for line in replaced if line.key not in same]
        charges = [line for line in charges if line.key not in same]
    unused_ones = _with_discounts_back(unused_ones, gone.version, facts.ahead)
    unused_ones = _without_what_was_credited(unused_ones, gone.version, facts.left)
    replaced = _with_discounts_back(replaced, comes.version, facts.ahead)
    replaced = _without_what_was_credited(replaced, comes.version, facts.left)
    if charges and after.discounts:
        kept = frozenset(line.key for line in charges)
        discounts = _discounts_of_charges(
            facts, after, comes, day=day, keys=kept, back=[*unused_ones, *replaced], old=old
        )
        charges, _ = _charges(after, comes, new, period, facts.charged, discounts=discounts)
        charges = [line for line in charges if line.key in kept]
    draft = Draft(
        boundary_at=now,
        finalize_at=now,
        period=period,
        currency=comes.version.terms.currency,
        lines=(
            *draft_lines(before, gone.version, unused_ones, timing=Timing.IN_ADVANCE),
            *draft_lines(after, comes.version, replaced, timing=Timing.IN_ADVANCE),
            *draft_lines(after, comes.version, charges, timing=Timing.IN_ADVANCE),
        ),
        waits_for_usage=False,
        tax_rounding=after.taxing.rounding,
    )
    return None if draft.is_empty else draft


def _credits(
    contract: Contract, state: HeldState, service: ServicePeriod, unused: Period
) -> list[RatedLine]:
    zone = contract.cadence.zone
    first, day = service.served.first_day(zone), unused.first_day(zone)
    # The last change before, on this day or an earlier one, charged what is now given back.
    charged_from = ([first, *contract.changes_within(first, day + _ONE_DAY)])[-1]
    return unused_lines(
        terms=state.version.terms,
        version=state.version.number,
        period=service.full,
        charged=Period.of_days(charged_from, unused.end_day(zone), zone),
        unused=unused,
        zone=zone,
        quantities=state.quantities,
    )


def _charges(
    contract: Contract,
    state: HeldState,
    service: ServicePeriod,
    coming: Period,
    charged: Mapping[ChargedKey, Decimal],
    *,
    discounts: Sequence[PeriodDiscount] = (),
) -> tuple[list[RatedLine], list[RatedLine]]:
    """What is charged, and what of whole fees that were billed for less it takes the place of."""
    terms, number = state.version.terms, state.version.number
    lines = rate_plan(
        terms=terms,
        version=number,
        period=service.full,
        served=coming,
        zone=contract.cadence.zone,
        timing=Timing.IN_ADVANCE,
        parts=[HeldPart(period=coming, quantities=state.quantities)],
        discounts=discounts,
    )
    owed_once: dict[str, Decimal] = {}
    replaced: dict[str, Decimal] = {}
    for price in terms.prices:
        billed = charged.get((terms.key, number, price.key))
        if price.prorate or billed is None:
            continue
        held = state.quantities.get(price.key, Decimal(0 if price.addon else 1))
        (replaced if held > billed else owed_once)[price.key] = billed
    taken_back = taken_back_lines(
        terms=terms,
        version=number,
        period=service.full,
        served=coming,
        zone=contract.cadence.zone,
        quantities={key: billed for key, billed in replaced.items() if billed},
    )
    return [line for line in lines if line.key not in owed_once], taken_back


def _what_stays(given_back: Sequence[RatedLine], charges: Sequence[RatedLine]) -> set[str]:
    """Of one version: the prices that the change leaves as they are."""

    def sums(lines: Sequence[RatedLine]) -> dict[str, Money]:
        found: dict[str, Money] = {}
        for line in lines:
            found[line.key] = found.get(line.key, Money.zero(line.amount.currency)) + line.amount
        return found

    back, due = sums(given_back), sums(charges)
    same = {key for key, amount in due.items() if key in back and back[key] == -amount}
    same.update(key for key, amount in due.items() if key not in back and not amount)
    return same


def _with_discounts_back(
    lines: Sequence[RatedLine], version: HeldVersion, ahead: Sequence[BilledAhead]
) -> list[RatedLine]:
    """Lines that give back, each with its share of the discounts of what it was billed with: what comes
    back is what was to be paid."""
    return [_with_discount_back(line, version, ahead) for line in lines]


def _with_discount_back(
    line: RatedLine, version: HeldVersion, ahead: Sequence[BilledAhead]
) -> RatedLine:
    charged = [
        each
        for each in ahead
        if (each.plan, each.version, each.price) == (version.terms.key, version.number, line.key)
        and each.amount.minor > 0
    ]
    billed = [each for each in charged if each.document == charged[0].document]
    currency = line.amount.currency
    taken: dict[str, Taken] = {}
    for discount in (discount for each in billed for discount in each.discounts):
        before = taken.get(discount.id)
        taken[discount.id] = (
            discount if before is None else replace(before, amount=before.amount + discount.amount)
        )
    whole = total((each.amount for each in billed), currency=currency)
    if not taken or not whole:
        return line
    share = Fraction(-line.amount.minor, whole.minor)
    taken_together = total((each.amount for each in taken.values()), currency=currency)
    back = min(-line.amount, round_amount(exact(taken_together.amount) * share, currency))
    parts = allocate(back, [each.amount.minor for each in taken.values()])
    return replace(
        line,
        discounts=tuple(
            replace(each, amount=-part)
            for each, part in zip(taken.values(), parts, strict=True)
            if part
        ),
    )


def _without_what_was_credited(
    given_back: Sequence[RatedLine], version: HeldVersion, left: Mapping[ChargedKey, Money]
) -> list[RatedLine]:
    """No more than what is left of what was to be paid: a credit note before has given back the rest."""
    found: list[RatedLine] = []
    for key, of_price in groupby(given_back, key=lambda line: line.key):
        lines = list(of_price)
        most = left.get((version.terms.key, version.number, key))
        if most is not None and most < total((-line.net for line in lines), currency=most.currency):
            shares = allocate(most, [-line.net.minor for line in lines])
            lines = [
                _lowered(line, share) for line, share in zip(lines, shares, strict=True) if share
            ]
        found.extend(lines)
    return found


def _lowered(line: RatedLine, amount: Money) -> RatedLine:
    told = {"unused": f"{-line.net.amount:f}", "left": f"{amount.amount:f}"}
    return replace(
        line,
        exact=-exact(amount.amount),
        amount=-amount,
        discounts=(),
        explanation={**line.explanation, "amount": f"{-amount.amount:f}", "credited_before": told},
    )


def _discounts_of_charges(
    facts: Facts,
    after: Contract,
    comes: HeldState,
    *,
    day: date,
    keys: frozenset[str],
    back: Sequence[RatedLine],
    old: ServicePeriod,
) -> tuple[PeriodDiscount, ...]:
    """The discounts of what is charged for the rest of a period.

    A fixed amount is for the whole of it: what its beginning took, less what is still taken when these
    lines give theirs back. A period that the change itself opens has it in full; `old` is the one that
    ran before the change.
    """
    service = after.cadence.period_of(day)
    offers = after.offers_in(service.served, in_advance=True)
    is_opened_before = service.served.starts_at == old.served.starts_at
    if is_opened_before and any(each.is_fixed for each in offers):
        opened = after.cadence.boundary(service.served.starts_at).opened or service
        offers = spent_when_opened(after, opened)
        currency = comes.version.terms.currency
        still: dict[str, Money] = {}
        for taken in (
            *(taken for each in facts.ahead for taken in each.discounts),
            *(taken for line in back for taken in line.discounts),
        ):
            still[taken.id] = still.get(taken.id, Money.zero(currency)) + taken.amount
        offers = tuple(
            replace(
                each,
                value=max(Decimal(0), each.value - still[each.held.key].amount),
            )
            if each.is_fixed and each.held.key in still
            else each
            for each in offers
        )
    return tuple(
        replace(
            each,
            discount=replace(
                each.discount,
                keys=keys if each.discount.keys is None else keys & each.discount.keys,
            ),
        )
        for each in on_plan(offers, comes.version.terms.key)
    )
