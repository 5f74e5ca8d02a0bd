"""Changing a plan in portal and console: what is previewed is what is billed, and once."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import Invoice
from billing.subscriptions.models import Subscription, SubscriptionChange
from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.models import Member, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.browser.conftest import PASSWORD, SignIn, Watch, World, accessibility_faults
from tests.factories import a_plan, a_subscription, a_tenant
from work.jobs import run_pending

SMALL: dict[str, Any] = {
    "key": "small",
    "name": {"en": "Small", "zh-hans": "小型"},
    "currency": "CNY",
    "prices": [
        {"key": "base", "model": "flat", "amount": "310", "prorate": True},
        {"key": "history-180", "model": "flat", "amount": "50", "prorate": True, "addon": True},
    ],
}
LARGE: dict[str, Any] = {
    **SMALL,
    "key": "large",
    "name": {"en": "Large", "zh-hans": "大型"},
    "prices": [{**SMALL["prices"][0], "amount": "6200"}, SMALL["prices"][1]],
}


def a_changer(key: str) -> CreatedTenant:
    """A tenant that holds the small plan since the first of this month, with an owner."""
    a_plan(SMALL)
    a_plan(LARGE)
    tenant = a_tenant(key, apps=(f"{key}-chat",))
    today = local_day(clock.now(), zone_named(tenant.timezone))
    a_subscription(tenant, plan="small", starts_on=today.replace(day=1))
    with system_scope(purpose="test"):
        for role in ("owner", "viewer"):
            user = User.objects.create_user(f"{role}@{key}.test", PASSWORD)
            Member.objects.create(tenant_id=tenant.id, user=user, role=role)
    return tenant


def work() -> None:
    run_pending(now=clock.now(), kinds=["billing.change_subscription"])


def plan_of(tenant: CreatedTenant) -> str:
    with system_scope(purpose="test"):
        [key] = Subscription.objects.filter(tenant_id=tenant.id).values_list(
            "plan_version__plan__key", flat=True
        )
    return str(key)


def test_a_tenant_previews_an_upgrade_and_is_billed_what_it_saw(
    sign_in: SignIn, world: World, shot: Callable[[Page, str], None]
) -> None:
    tenant = a_changer("upgrader")
    page = sign_in("owner@upgrader.test")
    page.goto("/portal/upgrader/plan/")
    other = page.get_by_role("table", name="What your last full month would have cost")
    expect(other.get_by_role("row").filter(has_text="Large")).to_contain_text("CN¥5,890.00")
    shot(page, "portal-plan-offers")
    assert accessibility_faults(page) == []
    other.get_by_role("row").filter(has_text="Large").get_by_role("link").click()
    page.get_by_label("When").select_option("now")
    page.get_by_role("button", name="Show what it would bill").click()
    shot(page, "portal-plan-preview")
    assert accessibility_faults(page) == []
    if clock.now().astimezone(zone_named(tenant.timezone)).day == 1:
        pytest.skip("On a period's first day a change only changes its draft.")
    total = page.locator("dd.grand").first.inner_text()
    confirm = page.get_by_role("button", name="Confirm the change")
    confirm.dblclick()
    expect(page.locator("#change-state")).to_contain_text("In progress")
    work()
    expect(page.locator("#change-state")).to_contain_text("The change is made.")
    shot(page, "portal-plan-changed")
    assert plan_of(tenant) == "large"
    with system_scope(purpose="test"):
        [invoice] = Invoice.objects.filter(tenant_id=tenant.id, kind=InvoiceKind.CHANGE)
        assert SubscriptionChange.objects.filter(tenant_id=tenant.id).count() == 1
        assert total == f"CN¥{invoice.total_minor / 100:,.2f}"


def test_other_amounts_than_those_seen_are_not_agreed_to(
    sign_in: SignIn, world: World, watch: Watch
) -> None:
    watch.expect(409)
    tenant = a_changer("hesitant")
    page = sign_in("owner@hesitant.test")
    page.goto("/portal/hesitant/plan/change/?kind=change_plan&plan=large&when=now")
    page.evaluate("document.querySelector('input[name=seen]').value = 'something else'")
    page.get_by_role("button", name="Confirm the change").click()
    expect(page.get_by_role("alert")).to_contain_text("not the same any more")
    with system_scope(purpose="test"):
        assert not SubscriptionChange.objects.filter(tenant_id=tenant.id).exists()


def test_cancelling_and_taking_it_back(sign_in: SignIn, world: World) -> None:
    tenant = a_changer("leaver")
    page = sign_in("owner@leaver.test")
    page.goto("/portal/leaver/plan/")
    page.get_by_role("link", name="Cancel the plan").click()
    expect(page.get_by_text("Nothing is billed or credited at once.")).to_be_visible()
    page.get_by_role("button", name="Confirm the change").click()
    work()
    expect(page.locator("#change-state")).to_contain_text("The change is made.")
    page.get_by_role("link", name="To the plan").click()
    page.get_by_role("link", name="Take the cancellation back").click()
    page.get_by_role("button", name="Confirm the change").click()
    work()
    expect(page.locator("#change-state")).to_contain_text("The change is made.")
    with system_scope(purpose="test"):
        assert Subscription.objects.get(tenant_id=tenant.id).ends_at is None


def test_a_viewer_sees_the_offers_and_changes_nothing(
    sign_in: SignIn, world: World, watch: Watch
) -> None:
    watch.expect(403)
    a_changer("looker")
    page = sign_in("viewer@looker.test")
    page.goto("/portal/looker/plan/")
    expect(page.get_by_text("Other plans")).to_be_visible()
    expect(page.get_by_role("link", name="Change the plan")).to_have_count(0)
    page.goto("/portal/looker/plan/change/")
    expect(page.get_by_text("forbidden")).to_be_visible()


def test_staff_add_an_addon_pause_and_resume(
    sign_in: SignIn, world: World, shot: Callable[[Page, str], None]
) -> None:
    a_changer("called")
    page = sign_in(world.sales)
    page.goto("/console/tenants/called/")
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("Change", exact=True).select_option("add_addon")
    expect(page.get_by_label("To the plan")).to_be_hidden()
    page.get_by_label("Of the price").select_option("history-180")
    page.get_by_label("Quantity").fill("2")
    page.get_by_role("button", name="Show what it would bill").click()
    shot(page, "console-change-preview")
    assert accessibility_faults(page) == []
    page.get_by_role("button", name="Confirm the change").click()
    work()
    expect(page.locator("#change-state")).to_contain_text("The change is made.")
    for kind in ("pause", "resume"):
        page.goto(f"/console/tenants/called/change/?kind={kind}&when=now")
        page.get_by_role("button", name="Confirm the change").click()
        work()
        expect(page.locator("#change-state")).to_contain_text("The change is made.")


def test_a_change_that_is_refused_says_why(sign_in: SignIn, world: World, watch: Watch) -> None:
    watch.expect(409, 422)
    a_changer("twice")
    page = sign_in(world.sales)
    page.goto("/console/tenants/twice/change/?kind=resume&when=now")
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto("/console/tenants/twice/change/?kind=change_quantity&price=base&quantity=x&when=now")
    expect(page.get_by_role("alert")).to_contain_text("Write a number")
