"""GET /api/v1/usage: a tenant's own usage, by local hour, day and month."""

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from metering.services import close_days, roll_up_pending
from tenants.scope import system_scope
from tests.api.test_events import a_key
from tests.factories import a_tenant
from tests.services.metering_world import at, message, send

pytestmark = pytest.mark.usefixtures("db")

MIDNIGHT = at("2026-04-01T00:00:00+08:00")


def get(key: str, **asked: str) -> HttpResponse:
    named = {name.rstrip("_"): value for name, value in asked.items()}
    response: Any = Client().get("/api/v1/usage", named, headers={"Authorization": f"Bearer {key}"})
    answered: HttpResponse = response
    return answered


def a_world() -> str:
    tenant = a_tenant(apps=("chat", "push"))
    other = a_tenant("globex", apps=("theirs",))
    send(
        tenant.id,
        [
            message("1", "a", "2026-03-30T10:15:00+08:00"),
            message("2", "b", "2026-03-30T10:45:00+08:00", count=2),
            message("3", "a", "2026-03-31T23:59:59+08:00"),
            message("4", "c", "2026-03-31T12:00:00+08:00", app="push"),
        ],
        now=MIDNIGHT,
    )
    send(other.id, [message("1", "x", "2026-03-30T10:15:00+08:00", app="theirs")], now=MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)
    with system_scope(purpose="test"):
        close_days(now=at("2026-03-31T12:00:00+08:00"))
    return a_key(tenant, "read")


def data(response: HttpResponse) -> list[Any]:
    assert response.status_code == 200, response.content
    document = json.loads(response.content)
    assert document["next"] is None
    rows: list[Any] = document["data"]
    return rows


def test_days_carry_value_and_state() -> None:
    key = a_world()
    response = get(key, app="chat", meter="dau", from_="2026-03-01", to="2026-04-01")
    assert json.loads(response.content) == {
        "app": "chat",
        "meter": "dau",
        "timezone": "Asia/Shanghai",
        "granularity": "day",
        "data": [
            {"app": "chat", "day": "2026-03-30", "value": "2", "state": "closed"},
            {"app": "chat", "day": "2026-03-31", "value": "1", "state": "open"},
        ],
        "next": None,
    }


def test_hours_and_months() -> None:
    key = a_world()
    asked = {"app": "chat", "from_": "2026-03-15", "to": "2026-04-01"}
    assert data(get(key, meter="messages", granularity="hour", **asked)) == [
        {
            "app": "chat",
            "starts_at": "2026-03-30T10:00:00+08:00",
            "value": "3",
            "state": "closed",
        },
        {"app": "chat", "starts_at": "2026-03-31T23:00:00+08:00", "value": "1", "state": "open"},
    ]
    assert data(get(key, meter="dau", granularity="month", **asked)) == [
        {"app": "chat", "month": "2026-03", "value": "2", "state": "open"}
    ]


@pytest.mark.parametrize("granularity", ["hour", "day", "month"])
def test_a_reading_is_written_alike_in_all_windows(granularity: str) -> None:
    tenant = a_tenant()
    event = message("1", time="2026-03-30T10:15:00+08:00", type="groups.measured")
    send(tenant.id, [{**event, "data": {"value": "12.50"}}], now=MIDNIGHT)
    roll_up_pending(now=MIDNIGHT)
    asked = {"meter": "groups", "from_": "2026-03-30", "to": "2026-03-31"}
    (row,) = data(get(a_key(tenant, "read"), granularity=granularity, **asked))
    assert row["value"] == "12.5"


def test_all_apps_are_the_tenants_own() -> None:
    key = a_world()
    rows = data(get(key, meter="messages", from_="2026-03-01", to="2026-04-01"))
    assert [(row["app"], row["value"]) for row in rows] == [
        ("chat", "3"),
        ("chat", "1"),
        ("push", "1"),
    ]


def test_anothers_app_is_not_found_like_none() -> None:
    key = a_world()
    asked = {"meter": "dau", "from_": "2026-03-01", "to": "2026-04-01"}
    foreign, nobodys = get(key, app="theirs", **asked), get(key, app="nobody", **asked)
    assert foreign.status_code == nobodys.status_code == 404
    assert foreign.content.replace(b"theirs", b"*") == nobodys.content.replace(b"nobody", b"*")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"meter": "visits"}, "unknown_meter"),
        ({"meter": ""}, "unknown_meter"),
        ({"from_": "yesterday"}, "bad_date"),
        ({"to": ""}, "bad_date"),
        ({"from_": "20260301"}, "bad_date"),
        ({"from_": "2026-W09-7"}, "bad_date"),
        ({"from_": "２026-03-01"}, "bad_date"),
        ({"from_": "9999-12-01", "to": "9999-12-31", "granularity": "month"}, "date_out_of_range"),
        ({"to": "2026-03-01"}, "end_before_start"),
        ({"granularity": "minute"}, "bad_granularity"),
        ({"granularity": "hour", "to": "2026-05-01"}, "range_too_long"),
        ({"from_": "0001-01-01", "to": "9999-12-31"}, "range_too_long"),
    ],
)
def test_wrong_parameters_are_problems(changes: dict[str, str], code: str) -> None:
    asked = {"app": "chat", "meter": "dau", "from_": "2026-03-01", "to": "2026-04-01", **changes}
    response = get(a_world(), **asked)
    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert json.loads(response.content)["code"] == code


def test_a_key_for_ingest_reads_nothing() -> None:
    tenant = a_tenant()
    asked = {"meter": "dau", "from_": "2026-03-01", "to": "2026-04-01"}
    assert get(a_key(tenant, "ingest"), **asked).status_code == 403
    assert get("", **asked).status_code == 401
