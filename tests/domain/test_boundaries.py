"""Boundaries of subscriptions: which period ends and which begins, and which part is served."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from billing.subscriptions.domain import Anchor, Cadence, ServicePeriod
from kernel.period import Interval, local_day, local_midnight

SHANGHAI = ZoneInfo("Asia/Shanghai")


def cadence(
    starts_on: str,
    *,
    ends_on: str | None = None,
    anchor: Anchor = Anchor.CALENDAR,
    interval: Interval = Interval.MONTH,
    interval_count: int = 1,
    zone: ZoneInfo = SHANGHAI,
) -> Cadence:
    return Cadence(
        starts_on=date.fromisoformat(starts_on),
        ends_on=date.fromisoformat(ends_on) if ends_on else None,
        anchor=anchor,
        interval=interval,
        interval_count=interval_count,
        zone=zone,
    )


def days(period: ServicePeriod | None, zone: ZoneInfo = SHANGHAI) -> tuple[str, str] | None:
    """First day and day after the last of what is served."""
    if period is None:
        return None
    return str(period.served.first_day(zone)), str(period.served.end_day(zone))


def walk(given: Cadence, count: int) -> list[str]:
    found: list[str] = []
    at: datetime | None = given.first_boundary()
    while at is not None and len(found) < count:
        found.append(str(local_day(at, given.zone)))
        at = given.after(at)
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            cadence("2026-03-22"), ["2026-03-22", "2026-04-01", "2026-05-01"], id="calendar month"
        ),
        pytest.param(
            cadence("2026-01-31", anchor=Anchor.ANNIVERSARY),
            ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"],
            id="day 31 falls to the month's end and returns",
        ),
        pytest.param(
            cadence("2026-02-10", interval=Interval.QUARTER),
            ["2026-02-10", "2026-04-01", "2026-07-01"],
            id="calendar quarter",
        ),
        pytest.param(
            cadence("2024-02-29", anchor=Anchor.ANNIVERSARY, interval=Interval.YEAR),
            ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
            id="leap day",
        ),
        pytest.param(
            cadence("2026-03-22", ends_on="2026-04-15"),
            ["2026-03-22", "2026-04-01", "2026-04-15"],
            id="an end within a period is the last boundary",
        ),
        pytest.param(
            cadence("2026-03-01", ends_on="2026-04-01"),
            ["2026-03-01", "2026-04-01"],
            id="an end on a boundary is one boundary",
        ),
    ],
)
def test_boundaries(given: Cadence, expected: list[str]) -> None:
    assert walk(given, len(expected) + (1 if given.ends_on else 0)) == expected


def test_the_first_boundary_opens_and_ends_nothing() -> None:
    first = cadence("2026-03-22").boundary(local_midnight(date(2026, 3, 22), SHANGHAI))
    assert first.ended is None
    assert days(first.opened) == ("2026-03-22", "2026-04-01")
    assert first.opened is not None
    # The divisor of a proration is the whole month.
    assert first.opened.full.first_day(SHANGHAI) == date(2026, 3, 1)


def test_an_inner_boundary_ends_one_period_and_opens_the_next() -> None:
    inner = cadence("2026-03-22").boundary(local_midnight(date(2026, 4, 1), SHANGHAI))
    assert days(inner.ended) == ("2026-03-22", "2026-04-01")
    assert days(inner.opened) == ("2026-04-01", "2026-05-01")


def test_the_last_boundary_opens_nothing() -> None:
    given = cadence("2026-03-22", ends_on="2026-04-15")
    last = given.boundary(local_midnight(date(2026, 4, 15), SHANGHAI))
    assert days(last.ended) == ("2026-04-01", "2026-04-15")
    assert last.opened is None
    assert given.after(last.at) is None


def test_periods_meet_over_a_change_of_clocks() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    given = cadence("2026-03-01", zone=berlin)
    april = given.boundary(local_midnight(date(2026, 4, 1), berlin))
    assert april.ended is not None
    assert april.opened is not None
    assert april.ended.served.ends_at == april.opened.served.starts_at
    # March 2026 in Berlin has an hour less than 31 days.
    assert april.ended.full.duration.total_seconds() == 31 * 86400 - 3600
