"""The meters that come with Summit, from events to daily values: by dimensions, gauges, borrowed marks."""

import io
import itertools
import json
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command

from kernel.dimensions import canonical_dimensions
from kernel.errors import Invalid
from metering.meters.domain import METERS
from metering.queries import Granularity, shown_app, usage, usage_differences, usage_shown
from metering.services import close_days, rebuild_usage, roll_up_pending, set_usage
from tenants.scope import system_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import codes, message, send

pytestmark = pytest.mark.usefixtures("db")

EVER: dict[str, Any] = {"from_day": date(1970, 1, 1), "to_day": date(2200, 1, 1)}
DAY = date(2026, 2, 27)
MORNING = datetime(2026, 2, 27, 1, tzinfo=UTC)  # 09:00 in Shanghai


def gauge(event_id: str, type_: str, value: object, time: datetime, **properties: str) -> Any:
    event = message(event_id, time=time, type=type_)
    return {**event, "data": {"value": value, **properties}}


def values_of(tenant_id: UUID, meter: str) -> dict[tuple[str, date], Decimal]:
    with system_scope(purpose="test"):
        rows = usage(tenant_ids=[tenant_id], meters=[meter], **EVER)
    return {(row.kind, row.day): row.value for row in rows}


def test_messages_are_kept_by_kind_direction_region_and_deployment() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message("1", time=MORNING, kind="group", direction="up", count=3),
            message("2", time=MORNING, kind="group", direction="down", count=40),
            message("3", time=MORNING, region="eu", deployment="shared-1"),
            message("4", time=MORNING, deployment="shared-1", region="eu", count=2),
            message("5", time=MORNING, kind="group"),
        ],
    )
    roll_up_pending(now=NOW)
    assert values_of(tenant.id, "messages") == {
        ("group;direction=up", DAY): 3,
        ("group;direction=down", DAY): 40,
        (";deployment=shared-1;region=eu", DAY): 3,
        ("group", DAY): 1,
    }
    assert values_of(tenant.id, "dau") == {("", DAY): 1}


def test_a_login_counts_and_makes_the_user_active() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message("1", "a", MORNING, type="user.login", device="phone", region="eu"),
            message("2", "a", MORNING, type="user.login", device="desk", kind="sso"),
            message("3", "b", MORNING),
        ],
    )
    roll_up_pending(now=NOW)
    # Logins are not kept by kind.
    assert values_of(tenant.id, "logins") == {(";region=eu", DAY): 1, ("", DAY): 1}
    assert values_of(tenant.id, "dau") == values_of(tenant.id, "mau") == {("", DAY): 2}


def test_mau_has_the_days_of_dau_unless_set_by_itself() -> None:
    tenant = a_tenant()
    app = tenant.apps[0].id
    send(tenant.id, [message("1", "a", MORNING), message("2", "b", MORNING + timedelta(days=1))])
    roll_up_pending(now=NOW)
    with system_scope(purpose="test"):
        set_usage(
            tenant_id=tenant.id,
            app_id=app,
            meter="mau",
            day=DAY,
            value=Decimal(900),
            now=NOW,
            reason="test",
        )
    assert values_of(tenant.id, "mau") == {("", DAY): 900, ("", DAY + timedelta(days=1)): 1}
    assert values_of(tenant.id, "dau") == {("", DAY): 1, ("", DAY + timedelta(days=1)): 1}


READINGS = [
    ("1", "7", timedelta(hours=3)),
    ("2", "0", timedelta(hours=5)),
    ("3", "12.5", timedelta(hours=1)),
    ("4", "3", timedelta(hours=4)),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
@pytest.mark.parametrize("closed_after", [0, 1, 3, 4])
def test_a_gauge_is_right_in_whatever_order_its_readings_come(
    order: tuple[int, ...], closed_after: int
) -> None:
    tenant = a_tenant()
    for place, index in enumerate(order):
        if place == closed_after:
            with system_scope(purpose="test"):
                close_days(now=NOW)
        name, value, after = READINGS[index]
        send(
            tenant.id,
            [
                gauge(f"c{name}", "connections.measured", value, MORNING + after),
                gauge(f"s{name}", "storage.measured", value, MORNING + after),
            ],
        )
        roll_up_pending(now=NOW)
    assert values_of(tenant.id, "peak_connections") == {("", DAY): Decimal("12.5")}
    assert values_of(tenant.id, "storage") == {("", DAY): 0}
    with system_scope(purpose="test"):
        assert usage_differences(**EVER) == []
        assert rebuild_usage(tenant_id=tenant.id, now=NOW, **EVER).changed == 0


def test_of_two_readings_of_one_instant_the_later_arrival_holds() -> None:
    tenant = a_tenant()
    for place, value in enumerate(("5", "9", "2")):
        send(
            tenant.id,
            [gauge(f"{place}", "groups.measured", value, MORNING)],
            now=NOW + timedelta(seconds=place),
        )
    # The same two in one request: the order of the request.
    send(
        tenant.id,
        [gauge("a", "users.measured", 5, MORNING), gauge("b", "users.measured", 4, MORNING)],
    )
    roll_up_pending(now=NOW)
    assert values_of(tenant.id, "groups") == {("", DAY): 2}
    assert values_of(tenant.id, "registered_users") == {("", DAY): 4}


def test_a_gauge_that_was_set_holds_until_something_newer_or_higher() -> None:
    tenant = a_tenant()
    for meter in ("storage", "peak_connections"):
        with system_scope(purpose="test"):
            set_usage(
                tenant_id=tenant.id,
                app_id=tenant.apps[0].id,
                meter=meter,
                day=DAY,
                value=Decimal(50),
                now=MORNING,
                reason="test",
            )
    send(
        tenant.id,
        [
            gauge("1", "storage.measured", 60, MORNING - timedelta(hours=1)),
            gauge("2", "connections.measured", 40, MORNING + timedelta(hours=1)),
        ],
    )
    roll_up_pending(now=NOW)
    assert values_of(tenant.id, "storage") == {("", DAY): 50}
    assert values_of(tenant.id, "peak_connections") == {("", DAY): 50}
    send(
        tenant.id,
        [
            gauge("3", "storage.measured", 10, MORNING + timedelta(hours=1)),
            gauge("4", "connections.measured", 70, MORNING - timedelta(hours=1)),
        ],
    )
    roll_up_pending(now=NOW)
    assert values_of(tenant.id, "storage") == {("", DAY): 10}
    assert values_of(tenant.id, "peak_connections") == {("", DAY): 70}


def test_a_gauge_of_a_closed_day_that_was_set_stays_so_after_a_recount() -> None:
    tenant = a_tenant()
    for place, (kind, value) in enumerate([("storage.measured", 60), ("connections.measured", 40)]):
        send(tenant.id, [gauge(f"{place}", kind, value, MORNING)])
    later = NOW + timedelta(days=2)
    with system_scope(purpose="test"):
        close_days(now=later)
        for meter in ("storage", "peak_connections"):
            set_usage(
                tenant_id=tenant.id,
                app_id=tenant.apps[0].id,
                meter=meter,
                day=DAY,
                value=Decimal(50),
                now=later,
                reason="measured twice",
            )
        rebuilt = rebuild_usage(
            tenant_id=tenant.id, from_day=DAY, to_day=DAY + timedelta(days=1), now=later
        )
    assert (rebuilt.changed, rebuilt.corrected) == (0, 0)
    send(
        tenant.id,
        [
            gauge("late-1", "storage.measured", 99, MORNING + timedelta(hours=1)),
            gauge("late-2", "connections.measured", 45, MORNING + timedelta(hours=1)),
        ],
        now=later,
    )
    roll_up_pending(now=later)
    assert values_of(tenant.id, "storage") == {("", DAY): 50}
    assert values_of(tenant.id, "peak_connections") == {("", DAY): 50}


@pytest.mark.parametrize("seed", range(3))
def test_all_meters_equal_a_count_by_hand(seed: int) -> None:
    """Duplicates, late events after a close, several dimensions; a plain count in Python beside it."""
    tenant = a_tenant()
    chance = random.Random(seed)
    zone = ZoneInfo("Asia/Shanghai")
    events: list[dict[str, Any]] = []
    for number in range(300):
        time = MORNING + timedelta(seconds=chance.randrange(46 * 3600))
        told = {
            name: chance.choice(values)
            for name, values in {
                "kind": ["single", "group"],
                "direction": ["up", "down"],
                "region": ["eu", "cn"],
            }.items()
            if chance.random() < 0.5
        }
        type_ = chance.choice(
            ["message.sent", "user.login", "api.called", "connections.measured", "storage.measured"]
        )
        if type_.endswith("measured"):
            value = chance.randrange(20)
            events.append(gauge(f"{number}", type_, value, time, **told))
        else:
            events.append(
                message(
                    f"{number}",
                    f"u{chance.randrange(20)}",
                    time,
                    type=type_,
                    count=chance.choice([1, 7]),
                    **told,
                )
            )
    arrived = list(events)
    chance.shuffle(arrived)
    for start in range(0, 300, 60):
        instant = NOW + timedelta(seconds=start)
        send(tenant.id, arrived[start : start + 60] + chance.sample(arrived, 3), now=instant)
        roll_up_pending(now=NOW)
        if start == 120:
            with system_scope(purpose="test"):
                close_days(now=NOW, until=DAY + timedelta(days=1), force=True)

    expected: dict[str, dict[tuple[str, date], Any]] = defaultdict(dict)
    last: dict[tuple[str, date], tuple[Any, ...]] = {}
    for event in arrived:
        time = datetime.fromisoformat(event["time"])
        day = time.astimezone(zone).date()
        for rule in METERS.values():
            if event["type"] not in rule.event_types or rule.counts_users:
                continue
            data = event["data"]
            kept = canonical_dimensions(
                {name: data[name] for name in sorted(rule.dimensions & data.keys())}
            )
            held = expected[rule.key]
            if rule.key == "storage":
                if (kept, day) not in last or time >= last[kept, day][0]:
                    last[kept, day] = (time,)
                    held[kept, day] = data["value"]
            elif rule.key == "peak_connections":
                held[kept, day] = max(held.get((kept, day), 0), data["value"])
            else:
                held[kept, day] = held.get((kept, day), 0) + data["count"]
    for meter in ("messages", "logins", "api_calls", "peak_connections", "storage"):
        assert values_of(tenant.id, meter) == expected[meter], meter
    with system_scope(purpose="test"):
        assert usage_differences(**EVER) == []


def test_what_events_of_each_type_must_tell() -> None:
    tenant = a_tenant()
    without_user = message("1", type="api.called")
    del without_user["data"]["user"]
    refused = send(
        tenant.id,
        [
            without_user,
            {**gauge("2", "storage.measured", 1, NOW), "data": {}},
            gauge("3", "storage.measured", 1.5, NOW),
            gauge("4", "storage.measured", "1.5", NOW),
            gauge("5", "storage.measured", "-1", NOW),
            {**message("6", type="user.login"), "data": {}},
            message("7", region="two words"),
            message("8", value="not read by messages"),
        ],
    )
    assert refused.accepted == 3
    assert codes(refused) == [
        (1, "bad_value"),
        (2, "bad_value"),
        (4, "bad_value"),
        (5, "bad_user"),
        (6, "bad_region"),
    ]


def test_usage_set_for_a_dimension_that_the_meter_does_not_keep_is_refused() -> None:
    tenant = a_tenant()
    with system_scope(purpose="test"), pytest.raises(Invalid) as caught:
        set_usage(
            tenant_id=tenant.id,
            app_id=tenant.apps[0].id,
            meter="dau",
            day=DAY,
            value=Decimal(1),
            kind=";region=eu",
            now=NOW,
            reason="test",
        )
    assert (caught.value.code, caught.value.field) == ("unknown_dimension", "region")


def test_gauges_are_shown_by_hour_and_month_as_read() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            gauge("1", "storage.measured", 10, MORNING, region="eu"),
            gauge("2", "storage.measured", 30, MORNING + timedelta(minutes=1), region="cn"),
            gauge("3", "storage.measured", 20, MORNING + timedelta(hours=2), region="eu"),
            gauge("4", "storage.measured", 5, MORNING + timedelta(days=1), region="eu"),
        ],
    )
    roll_up_pending(now=NOW)
    span: dict[str, Any] = {"from_day": DAY, "to_day": date(2026, 3, 1), "meter": "storage"}
    with system_scope(purpose="test"):
        app = shown_app(key="chat")
        hours = usage_shown(apps=[app], granularity=Granularity.HOUR, **span)
        days = usage_shown(apps=[app], granularity=Granularity.DAY, **span)
        months = usage_shown(apps=[app], granularity=Granularity.MONTH, **span)
    assert [row.value for row in hours] == [40, 20, 5]
    assert [row.value for row in days] == [50, 5]
    # Each region's latest reading of the month.
    assert [row.value for row in months] == [35]


def test_usage_is_shown_by_the_properties_that_were_asked_for() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message("1", time=MORNING, kind="group", direction="up", count=3),
            message("2", time=MORNING, kind="single", direction="up", count=4),
            message("3", time=MORNING, kind="group", direction="down", count=50),
            message("4", time=MORNING, count=600),
        ],
    )
    roll_up_pending(now=NOW)
    span: dict[str, Any] = {"from_day": DAY, "to_day": date(2026, 3, 1), "meter": "messages"}
    with system_scope(purpose="test"):
        app = shown_app(key="chat")
        for granularity in Granularity:
            rows = usage_shown(apps=[app], granularity=granularity, by=["direction"], **span)
            assert [(dict(row.dimensions), int(row.value)) for row in rows] == [
                ({}, 600),
                ({"direction": "down"}, 50),
                ({"direction": "up"}, 7),
            ]
            rows = usage_shown(apps=[app], granularity=granularity, **span)
            assert [row.value for row in rows] == [657]
        with pytest.raises(Invalid) as caught:
            usage_shown(apps=[app], by=["device"], **span)
    assert caught.value.code == "unknown_dimension"
    assert "kind, direction, region, deployment" in caught.value.message


def test_the_command_tells_values_apart_by_what_was_asked_for() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message("1", time=MORNING, kind="group", count=3),
            message("2", time=MORNING, kind="single", region="eu"),
            message("3", time=MORNING, kind="single"),
        ],
    )
    printed = io.StringIO()
    call_command(
        "usage",
        *("--app", "chat", "--meter", "messages", "--from", "2026-02-27", "--to", "2026-03-01"),
        *("--by", "kind", "--json"),
        stdout=printed,
    )
    days = json.loads(printed.getvalue())["days"]
    assert [(each["kind"], each["value"]) for each in days] == [("group", "3"), ("single", "2")]
