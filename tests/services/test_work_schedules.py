"""Each slot is opened once: by two schedulers, after any absence, whatever the clock does."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import connections

from kernel import clock
from tests.services import work_kinds
from work import jobs, schedules, tasks
from work.connections import JOBS, transaction_on, using_alias
from work.models import Job, Slot
from work.queries import schedules as scheduled
from work.upkeep import tasks as upkeep

TICK = timedelta(seconds=15)
MONDAY = datetime(2026, 3, 23, 0, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def work_tables(db: None) -> Iterator[None]:
    work_kinds.make_tables()
    yield
    work_kinds.drop_tables()


def slots_of(name: str) -> list[datetime]:
    found = Slot.objects.using(JOBS).filter(schedule=name).order_by("slot_at")
    return [at.astimezone(UTC) for at in found.values_list("slot_at", flat=True)]


def expected(start: datetime, *, every: timedelta, until: datetime) -> list[datetime]:
    slots = []
    while start <= until:
        slots.append(start)
        start += every
    return slots


def run_both_schedulers(start: datetime, *, step: timedelta, steps: int) -> None:
    """Two schedulers tick over simulated time at once, the second one lagging a little."""
    barrier = threading.Barrier(2)

    def tick(lag: timedelta) -> None:
        for n in range(steps):
            barrier.wait(30)
            schedules.open_due_slots(now=start + step * n - lag)
        connections.close_all()

    threads = [
        threading.Thread(target=tick, args=(lag,)) for lag in (timedelta(0), timedelta(seconds=1))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def assert_a_job_each() -> None:
    slots = Slot.objects.using(JOBS)
    assert slots.count() == Job.objects.using(JOBS).count()
    assert set(slots.values_list("job_id", flat=True)) == set(
        Job.objects.using(JOBS).values_list("pk", flat=True)
    )


def test_two_schedulers_over_seven_days() -> None:
    start = MONDAY + timedelta(seconds=1)
    run_both_schedulers(start, step=timedelta(minutes=30), steps=7 * 48 + 1)
    until = start + 7 * DAY
    assert slots_of("test.hourly") == expected(MONDAY, every=HOUR, until=until)
    daily = slots_of("test.daily")
    assert daily == expected(MONDAY - 22 * HOUR, every=DAY, until=until)
    assert_a_job_each()


@pytest.mark.parametrize(
    "absence", [HOUR, timedelta(hours=25), timedelta(days=40)], ids=["1 h", "25 h", "40 days"]
)
@pytest.mark.parametrize(
    "stop",
    [
        datetime(2026, 3, 28, 23, 30, tzinfo=UTC),  # Europe's clocks go forward that night
        datetime(2026, 10, 24, 23, 30, tzinfo=UTC),  # and back
        datetime(2026, 12, 31, 23, 30, tzinfo=UTC),
    ],
    ids=["spring", "autumn", "new year"],
)
def test_catch_up_after_an_absence(absence: timedelta, stop: datetime) -> None:
    schedules.open_due_slots(now=stop)
    before = {name: slots_of(name) for name in ("test.hourly", "test.daily", "test.beat")}
    back = stop + absence + timedelta(seconds=45)
    schedules.open_due_slots(now=back)
    schedules.open_due_slots(now=back)

    first = stop.replace(minute=0)
    assert slots_of("test.hourly") == expected(first, every=HOUR, until=back)
    new_daily = slots_of("test.daily")[len(before["test.daily"]) :]
    newest = back.replace(hour=2, minute=0, second=0)
    newest = newest if newest <= back else newest - DAY
    assert new_daily == ([newest] if newest > stop else [])
    # A heartbeat that is 45 seconds old was missed; the next one comes at its minute.
    assert slots_of("test.beat") == before["test.beat"]
    schedules.open_due_slots(now=back + TICK)
    assert slots_of("test.beat") == [*before["test.beat"], (back + TICK).replace(second=0)]
    assert_a_job_each()


def test_a_clock_that_jumps_ahead_and_back_opens_nothing_twice() -> None:
    for jump in (0, 48, 1, -1, 2, 50, 3, 4):
        schedules.open_due_slots(now=MONDAY + HOUR * jump)
    hourly = slots_of("test.hourly")
    assert hourly == expected(MONDAY - HOUR, every=HOUR, until=MONDAY + 50 * HOUR)
    assert_a_job_each()


@pytest.mark.parametrize("days", [2, -2])
def test_a_worker_whose_clock_jumps_goes_by_the_databases(days: int) -> None:
    """It opens no slot that has not come, and none again that was opened; due jobs are found, later ones rest."""
    tasks.tick()
    opened = {(each.schedule, each.slot_at) for each in Slot.objects.using(JOBS).all()}
    right = datetime.now(UTC)
    with transaction_on(JOBS):
        due = jobs.enqueue(
            kind="test.scheduled", key="due", payload={}, run_at=right - timedelta(minutes=1)
        )
        later = jobs.enqueue(kind="test.scheduled", key="later", payload={}, run_at=right + DAY)
    with time_machine.travel(right + timedelta(days=days), tick=True):
        tasks.tick()
        for job_id in (due, later):
            jobs.run_job(job_id=job_id, now=clock.now, go_on_for_seconds=0)
        told = clock.now()
    clock.set_by(datetime.now(UTC))

    assert abs(told - right) < timedelta(minutes=2)
    new = {(each.schedule, each.slot_at) for each in Slot.objects.using(JOBS).all()} - opened
    assert {at for _, at in new if not right - timedelta(minutes=1) < at <= told} == set()
    assert Job.objects.using(JOBS).get(pk=due).state == "done"
    assert Job.objects.using(JOBS).get(pk=later).state == "ready"


def test_a_fault_between_slot_and_job_leaves_neither() -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION work_test_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'disk full' USING ERRCODE = '53100'; END $$;"
            "CREATE TRIGGER work_test_refuse BEFORE INSERT ON work_job"
            " EXECUTE FUNCTION work_test_refuse()"
        )
    try:
        with pytest.raises(Exception, match="disk full"):
            schedules.open_due_slots(now=MONDAY)
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute(
                "DROP TRIGGER work_test_refuse ON work_job; DROP FUNCTION work_test_refuse()"
            )
    assert not Slot.objects.using(JOBS).exists()
    schedules.open_due_slots(now=MONDAY)
    assert_a_job_each()


def test_jobs_carry_their_slot_and_are_run() -> None:
    schedules.open_due_slots(now=MONDAY + timedelta(minutes=20))
    job = Job.objects.using(JOBS).get(key__startswith="test.hourly@")
    assert job.payload == {"slot_at": MONDAY.isoformat()}
    assert job.requested_by == "schedule:test.hourly"
    summary = jobs.run_pending(now=MONDAY)
    assert summary.parked == []
    with using_alias(JOBS):
        shown = {each.name: each.last_slot_at for each in scheduled()}
    assert shown["test.hourly"] == MONDAY
    assert upkeep.HEARTBEAT in shown


def test_tidying_removes_done_jobs_of_schedules_and_of_kinds_that_say_so() -> None:
    schedules.open_due_slots(now=MONDAY)
    with transaction_on(JOBS):
        jobs.enqueue(kind="test.effect", key="guards", payload={})
        jobs.enqueue(kind="test.short_lived", key="old", payload={})
    jobs.run_pending(now=MONDAY)
    Job.objects.using(JOBS).update(finished_at=datetime.now(UTC) - timedelta(days=15))
    with transaction_on(JOBS):
        jobs.enqueue(kind="test.short_lived", key="new", payload={})
    jobs.run_pending(now=MONDAY)
    schedules.open_due_slots(now=MONDAY + timedelta(days=1))
    jobs.run_pending(now=MONDAY + timedelta(days=1), kinds=["work.tidy"])
    left = Job.objects.using(JOBS).filter(state="done").order_by("key")
    assert [job.key for job in left if job.kind != "work.tidy"] == ["guards", "new"]


def test_tidying_removes_old_slots_but_reopens_none() -> None:
    schedules.open_due_slots(now=MONDAY)
    jobs.run_pending(now=MONDAY)
    later = MONDAY + timedelta(days=30)
    schedules.open_due_slots(now=later)
    count = Slot.objects.using(JOBS).count()
    jobs.run_pending(now=later, kinds=["work.tidy"])
    assert Slot.objects.using(JOBS).count() < count
    assert slots_of("test.hourly")[-1] == later
    assert schedules.open_due_slots(now=later) == 0
