"""The different users of any stretch of days, against sets in plain Python."""

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from metering.queries import UserDays, different_users
from metering.services import close_days, roll_up_pending, set_usage
from tenants.scope import system_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import message, send

pytestmark = pytest.mark.usefixtures("db")

FIRST = date(2026, 2, 20)


def counted(asked: list[UserDays]) -> dict[tuple[int, UUID | None], int | None]:
    with system_scope(purpose="test"):
        found = different_users(asked=asked)
    return {(asked.index(each.days), each.app_id): each.users for each in found}


@pytest.mark.parametrize("seed", range(3))
def test_they_are_exact_for_any_days_apps_and_order_of_arrival(seed: int) -> None:
    chance = random.Random(seed)
    zone = ZoneInfo("Asia/Shanghai")
    tenants = [a_tenant("acme", apps=("chat", "push")), a_tenant("other", apps=("solo",))]
    seen: list[tuple[UUID, UUID, date, str]] = []
    for place in range(4):
        for tenant in tenants:
            events = []
            for number in range(60):
                app = chance.choice(tenant.apps)
                user = f"u{chance.randrange(25)}"
                time = datetime(2026, 2, 20, tzinfo=zone) + timedelta(
                    seconds=chance.randrange(7 * 86_400)
                )
                events.append(message(f"{place}-{number}", user, time, app=app.key))
                seen.append((tenant.id, app.id, time.date(), user))
            send(tenant.id, events)
        roll_up_pending(now=NOW)
        if place == 1:
            with system_scope(purpose="test"):
                close_days(now=NOW, until=FIRST + timedelta(days=3))
    asked = [
        UserDays(
            tenant_id=chance.choice(tenants).id,
            meter=chance.choice(["dau", "mau"]),
            stretches=tuple(
                (FIRST + timedelta(days=start), FIRST + timedelta(days=end)) for start, end in days
            ),
        )
        for days in (
            [(0, 7)],
            [(0, 1)],
            [(2, 5)],
            [(0, 2), (4, 6)],
            [(1, 2), (3, 4), (6, 9)],
            [(30, 35)],
        )
    ]
    expected: dict[tuple[int, UUID | None], int | None] = {}
    for n, days in enumerate(asked):
        there = [
            (app, user)
            for tenant_id, app, day, user in seen
            if tenant_id == days.tenant_id
            and any(first <= day < end for first, end in days.stretches)
        ]
        for app_id in {app_id for app_id, _ in there}:
            expected[n, app_id] = len({user for each, user in there if each == app_id})
        if there:
            expected[n, None] = len({user for _, user in there})
    assert counted(asked) == expected


def test_a_day_whose_value_was_set_makes_its_days_unknown_and_no_others() -> None:
    tenant = a_tenant(apps=("chat", "push"))
    chat, push = (app.id for app in tenant.apps)
    for number, day in enumerate(("2026-02-20", "2026-02-25")):
        send(
            tenant.id,
            [
                message(f"{number}-{app}-{user}", user, f"{day}T12:00:00+08:00", app=app)
                for app in ("chat", "push")
                for user in ("a", "b")
            ],
        )
    roll_up_pending(now=NOW)

    def put(value: int, meter: str = "dau") -> None:
        with system_scope(purpose="test"):
            set_usage(
                tenant_id=tenant.id,
                app_id=chat,
                meter=meter,
                day=FIRST,
                value=Decimal(value),
                now=NOW,
                reason="test",
            )

    whole, rest, monthly = (
        UserDays(tenant_id=tenant.id, meter=meter, stretches=((start, date(2026, 3, 1)),))
        for meter, start in (("dau", FIRST), ("dau", date(2026, 2, 21)), ("mau", FIRST))
    )
    put(3)
    assert counted([whole, rest]) == {
        (0, chat): None,
        (0, push): 2,
        (0, None): None,
        (1, chat): 2,
        (1, push): 2,
        (1, None): 2,
    }
    # Set back to what its marks are, it is known again; also when it is set for mau only.
    put(2)
    put(7, meter="mau")
    assert counted([whole, monthly])[0, chat] == 2
    assert counted([whole, monthly])[1, chat] is None
    put(2, meter="mau")
    assert counted([monthly])[0, chat] == 2


def test_nothing_asked_nothing_told() -> None:
    assert counted([]) == {}
