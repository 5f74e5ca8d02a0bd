"""Quarantine: refused events are seen with code, count and sample, and taken in once when the cause is
mended."""

import json
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client

from kernel import clock
from kernel.errors import Invalid
from metering.quarantine.queries import rejected_groups, rejected_page
from metering.quarantine.services import replay_rejected as service
from metering.quarantine.services.replay_rejected import Replayed, replay_rejected
from metering.quarantine.services.request_replay import request_replay
from metering.services import close_days, load_meters, roll_up_pending
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import create_app
from tests.factories import NOW, a_tenant
from tests.services.metering_world import codes, message, send, stored_usage
from work import jobs
from work.models import Job

pytestmark = pytest.mark.usefixtures("db")

LATER = NOW + timedelta(hours=2)
SINCE = NOW - timedelta(days=1)
CALLS = {
    "key": "calls",
    "event_types": ["call.ended"],
    "aggregation": "count",
    "effective_from": "2026-03-02",
}


def replay(code: str = "unknown_app", **options: object) -> Replayed:
    wanted = {"now": LATER, "actor": "user:1", "reason": "the app was made", **options}
    return replay_rejected(code=code, **wanted)  # type: ignore[arg-type]  # told by the test


def make_app(tenant_id: object, key: str) -> None:
    with system_scope(purpose="test"):
        create_app(tenant_id=tenant_id, key=key, name=key, now=NOW, actor="test")  # type: ignore[arg-type]  # an id


def test_what_was_refused_is_counted_with_a_sample() -> None:
    tenant, other = a_tenant(), a_tenant("globex", apps=("theirs",))
    send(tenant.id, [message("1", app="new"), message("2", app="new"), message("3", count=0)])
    send(tenant.id, [message("4", app="new")], now=LATER)
    send(other.id, [message("1", app="nobodys")])
    with system_scope(purpose="test"):
        groups = rejected_groups(since=SINCE, limit=10)
        first = groups.rows[0]
        assert groups.total == 3
        assert (first.tenant_key, first.code, first.count, first.waiting) == (
            "acme",
            "unknown_app",
            3,
            3,
        )
        assert (first.sample_id, first.sample_subject, first.last_at) == ("4", "new", LATER)
        at_fault = next(each for each in groups.rows if each.code == "bad_count")
        assert (at_fault.count, at_fault.waiting, at_fault.can_replay) == (1, 0, False)
        assert len(rejected_groups(since=SINCE, limit=1, offset=2).rows) == 1
        assert rejected_groups(since=LATER, limit=10).total == 1
    # The tenant sees its own.
    with tenant_scope(other.id):
        assert [each.count for each in rejected_groups(since=SINCE, limit=10).rows] == [1]
        assert rejected_page(tenant_id=tenant.id, limit=10) == []


def test_pages_hold_each_event_once() -> None:
    tenant = a_tenant()
    send(tenant.id, [message(f"{n}", app="new") for n in range(25)])
    seen: list[str] = []
    before = None
    with tenant_scope(tenant.id):
        while page := rejected_page(tenant_id=tenant.id, limit=10, before=before):
            seen += [each.event_id for each in page]
            before = (page[-1].received_at, page[-1].id)
    assert sorted(seen, key=int) == [f"{n}" for n in range(25)]


@pytest.mark.parametrize("at_a_time", [2, 1000])
def test_events_of_an_app_that_was_made_later_count_once(
    at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_EVENTS_AT_A_TIME", at_a_time)
    tenant = a_tenant()
    events = [message(f"{n}", f"u{n % 2}", app="new", kind="group", region="eu") for n in range(5)]
    send(tenant.id, events)
    assert replay().rejected == {"unknown_app": 5}
    make_app(tenant.id, "new")

    assert replay() == Replayed(tried=5, accepted=5)
    assert replay() == Replayed()
    # What was hashed at its refusal is the same user as one who is told today, and the same event.
    again = send(tenant.id, [*events, message("9", "u1", app="new")], now=LATER)
    assert (again.accepted, again.duplicates) == (1, 5)
    roll_up_pending(now=LATER)
    usage = stored_usage(tenant.id)
    assert sorted(usage.values()) == [Decimal(1), Decimal(2), Decimal(5)]
    with system_scope(purpose="test"):
        (group,) = rejected_groups(since=SINCE, limit=10).rows
        assert (group.count, group.waiting, group.replayed) == (5, 0, 5)
        trail = AuditRecord.objects.filter(tenant_id=tenant.id, action="events.replayed")
        assert [(row.after or {})["accepted"] for row in trail] == [0, 5]
        assert {row.reason for row in trail} == {"the app was made"}


def test_sent_again_before_the_replay_it_is_a_duplicate() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", app="new")])
    make_app(tenant.id, "new")
    send(tenant.id, [message("1", app="new")])
    assert replay() == Replayed(tried=1, duplicates=1)
    assert replay() == Replayed()


def test_another_event_under_the_same_id_stays_refused() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", "a", app="new")])
    send(tenant.id, [message("1", "b", app="new")])
    make_app(tenant.id, "new")
    done = replay()
    assert (done.accepted, done.rejected) == (1, {"conflicting_duplicate": 1})


def test_a_type_that_a_meter_names_later() -> None:
    tenant = a_tenant()
    event = message("1", type="call.ended", time=LATER)
    assert codes(send(tenant.id, [event], now=LATER)) == [(0, "unknown_type")]
    assert replay("unknown_type").rejected == {"unknown_type": 1}
    with system_scope(purpose="test"):
        load_meters(documents=[CALLS], now=NOW, actor="test")
    assert replay("unknown_type").accepted == 1
    assert send(tenant.id, [event], now=LATER).duplicates == 1


def test_age_is_that_at_arrival_unless_staff_say_any() -> None:
    tenant = a_tenant()
    old, early = NOW - timedelta(days=36), NOW + timedelta(hours=1)
    send(tenant.id, [message("old", time=old), message("early", time=early)])
    send(tenant.id, [message("1", time=NOW - timedelta(days=34), app="new")])
    make_app(tenant.id, "new")

    assert replay("event_in_future", now=NOW).rejected == {"event_in_future": 1}
    assert replay("event_in_future").accepted == 1
    assert replay("event_too_old").rejected == {"event_too_old": 1}
    # It came in time, whenever the app is made.
    assert replay(now=NOW + timedelta(days=30)).accepted == 1
    assert replay("event_too_old", any_age=True).accepted == 1


def test_a_closed_day_gets_a_correction() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", app="new")])
    with system_scope(purpose="test"):
        close_days(now=NOW + timedelta(days=2))
    make_app(tenant.id, "new")
    replay(now=NOW + timedelta(days=2))
    roll_up_pending(now=NOW + timedelta(days=2))
    assert {day for _, _, _, day in stored_usage(tenant.id)} == {date(2026, 3, 1)}


def test_what_can_not_be_replayed_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        replay("bad_count")
    assert refused.value.code == "not_replayable"
    with pytest.raises(Invalid) as refused:
        replay(reason=" ")
    assert refused.value.code == "reason_missing"


def test_the_console_asks_and_a_worker_does_it() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", app="new")])
    make_app(tenant.id, "new")
    with system_scope(purpose="test"):
        request_replay(
            tenant_id=tenant.id, code="unknown_app", reason="made", any_age=False, actor="user:1"
        )
    jobs.run_pending(now=LATER, kinds=["metering.replay_rejected"])
    with system_scope(purpose="test"):
        job = Job.objects.get(kind="metering.replay_rejected")
        assert job.result == {"tried": 1, "accepted": 1, "duplicates": 0, "rejected": {}}


def test_the_command() -> None:
    tenant = a_tenant()
    send(tenant.id, [message("1", app="new")])
    make_app(tenant.id, "new")
    out = StringIO()
    call_command(
        "replay_rejected",
        "--code",
        "unknown_app",
        "--tenant",
        "acme",
        "--reason",
        "made",
        "--json",
        stdout=out,
    )
    assert json.loads(out.getvalue())["accepted"] == 1
    assert len(stored_usage(tenant.id)) == 2


def test_staff_replay_in_the_console_and_others_may_not(client: Client) -> None:
    tenant = a_tenant()
    now = clock.now()
    send(tenant.id, [message("1", app="new", time=now)], now=now)
    with system_scope(purpose="test"):
        operations, auditor = (
            User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
            for role in (StaffRole.OPERATIONS, StaffRole.AUDITOR)
        )
    address = "/console/rejected/acme/"
    form = {"code": "unknown_app", "reason": "the app was made"}
    client.force_login(auditor)
    assert "unknown_app" in client.get("/console/rejected/").content.decode()
    page = client.get(address).content.decode()
    assert "What was mended" not in page
    assert "What was sent" in page
    assert "&quot;source&quot;" in page
    client.cookies["summit_language"] = "zh-hans"
    assert "没有这个应用。 There is no app" in client.get(address).content.decode()
    assert "没有这个应用。 There is no app" in client.get("/console/rejected/").content.decode()
    del client.cookies["summit_language"]
    assert client.post(address, form).status_code == 403
    client.force_login(operations)
    assert "What was mended" in client.get(address).content.decode()
    assert client.post(address, {**form, "reason": ""}).status_code == 422
    assert client.post(address, form).status_code == 302
    make_app(tenant.id, "new")
    jobs.run_pending(now=clock.now(), kinds=["metering.replay_rejected"])
    with system_scope(purpose="test"):
        assert rejected_groups(since=SINCE, limit=10).rows[0].replayed == 1
