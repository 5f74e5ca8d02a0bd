"""Moving the subscriptions of a version from the console: a look first, one start, and the outcome."""

from typing import Any

import pytest
from django.test import Client

from billing.invoicing.services import migrate_plan
from billing.subscriptions.models import PlanMigration, Subscription, SubscriptionPhase
from kernel import clock
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant
from work.jobs import run_pending

pytestmark = pytest.mark.usefixtures("db")

PAGE = "/console/plans/standard/versions/1/migrate/"


@pytest.fixture(autouse=True)
def world(db: None) -> None:
    """Three tenants on version 1 of `standard`; version 2 costs 50 more a month."""
    a_plan()
    today = clock.now().date().replace(day=1)
    for key in ("ada", "bob", "cleo"):
        a_subscription(a_tenant(key, apps=(f"{key}-app",)), starts_on=today)
    a_plan(prices=[{**STANDARD["prices"][0], "amount": "249"}, STANDARD["prices"][1]])
    a_plan(key="foreign", currency="EUR")


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def form(**changes: str) -> dict[str, Any]:
    return {"to": "standard:2", "when": "period_end", "tenants": "", **changes}


def migrations() -> int:
    with system_scope(purpose="test"):
        return PlanMigration.objects.count()


def test_a_look_tells_how_many_and_what_they_would_have_paid() -> None:
    answer = staff(StaffRole.FINANCE).post(PAGE, form())
    assert answer.status_code == 200
    assert answer.context["cohort"].subscriptions == 3
    assert [str(row.difference) for row in answer.context["payers"].rows] == ["50.00 CNY"] * 3
    assert "Move 3 subscriptions" in answer.content.decode()
    assert migrations() == 0
    some = staff(StaffRole.ADMIN).post(PAGE, form(tenants="bob, ada"))
    assert some.context["cohort"].subscriptions == 2


def test_it_is_started_once_and_its_progress_is_told() -> None:
    client = staff(StaffRole.FINANCE)
    start = form(seen="3", start="yes")
    first, second = client.post(PAGE, start), client.post(PAGE, start)
    assert first.status_code == second.status_code == 302
    assert first["Location"] == second["Location"]
    assert migrations() == 1
    waiting = client.get(first["Location"])
    assert (waiting.context["migration"].waiting, waiting.context["migration"].moved) == (3, 0)
    run_pending(now=clock.now(), kinds=[migrate_plan.KIND])
    done = client.get(f"{first['Location']}progress")
    assert (done.context["migration"].waiting, done.context["migration"].moved) == (0, 3)
    assert "It is over." in done.content.decode()
    with system_scope(purpose="test"):
        assert SubscriptionPhase.objects.filter(plan_version__number=2).count() == 3
        assert AuditRecord.objects.filter(action="plan_migration.started").count() == 1
    # A form that was open meanwhile starts no other: nobody it was shown holds the version any more.
    again = client.post(PAGE, form(seen="3", start="yes", when="now"))
    assert again.status_code in {302, 422}


def test_who_came_meanwhile_is_not_moved_unseen() -> None:
    client = staff(StaffRole.FINANCE)
    answer = client.post(PAGE, form(seen="2", start="yes"))
    assert answer.status_code == 422
    assert "look at it again" in answer.content.decode()
    assert migrations() == 0


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"to": "foreign:1"}, {"to"}),
        ({"to": "standard:1"}, {"to"}),
        ({"to": "nothing:7"}, {"to"}),
        ({"when": "yesterday"}, {"when"}),
        ({"tenants": "nobody"}, {"tenants"}),
    ],
)
def test_what_cant_be_is_said_at_its_field(changes: dict[str, str], fields: set[str]) -> None:
    answer = staff(StaffRole.FINANCE).post(PAGE, form(seen="3", start="yes", **changes))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == fields
    assert migrations() == 0


def test_only_finance_moves_and_a_plan_without_that_version_is_not_found() -> None:
    for role in (StaffRole.SALES, StaffRole.OPERATIONS, StaffRole.AUDITOR):
        assert staff(role).post(PAGE, form(seen="3", start="yes")).status_code == 403
    admin = staff(StaffRole.ADMIN)
    assert admin.get("/console/plans/standard/versions/9/migrate/").status_code == 404
    assert (
        admin.get("/console/plan-migrations/01a219f3-1a30-742b-8bd5-7ab89ad054a6/").status_code
        == 404
    )
    assert migrations() == 0
    with system_scope(purpose="test"):
        assert Subscription.objects.filter(plan_version__number=1).count() == 3
