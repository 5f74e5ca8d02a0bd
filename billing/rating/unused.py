"""What of fees billed in advance is given back when a change cuts what was billed."""

from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from billing.rating.descriptions import described
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.proration import proration
from billing.rating.terms import PlanTerms, Timing
from kernel.decimals import Exact
from kernel.period import Period

_NOTHING_HELD: Mapping[str, Exact] = {}


def unused_lines(
    *,
    terms: PlanTerms,
    version: int,
    period: Period,
    charged: Period,
    unused: Period,
    zone: ZoneInfo,
    quantities: Mapping[str, Exact] = _NOTHING_HELD,
) -> list[RatedLine]:
    """Negative lines for each price billed in advance: the share `unused` of `period`.

    `charged` is the stretch that was billed with these terms and quantities; `unused` its end. Only
    prices with `prorate` give back; any other is owed for the period as a whole. The amount is what
    the price would cost for the unused days alone, so that a credit mirrors its charge; of `max_of`
    the one gives back that was billed.
    """
    in_advance = tuple(price for price in terms.prices if price.timing is Timing.IN_ADVANCE)
    billed = {price.key for price in in_advance}
    if len(billed.intersection(terms.max_of)) > 1:
        billed = {
            line.key
            for line in rate_plan(
                terms=terms,
                version=version,
                period=period,
                served=charged,
                zone=zone,
                timing=Timing.IN_ADVANCE,
                quantities=quantities,
            )
        }
    given_back = replace(
        terms,
        prices=tuple(price for price in in_advance if price.prorate and price.key in billed),
        max_of=(),
        minimum=None,
        maximum=None,
    )
    share = proration(part=unused, whole=period, zone=zone, day_count=terms.day_count)
    lines = rate_plan(
        terms=given_back,
        version=version,
        period=period,
        served=unused,
        zone=zone,
        timing=Timing.IN_ADVANCE,
        quantities=quantities,
    )
    return [_mirrored(line, share=str(share)) for line in lines if line.amount.minor]


def taken_back_lines(
    *,
    terms: PlanTerms,
    version: int,
    period: Period,
    served: Period,
    zone: ZoneInfo,
    quantities: Mapping[str, Exact],
) -> list[RatedLine]:
    """Negative lines for whole fees without `prorate`, billed for `quantities`, that a charge for more
    takes the place of; `quantities` name all that is meant."""
    whole = replace(
        terms,
        prices=tuple(
            price
            for price in terms.prices
            if price.timing is Timing.IN_ADVANCE and not price.prorate and price.key in quantities
        ),
        max_of=(),
        minimum=None,
        maximum=None,
    )
    lines = rate_plan(
        terms=whole,
        version=version,
        period=period,
        served=served,
        zone=zone,
        timing=Timing.IN_ADVANCE,
        quantities=quantities,
    )
    return [_mirrored(line, share=None) for line in lines if line.amount.minor]


def _mirrored(line: RatedLine, *, share: str | None) -> RatedLine:
    params = {"price": line.key}
    if share is not None:
        params["share"] = share
    phrase = "billed_before" if share is None else "unused"
    if line.quantity != 1 and "quantity" in line.params:
        phrase += "_times"
        params["quantity"] = line.params["quantity"]
    return replace(
        line,
        kind=LineKind.CREDIT,
        phrase=phrase,
        params=params,
        description=described(phrase, params),
        unit_price=None,
        exact=-line.exact,
        amount=-line.amount,
        explanation={**line.explanation, "credited": True, "amount": f"{(-line.amount).amount:f}"},
    )
