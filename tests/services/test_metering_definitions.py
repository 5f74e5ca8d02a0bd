"""Meters of the operator: defined as data, previewed, versioned, rolled up and billed like the others."""

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections

from kernel.errors import Conflict, DomainError, Invalid
from metering.meters.domain.definition import read_definition
from metering.meters.models import MeterDefinition
from metering.queries import (
    UserDays,
    different_users,
    find_meter,
    known_meters,
    previewed_usage,
    usage,
    usage_differences,
)
from metering.services import LoadedMeter, load_meters, rebuild_usage, roll_up_pending
from tenants.scope import system_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import codes, message, send
from work.commands import CommandFault
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

EVER: dict[str, Any] = {"from_day": date(1970, 1, 1), "to_day": date(2200, 1, 1)}
EU_ACTIVE: dict[str, Any] = {
    "key": "eu_active",
    "event_types": ["message.sent"],
    "filter": {"region": ["eu"]},
    "aggregation": "distinct",
    "effective_from": "2026-03-03",
}
CALLS: dict[str, Any] = {
    "key": "call_minutes",
    "event_types": ["call.ended"],
    "aggregation": "sum",
    "quantity": "value",
    "dimensions": ["kind"],
    "effective_from": "2026-03-03",
}
DEVICES: dict[str, Any] = {
    "key": "devices",
    "event_types": ["user.login"],
    "aggregation": "distinct",
    "identity": "user_device",
    "effective_from": "2026-03-03",
}
LATER = datetime(2026, 3, 6, tzinfo=UTC)


def load(*documents: dict[str, Any], now: datetime = NOW) -> list[LoadedMeter]:
    with system_scope(purpose="test"):
        return load_meters(documents=documents, now=now, actor="test")


def values_of(tenant_id: UUID, meter: str) -> dict[tuple[str, date], Decimal]:
    with system_scope(purpose="test"):
        rows = usage(tenant_ids=[tenant_id], meters=[meter], **EVER)
    return {(row.kind, row.day): row.value for row in rows}


def test_a_defined_meter_counts_from_its_day_on_like_the_others() -> None:
    tenant = a_tenant()
    assert load(EU_ACTIVE, CALLS, DEVICES)[0] == LoadedMeter(
        key="eu_active", version=1, created=True
    )
    call = message("c1", time="2026-03-04T09:00:00+08:00", type="call.ended", kind="video")
    call["data"] = {"value": "12.5", "kind": "video"}
    sent = [
        message("1", "a", "2026-03-02T09:00:00+08:00", region="eu"),
        message("2", "a", "2026-03-03T09:00:00+08:00", region="eu"),
        message("3", "b", "2026-03-03T09:00:00+08:00", region="us"),
        message("4", "b", "2026-03-04T09:00:00+08:00", region="eu"),
        message("5", "a", "2026-03-04T09:30:00+08:00", region="eu"),
        call,
        {**call, "id": "c2"},
        *(
            message(f"l{n}", user, "2026-03-04T10:00:00+08:00", type="user.login", device=device)
            for n, (user, device) in enumerate(
                [("a", "phone"), ("a", "desk"), ("a", "phone"), ("b", "phone")]
            )
        ),
        # A login need not tell a device: then it is none that could be told apart.
        message("l9", "c", "2026-03-04T10:00:00+08:00", type="user.login"),
    ]
    assert send(tenant.id, sent, now=LATER).rejected == []
    roll_up_pending(now=LATER)
    third, fourth = date(2026, 3, 3), date(2026, 3, 4)
    assert values_of(tenant.id, "eu_active") == {("", third): 1, ("", fourth): 2}
    assert values_of(tenant.id, "call_minutes") == {("video", fourth): 25}
    assert values_of(tenant.id, "devices") == {("", fourth): 3}
    with system_scope(purpose="test"):
        assert usage_differences(**EVER) == []
        assert rebuild_usage(tenant_id=tenant.id, now=LATER, **EVER).changed == 0
        counted = different_users(
            asked=[
                UserDays(
                    tenant_id=tenant.id,
                    meter="eu_active",
                    stretches=((date(2026, 3, 1), date(2026, 4, 1)),),
                )
            ]
        )
    assert {each.app_id: each.users for each in counted} == {tenant.apps[0].id: 2, None: 2}


def test_types_that_no_meter_names_are_refused_and_those_of_a_new_one_are_not() -> None:
    tenant = a_tenant()
    event = message("1", type="call.ended")
    assert codes(send(tenant.id, [event])) == [(0, "unknown_type")]
    load(CALLS)
    # A type of its own needs what its meter reads.
    assert codes(send(tenant.id, [event])) == [(0, "bad_value")]


def test_versions_are_immutable_and_hold_from_their_days() -> None:
    tenant = a_tenant()
    load(EU_ACTIVE)
    assert load(EU_ACTIVE) == [LoadedMeter(key="eu_active", version=1, created=False)]
    wider = {**EU_ACTIVE, "filter": {"region": ["eu", "us"]}, "effective_from": "2026-03-05"}
    assert load(wider) == [LoadedMeter(key="eu_active", version=2, created=True)]
    send(
        tenant.id,
        [
            message(f"{day}", "b", f"2026-03-0{day}T09:00:00+08:00", region="us")
            for day in (3, 4, 5)
        ],
        now=LATER,
    )
    roll_up_pending(now=LATER)
    assert values_of(tenant.id, "eu_active") == {("", date(2026, 3, 5)): 1}
    with system_scope(purpose="test"):
        assert [each.number for each in find_meter("eu_active").versions] == [1, 2]
    for statement in (
        "UPDATE metering_meter_definition SET number = 9",
        "DELETE FROM metering_meter_definition",
    ):
        with connections[OWNER].cursor() as cursor, pytest.raises(IntegrityError):
            cursor.execute(statement)


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"effective_from": "2026-03-01"}, Invalid, "begins_too_early"),
        ({"effective_from": "2026-03-03", "filter": {}}, Invalid, "begins_too_early"),
        ({"effective_from": "2026-04-01", "identity": "device"}, Conflict, "meter_means_other"),
        ({"effective_from": "2026-04-01", "zone": "utc"}, Conflict, "meter_means_other"),
        ({"key": "dau"}, Invalid, "meter_key_taken"),
    ],
)
def test_what_would_count_a_day_twice_or_mean_something_else_is_refused(
    changes: dict[str, Any], kind: type[DomainError], code: str
) -> None:
    load(EU_ACTIVE)
    with pytest.raises(kind) as caught:
        load({**EU_ACTIVE, **changes})
    assert caught.value.code == code
    assert MeterDefinition.objects.count() == 1


def test_the_same_key_twice_in_one_file_loads_nothing() -> None:
    with pytest.raises(Invalid) as caught:
        load(EU_ACTIVE, EU_ACTIVE)
    assert caught.value.code == "duplicate_key"
    assert list(known_meters()) == list(known_meters())[:9]


def test_a_meter_is_previewed_against_stored_events_before_it_is_loaded() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    send(
        tenant.id,
        [
            message("1", "a", "2026-02-20T23:30:00+08:00", region="eu"),
            message("2", "b", "2026-02-21T09:00:00+08:00", region="eu"),
            message("3", "a", "2026-02-21T02:00:00+08:00", region="eu"),
            message("4", "c", "2026-02-21T09:00:00+08:00", region="us"),
            message("5", "d", "2026-02-21T09:00:00+08:00", region="eu", app="push"),
        ],
    )
    chat = tenant.apps[0].id

    def previewed(**changes: Any) -> list[tuple[date, int]]:
        with system_scope(purpose="test"):
            rows = previewed_usage(
                meter=read_definition({**EU_ACTIVE, **changes}).meter,
                tenant_id=tenant.id,
                app_id=chat,
                from_day=date(2026, 2, 20),
                to_day=date(2026, 2, 23),
            )
        return [(row.day, int(row.value)) for row in rows]

    twentieth = date(2026, 2, 20)
    following = twentieth + timedelta(days=1)
    assert previewed() == [(twentieth, 1), (following, 2)]
    # 02:00 on the 21st in Shanghai is still the 20th in UTC.
    assert previewed(zone="utc") == [(twentieth, 1), (following, 1)]
    assert previewed(filter={}) == [(twentieth, 1), (following, 3)]
    assert values_of(tenant.id, "dau") == {}
    with pytest.raises(Invalid), system_scope(purpose="test"):
        previewed_usage(
            meter=find_meter("dau"),
            tenant_id=tenant.id,
            app_id=chat,
            from_day=twentieth,
            to_day=date(2026, 12, 1),
        )


def test_days_in_utc_are_counted_across_local_midnights() -> None:
    tenant = a_tenant()
    load({**EU_ACTIVE, "key": "utc_active", "zone": "utc", "filter": {}})
    send(
        tenant.id,
        [
            message("1", "a", "2026-03-04T07:59:59+08:00"),
            message("2", "a", "2026-03-04T08:00:00+08:00"),
        ],
        now=LATER,
    )
    roll_up_pending(now=LATER)
    assert values_of(tenant.id, "utc_active") == {
        ("", date(2026, 3, 3)): 1,
        ("", date(2026, 3, 4)): 1,
    }
    with system_scope(purpose="test"):
        assert usage_differences(**EVER) == []


def test_the_commands_load_and_preview(tmp_path: Path) -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", "2026-02-21T09:00:00+08:00", region="eu")])
    file = tmp_path / "meters.json"
    file.write_text(json.dumps(EU_ACTIVE), encoding="utf-8")
    printed = io.StringIO()
    call_command(
        "preview_meter",
        str(file),
        *("--app", "chat", "--from", "2026-02-20", "--to", "2026-02-23", "--json"),
        stdout=printed,
    )
    assert json.loads(printed.getvalue())["days"] == [
        {"day": "2026-02-21", "dimensions": "", "value": "1"}
    ]
    file.write_text(json.dumps({"meters": [{**EU_ACTIVE, "aggregation": "mean"}]}))
    with pytest.raises(CommandFault) as caught:
        call_command("load_meters", str(file), "--json")
    assert caught.value.code == "bad_meter"
    assert MeterDefinition.objects.count() == 0
