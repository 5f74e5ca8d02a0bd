"""Proration: which share of a period was served, kept exact.

The divisor is always the full period. By default the actual days of the zone are counted; a plan
may say `30/360` (every month has 30 days, by the European rule, under which parts of a period
always add up to it) or `second`.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import assert_never
from zoneinfo import ZoneInfo

from kernel.errors import Invalid
from kernel.period import Period


class DayCount(StrEnum):
    ACTUAL = "actual"
    THIRTY_360 = "30/360"
    SECOND = "second"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proration:
    """`part` of `whole`, in days or microseconds. Above one where the part is the longer."""

    part: int
    whole: int
    day_count: DayCount

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.part, self.whole)

    @property
    def is_whole(self) -> bool:
        return self.part == self.whole

    def __str__(self) -> str:
        """ "17/31" days; seconds where seconds are counted."""
        if self.day_count is DayCount.SECOND:
            part, whole = Fraction(self.part, 1_000_000), Fraction(self.whole, 1_000_000)
            if part.denominator == whole.denominator == 1:
                return f"{part}/{whole}"
        return f"{self.part}/{self.whole}"


def proration(
    *,
    part: Period,
    whole: Period,
    zone: ZoneInfo,
    day_count: DayCount = DayCount.ACTUAL,
) -> Proration:
    """The share of the whole period that the part makes up.

    Raises Invalid `empty_period` where the day count finds no day in the whole.
    """
    match day_count:
        case DayCount.ACTUAL:
            counted = (part.day_count(zone), whole.day_count(zone))
        case DayCount.THIRTY_360:
            counted = (
                _days_360(part.first_day(zone), part.end_day(zone)),
                _days_360(whole.first_day(zone), whole.end_day(zone)),
            )
        case DayCount.SECOND:
            microsecond = timedelta(microseconds=1)
            counted = (part.duration // microsecond, whole.duration // microsecond)
        case _:
            assert_never(day_count)
    if counted[1] == 0:
        raise Invalid(
            "empty_period",
            f"period has no day by the day count {day_count}; use a longer one.",
            field="period",
        )
    return Proration(part=counted[0], whole=counted[1], day_count=day_count)


def _days_360(starts_on: date, ends_on: date) -> int:
    return _day_number_360(ends_on) - _day_number_360(starts_on)


def _day_number_360(day: date) -> int:
    return 360 * day.year + 30 * day.month + min(day.day, 30)
