"""Gathers the topics' models for Django."""

from metering.days.models import DayClose
from metering.ingest.models import Batch, Event, EventKey, ImportedTenant, RejectedEvent
from metering.rollup.models import (
    ActiveUser,
    Correction,
    DailyUsage,
    Mark,
    Reading,
    Watermark,
)

__all__ = [
    "ActiveUser",
    "Batch",
    "Correction",
    "DailyUsage",
    "DayClose",
    "Event",
    "EventKey",
    "ImportedTenant",
    "Mark",
    "Reading",
    "RejectedEvent",
    "Watermark",
]
