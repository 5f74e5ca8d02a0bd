"""Periods that are not invoiced ten days after their end raise an alarm, wherever they are held."""

import logging
from datetime import date, datetime, timedelta

import pytest
from django.test import Client

from billing.invoicing.services.check_uninvoiced import CHECK_KIND, check_uninvoiced
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.invoicing.uninvoiced import Held, Uninvoiced, uninvoiced_count, uninvoiced_periods
from billing.subscriptions.domain import Anchor
from billing.subscriptions.models import Subscription
from kernel import clock
from tenants.domain import StaffRole, TaxTreatment
from tenants.models import Tenant, User
from tenants.scope import system_scope
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant
from work import jobs

pytestmark = pytest.mark.usefixtures("db")

MARCH = datetime.fromisoformat("2026-03-01T00:00:00+08:00")
APRIL = datetime.fromisoformat("2026-04-01T00:00:00+08:00")
GRACE_OVER = APRIL + timedelta(days=1)
ALARM_AT = APRIL + timedelta(days=10)
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def bill(at: datetime, *, finalize: bool = True) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(at=at, finalize=finalize, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)


def found(now: datetime) -> list[Uninvoiced]:
    with system_scope(purpose="test"):
        rows = list(uninvoiced_periods(now=now, limit=10))
        assert len(rows) == uninvoiced_count(now=now)
    return rows


def test_a_period_that_no_run_looked_at() -> None:
    a_plan()
    a_subscription(a_tenant())
    bill(MARCH)

    assert found(ALARM_AT - timedelta(seconds=1)) == []
    (late,) = found(ALARM_AT)

    assert (late.tenant_key, late.plan_key, late.ended_at) == ("acme", "standard", APRIL)
    assert (late.days_late, late.held, late.legal_deadline) == (10, Held.NOT_DRAFTED, None)
    bill(GRACE_OVER)
    assert found(ALARM_AT) == []


def test_a_draft_that_nobody_finalised() -> None:
    a_plan()
    a_subscription(a_tenant())
    bill(GRACE_OVER, finalize=False)
    # The month's beginning was drafted as well.
    assert [(each.ended_at, each.held) for each in found(ALARM_AT)] == [
        (MARCH, Held.DRAFT),
        (APRIL, Held.DRAFT),
    ]


def test_a_draft_whose_agreed_grace_is_long() -> None:
    a_plan({**STANDARD, "grace": "P20D"})
    a_subscription(a_tenant())
    bill(GRACE_OVER)
    assert [each.held for each in found(ALARM_AT)] == [Held.GRACE]


def test_a_subscription_that_was_left_aside_says_why() -> None:
    a_plan()
    a_subscription(a_tenant())
    bill(MARCH)
    with system_scope(purpose="test"):
        Subscription.objects.update(parked_code="period_already_billed", parked_detail="Since.")
    (late,) = found(ALARM_AT)
    assert (late.held, late.code, late.detail) == (Held.PARKED, "period_already_billed", "Since.")


@pytest.mark.parametrize(
    ("starts_on", "anchor", "deadline"),
    [
        (date(2026, 3, 1), Anchor.CALENDAR, date(2026, 4, 15)),  # ends with March
        (date(2026, 3, 10), Anchor.ANNIVERSARY, date(2026, 5, 15)),  # ends on April 9th
    ],
)
def test_under_reverse_charge_the_law_s_own_deadline_is_told(
    starts_on: date, anchor: Anchor, deadline: date
) -> None:
    a_plan()
    a_subscription(a_tenant(), starts_on=starts_on, anchor=anchor)
    bill(datetime.fromisoformat("2026-03-12T00:00:00+08:00"))
    with system_scope(purpose="test"):
        Tenant.objects.update(tax_treatment=TaxTreatment.REVERSE_CHARGE)
    (late,) = found(datetime.fromisoformat("2026-04-25T00:00:00+08:00"))
    assert late.legal_deadline == deadline


def test_the_daily_check_raises_the_alarm_in_log_metrics_and_console(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a_plan()
    a_subscription(a_tenant())
    bill(MARCH)
    with caplog.at_level(logging.ERROR):
        assert check_uninvoiced(now=APRIL) == 0
        assert not caplog.records
    with system_scope(purpose="test"):
        jobs.enqueue(kind=CHECK_KIND, key="test", payload={})
    with caplog.at_level(logging.ERROR):
        jobs.run_pending(now=ALARM_AT, kinds={CHECK_KIND})
    assert "1 periods are not invoiced" in caplog.text

    metrics = Client().get("/metrics").content.decode()
    assert "summit_uninvoiced_periods 1.0" in metrics
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email="f@summit.test", staff_role=StaffRole.FINANCE)
    client.force_login(user, backend=BACKEND)
    with clock.moved_to(ALARM_AT):
        overview = client.get("/console/").content.decode()
        listed = client.get("/console/runs/uninvoiced/").content.decode()
    assert "1 period is not invoiced 10 days after its end." in overview
    assert "No run looked at it" in listed
