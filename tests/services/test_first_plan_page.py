"""Putting a tenant on a plan from the console."""

from datetime import timedelta

import pytest
from django.test import Client

from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import a_plan, a_tenant

pytestmark = pytest.mark.usefixtures("db")

PAGE = "/console/tenants/acme/plan/"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def staff(role: StaffRole = StaffRole.FINANCE) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email=f"{role}@summit.test", staff_role=role)
    client.force_login(user, backend=BACKEND)
    return client


def asked(**changes: str) -> dict[str, str]:
    today = local_day(clock.now(), zone_named("Asia/Shanghai"))
    return {
        "plan": "standard",
        "starts_on": today.replace(day=1).isoformat(),
        "anchor": "calendar",
        **changes,
    }


def test_a_tenant_is_put_on_a_plan_once() -> None:
    a_tenant()
    client = staff()
    assert "No plans yet" in client.get(PAGE).content.decode()
    a_plan()
    assert PAGE in client.get("/console/tenants/acme/").content.decode()
    assert "Standard" in client.get(PAGE).content.decode()
    assert client.post(PAGE, asked()).status_code == 302
    with system_scope(purpose="test"):
        row = Subscription.objects.select_related("plan_version__plan").get()
        assert AuditRecord.objects.filter(action="subscription.started").count() == 1
    assert (row.plan_version.plan.key, row.starts_on.day, row.anchor) == ("standard", 1, "calendar")
    again = client.post(PAGE, asked())
    assert again.status_code == 422
    assert "already" in again.content.decode()
    with system_scope(purpose="test"):
        assert Subscription.objects.count() == 1
    assert "Start another plan" in client.get("/console/tenants/acme/").content.decode()
    assert "holds already: Standard" in client.get(PAGE).content.decode()


def test_another_plan_stands_beside_it_unless_it_prices_the_same() -> None:
    a_tenant()
    a_plan()
    a_plan(
        key="calls",
        name={"en": "Calls"},
        prices=[{"key": "line", "model": "flat", "amount": "10"}],
    )
    a_plan(key="chat-again", name={"en": "Chat again"})
    client = staff()
    assert client.post(PAGE, asked()).status_code == 302

    refused = client.post(PAGE, asked(plan="chat-again"))
    assert refused.status_code == 422
    assert "priced by the plan standard already" in str(refused.context["form"].errors["plan"])
    assert client.post(PAGE, asked(plan="calls")).status_code == 302

    shown = client.get("/console/tenants/acme/").content.decode()
    assert "Standard" in shown
    assert "Calls" in shown
    assert "standard" in client.get("/console/tenants/").content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("plan", "nope"), ("starts_on", "soon"), ("starts_on", ""), ("anchor", "moon")],
)
def test_each_fault_stands_at_its_field(field: str, value: str) -> None:
    a_tenant()
    a_plan()
    answer = staff().post(PAGE, asked(**{field: value}))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}


def test_a_start_in_the_future_waits_and_some_may_not_start_one() -> None:
    a_tenant()
    a_plan()
    day = local_day(clock.now(), zone_named("Asia/Shanghai")) + timedelta(days=40)
    assert staff().post(PAGE, asked(starts_on=day.isoformat())).status_code == 302
    with system_scope(purpose="test"):
        assert Subscription.objects.get().starts_on == day
    assert staff(StaffRole.OPERATIONS).get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302
