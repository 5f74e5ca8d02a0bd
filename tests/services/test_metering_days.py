"""Day close: what is over is closed, stands as it was closed, and changes by corrections only."""

import threading
import time
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, ProgrammingError, connections, transaction

from metering.queries import (
    Granularity,
    changed_closed_days,
    closed_days,
    closed_until,
    corrections,
    shown_app,
    usage_shown,
)
from metering.rollup.services import roll_up as rolling
from metering.services import ClosedDays, close_days, roll_up_pending
from tenants.scope import system_scope, tenant_scope
from tests.factories import a_tenant
from tests.services.metering_world import at, message, send, stored_usage
from work import jobs
from work.connections import JOBS, OWNER
from work.schedules import open_due_slots

pytestmark = pytest.mark.usefixtures("db")

EVENING = at("2026-03-31T23:30:00+08:00")
MIDNIGHT = at("2026-04-01T00:00:00+08:00")
LAST = date(2026, 3, 31)


def close(now: datetime, **options: Any) -> ClosedDays:
    with system_scope(purpose="test"):
        return close_days(now=now, **options)


def until(tenant_id: UUID) -> date | None:
    with system_scope(purpose="test"):
        return closed_until(tenant_ids=[tenant_id]).get(tenant_id)


def test_a_day_closes_at_local_midnight_with_what_was_committed() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING), message("2", "b", EVENING)], now=EVENING)

    assert close(MIDNIGHT - timedelta(microseconds=1)).days == 0
    assert until(tenant.id) == LAST
    closed = close(MIDNIGHT)

    # Nobody had rolled up: the close did.
    assert (closed.tenants, closed.days) == (1, 1)
    assert until(tenant.id) == date(2026, 4, 1)
    assert close(MIDNIGHT) == ClosedDays(tenants=0, days=0)
    with system_scope(purpose="test"):
        (day,) = closed_days(tenant_ids=[tenant.id], from_day=LAST, to_day=date(2026, 5, 1))
    assert (day.day, day.closed_at, day.rows, len(day.digest)) == (LAST, MIDNIGHT, 2, 32)


def test_what_comes_later_is_a_dated_correction() -> None:
    tenant = a_tenant()
    app = tenant.apps[0].id
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    close(MIDNIGHT)
    later = MIDNIGHT + timedelta(hours=3)

    send(
        tenant.id,
        [message("2", "a", EVENING), message("3", "b", EVENING), message("4", "c", MIDNIGHT)],
        now=later,
    )
    roll_up_pending(now=later)

    assert stored_usage(tenant.id) == {
        (app, "dau", "", LAST): 2,
        (app, "messages", "", LAST): 3,
        (app, "dau", "", date(2026, 4, 1)): 1,
        (app, "messages", "", date(2026, 4, 1)): 1,
    }
    with system_scope(purpose="test"):
        rows = corrections(
            tenant_ids=[tenant.id], recorded_from=MIDNIGHT, recorded_to=later + timedelta(hours=1)
        )
        assert [(row.meter, row.day, row.delta, row.recorded_at) for row in rows] == [
            ("dau", LAST, Decimal(1), later),
            ("messages", LAST, Decimal(2), later),
        ]
        assert changed_closed_days() == []


def test_each_zone_closes_at_its_own_midnight() -> None:
    zones = {"Asia/Shanghai": date(2026, 4, 1), "UTC": LAST, "America/Havana": LAST}
    tenants = {
        zone: a_tenant(f"t{n}", apps=(f"app{n}",), timezone=zone) for n, zone in enumerate(zones)
    }
    close(MIDNIGHT)
    assert {zone: until(tenant.id) for zone, tenant in tenants.items()} == zones


def test_settling_time_is_waited_out_unless_forced() -> None:
    tenant = a_tenant()
    hour = timedelta(hours=1)
    close(MIDNIGHT, settling=hour)
    assert until(tenant.id) == LAST
    close(MIDNIGHT, settling=hour, until=date(2026, 4, 5), force=True)
    # Forced or not, a day that is not over stays open.
    assert until(tenant.id) == date(2026, 4, 1)


def test_until_is_excluded_and_days_never_open_again() -> None:
    tenant = a_tenant()
    close(MIDNIGHT, until=date(2026, 3, 10))
    assert until(tenant.id) == date(2026, 3, 10)
    assert close(MIDNIGHT, until=date(2026, 3, 5)).tenants == 0
    assert until(tenant.id) == date(2026, 3, 10)


def test_tenants_can_be_closed_by_name() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    close(MIDNIGHT, tenant_ids=[tenant.id])
    assert until(tenant.id) is not None
    assert until(other.id) is None


@pytest.mark.one_node
@pytest.mark.parametrize("alias", [OWNER, JOBS])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE metering_daily_usage SET value = value + 1",
        "DELETE FROM metering_daily_usage",
        "INSERT INTO metering_daily_usage SELECT tenant_id, app_id, meter, day, 'x', 1 FROM metering_daily_usage",
        "UPDATE metering_watermark SET closed_until = '2026-01-01'",
        "UPDATE metering_watermark SET closed_until = NULL",
        "DELETE FROM metering_watermark",
        "UPDATE metering_day_close SET rows = 0",
        "DELETE FROM metering_day_close",
        "UPDATE metering_correction SET delta = 0",
        "DELETE FROM metering_correction",
    ],
)
def test_no_role_changes_what_is_closed(alias: str, statement: str) -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    close(MIDNIGHT)
    send(tenant.id, [message("2", "b", EVENING)], now=MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)
    before = stored_usage(tenant.id)

    with (
        pytest.raises((IntegrityError, ProgrammingError)),
        transaction.atomic(using=alias),
        connections[alias].cursor() as cursor,
    ):
        cursor.execute(statement)
    assert stored_usage(tenant.id) == before


@pytest.mark.one_node
def test_a_row_moved_into_or_out_of_a_closed_day_is_refused() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    close(MIDNIGHT)
    send(tenant.id, [message("2", "a", MIDNIGHT)], now=MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)
    for change in ("day - 1", "day + 1"):
        with (
            pytest.raises(IntegrityError),
            transaction.atomic(using=OWNER),
            connections[OWNER].cursor() as cursor,
        ):
            cursor.execute(f"UPDATE metering_daily_usage SET day = {change}, kind = 'moved'")


def test_going_around_the_guards_is_found() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    close(MIDNIGHT)
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("UPDATE metering_daily_usage SET value = 0.5 WHERE meter = 'dau'")
        cursor.execute("SET session_replication_role = DEFAULT")
    with system_scope(purpose="test"):
        assert changed_closed_days() == [(tenant.id, LAST)]


def test_a_close_waits_for_a_roll_up_and_counts_it() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    faults: list[BaseException] = []
    folding = threading.Event()

    def slow_runner() -> None:
        from metering.services import roll_up

        try:
            with system_scope(purpose="test"):
                roll_up(now=EVENING)
                folding.set()
                time.sleep(0.4)
        except BaseException as fault:  # noqa: BLE001  # told by the test below
            faults.append(fault)
        finally:
            connections.close_all()

    thread = threading.Thread(target=slow_runner)
    thread.start()
    folding.wait(10)
    closed = close(MIDNIGHT)
    thread.join()

    assert faults == []
    assert (closed.tenants, closed.days) == (1, 1)
    with system_scope(purpose="test"):
        (day,) = closed_days(tenant_ids=[tenant.id], from_day=LAST, to_day=date(2026, 4, 1))
        assert day.rows == 2
        assert changed_closed_days() == []


def test_one_close_serves_tenants_that_are_new_known_folded_and_pending() -> None:
    """Whose watermark is missing is closed as it is made, but not before what is pending is counted;
    the days of a second close begin where the first ended."""
    tenants = {name: a_tenant(name, apps=(f"{name}-app",)) for name in ("new", "folded", "known")}
    for name in ("folded", "known"):
        send(tenants[name].id, [message("1", "a", EVENING, app=f"{name}-app")], now=EVENING)
    roll_up_pending(now=EVENING)
    close(MIDNIGHT, tenant_ids=[tenants["known"].id])
    pending = a_tenant("pending", apps=("pending-app",))
    send(pending.id, [message("1", "a", EVENING, app="pending-app")], now=EVENING)
    nothing_yet = close(MIDNIGHT - timedelta(days=1))

    closed = close(MIDNIGHT)

    assert nothing_yet == ClosedDays(tenants=3, days=0)
    assert closed == ClosedDays(tenants=3, days=2)
    following = MIDNIGHT + timedelta(hours=3)
    for name in ("known", "folded"):
        send(tenants[name].id, [message("2", "b", following, app=f"{name}-app")], now=following)
    assert close(MIDNIGHT + timedelta(days=1)) == ClosedDays(tenants=4, days=2)
    with system_scope(purpose="test"):
        days = closed_days(
            tenant_ids=[each.id for each in (*tenants.values(), pending)],
            from_day=date(2026, 3, 1),
            to_day=date(2026, 5, 1),
        )
        assert Counter(day.day for day in days) == {LAST: 3, date(2026, 4, 1): 2}
        assert changed_closed_days() == []
        recorded = corrections(
            tenant_ids=[pending.id], recorded_from=EVENING, recorded_to=following
        )
        assert recorded == []


def test_all_that_was_committed_is_counted_in_however_much_is_pending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rolling, "_BATCHES_AT_A_TIME", 2)
    tenants = [a_tenant(f"t-{n}", apps=(f"app-{n}",)) for n in range(4)]
    for tenant in tenants:
        for event in range(3):
            sent = message(str(event), f"u{event}", EVENING, app=tenant.apps[0].key)
            send(tenant.id, [sent], now=EVENING)

    assert close(MIDNIGHT) == ClosedDays(tenants=4, days=4)

    ids = [tenant.id for tenant in tenants]
    assert roll_up_pending(now=MIDNIGHT).batches == 0
    for tenant in tenants:
        assert sorted(stored_usage(tenant.id).values()) == [3, 3]
    with system_scope(purpose="test"):
        later = MIDNIGHT + timedelta(days=1)
        assert corrections(tenant_ids=ids, recorded_from=EVENING, recorded_to=later) == []


def test_the_schedule_closes_every_quarter_of_an_hour() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", EVENING)], now=EVENING)
    open_due_slots(now=MIDNIGHT)
    summary = jobs.run_pending(now=MIDNIGHT, kinds=["metering.close_days"])
    assert (summary.done, summary.parked) == (1, [])
    assert until(tenant.id) == date(2026, 4, 1)


def test_usage_is_shown_by_hour_day_and_month_of_the_tenants_zone() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    events = [
        message("1", "a", "2026-03-30T10:15:00+08:00"),
        message("2", "a", "2026-03-30T10:45:00+08:00", count=4),
        message("3", "b", "2026-03-30T23:59:59.999999+08:00"),
        message("4", "a", "2026-03-31T00:00:00+08:00", kind="group"),
        message("5", "c", "2026-03-31T00:00:00+08:00", app="push"),
        message("6", "a", "2026-04-01T00:00:00+08:00", type="user.active"),
    ]
    send(tenant.id, events, now=at("2026-04-01T00:00:00+08:00"))
    close(MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)

    def shown(
        meter: str, granularity: Granularity, app: str = "chat"
    ) -> list[tuple[str, int, str]]:
        with tenant_scope(tenant.id):
            rows = usage_shown(
                apps=[shown_app(key=app)],
                meter=meter,
                from_day=date(2026, 3, 1),
                to_day=date(2026, 4, 1) if granularity == Granularity.HOUR else date(2026, 4, 2),
                granularity=granularity,
            )
        return [(row.starts_at.isoformat()[:19], int(row.value), row.state) for row in rows]

    assert shown("messages", Granularity.HOUR) == [
        ("2026-03-30T10:00:00", 5, "closed"),
        ("2026-03-30T23:00:00", 1, "closed"),
        ("2026-03-31T00:00:00", 1, "closed"),
    ]
    assert shown("dau", Granularity.HOUR)[0] == ("2026-03-30T10:00:00", 1, "closed")
    assert shown("messages", Granularity.DAY) == [
        ("2026-03-30T00:00:00", 6, "closed"),
        ("2026-03-31T00:00:00", 1, "closed"),
    ]
    assert shown("dau", Granularity.DAY) == [
        ("2026-03-30T00:00:00", 2, "closed"),
        ("2026-03-31T00:00:00", 1, "closed"),
        ("2026-04-01T00:00:00", 1, "open"),
    ]
    assert shown("dau", Granularity.MONTH) == [
        ("2026-03-01T00:00:00", 2, "closed"),
        ("2026-04-01T00:00:00", 1, "open"),
    ]
    assert shown("messages", Granularity.MONTH) == [("2026-03-01T00:00:00", 7, "closed")]
    assert shown("dau", Granularity.DAY, app="push") == [("2026-03-31T00:00:00", 1, "closed")]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe"])
def test_hours_are_local_also_where_clocks_change(zone: str) -> None:
    tenant = a_tenant(timezone=zone)
    start = at("2026-03-28T00:00:00+00:00")
    events = [message(str(n), f"u{n}", start + timedelta(minutes=10 * n)) for n in range(300)]
    send(tenant.id, events, now=start + timedelta(days=3))
    with tenant_scope(tenant.id):
        rows = usage_shown(
            apps=[shown_app(key="chat")],
            meter="messages",
            from_day=date(2026, 3, 27),
            to_day=date(2026, 4, 1),
            granularity=Granularity.HOUR,
        )
    assert sum(row.value for row in rows) == 300
    # Inner hours hold six events; where clocks go back by half an hour, one hour is cut.
    assert all(row.value <= 6 for row in rows)
    assert sum(1 for row in rows if row.value != 6) <= 3
    assert rows == sorted(rows, key=lambda row: row.starts_at)
