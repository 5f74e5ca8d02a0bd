"""The working of a line, ready for JSON: a stranger can recompute the amount from it.

Numbers are texts in plain decimals (at most 18 of them), days `YYYY-MM-DD`. What a price doesn't
use is left out.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

from billing.rating.aggregations import Aggregated
from billing.rating.charges import ChargeLine
from billing.rating.pricing import Priced
from billing.rating.proration import Proration
from billing.rating.terms import Metering, PriceTerms
from kernel.currencies import exponent
from kernel.decimals import plain_text
from kernel.money import Money

Explanation = dict[str, object]

_SECONDS_OF_A_DAY = 86_400


def explained_aggregation(
    metering: Metering,
    days: tuple[date, ...],
    parts: Mapping[str, tuple[Mapping[date, Decimal], Aggregated]],
    result: Aggregated,
    *,
    of: Iterable[str] = (),
    lengths: Mapping[date, int] = MappingProxyType({}),
) -> Explanation:
    """How the days became the quantity.

    `parts` are the series that were aggregated, by app; one without a name is the sum over the
    apps `of`. With a single series its days stand under `days`, with several under each app.
    `lengths` are the seconds of each day where they weigh; those of other than 24 hours are told.
    """
    aggregation: Explanation = {
        "name": metering.period_aggregation.value,
        "scope": metering.scope.value,
        "meter": metering.meter,
    }
    if metering.k != 1:
        aggregation["k"] = str(metering.k)
    if metering.filter:
        aggregation["filter"] = {name: list(values) for name, values in metering.filter}
    aggregation["day_count"] = str(len(days))
    if lengths:
        aggregation["without_value"] = "as the day before" if metering.holds_level else "0"
        odd = {
            day.isoformat(): plain_text(Fraction(length, 3600))
            for day, length in lengths.items()
            if length != _SECONDS_OF_A_DAY
        }
        if odd:
            aggregation["hours"] = odd
    if len(parts) == 1:
        (app, (values, part)) = next(iter(parts.items()))
        if app:
            aggregation["app"] = app
        else:
            aggregation["apps"] = list(of)
        aggregation.update(_explained_days(days, values, part))
    else:
        aggregation["apps"] = {
            app: {**_explained_days(days, values, part), "value": plain_text(part.value)}
            for app, (values, part) in parts.items()
        }
    aggregation["value"] = plain_text(result.value)
    return {"aggregation": aggregation}


def explained_price(
    price: PriceTerms,
    priced: Priced,
    *,
    plan_key: str,
    plan_version: int,
    share: Proration,
    explained: Explanation,
    exact_amount: Fraction,
    exact_missing: Fraction,
    amount: Money,
) -> Explanation:
    """The whole working of one line; `explained` tells where its quantity comes from. `exact_missing`
    is what the price's minimum adds to it."""
    working: Explanation = {
        "plan": plan_key,
        "version": plan_version,
        "price": price.key,
        "model": price.model.value,
        "terms": price.document,
        **explained,
    }
    if price.conversion is not None:
        working["converted"] = plain_text(priced.converted)
    if priced.included:
        working["included"] = plain_text(priced.included)
    working["quantity"] = plain_text(priced.chargeable)
    working["lines"] = [_explained_line(line) for line in priced.lines]
    working["charge"] = plain_text(priced.charge.amount)
    working["proration"] = str(share)
    working["prorated"] = price.prorate
    if priced.maximum is not None:
        working["maximum"] = plain_text(priced.maximum)
    if priced.minimum is not None:
        working["minimum"] = plain_text(priced.minimum)
        working["true_up"] = plain_text(exact_missing)
    working["exact"] = plain_text(exact_amount)
    working["amount"] = f"{amount.amount:f}"
    working["rounding"] = _explained_rounding(amount.currency)
    return working


def explained_plan_bound(
    *,
    plan_key: str,
    plan_version: int,
    name: str,
    bound: Money,
    lines: Iterable[tuple[str, str | None, Money]],
    amount: Money,
) -> Explanation:
    """The working of a plan's own minimum or maximum: the amounts that it bounds."""
    return {
        "plan": plan_key,
        "version": plan_version,
        name: f"{bound.amount:f}",
        "lines": [
            {"price": key, "app": app, "amount": f"{each.amount:f}"} for key, app, each in lines
        ],
        "amount": f"{amount.amount:f}",
    }


def _explained_days(
    days: tuple[date, ...], values: Mapping[date, Decimal], part: Aggregated
) -> Explanation:
    told: Explanation = {
        "days": {
            day.isoformat(): plain_text(value)
            for day in days
            if (value := values.get(day)) is not None
        }
    }
    if part.decided_by:
        told["decided_by"] = [day.isoformat() for day in part.decided_by]
    return told


def _explained_line(line: ChargeLine) -> Explanation:
    return {
        "tier": line.tier,
        "quantity": plain_text(line.quantity),
        "unit_price": plain_text(line.unit_price),
        "flat_fee": plain_text(line.flat_fee),
        "amount": plain_text(line.amount),
    }


def _explained_rounding(currency: str) -> str:
    return f"half away from zero to {exponent(currency)} decimals of {currency}"
