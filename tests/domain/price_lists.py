"""A July billed by the plans that operators publish, or by terms of one's own."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from billing.catalog import examples
from billing.catalog.domain import parse_plan
from billing.rating.lines import RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import PlanTerms, Timing
from billing.rating.usage import Usage, UsageKey
from kernel.decimals import Exact
from kernel.money import total
from kernel.period import Period
from kernel.zones import zone_named
from metering.meters.domain import METERS

ZONE = zone_named("Asia/Shanghai")
JULY = Period.of_days(date(2026, 7, 1), date(2026, 8, 1), ZONE)
"""31 days."""


def terms_of(plan: str | Mapping[str, Any]) -> PlanTerms:
    """The terms of a published plan by its name, or of a plan document."""
    document = examples.operators_plan(plan) if isinstance(plan, str) else plan
    return parse_plan(document, known_meters=METERS)


def lines_of(
    plan: str | Mapping[str, Any],
    usage: Usage | None = None,
    *,
    from_day: int = 1,
    held: Mapping[str, Exact] | None = None,
) -> list[RatedLine]:
    """A July's lines in advance and in arrears; the plan served from `from_day` on."""
    return [
        line
        for timing in Timing
        for line in rate_plan(
            terms=terms_of(plan),
            version=1,
            period=JULY,
            served=Period.of_days(date(2026, 7, from_day), date(2026, 8, 1), ZONE),
            zone=ZONE,
            usage=usage or {},
            timing=timing,
            quantities=held or {},
        )
    ]


def bill(
    plan: str | Mapping[str, Any],
    usage: Usage | None = None,
    *,
    from_day: int = 1,
    held: Mapping[str, Exact] | None = None,
) -> str:
    """The sum of `lines_of`; `held` are add-ons."""
    lines = lines_of(plan, usage, from_day=from_day, held=held)
    summed = total((line.amount for line in lines), currency=terms_of(plan).currency)
    return f"{summed.amount:f}"


def used(meter: str, *apps: Mapping[int, int | str], kind: str = "") -> Usage:
    """Values by day of July, for one app after the other."""
    return {
        UsageKey(app=f"app{index}", meter=meter, kind=kind): {
            date(2026, 7, day): Decimal(value) for day, value in days.items()
        }
        for index, days in enumerate(apps)
    }


def limits(plan: str) -> dict[str, object]:
    """What the plan allows of each feature."""
    return {each.feature: each.value for each in terms_of(plan).entitlements}
