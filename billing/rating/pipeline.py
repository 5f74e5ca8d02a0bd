"""From the terms of a plan and the usage of a period to lines: what billing, previews, the
calculator and simulations call.

For each price: the days of the period are aggregated for its scope, `pricing.price_quantity` turns
the quantity into an exact amount, and each line's amount is rounded once. Then, in this order:
discounts one after the other, each price's own maximum and minimum, the plan's minimum and maximum.
Nothing here reads a clock or a database, and equal arguments give equal lines.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from zoneinfo import ZoneInfo

from billing.rating.adjustments.discounts import (
    Discount,
    DiscountType,
    PeriodDiscount,
    Taken,
    taken_from_lines,
)
from billing.rating.bounds import plan_bound_lines
from billing.rating.charges import Model
from billing.rating.context import HeldPart, RatingContext, rating_context
from billing.rating.descriptions import described
from billing.rating.explanation import Explanation, explained_price
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pricing import Priced, price_quantity
from billing.rating.proration import DayCount
from billing.rating.quantities import Measured, measured_quantities
from billing.rating.terms import Metering, PlanTerms, PriceTerms, Timing
from billing.rating.usage import Usage
from kernel.decimals import Exact, exact, plain_text, rounded_decimal
from kernel.money import Money, round_amount, total
from kernel.period import Period

_NO_USAGE: Usage = {}
_NOTHING_HELD: Mapping[str, Exact] = {}
_ONE = Fraction(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Charged:
    """What one price charges for one quantity, and the words for its line; before discounts and the
    price's own bounds."""

    price: PriceTerms
    context: RatingContext
    priced: Priced
    kind: LineKind
    phrase: str
    params: Mapping[str, str]
    app: str | None
    quantity: Fraction
    explained: Explanation

    @property
    def amount(self) -> Money:
        return round_amount(self.priced.charged, self.context.currency)


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
    discounts: Sequence[PeriodDiscount] = (),
    discounts_in_advance: Sequence[PeriodDiscount] = (),
) -> list[RatedLine]:
    """The lines of one billing period, of the prices that are billed at `timing`.

    `usage` may hold other days and meters than are needed. `apps` are the tenant's apps, which
    decide where a fee is due without usage. `quantities` tells how much is held of a price without
    a meter (1 unless given) and which add-ons (none unless given). Where that changed within the
    period, or it was not served throughout, `parts` tell it instead, by ascending days: a price with
    `prorate` has a line for each quantity, one without is due for the most that was held, and usage
    counts on the days of the parts, that of a metered add-on while it was held.

    `discounts` come off the lines in their order. A fixed amount may be spent partly by lines that are
    billed elsewhere: its value is what is left for these. `discounts_in_advance` are those of the lines
    billed in advance, where only their sum counts.

    A plan's own minimum and maximum bound all its prices of the period, the ones billed in advance
    too, after discounts; what they add or take is billed in arrears.
    """
    context = rating_context(
        plan_key=terms.key,
        plan_version=version,
        currency=terms.currency,
        period=period,
        served=served,
        zone=zone,
        day_count=terms.day_count,
        parts=tuple(parts) or (HeldPart(period=served, quantities=quantities),),
    )
    lines = _lines_at(timing, terms, context, usage, apps, discounts)
    if timing is Timing.IN_ARREARS and (terms.minimum is not None or terms.maximum is not None):
        in_advance = _lines_at(Timing.IN_ADVANCE, terms, context, usage, apps, discounts_in_advance)
        lines.extend(plan_bound_lines(terms, context, [*in_advance, *lines]))
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
    context = rating_context(
        plan_key=plan_key,
        plan_version=plan_version,
        currency=currency,
        period=period,
        served=served,
        zone=zone,
        day_count=day_count,
        parts=(HeldPart(period=served, quantities={price.key: held}),),
    )
    return _discounted(_charges_of(price, context, usage, apps), (), currency=currency)


def _lines_at(
    timing: Timing,
    terms: PlanTerms,
    context: RatingContext,
    usage: Usage,
    apps: Collection[str],
    discounts: Sequence[PeriodDiscount],
) -> list[RatedLine]:
    charges: list[_Charged] = []
    rivals: dict[str, list[_Charged]] = {}
    for price in terms.prices:
        if price.timing is not timing:
            continue
        found = _charges_of(price, context, usage, apps, discounts)
        if price.key in terms.max_of:
            rivals[price.key] = found
        else:
            charges.extend(found)
    if rivals:
        charges.extend(_dearest(rivals, currency=terms.currency))
    return _discounted(charges, discounts, currency=terms.currency)


def _dearest(rivals: Mapping[str, Sequence[_Charged]], *, currency: str) -> list[_Charged]:
    """The charges of the price with the largest sum before discounts, the earlier on a tie; each
    tells of all."""
    sums = {
        key: total(
            (line.amount for line in _discounted(charges, (), currency=currency)),
            currency=currency,
        )
        for key, charges in rivals.items()
    }
    dearest = max(sums, key=lambda key: sums[key].minor)
    told = {key: f"{amount.amount:f}" for key, amount in sums.items()}
    return [replace(each, explained={**each.explained, "max_of": told}) for each in rivals[dearest]]


def _charges_of(
    price: PriceTerms,
    context: RatingContext,
    usage: Usage,
    apps: Collection[str],
    discounts: Sequence[PeriodDiscount] = (),
) -> list[_Charged]:
    charges: list[_Charged] = []
    if price.metering is None:
        for held, of_part in _by_quantity(price, context):
            charges.append(_recurring(price, of_part, held))
        return charges
    parts = tuple(part for part in context.parts if part.held(price))
    if parts:
        counted = context.narrowed(parts, served=context.served)
        for measured in measured_quantities(price.metering, counted, usage, apps):
            charge = _by_usage(price, price.metering, counted, measured)
            if charge is not None:
                charges.append(charge)
    return charges


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


def _recurring(price: PriceTerms, context: RatingContext, held: Exact) -> _Charged:
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
    return _Charged(
        price=price,
        context=context,
        priced=priced,
        kind=LineKind.RECURRING,
        phrase=phrase,
        params=params,
        app=None,
        quantity=count,
        explained={"held": plain_text(count)},
    )


def _by_usage(
    price: PriceTerms, metering: Metering, context: RatingContext, measured: Measured
) -> _Charged | None:
    """None where nothing was used and nothing is due."""
    priced = price_quantity(price, measured.quantity, ratio=context.share.ratio)
    if not measured.is_used and priced.total == 0:
        return None
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
    return _Charged(
        price=price,
        context=context,
        priced=priced,
        kind=LineKind.USAGE,
        phrase=phrase,
        params=params,
        app=measured.app,
        quantity=priced.chargeable,
        explained=measured.explained,
    )


def _discounted(
    charges: Sequence[_Charged], discounts: Sequence[PeriodDiscount], *, currency: str
) -> list[RatedLine]:
    """The lines of the charges: discounts one after the other, then each price's own bounds."""
    keys = [each.price.key for each in charges]
    left = [each.amount for each in charges]
    taken: list[list[Taken]] = [[] for _ in charges]
    ordered = sorted(discounts, key=lambda each: each.discount.type is not DiscountType.USAGE)
    free: list[list[Discount]] = [[] for _ in charges]
    for each in ordered:
        if each.discount.type is DiscountType.USAGE:
            parts = []
            for place, charge in enumerate(charges):
                if charge.price.metering is not None and each.discount.covers(charge.price.key):
                    free[place].append(each.discount)
                parts.append(left[place] - _with_less_used(charge, free[place]))
        else:
            parts = taken_from_lines(each.discount, keys=keys, left=left, currency=currency)
        for place, part in enumerate(parts):
            if part:
                left[place] = left[place] - part
                taken[place].append(
                    Taken(
                        id=each.id,
                        name=each.name,
                        type=each.discount.type,
                        value=each.discount.value,
                        amount=part,
                    )
                )
    return [
        line
        for charge, discounted in zip(charges, taken, strict=True)
        for line in _lines_of(charge, tuple(discounted))
    ]


def _with_less_used(charge: _Charged, free: Sequence[Discount]) -> Money:
    """What is charged where these quantities are free."""
    if not free:
        return charge.amount
    priced = price_quantity(
        charge.price,
        charge.priced.quantity,
        ratio=charge.context.share.ratio,
        discounts=free,
    )
    return round_amount(priced.charged - sum(priced.discounts), charge.context.currency)


def _lines_of(charge: _Charged, taken: tuple[Taken, ...]) -> list[RatedLine]:
    """The line of a charge, capped by its price's maximum, and what is missing to its minimum."""
    currency, priced = charge.context.currency, charge.priced
    discount = total((each.amount for each in taken), currency=currency)
    amount, exact_amount = charge.amount, priced.charged
    maximum = None if priced.maximum is None else round_amount(priced.maximum, currency)
    if maximum is not None and amount - discount > maximum:
        # The cap holds for what is left after discounts.
        amount = maximum + discount
        exact_amount = exact(amount.amount) if taken else priced.amount
    missing = Money.zero(currency)
    if priced.minimum is not None:
        missing = max(missing, round_amount(priced.minimum, currency) - (amount - discount))
    exact_missing = exact(missing.amount) if taken or not missing else priced.true_up
    main = _line(charge, amount, exact_amount, taken=taken, exact_missing=exact_missing)
    if not missing:
        return [main]
    return [main, _true_up_line(charge, missing, exact_missing, taken=taken)]


def _line(
    charge: _Charged,
    amount: Money,
    exact_amount: Fraction,
    *,
    taken: tuple[Taken, ...],
    exact_missing: Fraction,
) -> RatedLine:
    shown, unit_price = _quantity_and_unit_price(charge, exact_amount)
    return RatedLine(
        key=charge.price.key,
        kind=charge.kind,
        description=described(charge.phrase, charge.params),
        phrase=charge.phrase,
        params=charge.params,
        quantity=shown,
        unit_price=unit_price,
        exact=exact_amount,
        amount=amount,
        period=charge.context.served,
        app_key=charge.app,
        explanation=_explained(charge, amount, exact_amount, exact_missing=exact_missing),
        discounts=taken,
    )


def _quantity_and_unit_price(
    charge: _Charged, exact_amount: Fraction
) -> tuple[Decimal, Decimal | None]:
    """Quantity and unit price as a document shows them; the price only where their product is
    the exact amount."""
    if len(charge.priced.lines) == 1:
        only = charge.priced.lines[0]
        if not only.flat_fee and only.amount == exact_amount:
            return rounded_decimal(only.quantity), rounded_decimal(only.unit_price)
        if not only.unit_price and charge.quantity * only.flat_fee == exact_amount:
            return rounded_decimal(charge.quantity), rounded_decimal(only.flat_fee)
    return rounded_decimal(charge.quantity), None


def _true_up_line(
    charge: _Charged, missing: Money, exact_missing: Fraction, *, taken: tuple[Taken, ...]
) -> RatedLine:
    minimum = charge.priced.minimum
    assert minimum is not None  # noqa: S101  # something is missing to it
    phrase = "true_up" if charge.app is None else "true_up_of_app"
    params = {"price": charge.price.key, "minimum": plain_text(minimum, places=6)}
    if charge.app is not None:
        params["app"] = charge.app
    explained = _explained(charge, missing, exact_missing, exact_missing=exact_missing)
    if taken:
        explained["after_discounts"] = [each.told() for each in taken]
    return RatedLine(
        key=charge.price.key,
        kind=LineKind.TRUE_UP,
        description=described(phrase, params),
        phrase=phrase,
        params=params,
        quantity=Decimal(1),
        unit_price=missing.amount,
        exact=exact_missing,
        amount=missing,
        period=charge.context.served,
        app_key=charge.app,
        explanation=explained,
    )


def _explained(
    charge: _Charged, amount: Money, exact_amount: Fraction, *, exact_missing: Fraction
) -> Explanation:
    return explained_price(
        charge.price,
        charge.priced,
        plan_key=charge.context.plan_key,
        plan_version=charge.context.plan_version,
        share=charge.context.share,
        explained=charge.explained,
        exact_amount=exact_amount,
        exact_missing=exact_missing,
        amount=amount,
    )
