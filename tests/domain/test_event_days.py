"""Local days of events: at midnight to the microsecond, over changes of the clocks."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kernel.period import local_day, local_midnight
from metering.days.domain import closable_until
from metering.ingest.domain.local_days import LocalDays

ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "America/St_Johns",
    "America/Havana",
    "Africa/Cairo",
    "Africa/Monrovia",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Europe/Berlin",
    "America/Sao_Paulo",
]


@pytest.mark.parametrize("zone", ZONES)
def test_days_are_the_kernels(zone: str) -> None:
    days = LocalDays(zone)
    info = ZoneInfo(zone)
    microsecond = timedelta(microseconds=1)
    for start in (date(1971, 12, 28), date(2006, 3, 25), date(2011, 12, 28), date(2026, 3, 20)):
        for offset in range(15):
            midnight = local_midnight(start + timedelta(days=offset), info)
            for shift in (-microsecond, timedelta(0), microsecond):
                instant = midnight + shift
                assert days.day_of(instant) == local_day(instant, info), instant
            for quarter in range(-8, 8):
                instant = midnight + quarter * timedelta(minutes=7, seconds=31)
                assert days.day_of(instant) == local_day(instant, info), instant


def test_a_day_is_over_at_local_midnight_plus_settling() -> None:
    midnight = local_midnight(date(2026, 4, 1), ZoneInfo("Asia/Shanghai"))
    before = midnight - timedelta(microseconds=1)
    none = timedelta(0)
    assert closable_until(now=before, settling=none, zone="Asia/Shanghai") == date(2026, 3, 31)
    assert closable_until(now=midnight, settling=none, zone="Asia/Shanghai") == date(2026, 4, 1)
    hour = timedelta(hours=1)
    assert closable_until(now=midnight, settling=hour, zone="Asia/Shanghai") == date(2026, 3, 31)
    assert closable_until(now=midnight + hour, settling=hour, zone="Asia/Shanghai") == date(
        2026, 4, 1
    )
    assert closable_until(now=datetime(2026, 4, 1, tzinfo=UTC), settling=none, zone="UTC") == date(
        2026, 4, 1
    )
