"""From a subscription's boundary and usage to the content of a document. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any
from uuid import UUID

from billing.catalog.domain import PriceOverride
from billing.discounts.domain import (
    HeldDiscount,
    Offered,
    in_proportion,
    lessened,
    offered,
    on_plan,
)
from billing.invoicing.line_taxes import taxed
from billing.rating.adjustments.discounts import PeriodDiscount
from billing.rating.adjustments.document import NetLine, Settlement, settle
from billing.rating.adjustments.tax import TaxRounding
from billing.rating.aggregations import EventPeriodAggregation
from billing.rating.context import HeldPart, counted_stretches
from billing.rating.lines import RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import PlanTerms, PriceTerms, Timing
from billing.rating.usage import Stretches, Usage
from billing.subscriptions.domain import Boundary, Cadence, Holding, Pause, ServicePeriod
from billing.taxes.domain.rules import NO_TAX, LineTax, Taxing
from kernel.money import Money
from kernel.period import Interval, Period, local_day, local_midnight

DEFAULT_GRACE = timedelta(hours=24)
"""How long a draft that bills usage waits for late events (contract section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVersion:
    """A plan version and the first local day on which the subscription holds it.

    `terms` are those of the version with what the contract words differently; `clauses` tells of each
    such price, by its key, what was agreed, as the working of its lines names it. `own_terms` are the
    version's alone; None where the contract changes nothing.

    With `cuts` the change to it cut a period while it ran (`billing.subscriptions.domain.Pace`).
    """

    starts_on: date
    plan_version_id: UUID
    number: int
    terms: PlanTerms
    cuts: bool = False
    clauses: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    own_terms: PlanTerms | None = None

    def bills_as(self, other: "HeldVersion") -> bool:
        """Whether both are the same wording, so that what is used under them counts together."""
        return (self.plan_version_id, self.terms, self.clauses) == (
            other.plan_version_id,
            other.terms,
            other.clauses,
        )

    def explained(self, lines: Iterable[RatedLine]) -> list[RatedLine]:
        """The lines of this version, with the clause by which each overridden price is billed."""
        return [
            line
            if (clause := self.clauses.get(line.key)) is None
            else replace(line, explanation={**line.explanation, "override": clause})
            for line in lines
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldState:
    """What a subscription holds on a day."""

    version: HeldVersion
    quantities: Mapping[str, Decimal]
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What drafting must know of a subscription and its tenant.

    `versions`, `holdings` and `pauses` by ascending days; of the holdings of one day, the last came last.
    `phases` are the versions as they are stored, without what the contract words differently.
    `passes_last_day`: the day in the middle of which it ended is the first of the tenant's next one.
    """

    subscription_id: UUID
    tenant_id: UUID
    tenant_key: str
    language: str
    versions: Sequence[HeldVersion]
    cadence: Cadence
    apps: Sequence[str]
    phases: Sequence[HeldVersion] = ()
    overrides: Sequence[PriceOverride] = ()
    holdings: Sequence[Holding] = ()
    pauses: Sequence[Pause] = ()
    discounts: Sequence[HeldDiscount] = ()
    taxing: Taxing = field(default_factory=Taxing)
    passes_last_day: bool = False

    @property
    def meters(self) -> frozenset[str]:
        """The meters whose usage the plan prices, in any of the versions."""
        return frozenset(
            price.metering.meter
            for held in self.versions
            for price in held.terms.prices
            if price.metering is not None
        )

    def counted_users(self, period: Period) -> frozenset[tuple[str, Stretches]]:
        """For prices on the different users of a period: the meters, and the days in which they must
        be counted."""
        zone = self.cadence.zone
        found = set()
        for held, part in self.parts_of(period):
            for price in held.terms.prices:
                metering = price.metering
                if (
                    metering is None
                    or metering.period_aggregation is not EventPeriodAggregation.DISTINCT
                ):
                    continue
                parts = [each for each in self.served_parts(part) if each.held(price)]
                if parts:
                    found.add((metering.meter, counted_stretches(parts, zone)))
        return frozenset(found)

    def offers_in(self, served: Period, *, in_advance: bool = False) -> tuple[Offered, ...]:
        """The discounts of the billing period that was served then; `in_advance`: of what it bills in
        advance."""
        if not self.discounts:
            return ()
        zone = self.cadence.zone
        first_day, end_day = served.first_day(zone), served.end_day(zone)
        return tuple(
            each
            for each in offered(self.discounts, first_day=first_day, in_advance=in_advance)
            if (each.held.ends_on is None or end_day <= each.held.ends_on)
            and (
                not each.held.terms.is_by_period
                or self._interval_on(each.held.starts_on) == self._interval_on(first_day)
            )
        )

    def _interval_on(self, day: date) -> tuple[Interval, int]:
        terms = self.version_on(day).terms
        return terms.interval, terms.interval_count

    def version_on(self, day: date) -> HeldVersion:
        """The version that holds on a local day; before the first one's day, the first."""
        held = [version for version in self.versions if version.starts_on <= day]
        return held[-1] if held else self.versions[0]

    def state_on(self, day: date) -> HeldState:
        """What is held on a local day."""
        return HeldState(
            version=self.version_on(day),
            quantities=self.quantities_on(day),
            is_paused=any(pause.covers(day) for pause in self.pauses),
        )

    def quantities_on(self, day: date) -> dict[str, Decimal]:
        """How much is held of the prices for which that was said, on a local day.

        What is held ends with the first plan that doesn't have it. Of add-ons of one group only the
        one that came last counts.
        """
        if not self.holdings:
            return {}
        last = {each.price_key: each for each in self.holdings if each.starts_on <= day}
        prices = {price.key: price for price in self.version_on(day).terms.prices}
        groups: dict[str, str] = {}
        for each in self.holdings:  # in the order in which they came
            price = prices.get(each.price_key)
            is_held = each.quantity and last.get(each.price_key) is each
            if is_held and price is not None and price.group:
                groups[price.group] = price.key
        return {
            key: each.quantity
            for key, each in last.items()
            if each.quantity is not None
            and self._had_throughout(key, each.starts_on, day)
            and groups.get(prices[key].group, key) == key
        }

    def _had_throughout(self, key: str, first: date, last: date) -> bool:
        """Whether all plans that were held between two days have a price of this key."""
        held = [self.version_on(first), *(v for v in self.versions if first < v.starts_on <= last)]
        return all(any(price.key == key for price in v.terms.prices) for v in held)

    def parts_of(self, period: Period) -> list[tuple[HeldVersion, Period]]:
        """The period cut where the version changes: the change day belongs to the new one."""
        zone = self.cadence.zone
        first, end = period.first_day(zone), period.end_day(zone)
        cuts = [
            each.starts_on
            for before, each in pairwise(self.versions)
            if first < each.starts_on < end and not each.bills_as(before)
        ]
        days = [first, *cuts, end]
        return [
            (self.version_on(starts_on), Period.of_days(starts_on, ends_on, zone))
            for starts_on, ends_on in pairwise(days)
        ]

    def changes_within(self, first: date, end: date) -> list[date]:
        """The local days after `first` and before `end` on which what is held changes."""
        days = {
            *(each.starts_on for each in self.versions),
            *(each.starts_on for each in self.holdings),
            *(each.starts_on for each in self.pauses),
            *(each.ends_on for each in self.pauses if each.ends_on is not None),
        }
        return sorted(day for day in days if first < day < end)

    def served_parts(self, period: Period) -> list[HeldPart]:
        """The stretches of a period that count, each with what is held: without the pauses."""
        zone = self.cadence.zone
        first, end = period.first_day(zone), period.end_day(zone)
        parts = []
        for starts_on, ends_on in pairwise([first, *self.changes_within(first, end), end]):
            state = self.state_on(starts_on)
            if not state.is_paused:
                parts.append(
                    HeldPart(
                        period=Period.of_days(starts_on, ends_on, zone),
                        quantities=state.quantities,
                    )
                )
        return parts


def grace_of(terms: PlanTerms) -> timedelta:
    """How long a draft under these terms waits for late usage."""
    return DEFAULT_GRACE if terms.grace is None else terms.grace


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """A rated line, whether it bills a period ahead of or after its service, and its tax.

    `plan_version_id` is None where no plan says the price. An adjustment names in `adjusts` the issued line that it corrects.
    """

    timing: str
    line: RatedLine
    plan_version_id: UUID | None
    adjusts: UUID | None = None
    tax: LineTax = NO_TAX

    @property
    def working(self) -> dict[str, Any]:
        """All that explains the amount, ready for JSON, with the words of the description, so that any
        language can say it."""
        return {
            "phrase": self.line.phrase,
            "params": dict(self.line.params),
            **self.line.explanation,
            **(
                {"discounts": [each.told() for each in self.line.discounts]}
                if self.line.discounts
                else {}
            ),
            **({"tax": self.tax.document} if self.tax.said_by else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Draft:
    """The content of one document, before it has a number.

    `period` is the ended one if the document bills arrears, else the one it opens.
    """

    boundary_at: datetime
    finalize_at: datetime
    period: Period
    currency: str
    lines: tuple[DraftLine, ...]
    waits_for_usage: bool
    tax_rounding: TaxRounding = TaxRounding.PER_RATE

    @cached_property
    def settlement(self) -> Settlement:
        """The lines after discounts and tax, in their order, and the document's totals."""
        return settle(
            [
                NetLine(
                    key=each.line.key,
                    amount=each.line.amount,
                    tax_percent=each.tax.percent,
                    discount=each.line.discount,
                )
                for each in self.lines
            ],
            currency=self.currency,
            tax_rounding=self.tax_rounding,
        )

    @cached_property
    def workings(self) -> tuple[str, ...]:
        """The working of each line as JSON, by which it is stored; equal workings are equal texts."""
        return tuple(
            json.dumps(each.working, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            for each in self.lines
        )

    @property
    def subtotal(self) -> Money:
        return self.settlement.subtotal

    @property
    def total(self) -> Money:
        """What the tenant owes for it: after discounts, with tax."""
        return self.settlement.total

    @property
    def is_empty(self) -> bool:
        """Whether all lines are zero: such a document is not issued."""
        return not any(each.line.amount for each in self.lines)


def draft_document(*, contract: Contract, boundary: Boundary, usage: Usage) -> Draft | None:
    """The document of a boundary: arrears of the period that ended, advance of the one that opens.

    None when the plan bills nothing there. It waits for the grace if it bills usage, else it is
    issued at once (contract section 4). Raises DomainError when the terms can't rate the usage.
    """
    lines = arrears_lines(contract=contract, ended=boundary.ended, usage=usage)
    parts = _arrears_parts(contract, boundary.ended)
    opened = boundary.opened
    if opened is not None:
        if contract.state_on(local_day(boundary.at, contract.cadence.zone)).is_paused:
            opened = None  # it is billed when it is resumed
        else:
            lines.extend(_opening_lines(contract, opened))
    bills_arrears = bool(parts)
    waits = any(_bills_usage(held) for held, _ in parts)
    if not lines and not waits:
        return None
    billed = boundary.ended if bills_arrears else opened
    assert billed is not None  # noqa: S101  # one of both, since some price is due
    return Draft(
        boundary_at=boundary.at,
        finalize_at=boundary.at + grace_of(parts[-1][0].terms) if waits else boundary.at,
        period=billed.served,
        currency=contract.versions[0].terms.currency,
        lines=tuple(lines),
        waits_for_usage=waits,
        tax_rounding=contract.taxing.rounding,
    )


def arrears_lines(
    *, contract: Contract, ended: ServicePeriod | None, usage: Usage
) -> list[DraftLine]:
    """What a period that ended owes, each version for the days on which it held."""
    if ended is None:
        return []
    lines: list[DraftLine] = []
    offers = _left_for_arrears(contract, ended)
    for held, part in _arrears_parts(contract, ended):
        found = rated_lines(
            contract,
            held,
            period=ended.full,
            served=part,
            usage=usage,
            timing=Timing.IN_ARREARS,
            offers=offers,
        )
        offers = lessened(offers, (each.line for each in found))
        lines.extend(found)
    return lines


def final_lines(
    *, contract: Contract, counted: Period, ended_at: datetime, usage: Usage
) -> list[DraftLine]:
    """What a subscription owes that ended at an instant within a period: usage of all days of
    `counted`, up to the instant's, and recurring fees in arrears of those before its day."""
    zone = contract.cadence.zone
    first = counted.first_day(zone)
    full = replace(contract.cadence, ends_on=None).period_of(first).full
    offers = _left_for_arrears(contract, ServicePeriod(full=full, served=counted))
    parts = [
        (_with(held, lambda price: not _is_recurring_arrears(price), bounds=True), part)
        for held, part in contract.parts_of(counted)
    ]
    day = local_day(ended_at, zone)
    if day > first:
        parts.extend(
            (_with(held, _is_recurring_arrears, bounds=False), part)
            for held, part in contract.parts_of(Period.of_days(first, day, zone))
        )
    lines: list[DraftLine] = []
    for held, part in parts:
        found = rated_lines(
            contract,
            held,
            period=full,
            served=part,
            usage=usage,
            timing=Timing.IN_ARREARS,
            offers=offers,
        )
        offers = lessened(offers, (each.line for each in found))
        lines.extend(found)
    return lines


def bills_usage(*, contract: Contract, period: Period) -> bool:
    """Whether any version that held in the period prices usage of it at its end."""
    return any(_bills_usage(held) for held, _ in contract.parts_of(period))


def is_middle_of_day(*, contract: Contract, instant: datetime) -> bool:
    """Whether a local day of the contract's zone has begun and not ended at the instant."""
    zone = contract.cadence.zone
    return instant != local_midnight(local_day(instant, zone), zone)


def _arrears_parts(
    contract: Contract, ended: ServicePeriod | None
) -> list[tuple[HeldVersion, Period]]:
    if ended is None:
        return []
    return [
        (held, part)
        for held, part in contract.parts_of(ended.served)
        if held.terms.bills_at(Timing.IN_ARREARS) and contract.served_parts(part)
    ]


def _opening_lines(contract: Contract, opened: ServicePeriod) -> list[DraftLine]:
    """What a period bills in advance when it begins, or when it is resumed, if it begins paused."""
    served = opened.served
    if contract.state_on(served.first_day(contract.cadence.zone)).is_paused:
        parts = contract.served_parts(served)
        if not parts:
            return []
        served = Period(parts[0].period.starts_at, served.ends_at)
    state = contract.state_on(served.first_day(contract.cadence.zone))
    if not state.version.terms.bills_at(Timing.IN_ADVANCE):
        return []
    return rated_lines(
        contract,
        state.version,
        period=opened.full,
        served=served,
        usage={},
        timing=Timing.IN_ADVANCE,
        parts=[HeldPart(period=served, quantities=state.quantities)],
        offers=contract.offers_in(opened.served, in_advance=True),
    )


def spent_when_opened(contract: Contract, opened: ServicePeriod) -> tuple[Offered, ...]:
    """Of fixed discounts of a period what its beginning takes; all else in full."""
    offers = contract.offers_in(opened.served, in_advance=True)
    left = lessened(offers, (each.line for each in _opening_lines(contract, opened)))
    return tuple(
        replace(each, value=each.value - rest.value) if each.is_fixed else each
        for each, rest in zip(offers, left, strict=True)
    )


def _left_for_arrears(contract: Contract, ended: ServicePeriod) -> tuple[Offered, ...]:
    """Of fixed discounts of a period what its beginning left; all else in full."""
    offers = contract.offers_in(ended.served)
    if not any(each.is_fixed for each in offers):
        return offers
    opened = contract.cadence.boundary(ended.served.starts_at).opened or ended
    return lessened(offers, (each.line for each in _opening_lines(contract, opened)))


def _bills_usage(held: HeldVersion) -> bool:
    return any(
        price.metering is not None and price.timing is Timing.IN_ARREARS
        for price in held.terms.prices
    )


def _is_recurring_arrears(price: PriceTerms) -> bool:
    return price.metering is None and price.timing is Timing.IN_ARREARS


def _with(held: HeldVersion, chosen: Callable[[PriceTerms], bool], *, bounds: bool) -> HeldVersion:
    """The version with some of its prices, and with or without the plan's own bounds."""
    terms: PlanTerms = held.terms
    return replace(
        held,
        terms=replace(
            terms,
            prices=tuple(price for price in terms.prices if chosen(price)),
            minimum=terms.minimum if bounds else None,
            maximum=terms.maximum if bounds else None,
        ),
    )


def rated_lines(
    contract: Contract,
    held: HeldVersion,
    *,
    period: Period,
    served: Period,
    usage: Usage,
    timing: Timing,
    parts: Sequence[HeldPart] | None = None,
    offers: Sequence[Offered] = (),
) -> list[DraftLine]:
    """The lines of one version for the part of a period in which it held.

    `parts` tell what of it counts and what was held; unless given, what the contract says. `offers`
    are the period's discounts, for these lines.
    """
    counted = contract.served_parts(served) if parts is None else parts
    if not counted:
        return []
    lines = rate_plan(
        terms=held.terms,
        version=held.number,
        period=period,
        served=served,
        zone=contract.cadence.zone,
        usage=usage,
        apps=contract.apps,
        timing=timing,
        parts=counted,
        discounts=on_plan(offers, held.terms.key),
        discounts_in_advance=_counted_in_advance(contract, held, served) if offers else (),
    )
    return draft_lines(contract, held, lines, timing=timing)


def _counted_in_advance(
    contract: Contract, held: HeldVersion, part: Period
) -> tuple[PeriodDiscount, ...]:
    """The discounts of what was billed in advance for a part of a period, where the plan's own bounds
    count it: a fixed amount by the part's share of the days."""
    if held.terms.minimum is None and held.terms.maximum is None:
        return ()
    zone = contract.cadence.zone
    served = contract.cadence.period_of(part.first_day(zone)).served
    share = Fraction(len(part.days(zone)), len(served.days(zone)))
    offers = contract.offers_in(served, in_advance=True)
    return on_plan(
        in_proportion(offers, min(share, Fraction(1)), currency=held.terms.currency),
        held.terms.key,
    )


def draft_lines(
    contract: Contract, held: HeldVersion, lines: Sequence[RatedLine], *, timing: Timing
) -> list[DraftLine]:
    """Rated lines of one version with their taxes, for a document."""
    return [
        DraftLine(timing=timing.value, line=part, plan_version_id=held.plan_version_id, tax=tax)
        for line in held.explained(lines)
        for part, tax in taxed(
            line, terms=held.terms, taxing=contract.taxing, zone=contract.cadence.zone
        )
    ]
