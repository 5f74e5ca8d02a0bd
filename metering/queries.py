"""The one door to how much was used: billing, screens and commands ask here.

All run inside the caller's scope, which decides whose usage is seen.
"""

from metering.days.queries import ClosedDay, changed_closed_days, closed_days
from metering.ingest.queries import QuarantinedEvent, rejected_events
from metering.rollup.queries import (
    CorrectionRow,
    UsageRow,
    closed_until,
    corrections,
    recounted_usage,
    usage,
)

__all__ = [
    "ClosedDay",
    "CorrectionRow",
    "QuarantinedEvent",
    "UsageRow",
    "changed_closed_days",
    "closed_days",
    "closed_until",
    "corrections",
    "recounted_usage",
    "rejected_events",
    "usage",
]
