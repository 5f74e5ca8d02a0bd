"""Whatever happens in whatever order, usage is what the events say: sends, folds, closes, recounts, gathering."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from metering.meters.services.load_meters import load_meters
from metering.queries import changed_closed_days, usage_differences
from metering.rollup.identities import distinct_identities
from metering.rollup.months import month_identities
from metering.rollup.services.gather_months import gather_months
from metering.services import Rebuilt, close_days, rebuild_usage, roll_up_pending
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant, NewTenant, create_tenant
from tests.services.metering_world import message, send

pytestmark = pytest.mark.usefixtures("db")

BEGIN = datetime(2026, 2, 3, tzinfo=UTC)
EVER: dict[str, Any] = {"from_day": date(2026, 1, 1), "to_day": date(2026, 6, 1)}
MONTHS = [date(2026, month, 1) for month in range(2, 6)]
METERS: list[dict[str, Any]] = [
    {
        "key": "eu_active",
        "event_types": ["message.sent", "user.login"],
        "filter": {"region": ["eu"]},
        "aggregation": "distinct",
    },
    {
        "key": "utc_active",
        "event_types": ["message.sent"],
        "aggregation": "distinct",
        "zone": "utc",
    },
    {
        "key": "utc_count",
        "event_types": ["message.sent"],
        "aggregation": "count",
        "zone": "utc",
        "dimensions": ["kind"],
    },
    {
        "key": "devices",
        "event_types": ["message.sent"],
        "aggregation": "distinct",
        "identity": "user_device",
    },
    {
        "key": "values",
        "event_types": ["message.sent"],
        "aggregation": "sum",
        "quantity": "value",
        "dimensions": ["region"],
    },
    {
        "key": "utc_peak",
        "event_types": ["connections.measured"],
        "aggregation": "max",
        "zone": "utc",
    },
]


def a_tenant_with_meters(zone: str) -> CreatedTenant:
    """One of whose meters has another wording in the middle of the month."""
    reworded = {**METERS[0], "event_types": ["message.sent"], "filter": {"region": ["eu", "us"]}}
    with system_scope(purpose="test"):
        for meters, day in ((METERS, "2026-02-05"), ([reworded], "2026-02-15")):
            documents = [{**each, "effective_from": day} for each in meters]
            load_meters(documents=documents, now=BEGIN, actor="test")
        return create_tenant(
            tenant=NewTenant(key="acme", name="Acme", timezone=zone, apps=["chat", "push"]),
            now=BEGIN,
            actor="test",
        )


def an_event(chance: random.Random, number: int, now: datetime) -> dict[str, Any]:
    kind = chance.choice(
        [*["message.sent"] * 4, "user.login", "user.active", "connections.measured"]
    )
    late = chance.choice([0, chance.randrange(24 * 3600), chance.randrange(20 * 24 * 3600)])
    told: dict[str, Any] = {
        "region": ["eu", "us"],
        "device": ["d1", "d2"],
        "kind": ["single", "group"],
        "value": ["0", "7", "12.5", "99.9"],
        "count": [1, 4],
    }
    data = {name: chance.choice(told[name]) for name in told if chance.random() < 0.4}
    if kind.endswith("measured"):
        data.setdefault("value", "3")
    else:
        data["user"] = f"u{chance.randrange(8)}"
    event = message(
        f"e{number}",
        time=now - timedelta(seconds=late),
        type=kind,
        app=chance.choice(["chat", "push"]),
    )
    return {**event, "data": data}


@pytest.mark.parametrize(
    ("zone", "seed"), [("Asia/Shanghai", 1), ("America/Los_Angeles", 2), ("Africa/Cairo", 3)]
)
def test_usage_is_what_the_events_say(zone: str, seed: int) -> None:
    chance, tenant = random.Random(seed), a_tenant_with_meters(zone)
    now, sent = BEGIN + timedelta(days=1), 0

    def rebuild() -> Rebuilt:
        with system_scope(purpose="test"):
            return rebuild_usage(tenant_id=tenant.id, now=now, **EVER)

    for _ in range(60):
        now += timedelta(hours=chance.randrange(1, 20))
        match chance.choice([*["send"] * 5, "fold", "close", "close", "gather", "rebuild"]):
            case "send":
                events = [an_event(chance, sent + n, now) for n in range(chance.randrange(1, 30))]
                sent += len(events)
                again = chance.sample(events, len(events) // 4)
                result = send(tenant.id, [*events, *again], now=now)
                assert (result.accepted, result.duplicates) == (len(events), len(again))
            case "fold":
                roll_up_pending(now=now)
            case "close":
                with system_scope(purpose="test"):
                    close_days(now=now, settling=timedelta(hours=chance.choice([0, 5])))
            case "gather":
                gather_months(now=now, from_day=EVER["from_day"])
            case _:
                assert rebuild() == Rebuilt(changed=0, corrected=0)
    roll_up_pending(now=now)
    apps = [app.id for app in tenant.apps]
    with system_scope(purpose="test"):
        assert usage_differences(**EVER) == []
        assert changed_closed_days() == []
        for meter in ("dau", "mau", "eu_active", "utc_active", "devices"):
            asked: dict[str, Any] = {"tenant_id": tenant.id, "app_ids": apps, "meter": meter}
            told = month_identities(**asked, bounds=MONTHS)
            assert told == distinct_identities(**asked, bounds=MONTHS)
    assert rebuild() == Rebuilt(changed=0, corrected=0)
