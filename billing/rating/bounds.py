"""A plan's own minimum and maximum, over all its prices of a period."""

from collections.abc import Sequence
from decimal import Decimal

from billing.rating.context import RatingContext
from billing.rating.descriptions import described
from billing.rating.explanation import explained_plan_bound
from billing.rating.lines import LineKind, RatedLine
from billing.rating.terms import PlanTerms
from kernel.decimals import exact
from kernel.money import Money, round_amount, total


def plan_bound_lines(
    terms: PlanTerms, context: RatingContext, lines: Sequence[RatedLine]
) -> list[RatedLine]:
    """What the plan's minimum adds to, or its maximum takes from, the sum of the discounted lines."""
    reached = total((line.net for line in lines), currency=terms.currency)
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
            lines=[(line.key, line.app_key, line.net) for line in lines],
            amount=amount,
        ),
    )
