"""Ingest: each event once, whatever is sent, however often, by however many at a time."""

import random
import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from kernel.errors import NotFound
from metering.ingest.models import Batch, EventIdentity, RejectedEvent
from metering.queries import rejected_events
from metering.services import ingest_events
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import at, codes, message, send, stored_events
from work.connections import DEFAULT, OWNER
from work.models import Job

pytestmark = pytest.mark.usefixtures("db")


def counts() -> tuple[int, int]:
    """Stored identities and events."""
    with system_scope(purpose="test"):
        return EventIdentity.objects.count(), len(stored_events())


def test_an_event_is_stored_once_and_then_a_duplicate() -> None:
    tenant = a_tenant()
    events = [message("1"), message("2", "u2")]

    first = send(tenant.id, events)
    again = send(tenant.id, events, now=NOW + timedelta(days=20))

    assert (first.accepted, first.duplicates, list(first.rejected)) == (2, 0, [])
    assert (again.accepted, again.duplicates, list(again.rejected)) == (0, 2, [])
    assert counts() == (2, 2)
    with system_scope(purpose="test"):
        batch = Batch.objects.get()
        assert (batch.tenant_id, batch.events, batch.received_at) == (tenant.id, 2, NOW)
        event = stored_events()[1]
        assert (event.app_id, event.source, event.type) == (
            tenant.apps[0].id,
            "sdk",
            "message.sent",
        )
        # NOW is midnight UTC: 8 in the morning in Shanghai.
        assert (event.occurred_at, event.received_at, str(event.day)) == (NOW, NOW, "2026-03-01")


def test_a_known_identity_is_looked_up_before_anything_else() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1")])

    for later in (
        timedelta(seconds=1),
        timedelta(hours=25),
        timedelta(days=33),
        timedelta(days=399),
    ):
        resent = send(tenant.id, [message("1")], now=NOW + later)
        assert (resent.duplicates, list(resent.rejected)) == (1, []), later
    late = NOW + timedelta(days=399)
    changed = [
        message("1", "u2"),
        message("1", time="2026-03-01T00:00:01Z"),
        message("1", count=0),
        message("1", app="nobody's"),
        message("1", type="message.read"),
    ]
    for event in changed:
        assert codes(send(tenant.id, [event], now=late)) == [(0, "conflicting_duplicate")]
    assert counts() == (1, 1)


def test_another_source_is_another_event() -> None:
    tenant = a_tenant()
    result = send(tenant.id, [message("1"), message("1", source="other")])
    assert result.accepted == 2


def test_repeats_within_one_call() -> None:
    tenant = a_tenant()
    result = send(tenant.id, [message("1"), message("1"), message("1", "u2"), message("2")])
    assert (result.accepted, result.duplicates) == (2, 1)
    assert codes(result) == [(2, "conflicting_duplicate")]
    # Of two contents for a known identity, the one that was accepted counts, not the first sent.
    result = send(tenant.id, [message("1", "u2"), message("1")])
    assert (result.accepted, result.duplicates) == (0, 1)
    assert codes(result) == [(0, "conflicting_duplicate")]


def test_one_bad_event_never_rejects_its_neighbours() -> None:
    tenant = a_tenant()
    events: list[object] = [message(str(n)) for n in range(1000)]
    events[500] = message("bad", count=-1)

    result = send(tenant.id, events)

    assert result.accepted == 999
    assert [(item.index, item.id, item.code) for item in result.rejected] == [
        (500, "bad", "bad_count")
    ]
    again = send(tenant.id, events)
    assert (again.accepted, again.duplicates, len(again.rejected)) == (0, 999, 1)
    # A rejected event leaves no identity: mended, it is taken.
    assert send(tenant.id, [message("bad", count=1)]).accepted == 1


def test_age_is_checked_to_the_second_unless_staff_import() -> None:
    tenant = a_tenant()
    oldest, newest = NOW - timedelta(days=35), NOW + timedelta(minutes=5)
    second = timedelta(seconds=1)
    result = send(
        tenant.id,
        [
            message("1", time=oldest),
            message("2", time=oldest - second),
            message("3", time=newest),
            message("4", time=newest + second),
        ],
    )
    assert result.accepted == 2
    assert codes(result) == [(1, "event_too_old"), (3, "event_in_future")]
    imported = send(tenant.id, [message("2", time=oldest - second)], check_age=False)
    assert imported.accepted == 1


def test_anothers_app_is_as_unknown_as_none() -> None:
    tenant = a_tenant()
    a_tenant("globex", apps=("theirs",))

    result = send(tenant.id, [message("1", app="theirs"), message("2", app="nowhere")])

    assert codes(result) == [(0, "unknown_app"), (1, "unknown_app")]
    details = [item.detail for item in result.rejected]
    assert details[0].replace("theirs", "*") == details[1].replace("nowhere", "*")
    # The same holds where the scope shows everybody's apps.
    with system_scope(purpose="test"):
        seen = ingest_events(tenant_id=tenant.id, events=[message("1", app="theirs")], now=NOW)
    assert codes(seen) == [(0, "unknown_app")]


def test_a_scope_takes_in_events_of_its_tenant_only() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    with tenant_scope(tenant.id), pytest.raises(NotFound):
        ingest_events(tenant_id=other.id, events=[message("1", app="theirs")], now=NOW)


def test_the_same_event_of_two_tenants_is_two_events() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    assert send(tenant.id, [message("1")]).accepted == 1
    assert send(other.id, [message("1", app="theirs")]).accepted == 1


def test_a_refused_event_is_kept_for_its_tenant_to_see() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    send(tenant.id, [message("7", "planted-user", count=0), 5])

    with tenant_scope(tenant.id):
        second, first = sorted(rejected_events(), key=lambda row: row.event_id)
        assert (second.code, second.content) == ("bad_event", None)
        assert (first.code, first.source, first.event_id, first.subject) == (
            "bad_count",
            "sdk",
            "7",
            "chat",
        )
        assert first.content is not None
        assert first.content["data"]["count"] == 0
        assert first.received_at == NOW
    with tenant_scope(other.id):
        assert rejected_events() == []


def test_end_users_ids_are_nowhere_in_the_database() -> None:
    tenant = a_tenant()
    planted = "planted-" + secrets.token_hex(8)
    send(
        tenant.id,
        [
            message("1", planted),
            message("2", planted, app="nowhere"),
            message("3", planted, time=NOW - timedelta(days=99)),
            message("4", planted + "\x00"),
            message("1", planted, count=3),
            {**message("5", planted), "data": planted},
            {**message("6", planted), "note": planted},
        ],
    )
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(
                f'SELECT count(*) FROM "{table}" AS whole WHERE whole::text LIKE %s',
                [f"%{planted}%"],
            )
            assert cursor.fetchone() == (0,), table
    with system_scope(purpose="test"):
        assert len([each for each in stored_events() if each.user_hash]) == 2
        assert RejectedEvent.objects.count() == 5


def test_a_resend_is_known_after_the_hash_key_was_replaced() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1")])
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(hash_salt=secrets.token_bytes(32))
    assert send(tenant.id, [message("1")]).duplicates == 1
    assert codes(send(tenant.id, [message("1", "u2")])) == [(0, "conflicting_duplicate")]


def test_odd_texts_are_kept_as_they_are() -> None:
    tenant = a_tenant()
    ids = ['a"b', "c\\d", "{e,f}", "NULL", "null", "'; --", "消息-é-😀", " spaced ", "%s"]
    assert send(tenant.id, [message(each, each) for each in ids]).accepted == len(ids)
    with system_scope(purpose="test"):
        assert [each.event_id for each in stored_events()] == sorted(ids)
    assert send(tenant.id, [message(each, each) for each in ids]).duplicates == len(ids)


def test_the_roll_up_is_asked_for_in_the_same_transaction() -> None:
    tenant = a_tenant()

    class Torn(Exception):
        pass

    def torn() -> None:
        with tenant_scope(tenant.id):
            ingest_events(tenant_id=tenant.id, events=[message("1")], now=NOW)
            raise Torn

    with pytest.raises(Torn):
        torn()
    with system_scope(purpose="test"):
        assert Job.objects.count() == 0
    assert counts() == (0, 0)

    send(tenant.id, [message("1")])
    send(tenant.id, [message("1")])
    with system_scope(purpose="test"):
        assert Job.objects.filter(kind="metering.roll_up", tenant_id=tenant.id).count() == 1


@pytest.mark.parametrize("faulty", [False, True])
def test_the_number_of_statements_does_not_grow_with_the_events(faulty: bool) -> None:
    tenant = a_tenant()
    statements = []
    for size in (10, 900):
        events = [message(f"{size}-{n}", f"u{n}") for n in range(size)]
        events += [message(f"{size}-0", "u0"), message(f"{size}-1", "x")] * (size // 10)
        if faulty:
            events += [message(f"{size}-bad-{n}", count=0) for n in range(size // 2)]
        with CaptureQueriesContext(connections[DEFAULT]) as captured:
            send(tenant.id, events)
        statements.append(len(captured))
    assert statements[0] == statements[1] <= 10


def test_many_senders_of_the_same_events_store_each_once() -> None:
    tenant = a_tenant()
    pool = [message(str(n), f"u{n % 50}", at("2026-02-20T12:00:00Z")) for n in range(2000)]
    accepted: list[int] = []
    faults: list[BaseException] = []

    def sender(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(6):
                events: list[Any] = chance.sample(pool, 700)
                accepted.append(send(tenant.id, events).accepted)
        except BaseException as fault:  # noqa: BLE001  # told by the test below
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sender, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    stored = counts()
    assert stored[0] == stored[1] == sum(accepted) <= 2000
    assert send(tenant.id, pool).accepted == 2000 - stored[0]


def test_a_mistake_repeated_for_ever_fills_no_table() -> None:
    tenant = a_tenant()
    for day in range(3):
        ahead = message("3", time=NOW + timedelta(days=9))
        events = [message("1", count=0), message("2", count=0), ahead, 5]
        assert len(send(tenant.id, events, now=NOW + timedelta(day)).rejected) == 4
    with system_scope(purpose="test"):
        assert RejectedEvent.objects.count() == 4


def test_two_who_are_refused_the_same_events_do_not_deadlock() -> None:
    tenant = a_tenant()
    refused = [message(str(n), app="nobody's") for n in range(3000)]
    together = threading.Barrier(2)

    def sender(events: Sequence[object]) -> int:
        try:
            together.wait()
            return len(send(tenant.id, events).rejected)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(sender, (refused, refused[::-1]))) == [3000, 3000]
    with system_scope(purpose="test"):
        assert RejectedEvent.objects.count() == 3000
