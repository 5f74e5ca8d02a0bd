"""Roll-up: exact, incremental, once, whoever runs it and wherever it breaks."""

import random
import re
import threading
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connections

from kernel.errors import Invalid
from metering.ingest.models import Batch
from metering.ingest.stored import EVENTS, events_of, groups_of
from metering.queries import recounted_usage, usage, usage_differences
from metering.rollup.models import ActiveUser, DailyUsage
from metering.services import close_days, rebuild_usage, roll_up, roll_up_pending, set_usage
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import NOW, a_tenant
from tests.services.metering_world import (
    as_counted,
    at,
    counted_by_hand,
    message,
    send,
    stored_usage,
)
from work import jobs
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

EVER: dict[str, Any] = {"from_day": date(1970, 1, 1), "to_day": date(2200, 1, 1)}


def keys(tenant: CreatedTenant) -> dict[str, UUID]:
    return {app.key: app.id for app in tenant.apps}


def some_events(seed: int, size: int, *, apps: tuple[str, ...] = ("chat",)) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    midnight = at("2026-02-20T00:00:00+08:00")
    return [
        message(
            f"{seed}-{n}",
            f"u{chance.randrange(30)}",
            # Many lie within microseconds of a local midnight.
            midnight
            + timedelta(days=chance.randrange(4))
            + timedelta(microseconds=chance.choice([-1, 0, 1, chance.randrange(86_400_000_000)])),
            app=chance.choice(apps),
            kind=chance.choice([None, "single", "group"]),
            count=chance.choice([None, 1, 5]),
            type=chance.choice(["message.sent", "message.sent", "user.active"]),
        )
        for n in range(size)
    ]


def test_users_count_once_a_local_day_and_messages_by_kind() -> None:
    tenant = a_tenant()
    app = tenant.apps[0].id
    send(
        tenant.id,
        [
            message("1", "a", "2026-02-28T15:59:59.999999Z", kind="single"),
            message("2", "a", "2026-02-28T16:00:00Z", kind="group", count=3),
            message("3", "b", "2026-02-28T16:00:00Z", kind="group"),
            message("4", "b", "2026-02-28T17:00:00Z"),
            message("5", "c", "2026-02-28T17:00:00Z", type="user.active", count=9),
        ],
    )
    folded = roll_up_pending(now=NOW)
    assert (folded.batches, folded.events) == (1, 5)
    february, march = date(2026, 2, 28), date(2026, 3, 1)
    assert stored_usage(tenant.id) == {
        (app, "dau", "", february): 1,
        (app, "messages", "single", february): 1,
        (app, "dau", "", march): 3,
        (app, "messages", "group", march): 4,
        (app, "messages", "", march): 1,
    }


@pytest.mark.parametrize("seed", range(4))
def test_increments_equal_a_count_by_hand_and_a_recount(seed: int) -> None:
    tenant = a_tenant(apps=("chat", "push"))
    events = some_events(seed, 400, apps=("chat", "push"))
    chance = random.Random(seed)
    rest = list(events)
    while rest:
        size = chance.randrange(1, 60)
        send(tenant.id, rest[:size] + chance.sample(events, 5))
        del rest[:size]
        if chance.random() < 0.5:
            roll_up_pending(now=NOW)
    roll_up_pending(now=NOW)

    by_hand = counted_by_hand(events, zone="Asia/Shanghai", apps=keys(tenant))
    assert stored_usage(tenant.id) == by_hand
    with system_scope(purpose="test"):
        recount = recounted_usage(tenant_ids=[tenant.id], **EVER)
        assert as_counted(recount) == by_hand
        assert recount == usage(tenant_ids=[tenant.id], meters=["dau", "messages"], **EVER)


def test_a_batch_is_folded_once_and_nothing_is_left() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1")])
    assert roll_up_pending(now=NOW).batches == 1
    assert roll_up_pending(now=NOW).batches == 0
    with system_scope(purpose="test"):
        assert Batch.objects.get().rolled_up_at == NOW


def test_the_job_that_ingest_asks_for_folds() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1")])
    send(tenant.id, [message("2")])
    summary = jobs.run_pending(now=NOW, kinds=["metering.roll_up"])
    assert (summary.done, summary.parked) == (2, [])
    assert set(stored_usage(tenant.id).values()) == {Decimal(1), Decimal(2)}


def test_steps_are_bounded_by_events_and_may_be_for_some_tenants() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    for n in range(5):
        send(tenant.id, [message(f"{n}-{each}") for each in range(10)])
    send(other.id, [message("1", app="theirs")])
    with system_scope(purpose="test"):
        assert roll_up(now=NOW, tenant_ids=[tenant.id], most_events=25).batches == 2
    with system_scope(purpose="test"):
        assert roll_up(now=NOW, tenant_ids=[tenant.id], most_events=1).batches == 1
    assert roll_up_pending(now=NOW, tenant_ids=[tenant.id]).batches == 2
    assert stored_usage(other.id) == {}
    assert roll_up_pending(now=NOW).batches == 1


def test_several_runners_fold_each_batch_once() -> None:
    """They share the batches among themselves; what is counted is what one runner counts."""
    tenants = [a_tenant(f"t{n}", apps=(f"app-{n}",)) for n in range(6)]
    events = {
        tenant.id: some_events(seed=n, size=120, apps=(f"app-{n}",))
        for n, tenant in enumerate(tenants)
    }
    for tenant_id, own in events.items():
        for start in range(0, len(own), 40):
            send(tenant_id, own[start : start + 40], check_age=False)
    folded = roll_up_pending(now=NOW, runners=3)
    assert (folded.batches, folded.events) == (18, 720)
    for tenant in tenants:
        assert stored_usage(tenant.id) == counted_by_hand(
            events[tenant.id], zone="Asia/Shanghai", apps=keys(tenant)
        )
    assert roll_up_pending(now=NOW, runners=3).batches == 0


def test_events_that_the_version_before_left_pending_are_counted() -> None:
    """They lie one a row."""
    tenant = a_tenant()
    events = some_events(seed=9, size=80)
    send(tenant.id, events, check_age=False)
    with connections[OWNER].cursor() as execution:
        # As the version before wrote them.
        execution.execute(
            f"INSERT INTO metering_event SELECT * FROM (SELECT {_COLUMNS} FROM {EVENTS} AS event) AS e"
        )
        execution.execute("DELETE FROM metering_event_group")
    roll_up_pending(now=NOW)
    assert stored_usage(tenant.id) == counted_by_hand(
        events, zone="Asia/Shanghai", apps=keys(tenant)
    )


_COLUMNS = (
    "tenant_id, received_at, batch_id, position, app_id, source, event_id, type, occurred_at, day,"
    " user_hash, kind, count, device_hash, value"
)


def test_a_fold_looks_at_its_own_batches_alone() -> None:
    """However much is stored: what others wrote is not unfolded."""
    tenant = a_tenant()
    send(tenant.id, some_events(seed=1, size=500), check_age=False)
    roll_up_pending(now=NOW)
    send(tenant.id, [message("one more", "u-new")], now=NOW + timedelta(minutes=1))
    counting = f"""
        WITH claimed AS MATERIALIZED (
            SELECT tenant_id, id AS batch_id, received_at FROM metering_batch
             WHERE rolled_up_at IS NULL
        ), lying AS MATERIALIZED {groups_of("claimed", within="true")}
        SELECT count(*) FROM {events_of("claimed", groups="lying")} AS event
        """
    with connections[OWNER].cursor() as execution:
        execution.execute(counting)
        assert execution.fetchone() == (1,)
        execution.execute(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {counting}")
        plan = "\n".join(line for (line,) in execution.fetchall())
    unfolded = [
        int(float(found)) for found in re.findall(r"Function Scan on own .*?rows=([\d.]+)", plan)
    ]
    assert unfolded == [1]


def test_a_step_that_breaks_leaves_nothing_behind() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1")])

    class Killed(Exception):
        pass

    def killed() -> None:
        with system_scope(purpose="test"):
            roll_up(now=NOW)
            raise Killed

    with pytest.raises(Killed):
        killed()
    assert stored_usage(tenant.id) == {}
    roll_up_pending(now=NOW)
    assert set(stored_usage(tenant.id).values()) == {Decimal(1)}


def test_many_runners_beside_many_senders_and_a_close() -> None:
    tenants = [a_tenant(f"t{n}", apps=(f"chat{n}",)) for n in range(3)]
    sent: dict[int, list[dict[str, Any]]] = {}
    faults: list[BaseException] = []
    stop = threading.Event()

    def guarded(work: Any) -> None:
        try:
            work()
        except BaseException as fault:  # noqa: BLE001  # told by the test below
            faults.append(fault)
        finally:
            connections.close_all()

    def sender(index: int) -> None:
        events = some_events(index, 600, apps=(f"chat{index}",))
        sent[index] = events
        for start in range(0, 600, 20):
            send(tenants[index].id, events[start : start + 20])

    def runner() -> None:
        while not stop.is_set():
            roll_up_pending(now=NOW)

    def closer() -> None:
        for day in range(21, 25):
            with system_scope(purpose="test"):
                close_days(now=NOW, until=date(2026, 2, day))
            stop.wait(0.1)

    runners = [threading.Thread(target=guarded, args=(runner,)) for _ in range(3)]
    senders = [
        threading.Thread(target=guarded, args=(lambda index=index: sender(index),))
        for index in range(3)
    ]
    closers = [threading.Thread(target=guarded, args=(closer,))]
    for thread in (*runners, *senders, *closers):
        thread.start()
    for thread in (*senders, *closers):
        thread.join()
    stop.set()
    for thread in runners:
        thread.join()
    roll_up_pending(now=NOW)

    assert faults == []
    for index, tenant in enumerate(tenants):
        by_hand = counted_by_hand(sent[index], zone="Asia/Shanghai", apps=keys(tenant))
        assert stored_usage(tenant.id) == by_hand


def test_rebuilding_gives_equal_rows_and_mends_what_is_wrong() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    send(tenant.id, some_events(1, 300, apps=("chat", "push")))
    roll_up_pending(now=NOW)
    before = stored_usage(tenant.id)

    def rebuild() -> tuple[int, int]:
        with system_scope(purpose="test"):
            rebuilt = rebuild_usage(tenant_id=tenant.id, now=NOW, **EVER)
        return rebuilt.changed, rebuilt.corrected

    def differences() -> set[tuple[UUID, str, str, date]]:
        with system_scope(purpose="test"):
            rows = usage_differences(**EVER, most=100)
            assert rows == usage_differences(**EVER, most=100, tenant_ids=[tenant.id])
        return {(row.app_id, row.meter, row.kind, row.day) for row in rows}

    assert rebuild() == (0, 0)
    assert differences() == set()
    with system_scope(purpose="test"):
        ActiveUser.objects.all().delete()
        DailyUsage.objects.filter(meter="dau").delete()
        spoiled = DailyUsage.objects.filter(kind="group").update(value=7777)
    assert differences() == {key for key in before if key[1] == "dau" or key[2] == "group"}
    lost = sum(1 for key in before if key[1] == "dau")
    changed, corrected = rebuild()
    assert (changed, corrected) == (lost + spoiled, 0)
    assert stored_usage(tenant.id) == before
    # The marks are there again: the same users are not counted a second time.
    send(tenant.id, [{**event, "id": "again-" + event["id"]} for event in some_events(1, 300)])
    roll_up_pending(now=NOW)
    assert rebuild() == (0, 0)


def test_rebuilding_a_closed_day_records_a_correction() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a"), message("2", "b")])
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        DailyUsage.objects.filter(meter="dau").update(value=5)
        close_days(now=NOW + timedelta(days=2))
        rebuilt = rebuild_usage(tenant_id=tenant.id, now=NOW, **EVER)
    assert (rebuilt.changed, rebuilt.corrected) == (0, 1)
    assert stored_usage(tenant.id)[tenant.apps[0].id, "dau", "", date(2026, 3, 1)] == 2
    with system_scope(purpose="test"), pytest.raises(Invalid):
        rebuild_usage(
            tenant_id=tenant.id, from_day=date(2026, 3, 1), to_day=date(2026, 3, 1), now=NOW
        )


def test_rebuilding_leaves_what_people_corrected() -> None:
    tenant = a_tenant()
    app, day = tenant.apps[0].id, date(2026, 3, 1)
    send(tenant.id, [message("1", "a"), message("2", "b")])
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        close_days(now=NOW + timedelta(days=2))
        set_usage(
            tenant_id=tenant.id,
            app_id=app,
            meter="messages",
            day=day,
            value=Decimal(1),
            now=NOW,
            reason="a test message",
        )
        rebuilt = rebuild_usage(tenant_id=tenant.id, now=NOW, **EVER)
    assert (rebuilt.changed, rebuilt.corrected) == (0, 0)
    assert stored_usage(tenant.id)[app, "messages", "", day] == 1
    # A late event counts on top of it, with a recount and without.
    send(tenant.id, [message("3", "c")])
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        assert rebuild_usage(tenant_id=tenant.id, now=NOW, **EVER).corrected == 0
    assert stored_usage(tenant.id)[app, "messages", "", day] == 2


def test_a_day_can_be_set_outright_open_or_closed() -> None:
    tenant = a_tenant()
    app, day = tenant.apps[0].id, date(2026, 3, 1)

    def put(value: str) -> None:
        with system_scope(purpose="test"):
            set_usage(
                tenant_id=tenant.id,
                app_id=app,
                meter="dau",
                day=day,
                value=Decimal(value),
                now=NOW,
                reason="test",
            )

    for value in ("15000", "12.5"):
        put(value)
        assert stored_usage(tenant.id) == {(app, "dau", "", day): Decimal(value)}
    with system_scope(purpose="test"):
        close_days(now=NOW + timedelta(days=2))
    for value in ("20", "20", "0", "3"):
        put(value)
        expected = {} if value == "0" else {(app, "dau", "", day): Decimal(value)}
        assert stored_usage(tenant.id) == expected
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_correction")
        assert cursor.fetchone() == (3,)
    with pytest.raises(Invalid):
        put("-1")


def test_the_door_shows_what_was_asked_for() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    send(tenant.id, some_events(2, 200, apps=("chat", "push")))
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        rows = usage(
            tenant_ids=[tenant.id],
            meters=["messages"],
            from_day=date(2026, 2, 21),
            to_day=date(2026, 2, 23),
        )
        assert {row.day for row in rows} == {date(2026, 2, 21), date(2026, 2, 22)}
        assert {row.meter for row in rows} == {"messages"}
        assert rows == sorted(
            rows, key=lambda row: (row.tenant_id, row.app_id, row.meter, row.day, row.kind)
        )
        with pytest.raises(Invalid) as caught:
            usage(tenant_ids=[tenant.id], meters=["visits"], **EVER)
        assert caught.value.code == "unknown_meter"
        assert usage(tenant_ids=[], meters=["dau"], **EVER) == []
