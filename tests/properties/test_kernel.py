"""What holds for every amount, every weight, every zone and every anchor."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from uuid import UUID

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernel import ids
from kernel.allocation import allocate
from kernel.currencies import current_codes, exponent
from kernel.decimals import parse_decimal, plain_text
from kernel.money import Money, round_amount
from kernel.period import (
    Interval,
    Period,
    local_day,
    local_midnight,
    period_containing,
    period_of_day,
    periods,
    shifted,
)
from kernel.zones import zone_named

ZONES = [
    zone_named(name)
    for name in (
        "UTC",
        "Asia/Shanghai",
        "America/New_York",
        "America/Havana",
        "America/St_Johns",
        "America/Asuncion",
        "America/Nuuk",
        "Europe/Berlin",
        "Europe/London",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Beirut",
        "Asia/Kathmandu",
        "Asia/Tehran",
        "Australia/Lord_Howe",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "Pacific/Chatham",
    )
]

zones = st.sampled_from(ZONES)
days = st.dates(min_value=date(2005, 1, 1), max_value=date(2035, 12, 31))
instants = st.datetimes(
    min_value=datetime(2005, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    max_value=datetime(2035, 12, 31),  # noqa: DTZ001  # the strategy adds the zone
    timezones=st.just(UTC),
)
currencies = st.sampled_from(current_codes())
exact_amounts = st.fractions(
    min_value=Fraction(-(10**12)), max_value=Fraction(10**12), max_denominator=10**9
)
figures = st.decimals(
    min_value=Decimal(-(10**18)), max_value=Decimal(10**18), allow_nan=False, places=12
)
weights = st.lists(
    st.fractions(min_value=0, max_value=10**9, max_denominator=10**6), min_size=1, max_size=30
)


@given(exact_amounts, currencies)
def test_rounding_is_to_the_nearest_and_mirrors(amount: Fraction, currency: str) -> None:
    money = round_amount(amount, currency)
    unit = Fraction(1, 10 ** exponent(currency))
    assert abs(Fraction(money.amount) - amount) <= unit / 2
    assert round_amount(-amount, currency) == -money
    assert round_amount(money.amount, currency) == money


@given(exact_amounts, exact_amounts, currencies)
def test_rounding_keeps_the_order(a: Fraction, b: Fraction, currency: str) -> None:
    low, high = sorted((a, b))
    assert round_amount(low, currency) <= round_amount(high, currency)


@given(st.integers(-(10**15), 10**15), currencies)
def test_money_reads_what_it_writes(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.of(str(money).split()[0], currency) == money


@given(figures)
def test_numbers_read_what_they_write(figure: Decimal) -> None:
    assert parse_decimal(plain_text(figure), field="figure") == figure


@given(st.integers(-(10**12), 10**12), weights, currencies)
def test_parts_sum_to_the_whole_and_are_fair(
    minor: int, given_weights: list[Fraction], currency: str
) -> None:
    assume(any(given_weights))
    whole = sum(given_weights)
    parts = allocate(Money(minor, currency), given_weights)
    assert sum(part.minor for part in parts) == minor
    for part, weight in zip(parts, given_weights, strict=True):
        assert abs(part.minor - minor * weight / whole) < 1
        assert weight or part.minor == 0
    mirrored = allocate(Money(-minor, currency), given_weights)
    assert mirrored == [-part for part in parts]


@given(instants, zones)
def test_each_instant_lies_in_exactly_one_local_day(instant: datetime, zone: object) -> None:
    where = zone_named(str(zone))
    day = local_day(instant, where)
    assert local_midnight(day, where) <= instant < local_midnight(day + timedelta(days=1), where)


@given(days, zones)
def test_days_follow_each_other(day: date, zone: object) -> None:
    where = zone_named(str(zone))
    starts_at = local_midnight(day, where)
    length = local_midnight(day + timedelta(days=1), where) - starts_at
    assert length == timedelta(0) or timedelta(hours=23) <= length <= timedelta(hours=25)
    # The local calendar agrees at the day's first instant.
    shown = starts_at.astimezone(where).date()
    assert shown == day if length else shown > day
    just_before = (starts_at - timedelta(microseconds=1)).astimezone(where).date()
    assert just_before < day


@given(days, st.sampled_from(Interval), st.integers(1, 4), zones)
@settings(max_examples=100)
def test_periods_meet_and_hold_their_instants(
    anchor: date, interval: Interval, interval_count: int, zone: object
) -> None:
    where = zone_named(str(zone))
    found = list(
        islice(
            periods(anchor=anchor, interval=interval, interval_count=interval_count, zone=where),
            6,
        )
    )
    for one, following in pairwise(found):
        assert one.ends_at == following.starts_at
    for each in found:
        for instant in (each.starts_at, each.ends_at - timedelta(microseconds=1)):
            assert each == period_containing(
                instant=instant,
                anchor=anchor,
                interval=interval,
                interval_count=interval_count,
                zone=where,
            )
    whole = Period(found[0].starts_at, found[-1].ends_at)
    assert sum(each.day_count(where) for each in found) == whole.day_count(where)


@given(days, days, st.sampled_from(Interval), st.integers(1, 14))
def test_every_day_has_one_period(
    anchor: date, day: date, interval: Interval, interval_count: int
) -> None:
    starts_on, ends_on = period_of_day(
        day=day, anchor=anchor, interval=interval, interval_count=interval_count
    )
    assert starts_on <= day < ends_on
    following = period_of_day(
        day=ends_on, anchor=anchor, interval=interval, interval_count=interval_count
    )
    assert following[0] == ends_on


@given(days, st.integers(-600, 600))
def test_an_anchor_returns_to_its_day(anchor: date, months: int) -> None:
    there = shifted(anchor, Interval.MONTH, months)
    following = date(there.year + there.month // 12, there.month % 12 + 1, 1)
    last = (following - timedelta(days=1)).day
    assert there.day == min(anchor.day, last)
    assert (there.year * 12 + there.month) - (anchor.year * 12 + anchor.month) == months


@given(st.uuids(), st.uuids())
def test_public_ids_keep_the_order(one: UUID, other: UUID) -> None:
    assert ids.parse_public_id(ids.public_id("x", one), prefix="x") == one
    assert (ids.public_id("x", one) < ids.public_id("x", other)) == (one.int < other.int)
