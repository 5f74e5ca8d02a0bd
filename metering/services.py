"""The verbs of metering for other rooms; each is told where it is defined."""

from metering.days.services.close_days import ClosedDays, close_days
from metering.ingest.services.admit import IngestResult, RejectedItem
from metering.ingest.services.collect_events import collect_events
from metering.ingest.services.ingest_events import ingest_events
from metering.meters.services.load_meters import LoadedMeter, load_meters
from metering.recount.services.recount_days import recount_closed_days, recount_spans
from metering.rollup.services.rebuild_usage import Rebuilt, rebuild_usage
from metering.rollup.services.roll_up import RolledUp, roll_up, roll_up_pending
from metering.rollup.services.set_usage import set_usage

__all__ = [
    "ClosedDays",
    "IngestResult",
    "LoadedMeter",
    "Rebuilt",
    "RejectedItem",
    "RolledUp",
    "close_days",
    "collect_events",
    "ingest_events",
    "load_meters",
    "rebuild_usage",
    "recount_closed_days",
    "recount_spans",
    "roll_up",
    "roll_up_pending",
    "set_usage",
]
