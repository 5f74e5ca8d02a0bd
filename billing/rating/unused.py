"""What of fees billed in advance is given back when a plan is changed or ended within a period."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from billing.rating.descriptions import described
from billing.rating.lines import LineKind, RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.proration import proration
from billing.rating.terms import PlanTerms, Timing
from kernel.period import Period


def unused_lines(
    *, terms: PlanTerms, version: int, period: Period, unused: Period, zone: ZoneInfo
) -> list[RatedLine]:
    """One negative line for each price billed in advance: the share `unused` of `period`.

    Only prices with `prorate` give back; any other is owed for the period as a whole. The amount is
    what the price would cost for the unused days alone, so that a credit mirrors its charge.
    """
    share = proration(part=unused, whole=period, zone=zone, day_count=terms.day_count)
    given_back = replace(
        terms,
        prices=tuple(
            price for price in terms.prices if price.timing is Timing.IN_ADVANCE and price.prorate
        ),
        minimum=None,
        maximum=None,
    )
    charged = rate_plan(
        terms=given_back,
        version=version,
        period=period,
        served=unused,
        zone=zone,
        timing=Timing.IN_ADVANCE,
    )
    return [_mirrored(line, share=str(share)) for line in charged if line.amount.minor]


def _mirrored(line: RatedLine, *, share: str) -> RatedLine:
    params = {"price": line.key, "share": share}
    return replace(
        line,
        kind=LineKind.CREDIT,
        phrase="unused",
        params=params,
        description=described("unused", params),
        unit_price=None,
        exact=-line.exact,
        amount=-line.amount,
        explanation={**line.explanation, "credited": True, "amount": f"{(-line.amount).amount:f}"},
    )
