"""The one door to how much was used: billing, screens and commands ask here.

All run inside the caller's scope, which decides whose usage is seen.
"""

from metering.days.exploring import (
    ExploredSeries,
    ExploredUsage,
    ExploredWindow,
    explored_usage,
)
from metering.days.queries import (
    ClosedDay,
    DayState,
    Granularity,
    ShownApp,
    ShownUsage,
    changed_closed_days,
    closed_days,
    shown_app,
    shown_apps,
    usage_shown,
)
from metering.days.shown_periods import PeriodLength, ShownPeriod, offered_periods
from metering.ingest.queries import QuarantinedEvent, rejected_events
from metering.meters.queries import (
    DefinedVersion,
    counted_meters,
    defined_versions,
    find_meter,
    known_meters,
)
from metering.recount.queries import (
    CountedTwice,
    RecountComparison,
    UsageDifference,
    compare_with_recounts,
    counted_twice,
    recounted_usage,
    usage_differences,
)
from metering.rollup.corrected import (
    CorrectionRow,
    correction_counts,
    corrections,
    tenants_with_corrections,
)
from metering.rollup.from_events import previewed_usage
from metering.rollup.identities import DifferentUsers, UserDays, different_users
from metering.rollup.present import present_usage, present_users
from metering.rollup.queries import (
    Span,
    UsageRow,
    closed_until,
    tenants_by_usage,
    usage,
    usage_of_spans,
    usage_series,
)

__all__ = [
    "ClosedDay",
    "CorrectionRow",
    "CountedTwice",
    "DayState",
    "DefinedVersion",
    "DifferentUsers",
    "ExploredSeries",
    "ExploredUsage",
    "ExploredWindow",
    "Granularity",
    "PeriodLength",
    "QuarantinedEvent",
    "RecountComparison",
    "ShownApp",
    "ShownPeriod",
    "ShownUsage",
    "Span",
    "UsageDifference",
    "UsageRow",
    "UserDays",
    "changed_closed_days",
    "closed_days",
    "closed_until",
    "compare_with_recounts",
    "correction_counts",
    "corrections",
    "counted_meters",
    "counted_twice",
    "defined_versions",
    "different_users",
    "explored_usage",
    "find_meter",
    "known_meters",
    "offered_periods",
    "present_usage",
    "present_users",
    "previewed_usage",
    "recounted_usage",
    "rejected_events",
    "shown_app",
    "shown_apps",
    "tenants_by_usage",
    "tenants_with_corrections",
    "usage",
    "usage_differences",
    "usage_of_spans",
    "usage_series",
    "usage_shown",
]
