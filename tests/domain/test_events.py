"""Events of a window: value, days, windows."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rating.aggregations import EventPeriodAggregation, PeriodAggregation
from billing.rating.events import (
    EventAggregation,
    Granularity,
    UsageEvent,
    aggregate_events,
    aggregate_period,
    counted_events,
    values_of_days,
    values_of_windows,
    window_start,
)
from kernel.errors import Invalid
from kernel.period import Period
from kernel.zones import zone_named

SHANGHAI = zone_named("Asia/Shanghai")
BERLIN = zone_named("Europe/Berlin")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), SHANGHAI)
A = EventAggregation
D = Decimal
P = PeriodAggregation


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def event(
    name: str, time: str, value: str = "0", subject: str = "", **properties: str
) -> UsageEvent:
    return UsageEvent(
        id=name, at=at(f"{time}+08:00"), value=D(value), subject=subject, properties=properties
    )


FOUR = [
    event("1", "2026-03-01T10:00", "5", "ann"),
    event("2", "2026-03-03T10:00", "-2", "bob"),
    event("3", "2026-03-02T10:00", "7.5", "ann"),
    event("4", "2026-03-03T09:00", "1", "eve"),
]


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        (A.COUNT, 4),
        (A.SUM, D("11.5")),
        (A.MAX, D("7.5")),
        (A.MIN, -2),
        (A.LATEST, -2),
        (A.UNIQUE_COUNT, 3),
        (A.AVERAGE, D("2.875")),
    ],
)
def test_aggregations(aggregation: EventAggregation, value: D) -> None:
    counted = counted_events(FOUR, window=MARCH, passing={})
    assert aggregate_events(aggregation, counted) == Fraction(value)
    assert aggregate_events(aggregation, []) == 0


def test_an_average_is_exact() -> None:
    counted = counted_events(
        [event(str(n), "2026-03-01T10:00", "1" if n else "2") for n in range(3)],
        window=MARCH,
        passing={},
    )
    assert aggregate_events(A.AVERAGE, counted) == Fraction(4, 3)


def test_the_same_id_counts_once_and_the_first_to_arrive_counts() -> None:
    events = [
        event("1", "2026-03-05T00:00", "3"),
        event("1", "2026-03-04T00:00", "4"),
        event("2", "2026-04-05T00:00", "5"),
        event("2", "2026-03-05T00:00", "6"),
    ]
    # The first of "2" lies outside the window; what arrives later under its id is a repetition.
    assert [each.value for each in counted_events(events, window=MARCH, passing={})] == [3]


def test_the_window_is_half_open() -> None:
    events = [
        event("before", "2026-02-28T23:59:59.999999"),
        event("first", "2026-03-01T00:00"),
        event("last", "2026-03-31T23:59:59.999999"),
        event("after", "2026-04-01T00:00"),
    ]
    counted = counted_events(events, window=MARCH, passing={})
    assert [each.id for each in counted] == ["first", "last"]


def test_latest_goes_by_time_and_then_by_arrival() -> None:
    events = [
        event("late arrival of the last", "2026-03-09T00:00", "1"),
        event("first", "2026-03-01T00:00", "2"),
        event("at the same time", "2026-03-09T00:00", "3"),
    ]
    counted = counted_events(events, window=MARCH, passing={})
    assert aggregate_events(A.LATEST, counted) == 3


def test_a_filter_passes_what_has_one_of_the_values_of_each_property() -> None:
    events = [
        event("1", "2026-03-01T00:00", kind="single", region="eu"),
        event("2", "2026-03-01T00:00", kind="group", region="eu"),
        event("3", "2026-03-01T00:00", kind="room", region="eu"),
        event("4", "2026-03-01T00:00", kind="single", region="us"),
        event("5", "2026-03-01T00:00", region="eu"),
    ]
    passing = {"kind": {"single", "group"}, "region": {"eu"}}
    assert [e.id for e in counted_events(events, window=MARCH, passing=passing)] == ["1", "2"]


def test_days_are_those_of_the_zone_and_in_order() -> None:
    events = [
        event("1", "2026-03-02T00:00", "1"),
        event("2", "2026-03-01T23:59", "2"),
        event("3", "2026-03-02T12:00", "4"),
    ]
    counted = counted_events(events, window=MARCH, passing={})
    in_shanghai = values_of_days(A.SUM, counted, zone=SHANGHAI)
    assert in_shanghai == {date(2026, 3, 1): 2, date(2026, 3, 2): 5}
    assert list(in_shanghai) == sorted(in_shanghai)
    assert values_of_days(A.SUM, counted, zone=BERLIN) == {
        date(2026, 3, 1): 3,
        date(2026, 3, 2): 4,
    }


@pytest.mark.parametrize(
    ("instant", "granularity", "starts_at"),
    [
        ("2026-03-29T00:30:15.5+00:00", Granularity.MINUTE, "2026-03-29T01:30:00+01:00"),
        ("2026-03-29T00:30:15.5+00:00", Granularity.HOUR, "2026-03-29T01:00:00+01:00"),
        ("2026-03-29T01:30:15.5+00:00", Granularity.HOUR, "2026-03-29T03:00:00+02:00"),
        ("2026-10-25T00:59:59+00:00", Granularity.HOUR, "2026-10-25T02:00:00+02:00"),
        ("2026-10-25T01:00:00+00:00", Granularity.HOUR, "2026-10-25T02:00:00+01:00"),
        ("2026-10-25T22:59:59+00:00", Granularity.DAY, "2026-10-25T00:00:00+02:00"),
        ("2026-10-25T23:00:00+00:00", Granularity.DAY, "2026-10-26T00:00:00+01:00"),
        ("2026-10-31T12:00:00+00:00", Granularity.MONTH, "2026-10-01T00:00:00+02:00"),
        ("2026-10-31T23:00:00+00:00", Granularity.MONTH, "2026-11-01T00:00:00+01:00"),
    ],
    ids=[
        "minute",
        "hour",
        "the hour after the skip",
        "the first 2 o'clock",
        "the second 2 o'clock",
        "a day of 25 hours",
        "the day after",
        "month",
        "the next month by the zone's clock",
    ],
)
def test_window_starts(instant: str, granularity: Granularity, starts_at: str) -> None:
    found = window_start(at(instant), granularity=granularity, zone=BERLIN)
    assert found.isoformat() == starts_at
    assert found <= at(instant)


def test_hours_of_a_zone_with_half_hours_begin_at_its_full_hours() -> None:
    found = window_start(
        at("2026-03-01T00:10:00+00:00"),
        granularity=Granularity.HOUR,
        zone=zone_named("Asia/Kolkata"),
    )
    assert found.isoformat() == "2026-03-01T05:00:00+05:30"


def test_windows_without_events_are_left_out() -> None:
    counted = counted_events(FOUR, window=MARCH, passing={})
    found = values_of_windows(A.COUNT, counted, granularity=Granularity.DAY, zone=SHANGHAI)
    assert {start.isoformat(): value for start, value in found.items()} == {
        "2026-03-01T00:00:00+08:00": 1,
        "2026-03-02T00:00:00+08:00": 1,
        "2026-03-03T00:00:00+08:00": 2,
    }


def test_an_hour_that_comes_twice_is_two_windows() -> None:
    utc = [
        UsageEvent(id="1", at=datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        UsageEvent(id="2", at=datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
    ]
    found = values_of_windows(A.COUNT, utc, granularity=Granularity.HOUR, zone=BERLIN)
    assert [start.isoformat() for start in found] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
    ]


@pytest.mark.parametrize(
    ("period_aggregation", "aggregation", "k", "value"),
    [
        (P.SUM_DAYS, A.COUNT, 1, Fraction(4)),
        (P.MAX_DAY, A.COUNT, 1, Fraction(2)),
        (P.KTH_MAX_DAY, A.COUNT, 2, Fraction(1)),
        (P.KTH_MAX_DAY, A.COUNT, 4, Fraction(0)),
        (P.MEAN_DAY, A.COUNT, 1, Fraction(4, 31)),
        (P.P95_DAY, A.COUNT, 1, Fraction(1)),
        (P.LATEST, A.COUNT, 1, Fraction(2)),
        (P.SUM, A.SUM, 1, Fraction(23, 2)),
        (P.MAX, A.MIN, 1, Fraction(15, 2)),
        (P.SUM_DAYS, A.UNIQUE_COUNT, 1, Fraction(4)),
        (P.MEAN_DAY, A.AVERAGE, 1, Fraction(12, 31)),
        (EventPeriodAggregation.DISTINCT, A.COUNT, 1, Fraction(3)),
    ],
)
def test_period_aggregations(
    period_aggregation: PeriodAggregation | EventPeriodAggregation,
    aggregation: EventAggregation,
    k: int,
    value: Fraction,
) -> None:
    counted = counted_events(FOUR, window=MARCH, passing={})
    found = aggregate_period(
        period_aggregation, aggregation, counted, window=MARCH, zone=SHANGHAI, k=k
    )
    assert found == value


def test_the_first_highest_day_is_the_highest() -> None:
    counted = counted_events(FOUR, window=MARCH, passing={})
    found = aggregate_period(P.KTH_MAX_DAY, A.COUNT, counted, window=MARCH, zone=SHANGHAI)
    assert found == 2


def test_a_day_without_events_is_above_one_below_zero() -> None:
    counted = [event("1", "2026-03-01T10:00", "-5")]

    def over_days(period_aggregation: PeriodAggregation) -> Fraction:
        return aggregate_period(period_aggregation, A.SUM, counted, window=MARCH, zone=SHANGHAI)

    assert over_days(P.MAX_DAY) == 0
    assert over_days(P.LATEST) == -5
    assert over_days(P.SUM_DAYS) == -5


FOUR_DAYS = Period.of_days(date(2026, 3, 1), date(2026, 3, 5), SHANGHAI)


@pytest.mark.parametrize(
    ("aggregation", "value"),
    [
        # 0 for a day, 10 for two, 4 for one: 24 of 4 days.
        (A.LATEST, Fraction(6)),
        # 0 for a day, 10 for two, 14 for one.
        (A.SUM, Fraction(34, 4)),
    ],
)
def test_a_time_weighted_mean_holds_each_value_until_the_next(
    aggregation: EventAggregation, value: Fraction
) -> None:
    counted = [event("1", "2026-03-02T00:00", "10"), event("2", "2026-03-04T00:00", "4")]
    found = aggregate_period(
        EventPeriodAggregation.TIME_WEIGHTED_MEAN,
        aggregation,
        counted,
        window=FOUR_DAYS,
        zone=SHANGHAI,
    )
    assert found == value


def test_a_time_weighted_mean_counts_microseconds() -> None:
    window = Period(at("2026-03-01T00:00:00+00:00"), at("2026-03-01T00:00:00.000003+00:00"))
    counted = [
        UsageEvent(id="1", at=window.starts_at + timedelta(microseconds=1), value=D(6)),
    ]
    found = aggregate_period(
        EventPeriodAggregation.TIME_WEIGHTED_MEAN, A.LATEST, counted, window=window, zone=SHANGHAI
    )
    assert found == 4


@pytest.mark.parametrize("aggregation", [A.COUNT, A.MAX, A.MIN, A.UNIQUE_COUNT, A.AVERAGE])
def test_a_time_weighted_mean_of_what_is_never_in_force_is_refused(
    aggregation: EventAggregation,
) -> None:
    with pytest.raises(Invalid) as refused:
        aggregate_period(
            EventPeriodAggregation.TIME_WEIGHTED_MEAN,
            aggregation,
            [],
            window=MARCH,
            zone=SHANGHAI,
        )
    assert refused.value.code == "unsupported_aggregation"
    assert refused.value.field == "period_aggregation"
    assert aggregation.value in refused.value.message
