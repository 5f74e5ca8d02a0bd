"""Requests of plain events: stored by columns, with the same outcome as event by event."""

import json
import random
import secrets
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections

from metering.ingest.domain.bodies import Media
from metering.ingest.domain.identity import digest_key, former_digest
from metering.ingest.domain.plain_events import plain_events
from metering.ingest.models import EventGroup, EventIdentity, EventKey
from metering.ingest.services.ingest_plain_events import ingest_plain_events
from metering.services import IngestResult, roll_up_pending
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import (
    codes,
    counted_by_hand,
    message,
    send,
    stored_events,
    stored_usage,
)
from work.connections import cursor

pytestmark = pytest.mark.usefixtures("db")


def send_plain(tenant_id: UUID, events: Sequence[dict[str, Any]]) -> IngestResult | None:
    body = b"\n".join(json.dumps(event).encode() for event in events)
    plain = plain_events(body, media=Media.LINES)
    assert plain is not None
    with tenant_scope(tenant_id):
        return ingest_plain_events(tenant_id=tenant_id, events=plain, now=NOW)


def varied(count: int, *, seed: int, app: str = "chat") -> list[dict[str, Any]]:
    """Events of several days, kinds, sources and dimensions."""
    chance = random.Random(seed)
    events = []
    for number in range(count):
        event = message(
            f"{seed}-{number}",
            f"u{chance.randrange(40)}",
            NOW - timedelta(minutes=chance.randrange(5 * 24 * 60)),
            app=app,
            kind=chance.choice(["single", "group", None]),
            count=chance.choice([None, 1, 3]),
            source=chance.choice(["a", "b"]),
            type=chance.choice(["message.sent", "user.active", "user.login"]),
        )
        if chance.random() < 0.3:
            event["data"]["direction"] = chance.choice(["up", "down"])
        events.append(event)
    return events


@pytest.mark.parametrize("count", [7, 600])
def test_both_ways_store_the_same(count: int) -> None:
    short, long = a_tenant(), a_tenant("globex", apps=("theirs",))
    first = send_plain(short.id, varied(count, seed=1))
    second = send(long.id, varied(count, seed=1, app="theirs"))
    assert first is not None
    assert (first.accepted, first.duplicates, len(first.rejected)) == (count, 0, 0)
    assert (second.accepted, second.duplicates, len(second.rejected)) == (count, 0, 0)
    with system_scope(purpose="test"):
        events = stored_events()
        sides = [
            [
                (
                    *(each.event_id, each.source, each.type, each.kind, each.count),
                    *(each.occurred_at, each.received_at, each.day),
                )
                for each in events
                if each.app_id == tenant.apps[0].id
            ]
            for tenant in (short, long)
        ]
        assert EventGroup.objects.filter(tenant_id=short.id).count() == (
            EventGroup.objects.filter(tenant_id=long.id).count()
        )
    assert sides[0] == sides[1]
    assert len(sides[0]) == count
    # And one sent the long way is known the short way, and the other way round.
    again = send(short.id, varied(count, seed=1))
    assert (again.duplicates, len(again.rejected)) == (count, 0)
    resent = send_plain(long.id, varied(count, seed=1, app="theirs"))
    assert resent is not None
    assert (resent.duplicates, len(resent.rejected)) == (count, 0)


def test_days_are_counted_as_by_hand() -> None:
    tenant = a_tenant()
    events = [event for event in varied(900, seed=3) if event["type"] != "user.login"]
    for event in events:
        event["data"].pop("direction", None)
    for start in range(0, len(events), 200):
        assert send_plain(tenant.id, events[start : start + 200]) is not None
    roll_up_pending(now=NOW)
    counted = counted_by_hand(events, zone="Asia/Shanghai", apps={"chat": tenant.apps[0].id})
    assert stored_usage(tenant.id) == counted


def test_some_known_and_some_changed_among_many_new() -> None:
    tenant = a_tenant()
    events = varied(300, seed=2)
    send_plain(tenant.id, events[:100])
    changed = [*events[:200]]
    changed[50] = {**events[50], "data": {**events[50]["data"], "user": "another"}}

    for _ in range(2):  # the second time this tenant is no longer expected to send news only
        result = send_plain(tenant.id, changed)
        assert result is not None
        assert codes(result) == [(50, "conflicting_duplicate")]
        assert result.accepted + result.duplicates == 199
    with system_scope(purpose="test"):
        assert len(stored_events()) == EventIdentity.objects.count() == 200
    final = send_plain(tenant.id, events)
    assert final is not None
    assert (final.accepted, final.duplicates) == (100, 200)


@pytest.mark.parametrize(
    "doubtful",
    [
        message("x", app="nobody's"),
        message("x", type="nobody.knows"),
        message("x", type="connections.measured"),
        message("x", time=NOW - timedelta(days=36)),
        message("x", time=NOW + timedelta(minutes=6)),
        message("0"),
    ],
)
def test_one_that_needs_a_look_leaves_all_untouched(doubtful: dict[str, Any]) -> None:
    tenant = a_tenant()
    assert send_plain(tenant.id, [message("0"), message("1"), doubtful]) is None
    with system_scope(purpose="test"):
        assert EventIdentity.objects.count() == 0


def test_many_senders_of_the_same_events_store_each_once() -> None:
    tenant = a_tenant()
    pool = varied(1500, seed=5)
    accepted: list[int] = []
    faults: list[BaseException] = []

    def sender(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(5):
                result = send_plain(tenant.id, chance.sample(pool, 400))
                accepted.append(0 if result is None else result.accepted)
        except BaseException as fault:  # noqa: BLE001  # told by the test below
            faults.append(fault)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sender, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    with system_scope(purpose="test"):
        assert len(stored_events()) == EventIdentity.objects.count() == sum(accepted)
    left = send_plain(tenant.id, pool)
    assert left is not None
    assert left.accepted == 1500 - sum(accepted)
    assert not left.rejected


def test_a_resend_is_known_after_the_hash_key_was_replaced() -> None:
    tenant = a_tenant()
    send_plain(tenant.id, [message("1"), message("2")])
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(hash_salt=secrets.token_bytes(32))
    result = send_plain(tenant.id, [message("1"), message("2", "another")])
    assert result is not None
    assert (result.duplicates, codes(result)) == (1, [(1, "conflicting_duplicate")])


def test_what_the_version_before_stored_is_known() -> None:
    tenant = a_tenant()
    key = digest_key(master_key=settings.SUMMIT_HASH_KEY.encode(), tenant_id=tenant.id)
    content = ("message.sent", "chat", NOW, "u1", "", 1, b"")
    former = bytes.fromhex(former_digest(key, *content))
    with tenant_scope(tenant.id):
        EventKey.objects.create(
            tenant_id=tenant.id, source="sdk", event_id="1", digest=former, received_at=NOW
        )
    for _ in range(2):
        result = send_plain(tenant.id, [message("1"), message("2")])
        assert result is not None
        assert result.duplicates >= 1
    assert codes(send(tenant.id, [message("1", "another")])) == [(0, "conflicting_duplicate")]
    # A process of that version does not store again what this one has stored.
    with tenant_scope(tenant.id), cursor() as execution:
        execution.execute(
            "INSERT INTO metering_event_key (tenant_id, source, event_id, digest, received_at)"
            " VALUES (%s, 'sdk', '2', %s, %s) ON CONFLICT DO NOTHING",
            [tenant.id, former, NOW],
        )
        assert execution.rowcount == 0
