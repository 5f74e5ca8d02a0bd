"""Which local days are over. Pure."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from kernel.period import local_day


def closable_until(*, now: datetime, settling: timedelta, zone: str) -> date:
    """The first local day of the zone that may not be closed yet.

    A day may be closed once `settling`, the time left to late arrivals, has passed since it ended.
    """
    return local_day(now - settling, ZoneInfo(zone))
