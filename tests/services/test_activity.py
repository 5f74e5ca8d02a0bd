"""What operations see of ingest is what came in, waits, was refused and was late."""

from datetime import date, timedelta

import pytest
from django.test import Client

from kernel import clock
from metering.activity.queries import (
    DayProgress,
    TenantActivity,
    activity,
    activity_of_tenant,
    day_progress,
    tenant_activities,
)
from metering.services import close_days, roll_up_pending
from tenants.domain import StaffRole
from tenants.models import User
from tenants.scope import system_scope, tenant_scope
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


def test_what_was_known_already_is_counted_with_its_call() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    a_tenant("idle", apps=("silent",))
    events = [message(str(n)) for n in range(3)]
    send(tenant.id, events)
    send(tenant.id, events)  # nothing but duplicates
    send(tenant.id, [message("0"), message("3"), message("3")])  # one known, one twice
    send(tenant.id, [message("0", "somebody else")])  # a conflict is no duplicate
    send(other.id, [message("1", app="theirs")])
    send(other.id, [message("1", app="theirs")], now=NOW - timedelta(days=2))
    send(other.id, [message("2", app="chat")])
    at = NOW + SECOND
    of_tenant = TenantActivity(tenant_key="acme", accepted=4, duplicates=5, rejected=1, late=0)
    of_other = TenantActivity(tenant_key="globex", accepted=1, duplicates=0, rejected=1, late=0)
    with system_scope(purpose="test"):
        assert activity(now=at).duplicates == 5
        found = tenant_activities(now=at, limit=10)
        assert (found.rows, found.total) == ([of_tenant, of_other], 2)
        assert tenant_activities(now=at, limit=1, offset=1).rows == [of_other]
    with tenant_scope(tenant.id):
        assert activity_of_tenant(tenant_id=tenant.id, tenant_key="acme", now=at) == of_tenant
        # Another's rows are not to be seen in a tenant's scope.
        hidden = activity_of_tenant(tenant_id=other.id, tenant_key="globex", now=at)
        assert (hidden.accepted, hidden.duplicates, hidden.rejected) == (0, 0, 0)


def test_operations_see_it() -> None:
    tenant = a_tenant()
    now = clock.now()
    send(tenant.id, [message("1", time=now)], now=now)
    send(tenant.id, [message("1", time=now)], now=now)
    with system_scope(purpose="test"):
        person = User.objects.create_user(
            "operations@summit.test", "x", staff_role=StaffRole.OPERATIONS
        )
    client = Client()
    client.force_login(person)
    page = client.get("/console/ingest/").content.decode()
    assert "events wait to be counted" in page
    assert "sent again and counted once" in page
    assert "/console/tenants/acme/" in page
