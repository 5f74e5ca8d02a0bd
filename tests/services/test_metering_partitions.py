"""Partitions of raw events: made ahead, dropped by age, never in the way, whole after any kill."""

import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.test import Client

from config import database
from config.postgres import roles
from kernel import clock
from kernel.errors import Invalid
from metering.queries import usage_differences
from metering.retention.domain import KEPT, needed_until, outlived, read_bounds
from metering.retention.models import DroppedPartition
from metering.retention.queries import PARENT, partition_rows, partitions_of, retention_state
from metering.retention.services.keep_partitions import KeptPartitions, keep_partitions
from metering.services import close_days, rebuild_usage, roll_up_pending
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.factories import a_tenant
from tests.services.metering_world import message, send, stored_usage
from work.connections import OWNER, cursor

pytestmark = pytest.mark.usefixtures("db", "own_partitions")

ARRIVED = datetime(2026, 2, 3, 4, tzinfo=UTC)
LONG_AFTER = ARRIVED.replace(month=3, day=1) + KEPT
"""When all of February has outlived its time."""


@pytest.fixture
def own_partitions() -> Iterator[None]:
    """Partitions like those of a new installation, before and after."""
    make_anew()
    yield
    make_anew()


def make_anew() -> None:
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND starts_with(relname, %s)"
            " AND relnamespace = current_schema()::regnamespace",
            [f"{PARENT}_"],
        )
        for (name,) in execution.fetchall():
            execution.execute(f"DROP TABLE {name}")
        months = [datetime(2026 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(25)]
        bounds = [("before", "MINVALUE", f"'{months[0]}'")]
        bounds += [
            (f"{start:%Y_%m}", f"'{start}'", f"'{end}'")
            for start, end in itertools.pairwise(months)
        ]
        bounds += [("after", f"'{months[-1]}'", "MAXVALUE")]
        for name, start, end in bounds:
            execution.execute(
                f"CREATE TABLE {PARENT}_{name} PARTITION OF {PARENT}"
                f" FOR VALUES FROM ({start}) TO ({end})"
            )


def names() -> list[str]:
    """What is attached, without the parent's name."""
    with connections[OWNER].cursor() as execution:
        return [each.name.removeprefix(f"{PARENT}_") for each in partitions_of(execution)]


def rows_of(table: str) -> int:
    with connections[OWNER].cursor() as execution:
        execution.execute(f"SELECT count(*) FROM {table}")
        return int(execution.fetchone()[0])


def one_event(event_id: str, *, at: datetime = ARRIVED) -> Any:
    tenant = a_tenant()
    send(tenant.id, [message(event_id, "u1", at)], now=at)
    roll_up_pending(now=at)
    return tenant


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        (
            "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')",
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 2, 1, tzinfo=UTC),
        ),
        ("FOR VALUES FROM (MINVALUE) TO ('2026-01-01 00:00:00+00')", None, datetime(2026, 1, 1, tzinfo=UTC)),
        ("FOR VALUES FROM ('2028-01-01 00:00:00+00') TO (MAXVALUE)", datetime(2028, 1, 1, tzinfo=UTC), None),
    ],
)  # fmt: skip
def test_bounds_are_read_as_the_database_tells_them(
    text: str, start: datetime | None, end: datetime | None
) -> None:
    assert read_bounds(text) == (start, end)


def test_another_kind_of_partition_is_told() -> None:
    with pytest.raises(ValueError, match="DEFAULT"):
        read_bounds("DEFAULT")


def test_six_whole_months_are_always_ahead() -> None:
    assert needed_until(datetime(2026, 11, 26, tzinfo=UTC)) == datetime(2027, 6, 1, tzinfo=UTC)
    assert needed_until(datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 7, 1, tzinfo=UTC)


def test_a_month_is_outlived_on_the_day_that_its_last_event_is_400_days_old() -> None:
    with connections[OWNER].cursor() as execution:
        there = partitions_of(execution)
    end = datetime(2026, 3, 1, tzinfo=UTC) + KEPT
    shortly_before = outlived(there, now=end - timedelta(seconds=1))
    assert [each.name for each in shortly_before] == [f"{PARENT}_before", f"{PARENT}_2026_01"]
    assert [each.name for each in outlived(there, now=end)][-1] == f"{PARENT}_2026_02"


def test_months_are_made_before_the_last_one_is_reached() -> None:
    assert keep_partitions(now=datetime(2026, 11, 26, tzinfo=UTC)).made == []
    kept = keep_partitions(now=datetime(2027, 6, 30, 23, tzinfo=UTC))
    # On the last day of June the months up to December must stand; they do.
    assert kept.made == []
    kept = keep_partitions(now=datetime(2027, 8, 1, tzinfo=UTC))
    assert kept.made == [f"{PARENT}_2028_01", f"{PARENT}_2028_02"]
    assert kept.waiting == {}
    assert names()[-3:] == ["2028_01", "2028_02", "after"]
    assert keep_partitions(now=datetime(2027, 8, 1, tzinfo=UTC)).made == []
    # They are used: an event of then lies in its own month.
    at = datetime(2028, 2, 3, tzinfo=UTC)
    one_event("ahead", at=at)
    assert rows_of(f"{PARENT}_2028_02") == 1


def test_new_partitions_are_closed_to_web_and_jobs() -> None:
    keep_partitions(now=datetime(2027, 8, 1, tzinfo=UTC))
    web, jobs = (each(roles.address().database) for each in (roles.web_role, roles.jobs_role))
    with connections[OWNER].cursor() as execution:
        execution.execute(
            "SELECT has_table_privilege(role, %s, 'SELECT, INSERT, UPDATE, DELETE')"
            "  FROM unnest(%s) AS role",
            [f"{PARENT}_2028_01", [web, jobs]],
        )
        assert execution.fetchall() == [(False,), (False,)]
        # Also while one stands beside the table, as after a kill, the web starts.
        execution.execute(f"CREATE TABLE {PARENT}_2030_01 (LIKE {PARENT} INCLUDING ALL)")
    database.refuse_unless_restricted()


def test_what_lies_beyond_the_months_becomes_a_partition_and_loses_nothing() -> None:
    """Nobody made months for two years: events went into the last partition."""
    at = datetime(2028, 5, 6, tzinfo=UTC)
    one_event("beyond", at=at)
    assert rows_of(f"{PARENT}_after") == 1
    kept = keep_partitions(now=at + timedelta(days=1))
    assert kept.waiting == {}
    assert "2028_01_to_2028_07" in names()
    assert names()[-6:] == ["2028_07", "2028_08", "2028_09", "2028_10", "2028_11", "after"]
    assert rows_of(f"{PARENT}_2028_01_to_2028_07") == 1
    assert rows_of(PARENT) == 1
    assert keep_partitions(now=at + timedelta(days=1)).made == []


def test_old_events_go_with_their_identities_and_the_days_stay() -> None:
    tenant = one_event("old")
    with system_scope(purpose="test"):
        close_days(now=ARRIVED + timedelta(days=2))
    before = stored_usage(tenant.id)
    assert before
    at = LONG_AFTER - timedelta(days=100)
    send(tenant.id, [message("young", "u2", at)], now=at)
    roll_up_pending(now=at)
    young = stored_usage(tenant.id)
    kept = keep_partitions(now=LONG_AFTER)
    assert list(kept.dropped) == [f"{PARENT}_before", f"{PARENT}_2026_01", f"{PARENT}_2026_02"]
    assert kept.rows_removed == 2  # an identity and a batch
    assert rows_of("metering_event_identity") == 1
    assert rows_of("metering_batch") == 1
    assert rows_of(PARENT) == 1
    assert stored_usage(tenant.id) == young
    assert names()[0] == "2026_03"
    dropped = DroppedPartition.objects.using(OWNER).get(name=f"{PARENT}_2026_02")
    assert dropped.dropped_at == LONG_AFTER
    assert dropped.forgotten_at == LONG_AFTER
    assert keep_partitions(now=LONG_AFTER) == KeptPartitions(made=[], dropped=[], waiting={})


def test_a_day_whose_events_are_gone_is_not_counted_anew_from_nothing() -> None:
    tenant = one_event("old")
    before = stored_usage(tenant.id)
    keep_partitions(now=LONG_AFTER)
    with system_scope(purpose="test"), pytest.raises(Invalid) as refused:
        rebuild_usage(
            tenant_id=tenant.id,
            from_day=date(2026, 2, 1),
            to_day=date(2026, 2, 10),
            now=LONG_AFTER,
        )
    assert refused.value.code == "events_gone"
    assert stored_usage(tenant.id) == before
    with system_scope(purpose="test"):
        # Nor does the check of stored days take them for lost.
        assert usage_differences(from_day=date(2026, 1, 1), to_day=date(2027, 6, 1)) == []
        rebuilt = rebuild_usage(
            tenant_id=tenant.id,
            from_day=date(2026, 3, 3),
            to_day=date(2026, 3, 10),
            now=LONG_AFTER,
        )
    assert rebuilt.changed == 0


def test_events_that_were_not_rolled_up_stay() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("old", "u1", ARRIVED)], now=ARRIVED)
    kept = keep_partitions(now=LONG_AFTER)
    assert kept.waiting == {f"{PARENT}_2026_02": "not rolled up"}
    assert rows_of(PARENT) == 1
    roll_up_pending(now=LONG_AFTER)
    assert f"{PARENT}_2026_02" in keep_partitions(now=LONG_AFTER).dropped
    assert stored_usage(tenant.id)


def test_ingest_goes_on_while_a_reader_keeps_the_old_partition_from_going() -> None:
    tenant = one_event("old")
    reader = connections[OWNER].copy(OWNER)
    try:
        with reader.cursor() as reading:
            reading.execute(f"BEGIN; SELECT count(*) FROM {PARENT}")
            began = time.monotonic()
            kept: list[KeptPartitions] = []

            def keep() -> None:
                kept.append(keep_partitions(now=LONG_AFTER, patience_seconds=3))
                connections.close_all()

            keeping = threading.Thread(target=keep)
            keeping.start()
            slowest_seconds = 0.0
            number = 0
            while keeping.is_alive():
                at_seconds = time.monotonic()
                send(
                    tenant.id,
                    [message(f"meanwhile-{number}", "u1", LONG_AFTER)],
                    now=LONG_AFTER,
                )
                slowest_seconds = max(slowest_seconds, time.monotonic() - at_seconds)
                number += 1
            keeping.join()
            assert kept[0].waiting == {f"{PARENT}_before": "in use", **_held()}
            assert time.monotonic() - began >= 3
            assert number > 20
            assert slowest_seconds < 2
            reading.execute("COMMIT")
    finally:
        reader.close()
    roll_up_pending(now=LONG_AFTER)
    # What was left half detached is finished.
    kept_after = keep_partitions(now=LONG_AFTER)
    assert f"{PARENT}_2026_02" in kept_after.dropped
    assert rows_of(PARENT) == number
    assert names()[0] == "2026_03"


def _held() -> dict[str, str]:
    behind = "another leaves first"
    return {f"{PARENT}_2026_01": behind, f"{PARENT}_2026_02": behind}


def test_making_months_gives_way_to_ingest_and_comes_again() -> None:
    """A long transaction holds the table for a while: months are made once it is over."""
    tenant = one_event("old")
    holder = connections[OWNER].copy(OWNER)
    made: list[KeptPartitions] = []

    def keep() -> None:
        made.append(keep_partitions(now=datetime(2027, 8, 1, tzinfo=UTC), patience_seconds=1))
        connections.close_all()

    try:
        with holder.cursor() as holding:
            holding.execute(f"BEGIN; SELECT count(*) FROM {PARENT}")
            keeping = threading.Thread(target=keep)
            keeping.start()
            slowest_seconds = 0.0
            for number in range(60):
                at_seconds = time.monotonic()
                send(
                    tenant.id,
                    [message(f"meanwhile-{number}", "u1", LONG_AFTER)],
                    now=LONG_AFTER,
                )
                slowest_seconds = max(slowest_seconds, time.monotonic() - at_seconds)
                time.sleep(0.02)
            assert keeping.is_alive()
            holding.execute("COMMIT")
            keeping.join()
    finally:
        holder.close()
    assert slowest_seconds < 2
    assert made[0].made == [f"{PARENT}_2028_01", f"{PARENT}_2028_02"]


def test_two_at_once_do_it_once() -> None:
    one_event("old")
    results: list[KeptPartitions] = []
    start = threading.Barrier(3)

    def keep() -> None:
        start.wait()
        results.append(keep_partitions(now=LONG_AFTER))
        connections.close_all()

    runs = [threading.Thread(target=keep) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(results) == 3
    dropped = [name for each in results for name in each.dropped]
    assert sorted(dropped) == sorted([f"{PARENT}_before", f"{PARENT}_2026_01", f"{PARENT}_2026_02"])


@pytest.mark.one_node
def test_a_killed_run_is_continued() -> None:
    """Killed with -9 while it waits, half detached; the next run finishes it."""
    one_event("old")
    reader = connections[OWNER].copy(OWNER)
    program = (
        "import django; django.setup()\n"
        "from datetime import datetime\n"
        "from metering.retention.services.keep_partitions import keep_partitions\n"
        f"keep_partitions(now=datetime.fromisoformat({LONG_AFTER.isoformat()!r}))\n"
    )
    try:
        with reader.cursor() as reading:
            reading.execute(f"BEGIN; SELECT count(*) FROM {PARENT}")
            killed = subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=Path(settings.BASE_DIR),
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
            )
            _wait_until(_half_detached)
            killed.kill()
            killed.wait()
            reading.execute("COMMIT")
    finally:
        reader.close()

    def finished() -> bool:
        return not keep_partitions(now=LONG_AFTER).is_busy and names()[0] == "2026_03"

    _wait_until(finished)
    assert rows_of(PARENT) == 0
    assert rows_of("metering_event_identity") == 0


def _half_detached() -> bool:
    with connections[OWNER].cursor() as execution:
        execution.execute("SELECT count(*) FROM pg_inherits WHERE inhdetachpending")
        return bool(execution.fetchone()[0])


def _wait_until(holds: Any, *, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.1)


def test_the_command_tells_what_it_did() -> None:
    out = io.StringIO()
    with clock.moved_to(datetime(2027, 8, 1, tzinfo=UTC)):
        call_command("keep_partitions", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert told["made"] == [f"{PARENT}_2028_01", f"{PARENT}_2028_02"]
    assert told["waiting"] == {}
    assert told["busy"] is False


def test_the_page_tells_what_there_is_and_what_goes_next() -> None:
    one_event("old")
    keep_partitions(now=LONG_AFTER)
    with system_scope(purpose="test"):
        rows = partition_rows(limit=100, offset=0)
        state = retention_state()
        person = User.objects.create_user(
            "operations@summit.test", "x", staff_role=StaffRole.OPERATIONS
        )
        with cursor() as execution:
            assert partitions_of(execution)[0].name == f"{PARENT}_2026_03"
    assert state.next_name == f"{PARENT}_2026_03"
    assert state.next_on == date(2026, 4, 1) + KEPT
    assert state.forgotten_until == datetime(2026, 3, 1, tzinfo=UTC)
    assert [row.name for row in rows if row.dropped_at] == [
        f"{PARENT}_2026_02",
        f"{PARENT}_2026_01",
        f"{PARENT}_before",
    ]
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.get("/console/partitions/?limit=100")
    assert answer.status_code == 200
    shown = answer.content.decode()
    assert f"{PARENT}_2026_03" in shown
    assert f"{PARENT}_2026_02" in shown
