"""Local days, billing periods and their boundaries."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import islice, pairwise

import pytest

from kernel.errors import Invalid
from kernel.period import (
    Interval,
    Period,
    boundaries,
    calendar_anchor,
    days_between,
    local_day,
    local_midnight,
    period_containing,
    period_of_day,
    periods,
    shifted,
)
from kernel.zones import zone_named

DAY, WEEK, MONTH = Interval.DAY, Interval.WEEK, Interval.MONTH
QUARTER, YEAR = Interval.QUARTER, Interval.YEAR


def day(text: str) -> date:
    return date.fromisoformat(text)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "on", "starts", "hours", "reason"),
    [
        ("UTC", "2026-03-01", "2026-03-01T00:00Z", 24, "no offset"),
        ("Asia/Shanghai", "2026-03-01", "2026-02-28T16:00Z", 24, "ahead"),
        ("America/New_York", "2026-01-15", "2026-01-15T05:00Z", 24, "behind"),
        ("Asia/Kathmandu", "2026-03-01", "2026-02-28T18:15Z", 24, "a quarter of an hour"),
        ("Pacific/Kiritimati", "2026-03-01", "2026-02-28T10:00Z", 24, "furthest ahead"),
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00Z", 23, "spring"),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00Z", 25, "autumn"),
        ("America/New_York", "2026-03-08", "2026-03-08T05:00Z", 23, "spring"),
        ("America/New_York", "2026-11-01", "2026-11-01T04:00Z", 25, "autumn"),
        ("Asia/Shanghai", "1986-05-04", "1986-05-03T16:00Z", 23, "Shanghai's summer time of 1986"),
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00Z", 23, "midnight itself is skipped"),
        ("Africa/Cairo", "2026-10-29", "2026-10-28T21:00Z", 25, "back at midnight to 23:00"),
        ("America/Havana", "2026-11-01", "2026-11-01T04:00Z", 25, "midnight comes twice"),
        ("America/Toronto", "1919-03-31", "1919-03-31T04:30Z", 23.5, "23:30 to 0:30 was skipped"),
        ("America/St_Johns", "2010-11-07", "2010-11-07T02:30Z", 25, "0:01 back to 23:01"),
        ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00Z", 24, "before the skipped day"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", 0, "the day that never was"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00Z", 24, "after the skipped day"),
    ],
)
def test_a_local_day(zone: str, on: str, starts: str, hours: float, reason: str) -> None:
    where = zone_named(zone)
    starts_at = local_midnight(day(on), where)
    ends_at = local_midnight(day(on) + timedelta(days=1), where)
    assert starts_at == instant(starts), reason
    assert starts_at.tzinfo is UTC
    assert (ends_at - starts_at) / timedelta(hours=1) == hours, reason
    if hours:
        assert local_day(starts_at, where) == day(on)
        assert local_day(ends_at - timedelta(microseconds=1), where) == day(on)
    assert local_day(starts_at - timedelta(microseconds=1), where) < day(on)


def test_an_evening_that_comes_again_belongs_to_the_day_that_had_begun() -> None:
    where = zone_named("America/St_Johns")
    again = instant("2010-11-07T02:45Z")
    assert again.astimezone(where).date() == day("2010-11-06")
    assert local_day(again, where) == day("2010-11-07")


@pytest.mark.parametrize("year", [1, 1899, 3000, 9999])
def test_days_outside_the_calendar_are_refused(year: int) -> None:
    with pytest.raises(Invalid) as refused:
        local_midnight(date(year, 6, 1), zone_named("Asia/Shanghai"))
    assert refused.value.code == "date_out_of_range"


@pytest.mark.parametrize(
    "text",
    ["0001-01-01T00:00+14:00", "1899-12-31T23:59Z", "3000-01-01T00:00Z", "9999-12-31T23:59-12:00"],
)
def test_instants_outside_the_calendar_are_refused(text: str) -> None:
    for use in (
        lambda: local_day(instant(text), zone_named("Asia/Shanghai")),
        lambda: Period(instant(text), instant("2026-01-01T00:00+01:00")),
    ):
        with pytest.raises(Invalid) as refused:
            use()
        assert refused.value.code in ("date_out_of_range", "end_before_start")


def test_days_at_the_calendar_s_ends() -> None:
    utc = zone_named("UTC")
    assert local_midnight(day("1900-01-01"), utc) == instant("1900-01-01T00:00Z")
    assert local_midnight(day("2999-12-31"), utc) == instant("2999-12-31T00:00Z")


class TestPeriod:
    utc = zone_named("UTC")
    march = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), zone_named("UTC"))

    def test_it_is_half_open(self) -> None:
        assert self.march.contains(instant("2026-03-01T00:00Z"))
        assert self.march.contains(instant("2026-03-31T23:59:59.999999Z"))
        assert not self.march.contains(instant("2026-04-01T00:00Z"))
        assert not self.march.contains(instant("2026-02-28T23:59:59.999999Z"))

    def test_bounds_are_kept_in_utc(self) -> None:
        eight = timezone(timedelta(hours=8))
        period = Period(datetime(2026, 3, 1, tzinfo=eight), datetime(2026, 4, 1, tzinfo=eight))
        assert period.starts_at.tzinfo is UTC
        assert period.starts_at == instant("2026-02-28T16:00Z")
        assert period.duration == timedelta(days=31)

    @pytest.mark.parametrize(
        ("starts", "ends", "code", "field"),
        [
            ("2026-03-02T00:00Z", "2026-03-01T00:00Z", "end_before_start", "ends_at"),
            ("2026-03-01T00:00Z", "2026-03-01T00:00Z", "end_before_start", "ends_at"),
            ("2026-03-01T00:00", "2026-03-02T00:00Z", "naive_instant", "starts_at"),
            ("2026-03-01T00:00Z", "2026-03-02T00:00", "naive_instant", "ends_at"),
        ],
    )
    def test_what_is_no_period_is_refused(
        self, starts: str, ends: str, code: str, field: str
    ) -> None:
        with pytest.raises(Invalid) as refused:
            Period(instant(starts), instant(ends))
        assert (refused.value.code, refused.value.field) == (code, field)

    def test_overlap_and_intersection(self) -> None:
        april = Period.of_days(date(2026, 4, 1), date(2026, 5, 1), self.utc)
        spring = Period.of_days(date(2026, 3, 20), date(2026, 6, 21), self.utc)
        assert not self.march.overlaps(april)
        assert not april.overlaps(self.march)
        assert self.march.intersection(april) is None
        assert spring.overlaps(self.march)
        assert self.march.intersection(spring) == Period.of_days(
            date(2026, 3, 20), date(2026, 4, 1), self.utc
        )

    def test_its_days(self) -> None:
        assert self.march.day_count(self.utc) == 31
        assert self.march.days(self.utc)[0] == date(2026, 3, 1)
        assert self.march.days(self.utc)[-1] == date(2026, 3, 31)
        assert self.march.first_day(self.utc) == date(2026, 3, 1)
        assert self.march.end_day(self.utc) == date(2026, 4, 1)

    def test_a_day_of_which_it_holds_a_part_counts(self) -> None:
        period = Period(instant("2026-03-01T12:00Z"), instant("2026-03-03T00:00:01Z"))
        assert period.days(self.utc) == (date(2026, 3, 1), date(2026, 3, 2), date(2026, 3, 3))

    def test_a_day_that_never_was_does_not_count(self) -> None:
        apia = zone_named("Pacific/Apia")
        december = Period.of_days(date(2011, 12, 1), date(2012, 1, 1), apia)
        assert december.day_count(apia) == 30
        assert date(2011, 12, 30) not in december.days(apia)


@pytest.mark.parametrize(
    ("anchor", "interval", "intervals", "result", "reason"),
    [
        ("2026-01-31", MONTH, 1, "2026-02-28", "falls to the last day"),
        ("2026-01-31", MONTH, 2, "2026-03-31", "and returns"),
        ("2026-01-30", MONTH, 1, "2026-02-28", "day 30 falls too"),
        ("2026-01-29", MONTH, 1, "2026-02-28", "day 29 falls too"),
        ("2024-01-29", MONTH, 1, "2024-02-29", "not in a leap year"),
        ("2024-01-31", MONTH, 1, "2024-02-29", "leap year"),
        ("2026-03-31", MONTH, 1, "2026-04-30", "a month of 30 days"),
        ("2026-12-31", MONTH, 1, "2027-01-31", "over the year's end"),
        ("2026-01-31", MONTH, -2, "2025-11-30", "backwards"),
        ("2026-01-01", MONTH, -1, "2025-12-01", "backwards over the year's start"),
        ("2025-11-30", QUARTER, 1, "2026-02-28", "quarters fall"),
        ("2025-11-30", QUARTER, 2, "2026-05-30", "and return"),
        ("2024-02-29", YEAR, 1, "2025-02-28", "leap day in a common year"),
        ("2024-02-29", YEAR, 4, "2028-02-29", "and back"),
        ("2096-02-29", YEAR, 4, "2100-02-28", "2100 is no leap year"),
        ("2026-02-27", DAY, 2, "2026-03-01", "days"),
        ("2026-02-27", WEEK, 1, "2026-03-06", "weeks"),
        ("2026-02-27", DAY, 0, "2026-02-27", "none"),
    ],
)
def test_shifting(
    anchor: str, interval: Interval, intervals: int, result: str, reason: str
) -> None:
    assert shifted(day(anchor), interval, intervals) == day(result), reason


@pytest.mark.parametrize(
    ("interval", "intervals"), [(DAY, 10**7), (DAY, 10**12), (MONTH, 10**9), (YEAR, -2026)]
)
def test_shifting_out_of_the_calendar_is_refused(interval: Interval, intervals: int) -> None:
    with pytest.raises(Invalid) as refused:
        shifted(day("2026-01-31"), interval, intervals)
    assert refused.value.code == "date_out_of_range"


@pytest.mark.parametrize(
    ("interval", "start"),
    [
        (DAY, "2026-11-24"),
        (WEEK, "2026-11-23"),
        (MONTH, "2026-11-01"),
        (QUARTER, "2026-10-01"),
        (YEAR, "2026-01-01"),
    ],
)
def test_calendar_anchors(interval: Interval, start: str) -> None:
    assert calendar_anchor(day("2026-11-24"), interval) == day(start)
    assert calendar_anchor(day(start), interval) == day(start)


def test_anchor_on_the_31st_over_a_year() -> None:
    found = islice(boundaries(anchor=day("2026-01-31"), interval=MONTH), 13)
    assert [each.day for each in found] == [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31]


@pytest.mark.parametrize(
    ("from_on", "first", "reason"),
    [
        ("2026-01-31", "2026-01-31", "the anchor itself"),
        ("2025-06-01", "2026-01-31", "before the anchor"),
        ("2026-02-28", "2026-02-28", "on a boundary"),
        ("2026-03-01", "2026-03-31", "just after one"),
        ("2026-03-30", "2026-03-31", "just before one"),
        ("2027-02-28", "2027-02-28", "a year on"),
    ],
)
def test_boundaries_from_a_day(from_on: str, first: str, reason: str) -> None:
    found = boundaries(anchor=day("2026-01-31"), interval=MONTH, from_on=day(from_on))
    assert next(found) == day(first), reason


def test_boundaries_of_several_intervals() -> None:
    found = islice(boundaries(anchor=day("2026-01-15"), interval=WEEK, interval_count=2), 3)
    assert list(found) == [day("2026-01-15"), day("2026-01-29"), day("2026-02-12")]


@pytest.mark.parametrize("from_on", [None, "2030-01-01"])
def test_a_period_has_at_least_one_interval(from_on: str | None) -> None:
    found = boundaries(
        anchor=day("2026-01-15"),
        interval=WEEK,
        interval_count=0,
        from_on=day(from_on) if from_on else None,
    )
    with pytest.raises(Invalid) as refused:
        next(found)
    assert refused.value.code == "invalid_interval_count"


def test_periods_meet_over_a_change_of_clocks() -> None:
    berlin = zone_named("Europe/Berlin")
    found = list(islice(periods(anchor=day("2026-03-01"), interval=MONTH, zone=berlin), 2))
    assert [each.duration for each in found] == [
        timedelta(days=31, hours=-1),
        timedelta(days=30),
    ]
    assert [each.day_count(berlin) for each in found] == [31, 30]
    for one, following in pairwise(found):
        assert one.ends_at == following.starts_at


@pytest.mark.parametrize(
    ("on", "interval", "count", "starts", "ends", "reason"),
    [
        ("2026-01-31", MONTH, 1, "2026-01-31", "2026-02-28", "starts on the anchor"),
        ("2026-02-27", MONTH, 1, "2026-01-31", "2026-02-28", "last day of a short period"),
        ("2026-02-28", MONTH, 1, "2026-02-28", "2026-03-31", "the fallen boundary"),
        ("2026-03-30", MONTH, 1, "2026-02-28", "2026-03-31", "before its day of the month"),
        ("2026-04-29", MONTH, 3, "2026-01-31", "2026-04-30", "every three months"),
        ("2026-01-30", MONTH, 1, "2025-12-31", "2026-01-31", "before the anchor"),
        ("2027-01-30", YEAR, 1, "2026-01-31", "2027-01-31", "a year"),
        ("2026-02-13", WEEK, 2, "2026-01-31", "2026-02-14", "two weeks"),
        ("2026-01-30", DAY, 10, "2026-01-21", "2026-01-31", "days before the anchor"),
    ],
)
def test_the_period_of_a_day(
    on: str, interval: Interval, count: int, starts: str, ends: str, reason: str
) -> None:
    found = period_of_day(
        day=day(on), anchor=day("2026-01-31"), interval=interval, interval_count=count
    )
    assert found == (day(starts), day(ends)), reason


def test_the_period_of_an_instant_is_that_of_its_local_day() -> None:
    shanghai = zone_named("Asia/Shanghai")
    for text, month in (("2026-03-31T15:59:59.999999Z", 3), ("2026-03-31T16:00Z", 4)):
        found = period_containing(
            instant=instant(text), anchor=day("2026-01-01"), interval=MONTH, zone=shanghai
        )
        assert found.first_day(shanghai) == date(2026, month, 1)
        assert found.contains(instant(text))


def test_days_between() -> None:
    assert days_between(day("2026-02-27"), day("2026-03-01")) == 2
