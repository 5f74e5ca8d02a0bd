"""What a line says of itself in English. The phrase's name and params serve the translations."""

from collections.abc import Mapping
from typing import Final

from billing.rating.aggregations import (
    AnyPeriodAggregation,
    EventPeriodAggregation,
    PeriodAggregation,
)

PHRASES: Final[Mapping[str, str]] = {
    "recurring": "{price}",
    "recurring_times": "{price}, {quantity} times",
    "recurring_part": "{price}, {share} of the period",
    "recurring_times_part": "{price}, {quantity} times, {share} of the period",
    "usage": "{price}: {quantity} ({aggregation})",
    "usage_of_app": "{price} of {app}: {quantity} ({aggregation})",
    "usage_above_included": "{price}: {quantity} ({aggregation}), {included} included",
    "usage_of_app_above_included": (
        "{price} of {app}: {quantity} ({aggregation}), {included} included"
    ),
    "unused": "{price}, unused {share} of the period",
    "unused_times": "{price}, {quantity} times, unused {share} of the period",
    "billed_before": "{price}, billed before",
    "billed_before_times": "{price}, {quantity} times, billed before",
    "true_up": "{price}: up to the minimum of {minimum}",
    "true_up_of_app": "{price} of {app}: up to the minimum of {minimum}",
    "plan_true_up": "Up to the plan's minimum of {minimum}",
    "charge": "{text}",
    "plan_cap": "Down to the plan's maximum of {maximum}",
    "late_usage": "{price}, late usage: {rated} instead of {billed} on {invoice}",
    "late_usage_of_app": "{price} of {app}, late usage: {rated} instead of {billed} on {invoice}",
    "late_usage_unbilled": "{price}, late usage: {rated}, nothing was billed before",
    "late_usage_of_app_unbilled": (
        "{price} of {app}, late usage: {rated}, nothing was billed before"
    ),
}

AGGREGATIONS: Final[Mapping[AnyPeriodAggregation, str]] = {
    PeriodAggregation.MAX_DAY: "highest day",
    PeriodAggregation.KTH_MAX_DAY: "highest day no. {k}",
    PeriodAggregation.MEAN_DAY: "mean of the days",
    PeriodAggregation.SUM_DAYS: "sum of the days",
    PeriodAggregation.P95_DAY: "95th percentile of the days",
    PeriodAggregation.SUM: "sum",
    PeriodAggregation.MAX: "maximum",
    PeriodAggregation.LATEST: "latest value",
    EventPeriodAggregation.DISTINCT: "different users",
    EventPeriodAggregation.TIME_WEIGHTED_MEAN: "mean over time",
}


_WORDS: Final[Mapping[str, str]] = {
    aggregation.value: words for aggregation, words in AGGREGATIONS.items()
}


def described(phrase: str, params: Mapping[str, str]) -> str:
    """The phrase in English.

    A param `aggregation` holds the aggregation's code and is put into words with the param `k`.
    """
    words = dict(params)
    if "aggregation" in words:
        words["aggregation"] = _WORDS[words["aggregation"]].format(k=words.get("k", ""))
    return PHRASES[phrase].format_map(words)
