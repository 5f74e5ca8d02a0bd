"""Due slots, back-off: tables of cases."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from work.domain import SLOTS_AT_A_TIME, Cadence, CatchUp, backoff, due_slots

HOURLY = Cadence(every=timedelta(hours=1))
DAILY_AT_TWO = Cadence(every=timedelta(days=1), offset=timedelta(hours=2))
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@pytest.mark.parametrize(
    ("cadence", "catch_up", "last", "now", "expected"),
    [
        # A new schedule starts with the newest slot, whatever its policy.
        (HOURLY, "all", None, NOON + hours(0.5), [NOON]),
        (HOURLY, "last", None, NOON, [NOON]),
        # Nothing is due before the next slot, everything from that instant on.
        (HOURLY, "all", NOON, NOON + timedelta(minutes=59, seconds=59), []),
        (HOURLY, "all", NOON, NOON + hours(1), [NOON + hours(1)]),
        # Missed slots: each of them, the newest, none.
        (HOURLY, "all", NOON, NOON + hours(3.2), [NOON + hours(n) for n in (1, 2, 3)]),
        (HOURLY, "last", NOON, NOON + hours(3.2), [NOON + hours(3)]),
        (HOURLY, "skip", NOON, NOON + hours(3.2), []),
        # A slot that just came was not missed.
        (HOURLY, "skip", NOON, NOON + hours(3) + timedelta(minutes=5), [NOON + hours(3)]),
        (HOURLY, "skip", NOON, NOON + hours(3) + timedelta(minutes=5, seconds=1), []),
        # A clock that stepped back owes nothing.
        (HOURLY, "all", NOON, NOON - hours(5), []),
        # The offset moves the slots in UTC, also over the night that Europe's clocks change.
        (
            DAILY_AT_TWO,
            "all",
            datetime(2026, 3, 27, 2, 0, tzinfo=UTC),
            NOON,
            [datetime(2026, 3, 28, 2, 0, tzinfo=UTC), datetime(2026, 3, 29, 2, 0, tzinfo=UTC)],
        ),
    ],
)
def test_due_slots(
    cadence: Cadence,
    catch_up: CatchUp,
    last: datetime | None,
    now: datetime,
    expected: list[datetime],
) -> None:
    assert due_slots(cadence=cadence, catch_up=catch_up, last=last, now=now) == expected


def test_a_long_absence_is_made_up_in_parts() -> None:
    every_minute = Cadence(every=timedelta(minutes=1))
    last, opened = NOON, []
    while slots := due_slots(
        cadence=every_minute, catch_up="all", last=last, now=NOON + timedelta(days=2)
    ):
        assert len(slots) <= SLOTS_AT_A_TIME
        opened += slots
        last = slots[-1]
    assert opened == [NOON + timedelta(minutes=n + 1) for n in range(2 * 24 * 60)]


@pytest.mark.parametrize(
    ("every", "offset"),
    [
        (timedelta(milliseconds=1), timedelta(0)),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(hours=1), timedelta(seconds=-1)),
    ],
)
def test_cadence_that_makes_no_sense(every: timedelta, offset: timedelta) -> None:
    with pytest.raises(ValueError, match="a schedule's"):
        Cadence(every=every, offset=offset)


def test_backoff_doubles_to_its_cap_and_spreads() -> None:
    base, cap = timedelta(seconds=5), timedelta(minutes=15)
    for attempt in range(1, 40):
        full = min(base * 2 ** (attempt - 1), cap)
        rests = {
            backoff(job_id=UUID(int=n), attempt=attempt, base=base, cap=cap) for n in range(50)
        }
        assert all(full / 2 <= rest <= full for rest in rests)
        assert len(rests) > 20
