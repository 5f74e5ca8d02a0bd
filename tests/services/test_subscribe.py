"""Subscribing: which plan version, from when, and never two at once."""

import threading
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from django.db import connections

from billing.subscriptions.domain import Anchor
from billing.subscriptions.models import Subscription
from billing.subscriptions.services import NewSubscription, subscribe, subscribe_imported
from kernel.errors import Conflict, NotFound
from tenants.scope import system_scope
from tests.factories import NOW, STANDARD, a_plan, a_subscription, a_tenant
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

SHANGHAI = ZoneInfo("Asia/Shanghai")


def only() -> Subscription:
    with system_scope(purpose="test"):
        return Subscription.objects.select_related("plan_version__plan").get()


def test_it_takes_the_version_in_force_on_its_first_day() -> None:
    a_plan(effective_from="2026-01-01")
    a_plan({**STANDARD, "prices": STANDARD["prices"][:1]}, effective_from="2026-04-01")
    a_subscription(a_tenant(), starts_on=date(2026, 3, 31))

    assert only().plan_version.number == 1


def test_a_start_before_the_first_version_takes_the_first() -> None:
    a_plan(effective_from="2026-01-01")
    a_subscription(a_tenant(), starts_on=date(2025, 3, 31))

    assert only().plan_version.number == 1


def test_the_day_on_which_a_trial_ends_is_the_first_billed() -> None:
    a_plan(trial_days=14)
    tenant = a_tenant()
    with system_scope(purpose="test"):
        subscribe(
            plan_key="standard",
            subscription=NewSubscription(
                tenant_id=tenant.id,
                timezone=tenant.timezone,
                starts_at=datetime(2026, 3, 1, 15, tzinfo=SHANGHAI),
            ),
            now=NOW,
            actor="test",
        )

    found = only()
    assert found.starts_on == date(2026, 3, 15)
    assert found.next_boundary_at == datetime(2026, 3, 15, tzinfo=SHANGHAI)


def test_a_second_subscription_is_refused() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    with pytest.raises(Conflict, match="has not ended") as refused:
        a_subscription(tenant)
    assert refused.value.code == "already_subscribed"


def test_two_at_once_leave_one() -> None:
    a_plan()
    tenant = a_tenant()
    ready = threading.Barrier(4)
    outcomes: list[str] = []

    def start() -> None:
        ready.wait()
        try:
            a_subscription(tenant)
            outcomes.append("started")
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["already_subscribed"] * 3 + ["started"]
    only()


def test_the_database_itself_refuses_a_second_one_of_a_plan() -> None:
    a_plan()
    a_subscription(a_tenant())
    with connections[JOBS].cursor() as cursor, pytest.raises(Exception, match="prices what"):
        cursor.execute(
            "INSERT INTO billing_subscription SELECT gen_random_uuid(), anchor, timezone, starts_on,"
            " starts_at, ends_at, status, next_boundary_at, parked_code, parked_detail, created_at,"
            " plan_version_id, tenant_id FROM billing_subscription"
        )


def test_an_unknown_plan_is_refused_before_an_import_begins() -> None:
    with pytest.raises(NotFound) as refused, system_scope(purpose="test"):
        subscribe_imported(plan_key="nothing", first_days={}, now=NOW)
    assert refused.value.code == "plan_not_found"


def test_imported_tenants_start_at_the_midnight_of_their_zone() -> None:
    a_plan()
    old, new = a_tenant("old", apps=("o",)), a_tenant("new", apps=("n",), timezone="Europe/Berlin")
    a_subscription(old, anchor=Anchor.ANNIVERSARY)

    with system_scope(purpose="test"):
        subscribe_imported(
            plan_key="standard",
            first_days={old.id: date(2020, 1, 1), new.id: date(2026, 3, 1)},
            now=NOW,
        )

    with system_scope(purpose="test"):
        starts = dict(Subscription.objects.values_list("tenant__key", "starts_at"))
    assert starts["new"] == datetime(2026, 2, 28, 23, tzinfo=UTC)
    assert starts["old"] == datetime(2026, 3, 1, tzinfo=SHANGHAI)
