"""Shares of a period by each day count, held against a table worked out by hand from the calendar."""

from datetime import date
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from billing.rating.proration import DayCount, proration
from kernel.allocation import allocate
from kernel.money import Money
from kernel.period import Period

# The zone; the whole period and the part of it, the last day excluded; then the share in days, in days of
# months of 30 (the 31st is the 30th), and in seconds, with the hours that clocks leave out or repeat.
TABLE = """
UTC                  2026-01-01 2026-02-01  2026-01-01 2026-01-11  10/31    10/30    864000/2678400
UTC                  2026-01-01 2026-02-01  2026-01-31 2026-02-01  1/31     1/30     86400/2678400
UTC                  2026-02-01 2026-03-01  2026-02-15 2026-03-01  14/28    16/30    1209600/2419200
UTC                  2028-02-01 2028-03-01  2028-02-15 2028-03-01  15/29    16/30    1296000/2505600
UTC                  2028-02-01 2028-03-01  2028-02-29 2028-03-01  1/29     2/30     86400/2505600
UTC                  2100-02-01 2100-03-01  2100-02-28 2100-03-01  1/28     3/30     86400/2419200
UTC                  2000-02-01 2000-03-01  2000-02-29 2000-03-01  1/29     2/30     86400/2505600
UTC                  2026-04-01 2026-05-01  2026-04-16 2026-05-01  15/30    15/30    1296000/2592000
UTC                  2026-01-31 2026-02-28  2026-02-10 2026-02-28  18/28    18/28    1555200/2419200
UTC                  2026-02-28 2026-03-31  2026-03-16 2026-03-31  15/31    14/32    1296000/2678400
UTC                  2026-03-31 2026-04-30  2026-03-31 2026-04-15  15/30    15/30    1296000/2592000
UTC                  2028-01-30 2028-02-29  2028-01-31 2028-02-29  29/30    29/29    2505600/2592000
UTC                  2026-01-01 2026-04-01  2026-02-15 2026-04-01  45/90    46/90    3888000/7776000
UTC                  2026-01-01 2027-01-01  2026-07-01 2027-01-01  184/365  180/360  15897600/31536000
UTC                  2028-01-01 2029-01-01  2028-02-29 2028-03-01  1/366    2/360    86400/31622400
UTC                  2027-02-28 2028-02-29  2028-02-28 2028-02-29  1/366    1/361    86400/31622400
UTC                  2026-03-02 2026-03-09  2026-03-04 2026-03-09  5/7      5/7      432000/604800
UTC                  2026-12-31 2027-01-31  2027-01-01 2027-01-31  30/31    29/30    2592000/2678400
Europe/Berlin        2026-03-01 2026-04-01  2026-03-29 2026-04-01  3/31     2/30     255600/2674800
Europe/Berlin        2026-10-01 2026-11-01  2026-10-01 2026-10-26  25/31    25/30    2163600/2682000
America/New_York     2026-03-01 2026-04-01  2026-03-01 2026-03-08  7/31     7/30     604800/2674800
Africa/Cairo         2026-04-01 2026-05-01  2026-04-24 2026-04-25  1/30     1/30     82800/2588400
Asia/Shanghai        2026-03-01 2026-04-01  2026-03-16 2026-04-01  16/31    15/30    1382400/2678400
Australia/Lord_Howe  2026-04-01 2026-05-01  2026-04-05 2026-04-06  1/30     1/30     88200/2593800
America/Havana       2026-11-01 2026-12-01  2026-11-01 2026-11-02  1/30     1/30     90000/2595600
"""
CASES = [
    (zone, (whole_from, whole_to), (part_from, part_to), day_count, expected)
    for zone, whole_from, whole_to, part_from, part_to, *shares in map(
        str.split, TABLE.strip().splitlines()
    )
    for day_count, expected in zip(
        (DayCount.ACTUAL, DayCount.THIRTY_360, DayCount.SECOND), shares, strict=True
    )
]


def days(bounds: tuple[str, str], zone: ZoneInfo) -> Period:
    first, end = map(date.fromisoformat, bounds)
    return Period.of_days(first, end, zone)


def test_the_table_is_long_enough_to_tell() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize(("zone", "whole", "part", "day_count", "expected"), CASES)
def test_a_share_is_what_the_calendar_says(
    zone: str, whole: tuple[str, str], part: tuple[str, str], day_count: DayCount, expected: str
) -> None:
    place = ZoneInfo(zone)
    found = proration(
        part=days(part, place), whole=days(whole, place), zone=place, day_count=day_count
    )
    assert str(found) == expected
    assert found.ratio == Fraction(expected)


@pytest.mark.parametrize("day_count", DayCount)
@pytest.mark.parametrize("month", ["2026-01", "2026-02", "2028-02", "2026-03", "2026-10"])
def test_the_parts_of_a_month_are_the_whole_and_its_price_is_split_without_a_cent_left(
    day_count: DayCount, month: str
) -> None:
    zone = ZoneInfo("Europe/Berlin")
    first = date.fromisoformat(f"{month}-01")
    end = date(first.year, first.month + 1, 1)
    cuts = [first, first.replace(day=8), first.replace(day=15), first.replace(day=28), end]
    whole = Period.of_days(first, end, zone)
    parts = [
        proration(part=Period.of_days(*bounds, zone), whole=whole, zone=zone, day_count=day_count)
        for bounds in pairwise(cuts)
    ]
    assert sum(each.ratio for each in parts) == 1
    price = Money(1000_01, "CNY")
    assert sum(each.minor for each in allocate(price, [each.part for each in parts])) == price.minor
