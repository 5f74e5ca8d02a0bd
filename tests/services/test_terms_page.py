"""The console's page of a tenant's terms: what applied, and agreeing on a price; what the portal shows."""

import re
from datetime import date

import pytest
from django.test import Client

from billing.subscriptions.models import Subscription, SubscriptionPrice
from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.domain import Role, StaffRole
from tenants.models import Member, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant

PAGE = "/console/tenants/acme/terms/"


@pytest.fixture
def acme(db: None) -> CreatedTenant:
    """Begins to be billed today, so that its first period is not billed yet."""
    a_plan(effective_from="2026-01-01")
    tenant = a_tenant()
    a_subscription(tenant, starts_on=today())
    return tenant


def today() -> date:
    return local_day(clock.now(), zone_named("Asia/Shanghai")).replace(day=1)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def staff(role: StaffRole) -> Client:
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    return signed_in(user)


def form(**changes: str) -> dict[str, str]:
    return {
        "price_key": "base",
        "document": '{"model": "flat", "amount": "149"}',
        "starts_on": "",
        "ends_on": "",
        "clause": "Section 3 of the framework agreement.",
        "reference": "FA-2026-17",
        **changes,
    }


def agreed() -> list[tuple[str, str]]:
    with system_scope(purpose="test"):
        return list(SubscriptionPrice.objects.values_list("price_key", "recorded_by"))


def billed_until_today(client: Client) -> str:
    """The first day that can still be agreed on, as the subscription's cursor tells it."""
    with system_scope(purpose="test"):
        row = Subscription.objects.get()
        row.next_boundary_at = row.next_boundary_at and row.next_boundary_at.replace(year=2099)
        row.save()
        assert row.next_boundary_at is not None
        return local_day(row.next_boundary_at, zone_named(row.timezone)).isoformat()


def test_sales_record_an_agreement(acme: CreatedTenant) -> None:
    client = staff(StaffRole.SALES)
    assert "Record the agreement" in client.get(PAGE).content.decode()
    first = billed_until_today(client)

    answer = client.post(PAGE, form(starts_on=first))

    assert answer.status_code == 302, answer.content.decode()
    ((key, recorded_by),) = agreed()
    assert (key, recorded_by.partition(":")[0]) == ("base", "user")
    shown = client.get(f"{PAGE}?on={first}").content.decode()
    assert "Section 3 of the framework agreement." in shown
    assert "149.00" in shown


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"document": "cheaper"}, "This is not JSON"),
        ({"document": '{"model": "flat", "amount": "-1"}'}, "negative"),
        ({"clause": ""}, "required"),
        ({"price_key": "rent"}, "rent"),
        ({"starts_on": "2020-01-01"}, "billed up to"),
    ],
)
def test_what_is_wrong_stands_at_its_field(
    acme: CreatedTenant, changes: dict[str, str], told: str
) -> None:
    client = staff(StaffRole.SALES)
    first = billed_until_today(client)
    answer = client.post(PAGE, form(**{"starts_on": first, **changes}))
    assert answer.status_code == 422
    assert told in answer.content.decode()
    assert agreed() == []


@pytest.mark.parametrize("role", [StaffRole.FINANCE, StaffRole.AUDITOR])
def test_others_see_the_terms_and_agree_on_nothing(acme: CreatedTenant, role: StaffRole) -> None:
    client = staff(role)
    first = billed_until_today(client)
    shown = client.get(PAGE).content.decode()
    assert "Which text applied?" in shown
    assert "Record the agreement" not in shown
    client.post(PAGE, form(starts_on=first))
    assert agreed() == []


def test_a_day_without_a_plan_is_told(acme: CreatedTenant) -> None:
    shown = staff(StaffRole.SALES).get(f"{PAGE}?on=2020-01-01").content.decode()
    assert "The tenant held no plan on" in shown
    assert "Record the agreement" not in shown


def test_the_plan_page_answers_for_a_day_and_lists_who_holds_a_version(
    acme: CreatedTenant,
) -> None:
    a_plan(effective_from="2026-06-01", trial_days=1)
    client = staff(StaffRole.FINANCE)
    shown = client.get("/console/plans/standard/?on=2026-05-01").content.decode()
    text = re.sub(r"<[^>]*>", "", shown)
    assert "On May 1, 2026: version 1, to before Jun 1, 2026." in text
    cohort = client.get("/console/plans/standard/versions/1/").content.decode()
    assert "/console/tenants/acme/" in cohort
    assert client.get("/console/plans/standard/versions/3/").status_code == 404
    exported = client.get("/console/plans/standard/versions/1/?format=csv")
    assert exported.status_code == 200


def test_the_tenant_sees_what_was_agreed(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        owner = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=acme.id, user=owner, role=Role.OWNER)
        row = Subscription.objects.select_related("plan_version").get()
        SubscriptionPrice.objects.create(
            tenant_id=acme.id,
            subscription=row,
            plan_id=row.plan_version.plan_id,
            number=1,
            price_key="base",
            starts_on=row.starts_on,
            document={"key": "base", "model": "flat", "amount": "149"},
            clause="Section 3 of the framework agreement.",
            reference="FA-2026-17",
            recorded_by="test",
            recorded_at=clock.now(),
        )
    shown = signed_in(owner).get("/portal/acme/plan/").content.decode()
    assert "Section 3 of the framework agreement." in shown
    assert "149.00" in shown
    assert "199.00" not in shown
