"""Gathers the topics' models for Django."""

from metering.corrections.models import CorrectionRequest
from metering.days.models import DayClose
from metering.ingest.models import (
    Batch,
    Duplicates,
    Event,
    EventGroup,
    EventIdentity,
    EventKey,
    ImportedTenant,
    RejectedEvent,
)
from metering.meters.models import MeterDefinition
from metering.proof.models import ProvenDays, UsageProof
from metering.quarantine.models import EventReplay
from metering.recount.models import (
    CorrectedRecount,
    RecountedDays,
    StatedUsage,
    UsageRecount,
)
from metering.reports.models import Gateway, GatewayGap, GatewayReport, GatewayTenant
from metering.retention.models import DroppedPartition
from metering.rollup.models import (
    ActiveUser,
    Correction,
    DailyUsage,
    Mark,
    MonthDay,
    MonthUser,
    Reading,
    Watermark,
)
from metering.scaleout.models import ClosedUntil

__all__ = [
    "ActiveUser",
    "Batch",
    "ClosedUntil",
    "CorrectedRecount",
    "Correction",
    "CorrectionRequest",
    "DailyUsage",
    "DayClose",
    "DroppedPartition",
    "Duplicates",
    "Event",
    "EventGroup",
    "EventIdentity",
    "EventKey",
    "EventReplay",
    "Gateway",
    "GatewayGap",
    "GatewayReport",
    "GatewayTenant",
    "ImportedTenant",
    "Mark",
    "MeterDefinition",
    "MonthDay",
    "MonthUser",
    "ProvenDays",
    "Reading",
    "RecountedDays",
    "RejectedEvent",
    "StatedUsage",
    "UsageProof",
    "UsageRecount",
    "Watermark",
]
