"""The local day of an instant, fast enough for millions. Pure."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from kernel.period import local_day

_BUCKET_SECONDS: Final = 900
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_BUCKETS: Final = 100_000


@lru_cache(maxsize=1024)
def local_days(zone: str) -> "LocalDays":
    """The one `LocalDays` of a zone, shared by all of its tenants."""
    return LocalDays(zone)


class LocalDays:
    """Cuts instants into the local days of one zone, by Python's zone data (never the database's).

    Remembers the day of each quarter of an hour, since zones change on quarters; a quarter that
    has two days in it (historic local mean times) is not remembered but computed.
    """

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._days: dict[int, date | None] = {}

    def day_of(self, instant: datetime) -> date:
        """The local day in which an aware instant lies; see `kernel.period.local_day`."""
        bucket = int(instant.timestamp()) // _BUCKET_SECONDS
        try:
            day = self._days[bucket]
        except KeyError:
            day = self._learn(bucket)
        if day is None:
            return local_day(instant, self._zone)
        return day

    def _learn(self, bucket: int) -> date | None:
        if len(self._days) >= _MOST_BUCKETS:
            self._days.clear()
        starts_at = _EPOCH + timedelta(seconds=bucket * _BUCKET_SECONDS)
        last = starts_at + timedelta(seconds=_BUCKET_SECONDS, microseconds=-1)
        first_day = local_day(starts_at, self._zone)
        day = first_day if local_day(last, self._zone) == first_day else None
        self._days[bucket] = day
        return day
