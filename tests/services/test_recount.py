"""Closed days are counted twice, by two paths, and nothing is billed where the two differ."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.test import Client

from billing.certificates.services import certify_day
from billing.invoicing.models import Invoice
from billing.invoicing.services.change_subscription import change_subscription
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict
from metering.corrections.services.decide_correction import approve_correction
from metering.corrections.services.request_correction import AskedCorrection, request_correction
from metering.queries import Span, compare_with_recounts, usage_differences
from metering.recount.models import RecountedDays, UsageRecount
from metering.services import close_days, rebuild_usage, recount_closed_days, roll_up, set_usage
from tenants.domain import Role
from tenants.models import Member, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from tests.services.metering_world import message, send
from tests.services.test_balance_page import BACKEND
from tests.services.test_billing_run import bill, listed
from tests.services.test_reconcile import past_the_guards
from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")

DAY = date(2026, 3, 5)
NEXT = DAY + timedelta(days=1)
AFTER = datetime(2026, 3, 6, 1, tzinfo=UTC)
"""The sixth of March in Shanghai, so that the fifth is over."""
FINAL_AT = "2026-04-02T00:00:00+08:00"


def used(key: str = "acme", *, users: int = 12, app: str = "chat") -> CreatedTenant:
    """A subscribed tenant whose app had so many users on 5 March, each with one message."""
    a_plan()
    tenant = a_tenant(key, apps=(app,))
    a_subscription(tenant)
    send(
        tenant.id,
        [
            message(str(number), f"u{number}", "2026-03-05T12:00:00+08:00", app=app)
            for number in range(users)
        ],
        now=datetime(2026, 3, 5, 13, tzinfo=UTC),
    )
    return tenant


def closed_and_recounted(now: datetime = AFTER) -> None:
    with system_scope(purpose="test"):
        close_days(now=now)
    recount_closed_days(now=now)


def recounts(tenant: CreatedTenant, *, day: date = DAY) -> dict[tuple[str, str], Decimal]:
    with system_scope(purpose="test"):
        return {
            (row.meter, row.kind): row.value
            for row in UsageRecount.objects.filter(tenant_id=tenant.id, day=day)
        }


def compared(tenant: CreatedTenant, *, day: date = DAY) -> list[tuple[str, int, int]]:
    with system_scope(purpose="test"):
        found = compare_with_recounts(
            spans=[Span(tenant_id=tenant.id, from_day=day, to_day=day + timedelta(days=1))],
            meters=["dau", "messages"],
        )
    assert not found.behind
    return [(each.meter, int(each.stored), int(each.recounted)) for each in found.differences]


def parked(tenant: CreatedTenant) -> str:
    with system_scope(purpose="test"):
        return Subscription.objects.get(tenant_id=tenant.id).parked_code


def statuses(tenant: CreatedTenant) -> list[str]:
    with system_scope(purpose="test"):
        found = Invoice.objects.filter(tenant_id=tenant.id).order_by("boundary_at")
        return list(found.values_list("status", flat=True))


class TestRecount:
    def test_is_kept_apart_when_a_day_closes(self) -> None:
        tenant = used()
        closed_and_recounted()
        assert recounts(tenant) == {("dau", ""): 12, ("messages", ""): 12}
        assert compared(tenant) == []
        assert recount_closed_days(now=AFTER).days == 0

    def test_is_not_led_astray_by_what_roll_up_remembers(self) -> None:
        tenant = used()
        with system_scope(purpose="test"):
            roll_up(now=AFTER)
        past_the_guards(
            "UPDATE metering_daily_usage SET value = value + 1;"
            " DELETE FROM metering_active_user WHERE user_hash IN"
            " (SELECT user_hash FROM metering_active_user ORDER BY user_hash LIMIT 5)"
        )
        closed_and_recounted()
        assert recounts(tenant) == {("dau", ""): 12, ("messages", ""): 12}
        assert compared(tenant) == [("dau", 13, 12), ("messages", 13, 12)]

    def test_follows_a_correction_of_the_day(self) -> None:
        tenant = used()
        closed_and_recounted()
        send(tenant.id, [message("late", "u99", "2026-03-05T23:00:00+08:00")], now=AFTER)
        with system_scope(purpose="test"):
            roll_up(now=AFTER)
            span = Span(tenant_id=tenant.id, from_day=DAY, to_day=NEXT)
            behind = compare_with_recounts(spans=[span], meters=["dau"])
        # Until it is counted anew, nothing is said of the day.
        assert list(behind.differences) == []
        assert behind.behind == {tenant.id}
        assert recount_closed_days(now=AFTER).days == 1
        assert recounts(tenant) == {("dau", ""): 13, ("messages", ""): 13}
        assert compared(tenant) == []

    def test_leaves_out_what_waits_to_be_rolled_up(self) -> None:
        tenant = used()
        closed_and_recounted()
        send(tenant.id, [message("late", "u99", "2026-03-05T23:00:00+08:00")], now=AFTER)
        assert compared(tenant) == []
        with system_scope(purpose="test"):
            assert usage_differences(from_day=DAY, to_day=NEXT) == []

    def test_takes_what_was_said_outright_as_raw_data(self) -> None:
        tenant = used()
        some_usage(tenant, {DAY: 500, NEXT: 7})
        # What comes after counts on top: one new user, and one who was there before.
        send(
            tenant.id,
            [
                message("more", "u99", "2026-03-05T14:00:00+08:00"),
                message("known", "u1", "2026-03-05T14:00:00+08:00"),
            ],
            now=datetime(2026, 3, 5, 14, tzinfo=UTC),
        )
        closed_and_recounted()
        # The twelve waited to be rolled up when 500 was said, so they count on top too.
        assert recounts(tenant) == {("dau", ""): 513, ("messages", ""): 14}
        assert compared(tenant) == []
        closed_and_recounted(AFTER + timedelta(days=1))
        assert recounts(tenant, day=NEXT) == {("dau", ""): 7}

    def test_knows_a_correction_by_two_people(self) -> None:
        tenant = used()
        closed_and_recounted()
        with system_scope(purpose="test"):
            asked = request_correction(
                asked=AskedCorrection(app="chat", meter="dau", day=DAY, value=Decimal(9)),
                reason="a load test",
                now=AFTER,
                actor="user:1",
            )
            approve_correction(correction_id=asked, now=AFTER, actor="user:2")
        send(tenant.id, [message("late", "u99", "2026-03-05T23:00:00+08:00")], now=AFTER)
        with system_scope(purpose="test"):
            roll_up(now=AFTER)
            rebuilt = rebuild_usage(tenant_id=tenant.id, from_day=DAY, to_day=NEXT, now=AFTER)
        # A rebuild keeps what two people said.
        assert rebuilt.corrected == 0
        assert recounts(tenant)["dau", ""] == 10
        assert compared(tenant) == []

    @pytest.mark.parametrize("meter", ["peak_connections", "storage"])
    def test_of_a_gauge_that_was_set_counts_only_later_readings(self, meter: str) -> None:
        tenant = a_tenant()
        type_ = {"peak_connections": "connections.measured", "storage": "storage.measured"}[meter]

        def read(event_id: str, value: int, hour: int) -> None:
            at = datetime(2026, 3, 5, hour, tzinfo=UTC)
            event: dict[str, Any] = message(event_id, "", at, type=type_)
            event["data"] = {"value": value}
            send(tenant.id, [event], now=at)
            with system_scope(purpose="test"):
                roll_up(now=at)

        read("1", 100, 1)
        with system_scope(purpose="test"):
            set_usage(
                tenant_id=tenant.id,
                app_id=tenant.apps[0].id,
                meter=meter,
                day=DAY,
                value=Decimal(50),
                now=datetime(2026, 3, 5, 1, tzinfo=UTC),
                reason="a misreading",
            )
        read("2", 60, 2)
        closed_and_recounted()
        assert recounts(tenant) == {(meter, ""): 60}
        with system_scope(purpose="test"):
            assert usage_differences(from_day=DAY, to_day=NEXT) == []

    def test_outlives_the_events(self) -> None:
        tenant = used()
        closed_and_recounted()
        past_the_guards(
            "DELETE FROM metering_event_group;"
            "INSERT INTO metering_dropped_partition (name, starts_at, ends_at, bytes, decided_at)"
            " VALUES ('gone', NULL, '2026-05-01', 0, '2027-06-05')"
        )
        assert compared(tenant) == []
        past_the_guards("UPDATE metering_daily_usage SET value = value - 1 WHERE meter = 'dau'")
        assert compared(tenant) == [("dau", 11, 12)]
        found = certify_day(day=DAY, now=datetime(2027, 6, 6, tzinfo=UTC)).found
        (events,) = [each for each in found.checks if each.name == "events"]
        assert [each.code for each in events.findings] == ["usage_differs"]
        # What is corrected now can't be counted anew: of that day nothing is said any more.
        some_usage(tenant, {DAY: 14}, meter="messages")
        recount_closed_days(now=AFTER)
        assert compared(tenant) == []

    def test_of_days_closed_before_there_was_one_says_nothing(self) -> None:
        tenant = used()
        with system_scope(purpose="test"):
            close_days(now=AFTER)
            RecountedDays.objects.create(
                tenant_id=tenant.id, recounted_from=DAY + timedelta(days=1), recounted_until=NEXT
            )
        past_the_guards("UPDATE metering_daily_usage SET value = value + 1")
        recount_closed_days(now=AFTER)
        assert compared(tenant) == []

    def test_of_years_is_caught_up_in_steps(self) -> None:
        tenant = a_tenant()
        days = [date(2022, 5, 1), date(2024, 2, 29), DAY]
        some_usage(tenant, dict.fromkeys(days, 3))
        closed_and_recounted()
        for day in days:
            assert recounts(tenant, day=day) == {("dau", ""): 3}
            assert compared(tenant, day=day) == []


class TestBilling:
    def test_one_unit_of_difference_holds_back_that_invoice_alone(self) -> None:
        tenant, other = used(), used("other", app="other")
        closed_and_recounted()
        past_the_guards(
            "UPDATE metering_daily_usage SET value = value + 1"
            f" WHERE meter = 'dau' AND tenant_id = '{tenant.id}'"
        )
        result = bill(FINAL_AT)
        (fault,) = result.parked
        assert (fault.tenant, fault.code) == ("acme", "usage_differs_from_recount")
        assert "dau of app chat on 2026-03-05 is 13 in daily usage and 12 when" in fault.detail
        assert statuses(tenant) == ["open", "draft"]
        assert statuses(other) == ["open", "open"]
        # Tried again by every run, told once.
        again = bill(FINAL_AT)
        assert (again.parked, statuses(tenant)) == ([fault], ["open", "draft"])
        found = certify_day(day=DAY, now=datetime.fromisoformat(FINAL_AT)).found
        assert not found.agrees

    def test_goes_on_when_the_cause_is_mended(self) -> None:
        tenant = used()
        closed_and_recounted()
        past_the_guards("UPDATE metering_daily_usage SET value = value + 1 WHERE meter = 'dau'")
        bill(FINAL_AT)
        assert parked(tenant) == "usage_differs_from_recount"
        with clock.moved_to(datetime.fromisoformat(FINAL_AT)):
            call_command(
                "rebuild_usage", "--tenant", "acme", "--from", "2026-03-01", "--to", "2026-04-01"
            )
        assert bill(FINAL_AT).parked == []
        assert parked(tenant) == ""
        assert statuses(tenant) == ["open", "open"]
        # 12 users and not 13, as the line's working says, of which ten are included: one started ten.
        (line,) = [line for line in listed()[-1]["lines"] if line["key"] == "dau"]
        assert line["amount"] == "5.00"
        assert line["explanation"]["aggregation"]["days"] == {"2026-03-05": "12"}

    def test_does_not_care_for_meters_that_the_plan_does_not_price(self) -> None:
        tenant = used()
        closed_and_recounted()
        past_the_guards(
            "UPDATE metering_daily_usage SET value = value + 1 WHERE meter = 'messages'"
        )
        assert bill(FINAL_AT).parked == []
        assert statuses(tenant) == ["open", "open"]

    def test_counts_days_itself_that_nobody_counted(self) -> None:
        tenant = used()
        assert bill(FINAL_AT).parked == []
        assert recounts(tenant)["dau", ""] == 12

    def test_a_cancellation_now_bills_nothing_that_differs(self) -> None:
        tenant = used()
        closed_and_recounted()
        bill("2026-03-01T00:00:00+08:00")
        past_the_guards("UPDATE metering_daily_usage SET value = value + 1 WHERE meter = 'dau'")
        with system_scope(purpose="test"), pytest.raises(Conflict) as refused:
            change_subscription(
                tenant_id=tenant.id,
                asked=AskedChange(kind=ChangeKind.CANCEL, when=EffectiveWhen.NOW),
                now=datetime(2026, 3, 7, 1, tzinfo=UTC),
                actor="test",
            )
        assert refused.value.code == "usage_differs_from_recount"


@pytest.fixture(autouse=True)
def _owner_leaves() -> Any:
    yield
    connections[OWNER].close()


def test_a_member_sees_the_tenants_own_part_of_the_certificate() -> None:
    tenant, other = used(), used("other", app="other", users=3)
    closed_and_recounted()
    bill(FINAL_AT)
    clients = {}
    for role in (Role.OWNER, Role.DEVELOPER):
        with system_scope(purpose="test"):
            user = User.objects.create_user(f"{role}@acme.test", "x")
            Member.objects.create(tenant_id=tenant.id, user=user, role=role)
        clients[role] = Client()
        clients[role].force_login(user, backend=BACKEND)
    address = "/portal/acme/usage/certificate/"
    shown = clients[Role.OWNER].get(f"{address}?day=2026-03-05").content.decode()
    assert "Agrees" in shown
    assert "Differs" not in shown
    # The other tenant's app is not among the rows, and its page is not to be had.
    assert ">other<" not in shown
    assert clients[Role.OWNER].get("/portal/other/usage/certificate/").status_code == 404
    past_the_guards(
        f"UPDATE metering_daily_usage SET value = 13 WHERE meter = 'dau' AND tenant_id = '{tenant.id}'"
    )
    assert "Differs" in clients[Role.OWNER].get(f"{address}?day=2026-03-05").content.decode()
    with system_scope(purpose="test"):
        issued = Invoice.objects.filter(tenant_id=tenant.id).latest("number")
        foreign = Invoice.objects.filter(tenant_id=other.id).latest("number")
    documents = clients[Role.OWNER].get(f"{address}?day=2026-04-02").content.decode()
    # The second of April is not closed: who asks is told so.
    assert "not closed yet" in documents
    closed_and_recounted(datetime(2026, 4, 4, tzinfo=UTC))
    documents = clients[Role.OWNER].get(f"{address}?day=2026-04-02").content.decode()
    assert str(issued.number) in documents
    assert str(foreign.number) not in documents
    # A developer sees usage and no documents.
    assert (
        str(issued.number)
        not in clients[Role.DEVELOPER].get(f"{address}?day=2026-04-02").content.decode()
    )
    assert clients[Role.OWNER].get(f"{address}?day=nonsense").status_code == 200
