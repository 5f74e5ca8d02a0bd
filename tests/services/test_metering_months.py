"""The different users of a month: the same as counted from all its marks, whatever was gathered when."""

import random
import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from metering.queries import Granularity, shown_apps, usage_shown
from metering.rollup.identities import distinct_identities
from metering.rollup.months import month_identities
from metering.rollup.services import gather_months as gather_months_service
from metering.rollup.services.gather_months import gather_lately, gather_months
from metering.services import close_days, rebuild_usage, roll_up_pending, set_usage
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_tenant
from tests.services.metering_world import at, message, send
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

FIRST = date(2026, 1, 1)
MONTHS = [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
NOW = at("2026-02-20T12:00:00+08:00")


def some_days(tenant: CreatedTenant, *, seed: int, size: int, back: int = 45) -> None:
    chance = random.Random(seed)
    send(
        tenant.id,
        [
            message(
                f"{seed}-{n}",
                f"u{chance.randrange(25)}",
                NOW - timedelta(minutes=chance.randrange(back * 24 * 60)),
                app=chance.choice(["chat", "game"]),
            )
            for n in range(size)
        ],
        now=NOW,
        check_age=False,
    )
    roll_up_pending(now=NOW)


def both(tenant: CreatedTenant) -> tuple[dict[tuple[UUID, int], Decimal], ...]:
    """By months and from the marks."""
    asked: dict[str, Any] = {
        "tenant_id": tenant.id,
        "app_ids": [app.id for app in tenant.apps],
        "meter": "dau",
        "bounds": MONTHS,
    }
    with system_scope(purpose="test"):
        return tuple(
            {(each.app_id, each.window): each.value for each in count(**asked)}
            for count in (month_identities, distinct_identities)
        )


def gather(now: datetime = NOW) -> int:
    return gather_months(now=now, from_day=FIRST)


def marks_gathered() -> int:
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT (SELECT count(*) FROM metering_month_user),"
            " (SELECT sum(added) FROM metering_month_day)"
        )
        rows, added = execution.fetchone()
    assert rows == (added or 0)
    return int(rows)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_exact_before_between_and_after_gathering(seed: int) -> None:
    tenant = a_tenant(apps=("chat", "game"))
    some_days(tenant, seed=seed, size=120)
    by_months, from_marks = both(tenant)
    assert by_months == from_marks != {}
    assert gather() > 20
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    gathered = marks_gathered()
    # Late events of days that were gathered, and new ones.
    some_days(tenant, seed=seed + 100, size=60)
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    assert gather() > 0
    assert gather() == 0
    assert marks_gathered() >= gathered
    by_months, from_marks = both(tenant)
    assert by_months == from_marks


def test_late_events_of_closed_days_count_by_their_corrections() -> None:
    tenant = a_tenant(apps=("chat", "game"))
    some_days(tenant, seed=4, size=80)
    with system_scope(purpose="test"):
        close_days(now=NOW)
    gather()
    some_days(tenant, seed=5, size=80, back=30)
    gather()
    by_months, from_marks = both(tenant)
    assert by_months == from_marks


def test_today_is_counted_before_it_is_gathered() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", NOW), message("2", "b", NOW)], now=NOW)
    roll_up_pending(now=NOW)
    assert gather() == 0
    with system_scope(purpose="test"):
        apps = shown_apps(tenant_id=tenant.id)
        (shown,) = usage_shown(
            apps=apps,
            meter="mau",
            from_day=date(2026, 2, 1),
            to_day=date(2026, 3, 1),
            granularity=Granularity.MONTH,
        )
    assert shown.value == 2


def test_a_day_of_many_users_is_gathered_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, quiet = a_tenant(), a_tenant("globex", apps=("theirs",))
    before = NOW - timedelta(hours=3)
    send(quiet.id, [message(f"1-{n}", f"u{n}", before, app="theirs") for n in range(4)], now=before)
    send(tenant.id, [message(f"1-{n}", f"u{n}", NOW) for n in range(4)], now=NOW)
    roll_up_pending(now=NOW)
    lately: dict[str, Any] = {"now": NOW, "since": NOW - timedelta(hours=1)}
    assert gather_lately(**lately) == 0  # few are looked at by the question
    monkeypatch.setattr(gather_months_service, "_MANY", 3)
    assert gather_lately(**lately) == 1
    assert gather_lately(**lately) == 0
    assert marks_gathered() == 4

    send(tenant.id, [message(f"2-{n}", f"u{n}", NOW) for n in range(2, 6)], now=NOW)
    roll_up_pending(now=NOW)
    assert gather_lately(**lately) == 0  # two more are few again
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    assert sum(by_months.values()) == 6

    # Only marks of the last minutes before it was gathered, and since, are looked at.
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "UPDATE metering_active_user SET marked_at = %s WHERE (tenant_id, user_hash) NOT IN"
            " (SELECT tenant_id, user_hash FROM metering_month_user)",
            [datetime.now(UTC) - timedelta(minutes=11)],
        )
        assert execution.rowcount == 2 + 4
    assert sum(both(tenant)[0].values()) == 4
    assert gather(NOW + timedelta(days=2)) == 2
    by_months, from_marks = both(tenant)
    assert by_months == from_marks


def test_a_late_event_of_a_gathered_day_is_gathered_with_what_came_lately() -> None:
    tenant = a_tenant()
    day = NOW - timedelta(days=9)
    send(tenant.id, [message("1", "a", day)], now=NOW - timedelta(hours=2))
    roll_up_pending(now=NOW)
    assert gather() == 1
    send(tenant.id, [message("2", "b", day)], now=NOW)
    roll_up_pending(now=NOW)
    assert gather_lately(now=NOW, since=NOW - timedelta(hours=1)) == 1
    assert marks_gathered() == 2
    by_months, from_marks = both(tenant)
    assert by_months == from_marks


def test_part_of_a_month_is_counted_from_its_own_days() -> None:
    tenant = a_tenant()
    for day, user in ((2, "a"), (10, "b"), (11, "a")):
        time = NOW.replace(day=day)
        send(tenant.id, [message(f"{day}", user, time)], now=NOW)
    roll_up_pending(now=NOW)
    gather()
    with system_scope(purpose="test"):
        found = month_identities(
            tenant_id=tenant.id,
            app_ids=[tenant.apps[0].id],
            meter="dau",
            bounds=[date(2026, 2, 5), date(2026, 2, 11), date(2026, 3, 1)],
        )
    assert [(each.window, each.value) for each in found] == [
        (0, Decimal(1)),
        (1, Decimal(1)),
    ]


def test_what_is_rebuilt_or_set_is_gathered_anew() -> None:
    tenant = a_tenant(apps=("chat", "game"))
    some_days(tenant, seed=6, size=80)
    gather()
    with connections[OWNER].cursor() as execution:
        # Somebody damaged the marks of a day.
        execution.execute("DELETE FROM metering_active_user WHERE day = '2026-02-10'")
    with system_scope(purpose="test"):
        rebuild_usage(
            tenant_id=tenant.id, from_day=date(2026, 2, 9), to_day=date(2026, 2, 12), now=NOW
        )
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    gather()
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    marks_gathered()
    with system_scope(purpose="test"):
        set_usage(
            tenant_id=tenant.id,
            app_id=tenant.apps[0].id,
            meter="dau",
            day=date(2026, 2, 10),
            value=Decimal(500),
            now=NOW,
            reason="test",
        )
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    assert gather() == 1
    assert gather() == 0


def test_two_that_gather_at_once_add_each_user_once() -> None:
    tenant = a_tenant(apps=("chat", "game"))
    some_days(tenant, seed=7, size=150)
    faults: list[Exception] = []

    def run() -> None:
        try:
            gather()
        except Exception as fault:  # noqa: BLE001  # told below
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    by_months, from_marks = both(tenant)
    assert by_months == from_marks
    assert marks_gathered() == sum(
        value for (_, window), value in from_marks.items() if window in (0, 1)
    ) - _today_alone(tenant)


def _today_alone(tenant: CreatedTenant) -> int:
    """Users who were active on days alone that are not gathered yet."""
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT count(DISTINCT (app_id, user_hash)) FROM metering_active_user mark"
            " WHERE tenant_id = %s AND day >= %s AND NOT EXISTS (SELECT FROM metering_month_user known"
            " WHERE known.tenant_id = mark.tenant_id AND known.app_id = mark.app_id"
            " AND known.month = date_trunc('month', mark.day) AND known.user_hash = mark.user_hash)",
            [str(tenant.id), NOW.date() - timedelta(days=1)],
        )
        return int(execution.fetchone()[0])
