"""What late usage changes of a period that was billed: the difference, as lines. Pure.

A period that was billed is rated anew by the same rating with the usage as it stands now. Per price,
app, part of the period and kind of line, what all issued documents together billed is taken off; the
rest is one line of kind `adjustment`. Bounds, tiers and the dearest of several prices come out right
because nothing is worked out from the difference in usage: original lines and adjustments together are
always what a fresh rating bills, to the minor unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import (
    Contract,
    Draft,
    DraftLine,
    arrears_lines,
    final_lines,
)
from billing.invoicing.line_taxes import told_tax
from billing.rating.descriptions import described
from billing.rating.lines import LineKind, RatedLine
from billing.rating.terms import Timing
from billing.rating.usage import CountedUsage, Usage, UsageKey
from billing.subscriptions.domain import Boundary
from billing.taxes.domain.rules import NO_TAX
from kernel.decimals import exact, plain_text
from kernel.money import Money, total
from kernel.period import Period

_OF_THE_LINE: Final = ("phrase", "params", "tax")


class LineName(NamedTuple):
    """What makes two lines of a billed period lines of the same thing."""

    key: str
    app: str
    starts_at: datetime
    ends_at: datetime
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What issued documents billed under one name, the original line and earlier adjustments together.

    `waived` is what was decided not to bill, `credited` what credit notes took back of the lines.
    `first_line` is the line that billed it first, `invoice` the number of its document (empty for one
    of nothing). `quantity` and `working` are those of the latest rating that a document knows.
    """

    amount: Money
    waived: Money
    credited: Money
    quantity: Decimal
    working: Mapping[str, Any]
    plan_version_id: UUID | None
    first_line: UUID | None
    invoice: str

    @property
    def settled(self) -> Money:
        return self.amount + self.waived


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledPeriod:
    """A period whose usage a final document billed.

    `last_day_usage` is what the last day counts, where the subscription ended in the middle of it;
    None where its days count as they stand. `is_last_day_passed_on`: that day is billed by the tenant's
    next subscription instead, and this one served the days before it.
    """

    invoice_id: UUID
    invoice: str
    kind: InvoiceKind
    boundary_at: datetime
    period: Period
    corrections: int
    last_day_usage: Mapping[UsageKey, Decimal] | None = None
    is_last_day_passed_on: bool = False

    def counted(self, zone: ZoneInfo) -> Period | None:
        """The days whose usage it bills; None where its only day was passed on."""
        if not self.is_last_day_passed_on:
            return self.period
        first, last = self.period.first_day(zone), max(self.period.days(zone))
        return Period.of_days(first, last, zone) if first < last else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """A billed period that late usage touched, with the lines for what it changes; none, when nothing."""

    billed: BilledPeriod
    lines: tuple[DraftLine, ...]

    def amount(self, currency: str) -> Money:
        return total((each.line.amount for each in self.lines), currency=currency)


def adjusted_period(
    *,
    contract: Contract,
    billed: BilledPeriod,
    lines: Mapping[LineName, Billed],
    usage: Usage,
) -> Adjusted:
    """Rate the period anew and tell what is missing or too much. Raises DomainError as rating does.

    Of the tenant's apps those count that were billed or used: an app that came later owes nothing for
    a period in which it wasn't. Where the dearest of several prices is billed, all apps count, since
    lines of the cheaper prices are not there to tell.
    """
    known = {name.app for name in lines if name.app}
    if any(held.terms.max_of for held in contract.versions):
        known.update(contract.apps)
    contract = replace(contract, apps=tuple(sorted(known)))
    usage = _as_counted(contract, billed, usage)
    if billed.kind is InvoiceKind.FINAL:
        fresh = _final_lines(contract, billed, lines, usage=usage)
    else:
        ended = contract.cadence.boundary(billed.boundary_at).ended
        fresh = arrears_lines(contract=contract, ended=ended, usage=usage) if ended else []
    found = _differences(contract, fresh, lines, is_last_day_passed_on=billed.is_last_day_passed_on)
    return Adjusted(billed=billed, lines=tuple(found))


def _final_lines(
    contract: Contract, billed: BilledPeriod, lines: Mapping[LineName, Billed], *, usage: Usage
) -> list[DraftLine]:
    """What the final document owes. Where the last day was passed on the days before it remain, and
    their lines go by the names of those that billed it too."""
    counted = billed.counted(contract.cadence.zone)
    if counted is None:
        return []
    found = []
    for each in final_lines(
        contract=contract, counted=counted, ended_at=billed.boundary_at, usage=usage
    ):
        name = name_of(each.line)
        longer = name._replace(ends_at=billed.period.ends_at)
        is_cut = counted != billed.period and name.ends_at == counted.ends_at
        if is_cut and name not in lines and longer in lines:
            whole = replace(each.line, period=Period(name.starts_at, longer.ends_at))
            each = replace(each, line=whole)
        found.append(each)
    return found


def name_of(line: RatedLine) -> LineName:
    return LineName(
        line.key, line.app_key or "", line.period.starts_at, line.period.ends_at, line.kind.value
    )


def with_adjustments(
    draft: Draft | None,
    *,
    contract: Contract,
    boundary: Boundary,
    adjusted: Sequence[Adjusted],
) -> Draft | None:
    """The document of a boundary with the adjustments of earlier periods, after its own lines.

    A boundary that bills nothing of its own has a document for them alone, issued at once.
    """
    lines = tuple(line for each in adjusted for line in each.lines)
    if not lines:
        return draft
    if draft is not None:
        return replace(draft, lines=(*draft.lines, *lines))
    covered = boundary.ended or boundary.opened
    assert covered is not None  # noqa: S101  # a boundary ends or opens a period
    return Draft(
        boundary_at=boundary.at,
        finalize_at=boundary.at,
        period=covered.served,
        currency=contract.versions[0].terms.currency,
        lines=lines,
        waits_for_usage=False,
        tax_rounding=contract.taxing.rounding,
    )


def recorded_lines(adjusted: Adjusted) -> list[dict[str, Any]]:
    """The differences of a period as they are kept with its settlement."""
    told = []
    for each in adjusted.lines:
        adjusts = each.line.explanation["adjusts"]
        assert isinstance(adjusts, dict)  # noqa: S101  # `_adjustment` wrote it
        told.append(
            {
                "key": each.line.key,
                "app": each.line.app_key or "",
                "kind": adjusts["kind"],
                "starts_at": each.line.period.starts_at.isoformat(),
                "ends_at": each.line.period.ends_at.isoformat(),
                "billed": adjusts["billed"],
                "rated": adjusts["rated"],
                "amount_minor": each.line.amount.minor,
            }
        )
    return told


def _as_counted(contract: Contract, billed: BilledPeriod, usage: Usage) -> Usage:
    """The usage with the last day as it was when the subscription ended in the middle of it."""
    if billed.last_day_usage is None:
        return usage
    last = max(billed.period.days(contract.cadence.zone))
    counted = {
        key: {day: value for day, value in values.items() if day != last}
        for key, values in usage.items()
    }
    for key, value in billed.last_day_usage.items():
        counted[key] = {**counted.get(key, {}), last: value}
    if not isinstance(usage, CountedUsage):
        return counted
    # A day's users are not known by the hour: where more came after the end, nobody can tell them.
    more = {
        key.meter
        for key in {*usage, *billed.last_day_usage}
        if usage.get(key, {}).get(last) != billed.last_day_usage.get(key)
    }
    return CountedUsage(
        counted,
        users={
            key: None
            if key.meter in more and any(end > last for _, end in key.stretches)
            else users
            for key, users in usage.users.items()
        },
    )


def _differences(
    contract: Contract,
    fresh: Sequence[DraftLine],
    lines: Mapping[LineName, Billed],
    *,
    is_last_day_passed_on: bool,
) -> list[DraftLine]:
    currency = contract.versions[0].terms.currency
    found = []
    rated = {name_of(each.line): each for each in fresh}
    for name in [*rated, *(name for name in lines if name not in rated)]:
        line = _adjustment(
            name,
            rated.get(name),
            lines.get(name),
            currency=currency,
            is_last_day_passed_on=is_last_day_passed_on,
        )
        if line is not None:
            found.append(line)
    return found


def _adjustment(
    name: LineName,
    rated: DraftLine | None,
    billed: Billed | None,
    *,
    currency: str,
    is_last_day_passed_on: bool,
) -> DraftLine | None:
    nothing = Money.zero(currency)
    due = rated.line.net if rated else nothing
    before = billed.settled if billed else nothing
    difference = due - before
    if billed is not None and difference.minor < 0 < billed.credited.minor:
        # What a credit note gave back already is not given back again.
        difference = max(difference, min(nothing, billed.credited - billed.amount))
    if not difference:
        return None
    version_id = rated.plan_version_id if rated else billed.plan_version_id if billed else None
    assert version_id is not None  # noqa: S101  # one of both is there
    working: Mapping[str, Any] = (
        {name: value for name, value in rated.working.items() if name not in _OF_THE_LINE}
        if rated
        else {}
    )
    adjusts: dict[str, object] = {
        "invoice": billed.invoice if billed else "",
        "kind": name.kind,
        "billed": f"{before.amount:f}",
        "rated": f"{due.amount:f}",
        "quantity_before": plain_text(exact(billed.quantity if billed else Decimal(0))),
        "quantity_now": plain_text(exact(rated.line.quantity if rated else Decimal(0))),
        "days": _changed_days(billed.working if billed else {}, working),
    }
    if is_last_day_passed_on:
        adjusts["last_day"] = "passed_on"
    if billed is not None and billed.credited:
        adjusts["credited"] = f"{billed.credited.amount:f}"
    phrase = "late_usage_of_app" if name.app else "late_usage"
    params = {"price": name.key, "billed": f"{before.amount:f}", "rated": f"{due.amount:f}"}
    if name.app:
        params["app"] = name.app
    if billed is not None and billed.invoice:
        params["invoice"] = billed.invoice
    else:
        phrase += "_unbilled"
    told = working or (billed.working if billed else {})
    # What was billed is corrected by the rate at which it was billed.
    tax = told_tax(billed.working) if billed is not None and billed.first_line else NO_TAX
    if rated is not None and (billed is None or billed.first_line is None):
        tax = rated.tax
    if tax.said_by:
        working = {**working, "tax": tax.document}
    return DraftLine(
        timing=Timing.IN_ARREARS.value,
        plan_version_id=version_id,
        adjusts=billed.first_line if billed else None,
        tax=tax,
        line=RatedLine(
            key=name.key,
            kind=LineKind.ADJUSTMENT,
            description=described(phrase, params),
            phrase=phrase,
            params=params,
            quantity=Decimal(1),
            unit_price=difference.amount,
            exact=Fraction(difference.amount),
            amount=difference,
            period=Period(name.starts_at, name.ends_at),
            app_key=name.app or None,
            explanation={
                **{key: told[key] for key in ("plan", "version", "price") if key in told},
                "adjusts": adjusts,
                "working": dict(working),
                "amount": f"{difference.amount:f}",
            },
        ),
    )


def _changed_days(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, object]:
    """The days whose values differ between two workings: `{day: {"before", "now"}}`, by app where the
    working tells the apps apart."""
    old, new = _days_of(before), _days_of(now)
    changed: dict[str, Any] = {}
    for app, day in sorted({*old, *new}):
        values = (old.get((app, day), "0"), new.get((app, day), "0"))
        if values[0] != values[1]:
            change = {"before": values[0], "now": values[1]}
            if app:
                changed.setdefault(day, {})[app] = change
            else:
                changed[day] = change
    return changed


def _days_of(working: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    aggregation = working.get("aggregation") or {}
    if "days" in aggregation:
        return {("", day): value for day, value in aggregation["days"].items()}
    apps = aggregation.get("apps")
    if not isinstance(apps, Mapping):
        return {}
    return {
        (app, day): value
        for app, told in apps.items()
        for day, value in (told.get("days") or {}).items()
    }


def last_day_values(usage: Usage, *, day: date) -> list[list[str]]:
    """What the day counts, ready for JSON: (app, meter, kind, value)."""
    return [
        [key.app, key.meter, key.kind, plain_text(exact(values[day]))]
        for key, values in sorted(usage.items())
        if day in values
    ]
