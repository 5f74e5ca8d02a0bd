"""From usage to the quantities of a metered price: one for each of its scope."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import assert_never

from billing.rating.aggregations import (
    Aggregated,
    EventPeriodAggregation,
    aggregate_days,
    summed_by_day,
    time_weighted_mean,
)
from billing.rating.context import RatingContext, counted_stretches, seconds_of_days
from billing.rating.explanation import Explanation, explained_aggregation
from billing.rating.terms import Metering, Scope
from billing.rating.usage import DailyValues, Usage, UsersKey, different_users, metered_by_app

_NOT_WEIGHED: Mapping[date, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A quantity with its origin: for which app (None: for the tenant), and from which days."""

    app: str | None
    quantity: Fraction
    is_used: bool
    explained: Explanation


def measured_quantities(
    metering: Metering, context: RatingContext, usage: Usage, apps: Collection[str]
) -> Iterable[Measured]:
    """The quantities that the price is worked out for, one for each of its scope."""
    by_app = metered_by_app(usage, metering, days=context.days)
    is_over_time = metering.period_aggregation is EventPeriodAggregation.TIME_WEIGHTED_MEAN
    lengths = (
        seconds_of_days(tuple(part.period for part in context.parts), context.zone)
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
                yield Measured(
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
            yield Measured(
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
            yield Measured(
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
                lengths=seconds_of_days(tuple(part.period for part in context.parts), context.zone),
                holds_level=metering.holds_level,
            )
        case _:
            return aggregate_days(aggregation, values=values, days=context.days, k=metering.k)
