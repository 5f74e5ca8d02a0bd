"""Usage as it is looked at: by hour, day or month, told apart, beside the period before."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from kernel.errors import Invalid
from metering.queries import ExploredUsage, PeriodLength, ShownPeriod, explored_usage
from metering.services import close_days, roll_up_pending
from tenants.scope import system_scope, tenant_scope
from tests.factories import a_tenant, some_usage
from tests.services.metering_world import at, message, send

pytestmark = pytest.mark.usefixtures("db")

NOON = at("2026-03-31T12:30:00+08:00")


def explored(tenant: Any, period: str | None, **options: Any) -> ExploredUsage:
    with tenant_scope(tenant.id):
        return explored_usage(
            tenant_id=tenant.id,
            zone=tenant.timezone,
            period=None if period is None else ShownPeriod.read(period),
            **{"meter": "messages", "now": NOON, **options},
        )


def told(found: ExploredUsage) -> dict[str, tuple[list[int], int, int]]:
    """The windows with usage, the whole and what it is compared with, by series."""
    return {
        " ".join([each.app, *each.dimensions.values()]): (
            [int(value) for value in each.values if value],
            int(each.whole or 0),
            int(each.before or 0),
        )
        for each in found.series
    }


def test_today_is_compared_with_yesterday_up_to_the_same_time() -> None:
    tenant = a_tenant()
    send(
        tenant.id,
        [
            message("1", "a", at("2026-03-30T12:29:59+08:00"), kind="single"),
            message("2", "a", at("2026-03-30T12:30:00+08:00"), kind="single"),
            message("3", "a", at("2026-03-31T00:00:00+08:00"), kind="group"),
            message("4", "b", at("2026-03-31T12:10:00+08:00"), kind="single"),
            message("5", "b", at("2026-03-31T12:20:00+08:00"), kind="single"),
        ],
        now=NOON,
    )
    # Nothing was rolled up: what is committed counts at once.
    found = explored(tenant, "2026-03-31", by=["kind"])
    assert told(found) == {"chat single": ([2], 2, 1), "chat group": ([1], 1, 0)}
    assert found.is_running
    # The hours that have begun, the running one included.
    assert [f"{each.starts_at:%H}" for each in found.windows] == [f"{n:02}" for n in range(13)]
    users = explored(tenant, "2026-03-31", meter="dau")
    assert told(users) == {"chat": ([1, 1], 2, 1)}


def test_a_day_that_is_over_is_compared_whole_and_tells_its_corrections() -> None:
    tenant = a_tenant()
    early = at("2026-03-29T23:00:00+08:00")
    send(tenant.id, [message("1", "a", early)], now=early)
    with system_scope(purpose="test"):
        close_days(now=at("2026-03-30T00:00:00+08:00"))
    send(tenant.id, [message("2", "a", early), message("3", "b", early)], now=NOON)
    roll_up_pending(now=NOON)
    found = explored(tenant, "2026-03-29")
    assert told(found) == {"chat": ([3], 3, 0)}
    assert [each.state for each in found.windows] == ["closed"] * 24
    assert told(explored(tenant, "2026-03-30")) == {"chat": ([], 0, 3)}


def test_a_running_month_is_compared_to_the_same_day() -> None:
    tenant = a_tenant(apps=("chat", "video"))
    some_usage(tenant, {date(2026, 2, 27): 5, date(2026, 2, 28): 7}, meter="messages")
    some_usage(tenant, {date(2026, 3, 1): 11, date(2026, 3, 31): 13}, meter="messages")
    some_usage(tenant, {date(2026, 3, 2): 2}, meter="messages", app=1)
    now = at("2026-03-27T09:00:00+08:00")
    assert told(explored(tenant, "2026-03", now=now))["chat"] == ([11], 11, 5)
    # February is shorter: on March 30 it is compared whole.
    assert told(explored(tenant, "2026-03"))["chat"] == ([11, 13], 24, 12)
    only_one = explored(tenant, "2026-03", app="chat")
    assert {each.app for each in only_one.series} == {"chat"}
    assert len(only_one.apps) == 2


def test_users_of_days_and_months_do_not_add_up() -> None:
    tenant = a_tenant()
    for day in ("2026-03-01", "2026-03-02"):
        there = at(f"{day}T10:00:00+08:00")
        send(tenant.id, [message(f"{day}-{n}", f"u{n}", there) for n in range(3)], now=there)
    roll_up_pending(now=NOON)
    assert told(explored(tenant, "2026-03", meter="dau")) == {"chat": ([3, 3], 3, 0)}
    year = explored(tenant, "2026", meter="dau")
    assert told(year) == {"chat": ([3], 3, 0)}
    assert [f"{each.day:%m}" for each in year.windows] == ["01", "02", "03"]
    assert year.series[0].highest == 2


def test_without_a_choice_the_newest_month_with_usage_is_shown() -> None:
    tenant = a_tenant()
    assert explored(tenant, None).period.code == "2026-03"
    some_usage(tenant, {date(2025, 11, 30): 5}, meter="messages")
    found = explored(tenant, None)
    assert found.period == ShownPeriod(length=PeriodLength.MONTH, first=date(2025, 11, 1))
    assert not found.is_running


def test_the_future_and_an_hour_that_is_told_twice() -> None:
    tenant = a_tenant(timezone="Europe/Berlin")
    assert explored(tenant, "2026-12").windows == []
    assert explored(tenant, "2027-01-01").series == []
    now = at("2026-10-26T12:00:00+01:00")
    hours = explored(tenant, "2026-10-25", now=now).windows
    assert len(hours) == 25
    assert [f"{each.starts_at:%H%z}" for each in hours[2:4]] == ["02+0200", "02+0100"]


def test_a_gauge_tells_nothing_where_nothing_was_read() -> None:
    tenant = a_tenant()
    some_usage(tenant, {date(2026, 3, 2): 0, date(2026, 3, 4): 9}, meter="groups")
    (series,) = explored(tenant, "2026-03", meter="groups").series
    assert series.values[:4] == [None, Decimal(0), None, Decimal(9)]
    assert (series.whole, series.before) == (Decimal(9), None)


def test_what_the_meter_is_not_kept_by_is_refused() -> None:
    tenant = a_tenant()
    with pytest.raises(Invalid, match="kind"):
        explored(tenant, "2026-03", meter="dau", by=["kind"])


def test_usage_that_was_set_for_whole_days_is_said_to_be_unknown_by_other_windows() -> None:
    tenant = a_tenant()
    some_usage(tenant, {date(2026, 3, 2): 5})
    assert explored(tenant, "2026-03-02", meter="dau").is_unknown
    assert told(explored(tenant, "2026-03-02", meter="dau")) == {"chat": ([], 5, 0)}
    assert explored(tenant, "2026", meter="dau").is_unknown
    assert not explored(tenant, "2026-03", meter="dau").is_unknown
    assert not explored(tenant, "2026-02", meter="dau").is_unknown
