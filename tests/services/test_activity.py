"""What operations see of ingest is what came in, waits, was refused and was late."""

from datetime import date, timedelta

import pytest
from django.test import Client

from kernel import clock
from metering.activity.queries import DayProgress, activity, day_progress
from metering.services import close_days, roll_up_pending
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.factories import NOW, a_tenant
from tests.services.metering_world import message, send

pytestmark = pytest.mark.usefixtures("db")

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def test_events_lie_in_their_minutes_and_wait_until_they_are_folded() -> None:
    tenant = a_tenant()
    at = NOW + timedelta(hours=10)
    send(tenant.id, [message("1", time=at), message("2", time=at)], now=at - MINUTE)
    send(tenant.id, [message("3", time=at), message("1", time=at)], now=at - SECOND)
    send(tenant.id, [message("4", time=at, app="nobodys")], now=at - SECOND)
    send(tenant.id, [message("5", time=at)], now=at)  # of a minute that is not over
    send(tenant.id, [message("6", time=at - 2 * timedelta(hours=1))], now=at - 61 * MINUTE)
    with system_scope(purpose="test"):
        found = activity(now=at)
        assert found.by_minute[-1] == (at - MINUTE, 3)
        assert (len(found.by_minute), found.last_hour, found.last_day) == (60, 3, 5)
        assert (found.pending_events, found.pending_batches) == (5, 4)
        assert found.lag == 61 * MINUTE
        assert found.rejected == 1
    roll_up_pending(now=at)
    with system_scope(purpose="test"):
        folded = activity(now=at)
        assert (folded.pending_events, folded.lag) == (0, timedelta(0))


def test_late_events_and_how_far_days_are() -> None:
    tenant = a_tenant()
    a_tenant("globex", apps=("theirs",))
    next_day = NOW + timedelta(days=1)
    send(tenant.id, [message("1", "a")])
    with system_scope(purpose="test"):
        close_days(now=next_day, tenant_ids=[tenant.id])
    send(tenant.id, [message("2", "b")], now=next_day)
    roll_up_pending(now=next_day)
    with system_scope(purpose="test"):
        found = activity(now=next_day)
        assert (found.late, found.late_tenants) == (2, 1)
        assert activity(now=next_day + timedelta(days=2)).late == 0
        assert day_progress() == [DayProgress(closed_until=date(2026, 3, 2), tenants=1, held=0)]


def test_operations_see_it() -> None:
    tenant = a_tenant()
    now = clock.now()
    send(tenant.id, [message("1", time=now)], now=now)
    with system_scope(purpose="test"):
        person = User.objects.create_user(
            "operations@summit.test", "x", staff_role=StaffRole.OPERATIONS
        )
    client = Client()
    client.force_login(person)
    page = client.get("/console/ingest/").content.decode()
    assert "events wait to be counted" in page
