"""Reports of gateways: signed, once for each place in the sequence, gaps seen and holding days."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from kernel import clock
from kernel.errors import Conflict, Invalid
from metering.ingest.models import RejectedEvent
from metering.quarantine.queries import rejected_groups
from metering.quarantine.services.replay_rejected import Replayed, replay_rejected
from metering.queries import closed_until, usage_differences
from metering.reports.domain import signature
from metering.reports.models import Gateway, GatewayGap, SealedUsage
from metering.reports.queries import gap_rows, gateway_rows, unknown_apps
from metering.reports.services.gateways import (
    CreatedGateway,
    create_gateway,
    release_gap,
    revoke_gateway,
)
from metering.services import close_days, rebuild_usage, roll_up_pending
from tenants.domain import StaffRole
from tenants.models import App, AuditRecord, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant, create_app
from tests.factories import a_tenant
from tests.services.metering_world import message, send, stored_usage

pytestmark = pytest.mark.usefixtures("db")

DAY = date(2026, 11, 20)


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 20, 12, tzinfo=UTC))


def a_gateway(key: str = "gw-1", *, deployment: str = "shared") -> CreatedGateway:
    with system_scope(purpose="test"):
        return create_gateway(key=key, deployment=deployment, now=clock.now(), actor="test")


def a_report(sequence: int, *, minute: int | None = None, **changes: Any) -> dict[str, Any]:
    starts_at = datetime(2026, 11, 20, 3, sequence if minute is None else minute, tzinfo=UTC)
    return {
        "gateway": "gw-1",
        "sequence": sequence,
        "window": {
            "starts_at": starts_at.isoformat(),
            "ends_at": (starts_at + timedelta(minutes=1)).isoformat(),
        },
        "apps": [
            {
                "app": "chat",
                "counts": {"message.single.up": "120", "message.group": 7},
                "active_users": ["u1", f"u-{sequence}"],
            }
        ],
        **changes,
    }


def post(
    gateway: CreatedGateway,
    report: dict[str, Any] | bytes,
    *,
    at: datetime | None = None,
    secret: str = "",
) -> Any:
    body = report if isinstance(report, bytes) else json.dumps(report).encode()
    timestamp = str(int((at or clock.now()).timestamp()))
    return Client().post(
        "/api/v1/reports",
        data=body,
        content_type="application/json",
        headers={
            "webhook-id": "msg_1",
            "webhook-timestamp": timestamp,
            "webhook-signature": "v1,AAAA "
            + signature(
                secret=secret or gateway.secret, message_id="msg_1", timestamp=timestamp, body=body
            ),
        },
    )


def counted(tenant: CreatedTenant) -> dict[tuple[str, str], int]:
    roll_up_pending(now=clock.now())
    return {
        (meter, kind): int(value)
        for (_, meter, kind, day), value in stored_usage(tenant.id).items()
        if day == DAY
    }


def test_what_a_report_says_is_counted_once() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    first = post(gateway, a_report(1))
    assert first.status_code == 200, first.content
    assert first.json() == {
        "gateway": "gw-1",
        "sequence": 1,
        "status": "accepted",
        "apps": 1,
        "active_users": 2,
        "rejected": [],
        "gaps": [],
    }
    again = post(gateway, a_report(1))
    assert (again.status_code, again.json()["status"]) == (200, "duplicate")
    other = post(gateway, a_report(1, apps=[]))
    assert (other.status_code, other.json()["code"]) == (409, "conflicting_report")
    assert counted(tenant) == {
        ("dau", ""): 2,
        ("messages", "single;deployment=shared;direction=up"): 120,
        ("messages", "group;deployment=shared"): 7,
    }


def test_several_deployments_are_summed_and_their_users_are_distinct() -> None:
    tenant, one = a_tenant(), a_gateway()
    two = a_gateway("gw-2", deployment="dedicated")
    assert post(one, a_report(1)).status_code == 200
    assert post(two, a_report(1, gateway="gw-2")).status_code == 200
    assert post(one, a_report(2)).status_code == 200
    send(tenant.id, [message("1", "u1", clock.now())], now=clock.now())
    found = counted(tenant)
    assert found["dau", ""] == 3  # u1 of all, u-1 of both gateways, u-2
    assert sum(value for (meter, _), value in found.items() if meter == "messages") == 3 * 127 + 1
    with system_scope(purpose="test"):
        assert usage_differences(from_day=DAY, to_day=DAY + timedelta(days=1)) == []
        rebuilt = rebuild_usage(
            tenant_id=tenant.id, from_day=DAY, to_day=DAY + timedelta(days=1), now=clock.now()
        )
    assert (rebuilt.changed, rebuilt.corrected) == (0, 0)


def test_a_gap_is_told_and_holds_the_day_until_its_reports_come() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    post(gateway, a_report(1))
    assert post(gateway, a_report(5)).json()["gaps"] == [{"epoch": "", "from": 2, "to": 4}]
    assert post(gateway, a_report(3)).json()["gaps"] == [
        {"epoch": "", "from": 2, "to": 2},
        {"epoch": "", "from": 4, "to": 4},
    ]
    later = datetime(2026, 11, 23, tzinfo=UTC)

    def closed() -> date | None:
        with system_scope(purpose="test"):
            close_days(now=later, force=True)
            return closed_until(tenant_ids=[tenant.id]).get(tenant.id)

    assert closed() == DAY
    assert post(gateway, a_report(2)).json()["gaps"] == [{"epoch": "", "from": 4, "to": 4}]
    assert closed() == DAY
    assert post(gateway, a_report(4)).json()["gaps"] == []
    assert counted(tenant)["dau", ""] == 6
    assert closed() == date(2026, 11, 23)


def test_one_of_the_staff_releases_a_gap_with_a_reason() -> None:
    tenant, other, gateway = a_tenant(), a_tenant("globex", apps=("theirs",)), a_gateway()
    post(gateway, a_report(2))
    later = datetime(2026, 11, 23, tzinfo=UTC)
    with system_scope(purpose="test"):
        assert close_days(now=later).held == 1
        assert close_days(now=later, until=DAY).held == 0  # the days before are whole
        assert closed_until(tenant_ids=[tenant.id, other.id]) == {
            tenant.id: DAY,
            other.id: date(2026, 11, 23),  # of which the gateway reports nothing
        }
        (gap,) = gap_rows()
        assert (gap.gateway, gap.first, gap.last, gap.released_at) == ("gw-1", 1, 1, None)
        person = User.objects.create_user("ops@summit.test", "x", staff_role="operations")
        actor = f"user:{person.pk}"
        with pytest.raises(Invalid, match="why"):
            release_gap(gap_id=gap.id, reason=" ", now=later, actor=actor)
        release_gap(gap_id=gap.id, reason="the disk was lost", now=later, actor=actor)
        assert gap_rows()[0].released_by == "ops@summit.test"
        assert close_days(now=later).held == 0
        assert closed_until(tenant_ids=[tenant.id]) == {tenant.id: date(2026, 11, 23)}
        (row,) = gateway_rows(limit=10)
        assert (row.key, row.open_gaps, row.last_sequence) == ("gw-1", 0, 2)
    # What comes after all is counted all the same, as a correction of the closed day.
    assert post(gateway, a_report(1)).status_code == 200
    assert counted(tenant)["dau", ""] == 3


def test_a_gateway_that_lost_count_begins_a_new_epoch() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    post(gateway, a_report(1))
    post(gateway, a_report(2))
    assert post(gateway, a_report(1, minute=9)).status_code == 409
    restarted = post(gateway, a_report(1, minute=9, epoch="boot-2"))
    assert (restarted.status_code, restarted.json()["gaps"]) == (200, [])
    assert post(gateway, a_report(3, minute=11, epoch="boot-2")).json()["gaps"] == [
        {"epoch": "boot-2", "from": 2, "to": 2}
    ]
    assert counted(tenant)["messages", "group;deployment=shared"] == 4 * 7


def test_only_a_known_gateway_that_signs_now_is_let_in() -> None:
    a_tenant()
    gateway, other = a_gateway(), a_gateway("gw-2")
    good = a_report(1)
    wrong = [
        post(gateway, good, secret=other.secret),
        post(gateway, {**good, "gateway": "nobody"}),
        post(gateway, good, at=clock.now() - timedelta(minutes=6)),
        post(gateway, good, at=clock.now() + timedelta(minutes=6)),
        Client().post("/api/v1/reports", data=json.dumps(good), content_type="application/json"),
    ]
    wrong += [
        Client().post(
            "/api/v1/reports",
            data=json.dumps(good),
            content_type="application/json",
            headers={
                "webhook-id": "msg_1",
                "webhook-timestamp": timestamp,
                "webhook-signature": "v1,AAAA",
            },
        )
        for timestamp in ("0", "-1", "1e9", "²", "99999999999", "253402300800", "9" * 13)
    ]
    with system_scope(purpose="test"):
        revoke_gateway(key="gw-2", now=clock.now(), actor="test")
    wrong.append(post(other, {**good, "gateway": "gw-2"}))
    for answer in wrong:
        assert answer.status_code == 401, answer.content
        assert answer.json()["code"] in {"invalid_signature", "not_authenticated"}
    assert post(gateway, good).status_code == 200


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (b"{", "malformed_json"),
        (a_report(0, minute=1), "bad_report"),
        (a_report(1, note="x"), "bad_report"),
        (a_report(1, apps=[{"app": "a\x00b"}]), "bad_report"),
        (a_report(1, gateway="a\x00b"), "bad_report"),
        *(
            (a_report(1, window={"starts_at": starts_at, "ends_at": ends_at}), "bad_window")
            for starts_at, ends_at in (
                ("0001-01-01T00:00:00+14:00", "0001-01-01T00:01:00+14:00"),
                ("9999-12-31T23:58:00Z", "9999-12-31T23:59:00Z"),
                ("9999-12-31T23:58:00-14:00", "9999-12-31T23:59:00-14:00"),
            )
        ),
        (
            a_report(
                1, window={"starts_at": "2026-11-20T03:00:00Z", "ends_at": "2026-11-20T03:00:00Z"}
            ),
            "bad_window",
        ),
        (
            a_report(
                1, window={"starts_at": "2026-11-20T03:00:00", "ends_at": "2026-11-20T03:01:00"}
            ),
            "bad_window",
        ),
        (
            a_report(
                1, window={"starts_at": "2026-10-01T03:00:00Z", "ends_at": "2026-10-01T03:01:00Z"}
            ),
            "report_too_old",
        ),
        (
            a_report(
                1, window={"starts_at": "2026-11-20T12:00:00Z", "ends_at": "2026-11-20T13:00:00Z"}
            ),
            "report_in_future",
        ),
    ],
)
def test_what_is_no_report_is_refused_whole(report: Any, code: str) -> None:
    a_tenant()
    answer = post(a_gateway(), report)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    with system_scope(purpose="test"):
        assert GatewayGap.objects.count() == 0


def test_a_window_may_be_written_with_any_offset() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    window = {"starts_at": "2026-11-20T23:00:00+20:00", "ends_at": "2026-11-20T03:01:00Z"}
    assert post(gateway, a_report(1, window=window)).json()["status"] == "accepted"
    window["starts_at"] = "2026-11-20T03:00:00Z"
    assert post(gateway, a_report(1, window=window)).json()["status"] == "duplicate"
    assert counted(tenant)["dau", ""] == 2


def test_an_app_that_is_wrong_leaves_the_others_counted() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    apps = [
        {"app": "nowhere", "counts": {"message.single": "1"}, "active_users": ["planted"]},
        {"app": "chat", "counts": {"message.single": "4", "login": "0"}},
        {"app": "chat", "counts": {"message.single": "-1"}},
        {"app": "chat", "counts": {"steps": "1"}},
    ]
    answer = post(gateway, a_report(1, apps=apps)).json()
    assert [(each["app"], each["code"]) for each in answer["rejected"]] == [
        ("nowhere", "unknown_app"),
        ("chat", "bad_count"),
        ("chat", "unknown_count"),
    ]
    assert counted(tenant) == {("messages", "single;deployment=shared"): 4}
    with system_scope(purpose="test"):
        kept = RejectedEvent.objects.order_by("code")
        assert [row.code for row in kept] == ["bad_count", "unknown_app", "unknown_count"]
        assert "planted" not in str(kept[1].content)


def test_a_gateways_secret_is_not_kept_in_the_open() -> None:
    gateway = a_gateway()
    assert gateway.secret.startswith("whsec_")
    with system_scope(purpose="test"):
        stored = bytes(Gateway.objects.get().secret)
        assert gateway.secret.encode() not in stored
        with pytest.raises(Conflict):
            create_gateway(key="gw-1", deployment="", now=clock.now(), actor="test")
        for key in ("", "UPPER", "a b"):
            with pytest.raises(Invalid):
                create_gateway(key=key, deployment="", now=clock.now(), actor="test")


def test_signatures_are_those_of_standard_webhooks() -> None:
    # The example of the specification.
    assert signature(
        secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # published
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp="1614265330",
        body=b'{"test": 2432232314}',
    ) == ("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")


def counted_by_app(tenant: CreatedTenant) -> dict[tuple[str, str], int]:
    roll_up_pending(now=clock.now())
    with system_scope(purpose="test"):
        names = dict(App.objects.filter(tenant_id=tenant.id).values_list("id", "key"))
    found: Counter[tuple[str, str]] = Counter()
    for (app_id, meter, _, _), value in stored_usage(tenant.id).items():
        found[names[app_id], meter] += int(value)
    return dict(found)


def sealed() -> int:
    with system_scope(purpose="test"):
        return SealedUsage.objects.filter(sealed__isnull=False).count()


def replay() -> Replayed:
    return replay_rejected(
        code="unknown_app", now=clock.now(), actor="user:1", reason="the app was made"
    )


def test_what_was_told_of_an_unknown_app_is_taken_in_once_when_it_was_made() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    post(gateway, a_report(1))
    named = [
        {"app": "new", "counts": {"message.single": "3"}, "active_users": ["u1", "u2"]},
        {"app": "new", "counts": {"login": "1"}, "active_users": ["u2", "u3"]},
        {"app": "nobodys", "counts": {"login": "5"}, "active_users": ["u9"]},
    ]
    post(gateway, a_report(2, apps=named))
    since = clock.now() - timedelta(days=1)
    with system_scope(purpose="test"):
        (group,) = rejected_groups(since=since, limit=10).rows
        assert (group.tenant_id, group.code, group.count, group.waiting) == (
            None,
            "unknown_app",
            3,
            3,
        )
        # The ids of users are nowhere to be read.
        assert all(b'"u3"' not in bytes(row.sealed or b"") for row in SealedUsage.objects.all())
    assert replay() == Replayed()  # nobody made it yet
    before = counted_by_app(tenant)
    with system_scope(purpose="test"):
        create_app(tenant_id=tenant.id, key="new", name="new", now=clock.now(), actor="test")
        assert [(row.app, row.waiting, row.tenant_key) for row in unknown_apps(limit=9).rows] == [
            ("new", 2, "acme"),
            ("nobodys", 1, ""),
        ]
        assert unknown_apps(limit=9, tenant_id=tenant.id).total == 1
    assert replay() == Replayed(tried=2, accepted=2)
    after = counted_by_app(tenant)
    assert {place: value for place, value in after.items() if place not in before} == {
        ("new", "dau"): 3,
        ("new", "messages"): 3,
    }
    assert sealed() == 1
    assert replay() == Replayed()
    assert post(gateway, a_report(2, apps=named)).json()["status"] == "duplicate"
    assert counted_by_app(tenant) == after
    with system_scope(purpose="test"):
        assert usage_differences(tenant_ids=[tenant.id], from_day=DAY, to_day=DAY + timedelta(days=1)) == []  # fmt: skip
        (group,) = rejected_groups(since=since, limit=10).rows
        assert (group.waiting, group.replayed) == (1, 2)
        assert (
            AuditRecord.objects.filter(action="events.replayed", tenant_id=tenant.id).count() == 1
        )


def test_a_wrong_count_of_an_unknown_app_stays_refused_when_it_was_made() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    post(gateway, a_report(1, apps=[{"app": "new", "counts": {"steps": "1"}}]))
    with system_scope(purpose="test"):
        create_app(tenant_id=tenant.id, key="new", name="new", now=clock.now(), actor="test")
    assert replay() == Replayed(tried=1, rejected={"unknown_count": 1})
    assert (counted(tenant), sealed()) == ({}, 1)


def test_replays_at_once_take_each_report_in_once() -> None:
    tenant, gateway = a_tenant(), a_gateway()
    for sequence in range(1, 9):
        post(gateway, a_report(sequence, apps=[{"app": "new", "counts": {"message.single": "1"}}]))
    with system_scope(purpose="test"):
        create_app(tenant_id=tenant.id, key="new", name="new", now=clock.now(), actor="test")

    def work() -> int:
        try:
            return replay().accepted
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        accepted = [each.result() for each in [pool.submit(work) for _ in range(4)]]
    assert sum(accepted) == 8
    assert counted(tenant) == {("messages", "single;deployment=shared"): 8}


def test_a_gateway_that_began_anew_under_the_same_epoch_is_seen_until_it_names_another() -> None:
    a_tenant()
    gateway = a_gateway()
    post(gateway, a_report(1))
    assert post(gateway, a_report(1, minute=30)).json()["code"] == "conflicting_report"
    with system_scope(purpose="test"):
        (row,) = gateway_rows(limit=1)
        assert (row.is_in_conflict, row.conflict_sequence) == (True, 1)
        operations = User.objects.create_user(
            "operations@summit.test", "x", staff_role=StaffRole.OPERATIONS
        )
    client = Client()
    client.force_login(operations)
    assert "let it name a new epoch" in client.get("/console/gateways/").content.decode()
    with pytest.MonkeyPatch.context() as patch:
        later = clock.now() + timedelta(minutes=1)
        patch.setattr(clock, "now", lambda: later)
        assert post(gateway, a_report(1, minute=30, epoch="boot-2")).status_code == 200
    with system_scope(purpose="test"):
        assert not gateway_rows(limit=1)[0].is_in_conflict
