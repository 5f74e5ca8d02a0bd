"""How days become one quantity, quantities are converted, and periods are shared out."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rating.aggregations import (
    PeriodAggregation,
    aggregate_days,
    summed_by_day,
    time_weighted_mean,
)
from billing.rating.conversion import Conversion, ConversionRounding, convert
from billing.rating.proration import DayCount, proration
from kernel.errors import Invalid
from kernel.period import Period
from kernel.zones import zone_named

D = Decimal
A = PeriodAggregation
MARCH = [date(2026, 3, 1) + timedelta(days=offset) for offset in range(31)]


def values(**by_day: str) -> dict[date, Decimal]:
    """values(d5="30") is 30 on March 5th."""
    return {date(2026, 3, int(day[1:])): D(value) for day, value in by_day.items()}


GAPPY = values(d1="10", d5="35", d6="30", d9="35", d20="7.5")


@pytest.mark.parametrize(
    ("aggregation", "k", "used", "value", "decided_by", "reason"),
    [
        (A.MAX_DAY, 1, GAPPY, "35", [5, 9], "both peak days decide"),
        (A.MAX, 1, GAPPY, "35", [5, 9], "the largest value of the days"),
        (A.MAX_DAY, 1, {}, "0", [], "no usage"),
        (A.KTH_MAX_DAY, 1, GAPPY, "35", [5, 9], "the first highest is the peak"),
        (A.KTH_MAX_DAY, 2, GAPPY, "35", [5, 9], "equal days count each"),
        (A.KTH_MAX_DAY, 3, GAPPY, "30", [6], "third-highest"),
        (A.KTH_MAX_DAY, 5, GAPPY, "7.5", [20], "the last day with usage"),
        (A.KTH_MAX_DAY, 6, GAPPY, "0", [], "beyond the days with usage"),
        (A.KTH_MAX_DAY, 40, GAPPY, "0", [], "beyond the days of the period"),
        (A.MEAN_DAY, 1, GAPPY, "117.5/31", [], "days without usage count as 0"),
        (A.SUM_DAYS, 1, GAPPY, "117.5", [], "each day's value"),
        (A.SUM, 1, GAPPY, "117.5", [], "the same for counts"),
        (A.P95_DAY, 1, GAPPY, "35", [5, 9], "rank 30 of 31 days: the second highest"),
        (A.P95_DAY, 1, values(d4="9"), "0", [], "the second highest is a day without usage"),
        (A.LATEST, 1, GAPPY, "7.5", [20], "the last value that came"),
        (A.LATEST, 1, {}, "0", [], "no value"),
    ],
)
def test_aggregations_of_march(
    aggregation: PeriodAggregation,
    k: int,
    used: dict[date, Decimal],
    value: str,
    decided_by: list[int],
    reason: str,
) -> None:
    found = aggregate_days(aggregation, values=used, days=MARCH, k=k)
    numerator, _, denominator = value.partition("/")
    assert found.value == Fraction(numerator) / int(denominator or 1), reason
    assert [day.day for day in found.decided_by] == decided_by, reason


@pytest.mark.parametrize("aggregation", A)
def test_other_days_do_not_count(aggregation: PeriodAggregation) -> None:
    april = {date(2026, 4, 1): D(1000), date(2026, 2, 28): D(2000)}
    assert aggregate_days(aggregation, values=april, days=MARCH).value == 0
    assert aggregate_days(aggregation, values=april, days=[]).value == 0


@pytest.mark.parametrize(
    ("count", "rank"),
    [(1, 1), (19, 19), (20, 19), (21, 20), (28, 27), (30, 29), (31, 30), (100, 95)],
)
def test_the_95th_percentile_is_by_nearest_rank(count: int, rank: int) -> None:
    days = [date(2026, 1, 1) + timedelta(days=offset) for offset in range(count)]
    used = {day: D(index + 1) for index, day in enumerate(days)}
    assert aggregate_days(A.P95_DAY, values=used, days=days).value == rank


def test_sums_are_exact_beyond_28_digits() -> None:
    used = values(d1="1000000000000000000", d2="0.000000000001")
    found = aggregate_days(A.SUM, values=used, days=MARCH)
    assert found.value == Fraction(10**30 + 1, 10**12)


def test_peak_of_the_sum_and_sum_of_the_peaks_differ() -> None:
    one, other = values(d7="23", d23="10"), values(d23="50", d7="5")
    summed = summed_by_day([one, other], days=MARCH)
    assert aggregate_days(A.MAX_DAY, values=summed, days=MARCH).value == 60
    peaks = [aggregate_days(A.MAX_DAY, values=each, days=MARCH).value for each in (one, other)]
    assert sum(peaks) == 73


def test_days_without_any_value_stay_without() -> None:
    assert summed_by_day([values(d1="1"), values(d1="2", d3="4")], days=MARCH) == values(
        d1="3", d3="4"
    )
    assert summed_by_day([], days=MARCH) == {}


@pytest.mark.parametrize(
    ("quantity", "divide_by", "rounding", "decimals", "converted"),
    [
        ("2499", "1000", "up", 0, "3"),
        ("2000", "1000", "up", 0, "2"),
        ("2499", "1000", "down", 0, "2"),
        ("2499", "1000", "nearest", 0, "2"),
        ("2500", "1000", "nearest", 0, "3"),
        ("2499", "1000", "none", 0, "2.499"),
        ("2499", "1000", "none", 5, "2.499"),
        ("2451", "1000", "up", 1, "2.5"),
        ("2459", "1000", "down", 1, "2.4"),
        ("2450", "1000", "nearest", 1, "2.5"),
        ("0", "1000", "up", 0, "0"),
        ("1", "0.5", "up", 0, "2"),
    ],
)
def test_conversion(
    quantity: str, divide_by: str, rounding: str, decimals: int, converted: str
) -> None:
    conversion = Conversion(
        divide_by=D(divide_by), rounding=ConversionRounding(rounding), decimals=decimals
    )
    assert convert(Fraction(quantity), conversion) == Fraction(converted)


def test_without_rounding_a_third_stays_a_third() -> None:
    assert convert(Fraction(1), Conversion(divide_by=D(3))) == Fraction(1, 3)


@pytest.mark.parametrize(
    ("divide_by", "decimals", "code"),
    [
        ("0", 0, "not_positive"),
        ("-1", 0, "negative"),
        ("1", -1, "out_of_range"),
        ("1", 13, "out_of_range"),
    ],
)
def test_conversions_check_themselves(divide_by: str, decimals: int, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        Conversion(divide_by=D(divide_by), decimals=decimals)
    assert refused.value.code == code


PRORATIONS = [
    ("actual", "2026-03-16", "2026-04-01", "2026-03-01", "2026-04-01", "16/31", "from the 16th"),
    ("actual", "2026-03-01", "2026-04-01", "2026-03-01", "2026-04-01", "31/31", "the whole"),
    ("actual", "2026-03-31", "2026-04-01", "2026-03-01", "2026-04-01", "1/31", "the last day"),
    ("actual", "2026-02-15", "2026-03-01", "2026-02-01", "2026-03-01", "14/28", "February"),
    ("actual", "2024-02-15", "2024-03-01", "2024-02-01", "2024-03-01", "15/29", "leap year"),
    ("actual", "2026-01-31", "2026-02-14", "2026-01-31", "2026-02-28", "14/28", "anchor 31"),
    ("actual", "2026-03-01", "2026-05-01", "2026-03-01", "2026-04-01", "61/31", "above one"),
    ("actual", "2024-01-01", "2024-07-01", "2024-01-01", "2025-01-01", "182/366", "half a year"),
    ("30/360", "2026-03-16", "2026-04-01", "2026-03-01", "2026-04-01", "15/30", "half"),
    ("30/360", "2026-03-31", "2026-04-01", "2026-03-01", "2026-04-01", "1/30", "the 31st as 30th"),
    ("30/360", "2026-03-01", "2026-03-31", "2026-03-01", "2026-04-01", "29/30", "its complement"),
    ("30/360", "2026-02-15", "2026-03-01", "2026-02-01", "2026-03-01", "16/30", "February has 30"),
    ("30/360", "2026-01-01", "2026-04-01", "2026-01-01", "2027-01-01", "90/360", "a quarter"),
    ("second", "2026-03-29", "2026-03-30", "2026-03-01", "2026-04-01", "82800/2674800", "23 hours"),
    ("second", "2026-03-28", "2026-03-29", "2026-03-01", "2026-04-01", "86400/2674800", "24 hours"),
]


@pytest.mark.parametrize(
    ("day_count", "part_from", "part_to", "whole_from", "whole_to", "shown", "reason"), PRORATIONS
)
def test_proration_in_berlin(
    day_count: str,
    part_from: str,
    part_to: str,
    whole_from: str,
    whole_to: str,
    shown: str,
    reason: str,
) -> None:
    berlin = zone_named("Europe/Berlin")
    share = proration(
        part=Period.of_days(date.fromisoformat(part_from), date.fromisoformat(part_to), berlin),
        whole=Period.of_days(date.fromisoformat(whole_from), date.fromisoformat(whole_to), berlin),
        zone=berlin,
        day_count=DayCount(day_count),
    )
    assert str(share) == shown, reason
    assert share.ratio == Fraction(shown)
    assert share.is_whole == (share.ratio == 1)


def test_parts_of_a_second_are_counted_in_microseconds() -> None:
    utc = zone_named("UTC")
    whole = Period.of_days(date(2026, 3, 1), date(2026, 3, 2), utc)
    half = Period(whole.starts_at, whole.starts_at + timedelta(seconds=1.5))
    share = proration(part=half, whole=whole, zone=utc, day_count=DayCount.SECOND)
    assert share.ratio == Fraction(3, 2 * 86400)
    assert str(share) == "1500000/86400000000"


def test_a_whole_without_days_is_refused() -> None:
    utc = zone_named("UTC")
    the_31st = Period.of_days(date(2026, 3, 30), date(2026, 3, 31), utc)
    with pytest.raises(Invalid) as refused:
        proration(part=the_31st, whole=the_31st, zone=utc, day_count=DayCount.THIRTY_360)
    assert refused.value.code == "empty_period"


HOUR = 3600


@pytest.mark.parametrize(
    ("holds_level", "expected"),
    [
        # 10 for one day and 30 for one of four: absent days are 0.
        (False, Fraction(10 + 30, 4)),
        # 0 before the first, then 10 for two days, then 30.
        (True, Fraction(0 + 10 + 10 + 30, 4)),
    ],
)
def test_a_time_weighted_mean_holds_a_level_only_where_the_meter_does(
    holds_level: bool, expected: Fraction
) -> None:
    first = date(2026, 3, 1)
    lengths = {first + timedelta(days=n): 24 * HOUR for n in range(4)}
    values = {first + timedelta(days=1): D(10), first + timedelta(days=3): D(30)}
    found = time_weighted_mean(values, lengths=lengths, holds_level=holds_level)
    assert found.value == expected


def test_a_day_of_25_hours_weighs_more() -> None:
    first = date(2026, 10, 25)
    lengths = {first: 25 * HOUR, first + timedelta(days=1): 24 * HOUR}
    found = time_weighted_mean({first: D(49)}, lengths=lengths, holds_level=False)
    assert found.value == Fraction(49 * 25, 49)


def test_a_level_of_zero_ends_the_one_before() -> None:
    first = date(2026, 3, 1)
    lengths = {first + timedelta(days=n): 24 * HOUR for n in range(3)}
    values = {first: D(6), first + timedelta(days=1): D(0)}
    assert time_weighted_mean(values, lengths=lengths, holds_level=True).value == 2


def test_a_mean_over_no_time_is_zero() -> None:
    assert time_weighted_mean({}, lengths={}, holds_level=True).value == 0
