"""From the terms of a plan and the usage of a period to lines: what billing, previews, the
calculator and simulations call.

For each price: the days of the period are aggregated for its scope, `pricing.price_quantity` turns
the quantity into an exact amount, and each line's amount is rounded once. Nothing here reads a
clock or a database, and equal arguments give equal lines.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import assert_never
from zoneinfo import ZoneInfo

from billing.rating.aggregations import (
    Aggregated,
    EventPeriodAggregation,
    aggregate_days,
    summed_by_day,
    time_weighted_mean,
)
from billing.rating.charges import Model
from billing.rating.descriptions import described
from billing.rating.explanation import (
    Explanation,
    explained_aggregation,
    explained_plan_bound,
    explained_price,
)
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pricing import Priced, price_quantity
from billing.rating.proration import DayCount, Proration, proration
from billing.rating.terms import Metering, PlanTerms, PriceTerms, Scope, Timing
from billing.rating.usage import (
    DailyValues,
    Stretches,
    Usage,
    UsersKey,
    different_users,
    metered_by_app,
)
from kernel.decimals import Exact, exact, plain_text, rounded_decimal
from kernel.money import Money, round_amount, total
from kernel.period import Period

_NO_USAGE: Usage = {}
_NOTHING_HELD: Mapping[str, Exact] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPart:
    """A stretch of a period in which nothing that is held changed.

    `quantities` tells how much is held of a price (see `rate_plan`).
    """

    period: Period
    quantities: Mapping[str, Exact] = field(default_factory=dict)

    def held(self, price: PriceTerms) -> Exact:
        """How much is held of the price: 1 unless said otherwise, and of an add-on nothing."""
        return self.quantities.get(price.key, 0 if price.addon else 1)


_ONE = Fraction(1)
_ONE_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_NOT_WEIGHED: Mapping[date, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingContext:
    """What all prices of a plan share while a period is rated.

    `served` is the part of `period` for which the terms hold. Of it the `parts` count: usage on
    their `days` only, and proration is their share of the whole.
    """

    plan_key: str
    plan_version: int
    currency: str
    period: Period
    served: Period
    zone: ZoneInfo
    day_count: DayCount
    share: Proration
    days: tuple[date, ...]
    parts: tuple[HeldPart, ...]

    def narrowed(self, parts: tuple[HeldPart, ...], *, served: Period) -> "RatingContext":
        """The same for some of the parts only."""
        if parts == self.parts and served == self.served:
            return self
        return replace(
            self,
            served=served,
            share=_share_of(parts, self.period, self.zone, self.day_count),
            days=_days_of(parts, self.zone),
            parts=parts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A quantity with its origin: for which app (None: for the tenant), and from which days."""

    app: str | None
    quantity: Fraction
    is_used: bool
    explained: Explanation


def rate_plan(
    *,
    terms: PlanTerms,
    version: int,
    period: Period,
    served: Period,
    zone: ZoneInfo,
    usage: Usage = _NO_USAGE,
    timing: Timing,
    apps: Collection[str] = (),
    quantities: Mapping[str, Exact] = _NOTHING_HELD,
    parts: Sequence[HeldPart] = (),
) -> list[RatedLine]:
    """The lines of one billing period, of the prices that are billed at `timing`.

    `usage` may hold other days and meters than are needed. `apps` are the tenant's apps, which
    decide where a fee is due without usage. `quantities` tells how much is held of a price without
    a meter (1 unless given) and which add-ons (none unless given). Where that changed within the
    period, or it was not served throughout, `parts` tell it instead, by ascending days: a price with
    `prorate` has a line for each quantity, one without is due for the most that was held, and usage
    counts on the days of the parts, that of a metered add-on while it was held.

    A plan's own minimum and maximum bound all its prices of the period, the ones billed in advance
    too; what they add or take is billed in arrears.
    """
    context = _context(
        plan_key=terms.key,
        plan_version=version,
        currency=terms.currency,
        period=period,
        served=served,
        zone=zone,
        day_count=terms.day_count,
        parts=tuple(parts) or (HeldPart(period=served, quantities=quantities),),
    )
    lines = _lines_at(timing, terms, context, usage, apps)
    if timing is Timing.IN_ARREARS and (terms.minimum is not None or terms.maximum is not None):
        in_advance = _lines_at(Timing.IN_ADVANCE, terms, context, usage, apps)
        lines.extend(_plan_bound_lines(terms, context, [*in_advance, *lines]))
    return lines


def rate_price(
    *,
    price: PriceTerms,
    currency: str,
    period: Period,
    served: Period,
    zone: ZoneInfo,
    usage: Usage = _NO_USAGE,
    plan_key: str,
    plan_version: int,
    apps: Collection[str] = (),
    held: Exact = 1,
    day_count: DayCount = DayCount.ACTUAL,
) -> list[RatedLine]:
    """The lines of one price for one billing period; arguments as of `rate_plan`.

    A price per app has a line for each app with usage, and for each other app where an amount is
    due without. `held` is how much is held of a price without a meter.
    """
    context = _context(
        plan_key=plan_key,
        plan_version=plan_version,
        currency=currency,
        period=period,
        served=served,
        zone=zone,
        day_count=day_count,
        parts=(HeldPart(period=served, quantities={price.key: held}),),
    )
    return _price_lines(price, context, usage, apps)


def _context(
    *,
    plan_key: str,
    plan_version: int,
    currency: str,
    period: Period,
    served: Period,
    zone: ZoneInfo,
    day_count: DayCount,
    parts: tuple[HeldPart, ...],
) -> RatingContext:
    return RatingContext(
        plan_key=plan_key,
        plan_version=plan_version,
        currency=currency,
        period=period,
        served=served,
        zone=zone,
        day_count=day_count,
        share=_share_of(parts, period, zone, day_count),
        days=_days_of(parts, zone),
        parts=parts,
    )


def _share_of(
    parts: tuple[HeldPart, ...], period: Period, zone: ZoneInfo, day_count: DayCount
) -> Proration:
    first, *others = (
        proration(part=part.period, whole=period, zone=zone, day_count=day_count) for part in parts
    )
    return replace(first, part=first.part + sum(other.part for other in others))


def _days_of(parts: tuple[HeldPart, ...], zone: ZoneInfo) -> tuple[date, ...]:
    if len(parts) == 1:
        return parts[0].period.days(zone)
    return tuple(day for part in parts for day in part.period.days(zone))


def _lines_at(
    timing: Timing,
    terms: PlanTerms,
    context: RatingContext,
    usage: Usage,
    apps: Collection[str],
) -> list[RatedLine]:
    lines: list[RatedLine] = []
    rivals: dict[str, list[RatedLine]] = {}
    for price in terms.prices:
        if price.timing is not timing:
            continue
        found = _price_lines(price, context, usage, apps)
        if price.key in terms.max_of:
            rivals[price.key] = found
        else:
            lines.extend(found)
    if rivals:
        lines.extend(_dearest(rivals, currency=terms.currency))
    return lines


def _dearest(rivals: Mapping[str, Sequence[RatedLine]], *, currency: str) -> list[RatedLine]:
    """The lines of the price with the largest sum, the earlier on a tie; each tells of all."""
    sums = {
        key: total((line.amount for line in lines), currency=currency)
        for key, lines in rivals.items()
    }
    dearest = max(sums, key=lambda key: sums[key].minor)
    told = {key: f"{amount.amount:f}" for key, amount in sums.items()}
    return [
        replace(line, explanation={**line.explanation, "max_of": told}) for line in rivals[dearest]
    ]


def _price_lines(
    price: PriceTerms,
    context: RatingContext,
    usage: Usage,
    apps: Collection[str],
) -> list[RatedLine]:
    lines: list[RatedLine] = []
    if price.metering is None:
        for held, of_part in _by_quantity(price, context):
            lines.extend(_recurring_lines(price, of_part, held))
        return lines
    parts = tuple(part for part in context.parts if part.held(price))
    if parts:
        counted = context.narrowed(parts, served=context.served)
        for measured in _measured(price.metering, counted, usage, apps):
            lines.extend(_usage_lines(price, price.metering, counted, measured))
    return lines


def _by_quantity(
    price: PriceTerms, context: RatingContext
) -> Iterable[tuple[Exact, RatingContext]]:
    """How much was held of the price, and during which part of the period."""
    if not price.prorate:
        # Due for the period as a whole, however short it was held.
        most = max(exact(part.held(price)) for part in context.parts)
        if most:
            yield most, context
        return
    for (held, _), run in groupby(
        _with_gaps_counted(context.parts), key=lambda each: (each[1].held(price), each[0])
    ):
        parts = tuple(part for _, part in run)
        if held:
            served = Period(parts[0].period.starts_at, parts[-1].period.ends_at)
            yield held, context.narrowed(parts, served=served)


def _with_gaps_counted(parts: Iterable[HeldPart]) -> Iterable[tuple[int, HeldPart]]:
    """Each part with the number of gaps before it: parts that meet have the same."""
    gaps, ends_at = 0, None
    for part in parts:
        gaps += ends_at is not None and part.period.starts_at != ends_at
        ends_at = part.period.ends_at
        yield gaps, part


def _recurring_lines(price: PriceTerms, context: RatingContext, held: Exact) -> list[RatedLine]:
    count = exact(held)
    if price.model is Model.FLAT:
        priced = price_quantity(price, _ONE, ratio=context.share.ratio, times=count)
    else:
        priced = price_quantity(price, count, ratio=context.share.ratio)
    phrase = "recurring"
    params = {"price": price.key}
    if count != 1:
        phrase += "_times"
        params["quantity"] = plain_text(count)
    if price.prorate and not context.share.is_whole:
        phrase += "_part"
        params["share"] = str(context.share)
    explained: Explanation = {"held": plain_text(count)}
    main = _line(
        price,
        context,
        priced,
        kind=LineKind.RECURRING,
        phrase=phrase,
        params=params,
        app=None,
        quantity=count,
        explained=explained,
    )
    return [main, *_true_up_lines(price, context, priced, main, app=None, explained=explained)]


def _usage_lines(
    price: PriceTerms, metering: Metering, context: RatingContext, measured: _Measured
) -> list[RatedLine]:
    priced = price_quantity(price, measured.quantity, ratio=context.share.ratio)
    if not measured.is_used and priced.total == 0:
        return []
    phrase = "usage"
    params = {
        "price": price.key,
        "quantity": plain_text(measured.quantity, places=6),
        "aggregation": metering.period_aggregation.value,
        "k": str(metering.k),
    }
    if measured.app is not None:
        phrase += "_of_app"
        params["app"] = measured.app
    if priced.included:
        phrase += "_above_included"
        params["included"] = plain_text(priced.included, places=6)
    main = _line(
        price,
        context,
        priced,
        kind=LineKind.USAGE,
        phrase=phrase,
        params=params,
        app=measured.app,
        quantity=priced.chargeable,
        explained=measured.explained,
    )
    true_up = _true_up_lines(
        price, context, priced, main, app=measured.app, explained=measured.explained
    )
    return [main, *true_up]


def _measured(
    metering: Metering, context: RatingContext, usage: Usage, apps: Collection[str]
) -> Iterable[_Measured]:
    """The quantities that the price is worked out for, one for each of its scope."""
    by_app = metered_by_app(usage, metering, days=context.days)
    is_over_time = metering.period_aggregation is EventPeriodAggregation.TIME_WEIGHTED_MEAN
    lengths = (
        _lengths(tuple(part.period for part in context.parts), context.zone)
        if is_over_time
        else _NOT_WEIGHED
    )
    match metering.scope:
        case Scope.APP:
            for app in sorted({*by_app, *apps}):
                values = by_app.get(app, {})
                aggregated = _aggregated(
                    metering, context, usage, values, of={app: values}, app=app
                )
                yield _Measured(
                    app=app,
                    quantity=aggregated.value,
                    is_used=app in by_app,
                    explained=explained_aggregation(
                        metering,
                        context.days,
                        {app: (values, aggregated)},
                        aggregated,
                        lengths=lengths,
                    ),
                )
        case Scope.TENANT:
            values = summed_by_day(list(by_app.values()), days=context.days)
            aggregated = _aggregated(metering, context, usage, values, of=by_app, app=None)
            yield _Measured(
                app=None,
                quantity=aggregated.value,
                is_used=bool(by_app),
                explained=explained_aggregation(
                    metering,
                    context.days,
                    {"": (values, aggregated)},
                    aggregated,
                    of=by_app,
                    lengths=lengths,
                ),
            )
        case Scope.TENANT_SUM_OF_PEAKS:
            parts = {
                app: (
                    values,
                    _aggregated(metering, context, usage, values, of={app: values}, app=app),
                )
                for app, values in by_app.items()
            }
            summed = Aggregated(value=sum((part.value for _, part in parts.values()), Fraction(0)))
            yield _Measured(
                app=None,
                quantity=summed.value,
                is_used=bool(by_app),
                explained=explained_aggregation(
                    metering, context.days, parts, summed, of=by_app, lengths=lengths
                ),
            )
        case _:
            assert_never(metering.scope)


def _aggregated(
    metering: Metering,
    context: RatingContext,
    usage: Usage,
    values: DailyValues,
    *,
    of: Mapping[str, DailyValues],
    app: str | None,
) -> Aggregated:
    """The quantity of `values`, the days of the apps `of` together; `app` None: of the tenant."""
    aggregation = metering.period_aggregation
    match aggregation:
        case EventPeriodAggregation.DISTINCT:
            key = UsersKey(
                app=app,
                meter=metering.meter,
                stretches=counted_stretches(context.parts, context.zone),
            )
            return different_users(usage, key=key, values=of)
        case EventPeriodAggregation.TIME_WEIGHTED_MEAN:
            return time_weighted_mean(
                values,
                lengths=_lengths(tuple(part.period for part in context.parts), context.zone),
                holds_level=metering.holds_level,
            )
        case _:
            return aggregate_days(aggregation, values=values, days=context.days, k=metering.k)


def counted_stretches(parts: Iterable[HeldPart], zone: ZoneInfo) -> Stretches:
    """The local days of the parts, those that meet as one stretch."""
    found: list[tuple[date, date]] = []
    for part in parts:
        first, end = part.period.first_day(zone), part.period.end_day(zone)
        if found and found[-1][1] == first:
            first = found.pop()[0]
        found.append((first, end))
    return tuple(found)


@lru_cache(maxsize=1024)
def _lengths(periods: tuple[Period, ...], zone: ZoneInfo) -> Mapping[date, int]:
    """How many seconds of each day count: 23 or 25 hours' where clocks change."""
    lengths: dict[date, int] = {}
    for period in periods:
        for day in period.days(zone):
            part = Period.of_days(day, day + _ONE_DAY, zone).intersection(period)
            if part is not None:
                lengths[day] = lengths.get(day, 0) + part.duration // _SECOND
    return lengths


def _line(
    price: PriceTerms,
    context: RatingContext,
    priced: Priced,
    *,
    kind: LineKind,
    phrase: str,
    params: Mapping[str, str],
    app: str | None,
    quantity: Fraction,
    explained: Explanation,
) -> RatedLine:
    amount = round_amount(priced.amount, context.currency)
    shown, unit_price = _quantity_and_unit_price(priced, quantity)
    return RatedLine(
        key=price.key,
        kind=kind,
        description=described(phrase, params),
        phrase=phrase,
        params=params,
        quantity=shown,
        unit_price=unit_price,
        exact=priced.amount,
        amount=amount,
        period=context.served,
        app_key=app,
        explanation=explained_price(
            price,
            priced,
            plan_key=context.plan_key,
            plan_version=context.plan_version,
            share=context.share,
            explained=explained,
            exact_amount=priced.amount,
            amount=amount,
        ),
    )


def _quantity_and_unit_price(priced: Priced, quantity: Fraction) -> tuple[Decimal, Decimal | None]:
    """Quantity and unit price as a document shows them; the price only where their product is
    the exact amount."""
    if len(priced.lines) == 1:
        only = priced.lines[0]
        if not only.flat_fee and only.amount == priced.amount:
            return rounded_decimal(only.quantity), rounded_decimal(only.unit_price)
        if not only.unit_price and quantity * only.flat_fee == priced.amount:
            return rounded_decimal(quantity), rounded_decimal(only.flat_fee)
    return rounded_decimal(quantity), None


def _true_up_lines(
    price: PriceTerms,
    context: RatingContext,
    priced: Priced,
    main: RatedLine,
    *,
    app: str | None,
    explained: Explanation,
) -> list[RatedLine]:
    if not priced.true_up or priced.minimum is None:
        return []
    # So that both lines together are the rounded minimum, to the last minor unit.
    amount = round_amount(priced.total, context.currency) - main.amount
    phrase = "true_up" if app is None else "true_up_of_app"
    params = {"price": price.key, "minimum": plain_text(priced.minimum, places=6)}
    if app is not None:
        params["app"] = app
    return [
        RatedLine(
            key=price.key,
            kind=LineKind.TRUE_UP,
            description=described(phrase, params),
            phrase=phrase,
            params=params,
            quantity=Decimal(1),
            unit_price=amount.amount,
            exact=priced.true_up,
            amount=amount,
            period=context.served,
            app_key=app,
            explanation=explained_price(
                price,
                priced,
                plan_key=context.plan_key,
                plan_version=context.plan_version,
                share=context.share,
                explained=explained,
                exact_amount=priced.true_up,
                amount=amount,
            ),
        )
    ]


def _plan_bound_lines(
    terms: PlanTerms, context: RatingContext, lines: Sequence[RatedLine]
) -> list[RatedLine]:
    """What the plan's minimum adds to, or its maximum takes from, the sum of the lines."""
    reached = total((line.amount for line in lines), currency=terms.currency)
    if terms.minimum is not None:
        minimum = round_amount(terms.minimum, terms.currency)
        if reached < minimum:
            return [
                _plan_bound_line(
                    context, lines, minimum - reached, minimum, LineKind.TRUE_UP, "minimum"
                )
            ]
    if terms.maximum is not None:
        maximum = round_amount(terms.maximum, terms.currency)
        if reached > maximum:
            return [
                _plan_bound_line(
                    context, lines, maximum - reached, maximum, LineKind.CAP, "maximum"
                )
            ]
    return []


def _plan_bound_line(
    context: RatingContext,
    lines: Sequence[RatedLine],
    amount: Money,
    bound: Money,
    kind: LineKind,
    name: str,
) -> RatedLine:
    params = {name: f"{bound.amount:f}"}
    phrase = f"plan_{kind}"
    return RatedLine(
        key=f"plan:{name}",
        kind=kind,
        description=described(phrase, params),
        phrase=phrase,
        params=params,
        quantity=Decimal(1),
        unit_price=amount.amount,
        exact=exact(amount.amount),
        amount=amount,
        period=context.served,
        app_key=None,
        explanation=explained_plan_bound(
            plan_key=context.plan_key,
            plan_version=context.plan_version,
            name=name,
            bound=bound,
            lines=[(line.key, line.app_key, line.amount) for line in lines],
            amount=amount,
        ),
    )
