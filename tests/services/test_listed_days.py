"""Days as operations see them: how far each tenant's are closed, what holds them, what was corrected."""

from datetime import date

import pytest

from metering.days.listing import DaysFilter, ListedState, listed_days, tenant_days
from metering.services import close_days, roll_up_pending
from tenants.scope import system_scope
from tests.factories import a_tenant
from tests.services.metering_world import at, message, send

pytestmark = pytest.mark.usefixtures("db")

NOON = at("2026-03-31T12:00:00+08:00")


def found(**options: object) -> list[tuple[str, date | None]]:
    with system_scope(purpose="test"):
        page = tenant_days(now=NOON, limit=10, **options)  # type: ignore[arg-type]  # as it is called
    return [(row.key, row.closed_until) for row in page.rows]


def test_those_furthest_behind_come_first() -> None:
    for key, time in (("ahead", NOON), ("late", at("2026-03-28T09:00:00+08:00"))):
        tenant = a_tenant(key, apps=(f"{key}-chat",))
        send(tenant.id, [message("1", "a", time, app=f"{key}-chat")], now=time)
        roll_up_pending(now=time)
        with system_scope(purpose="test"):
            close_days(now=time, tenant_ids=[tenant.id])
    a_tenant("silent", apps=("silent-chat",))
    assert found() == [("late", date(2026, 3, 28)), ("ahead", date(2026, 3, 31))]
    assert found(only=DaysFilter.BEHIND) == [("late", date(2026, 3, 28))]
    assert found(only=DaysFilter.HELD) == []
    assert found(search="AHE") == [("ahead", date(2026, 3, 31))]
    assert found(search="%") == []
    with system_scope(purpose="test"):
        page = tenant_days(now=NOON, limit=1, offset=1)
    assert ([row.key for row in page.rows], page.total) == (["ahead"], 2)


def test_days_of_a_tenant() -> None:
    tenant = a_tenant()
    early = at("2026-03-29T10:00:00+08:00")
    send(tenant.id, [message("1", "a", early)], now=early)
    with system_scope(purpose="test"):
        close_days(now=at("2026-03-31T00:00:00+08:00"))
    send(tenant.id, [message("2", "b", early)], now=NOON)
    roll_up_pending(now=NOON)

    def listed(*, is_held: bool) -> list[tuple[int, ListedState, int | None, int]]:
        with system_scope(purpose="test"):
            days = listed_days(
                tenant_id=tenant.id,
                from_day=date(2026, 3, 28),
                to_day=date(2026, 4, 2),
                is_held=is_held,
                today=date(2026, 4, 1),
            )
        return [(each.day.day, each.state, each.rows, each.corrections) for each in days]

    assert listed(is_held=False) == [
        (1, ListedState.OPEN, None, 0),
        (31, ListedState.OPEN, None, 0),
        (30, ListedState.CLOSED, None, 0),
        # Two meters' values, one correction each.
        (29, ListedState.CORRECTED, 2, 2),
        (28, ListedState.CLOSED, None, 0),
    ]
    assert [state for _, state, _, _ in listed(is_held=True)][:2] == [
        ListedState.OPEN,
        ListedState.HELD,
    ]
