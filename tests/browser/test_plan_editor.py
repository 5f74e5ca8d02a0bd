"""The plan editor as sales and finance use it: typed, checked while one types, stored once."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from billing.catalog.models import PlanVersion
from tenants.scope import system_scope
from tests.browser.conftest import SignIn, Watch, World, accessibility_faults
from tests.factories import STANDARD, a_plan


def versions_of(key: str) -> list[int]:
    with system_scope(purpose="test"):
        rows = PlanVersion.objects.filter(plan__key=key).order_by("number")
        return list(rows.values_list("number", flat=True))


def test_a_plan_is_written_while_faults_and_amounts_follow(
    sign_in: SignIn, world: World, shot: Callable[[Page, str], None]
) -> None:
    page = sign_in(world.sales)
    page.goto("/console/plans/")
    page.get_by_role("link", name="New plan").click()
    page.get_by_label("Key").first.fill("browser-plan")
    page.get_by_label("Currency").fill("CNY")
    page.get_by_label("Name (en)").fill("Written in a browser")
    first = page.locator(".plan-price").nth(0)
    first.get_by_label("Key").fill("base")
    # Another model: its fields come, the others go, and what is missing is told beside it.
    first.get_by_label("Model", exact=True).select_option("graduated")
    expect(first.get_by_label("Amount", exact=True)).to_be_hidden()
    expect(page.locator("#plan-preview-faults")).to_contain_text("prices[0].tiers")
    first.get_by_role("button", name="Add a tier").click()
    bound = page.get_by_label("Up to", exact=True)
    expect(bound).to_be_focused()
    bound.fill("10")
    page.get_by_label("Unit price").last.fill("-3")
    expect(page.locator("#f-prices-0-tiers-0-unit-price-errors")).to_contain_text("zero or more")
    expect(page.locator("#f-prices-0-tiers-0-up-to-errors")).to_contain_text("no upper bound")
    shot(page, "plan-editor-faults")
    assert accessibility_faults(page) == []
    bound.fill("")
    page.get_by_label("Unit price").last.fill("3")
    expect(page.locator("#plan-preview-faults")).to_contain_text("can be stored")
    expect(page.locator("#f-prices-0-tiers-0-unit-price-errors")).to_be_empty()
    first = page.locator(".plan-price").nth(0)
    first.get_by_label("Meter", exact=True).select_option("dau")
    first.get_by_label("The period's quantity").select_option("mean_day")
    # 11 users on a mean day at 3.00.
    payers = page.get_by_role("table", name="What ten tenants would pay")
    expect(payers).to_contain_text("CN¥33.00")
    expect(page.locator("summit-chart canvas")).to_have_count(2)
    page.get_by_role("button", name="Store the plan").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Written in a browser")
    expect(page.get_by_role("status")).to_contain_text("Version 1 of browser-plan is stored")
    assert versions_of("browser-plan") == [1]


def test_form_and_text_are_two_faces_of_one_plan(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/plan-editor/everything/")
    page.get_by_role("button", name="Edit as text").click()
    text = page.get_by_label("JSON document")
    written = text.input_value()
    text.fill(written.replace('"amount": "500"', '"amount": "550"'))
    expect(page.locator("#plan-preview")).to_contain_text("+10 %")
    text.fill("{")
    expect(page.locator("#plan-preview-faults")).to_contain_text("not JSON")
    text.fill(written.replace('"amount": "500"', '"amount": "550"'))
    page.get_by_role("button", name="Edit as a form").click()
    addon = page.locator(".plan-price").filter(has_text="Price: history-180")
    expect(addon.get_by_label("Amount", exact=True)).to_have_value("550")


def test_what_somebody_else_stored_is_not_overwritten(
    sign_in: SignIn, world: World, watch: Watch
) -> None:
    watch.expect(409)
    a_plan(STANDARD, key="contested")
    page = sign_in(world.sales)
    page.goto("/console/plan-editor/contested/")
    page.locator(".plan-price").nth(0).get_by_label("Amount", exact=True).fill("299")
    a_plan(STANDARD, key="contested", trial_days=3)
    page.get_by_role("button", name="Store as a new version").click()
    expect(page.get_by_role("alert").first).to_contain_text("meanwhile")
    expect(page.locator(".plan-price").nth(0).get_by_label("Amount", exact=True)).to_have_value(
        "299"
    )
    assert versions_of("contested") == [1, 2]
    page.get_by_role("button", name="Go on from version 2").click()
    expect(page.locator(".plan-price").nth(0).get_by_label("Amount", exact=True)).to_have_value(
        "299"
    )
    page.get_by_role("button", name="Store as a new version").click()
    expect(page.get_by_role("status")).to_contain_text("Version 3 of contested is stored")
    assert versions_of("contested") == [1, 2, 3]


def test_the_editor_works_without_scripts(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff, scripts=False)
    page.goto("/console/plan-editor/standard/")
    page.get_by_role("button", name="Add a price").click()
    page.locator(".plan-price").last.get_by_label("Key").fill("base")
    page.get_by_role("button", name="Check", exact=True).last.click()
    last = page.locator(".plan-price").last
    expect(last.locator(".field-errors").first).to_contain_text("twice")
    expect(last.get_by_label("Key")).to_have_value("base")


def test_two_versions_are_compared_in_words_and_money(
    sign_in: SignIn, world: World, shot: Callable[[Page, str], None]
) -> None:
    page = sign_in(world.staff)
    page.goto("/console/plans/everything/")
    page.get_by_role("link", name="compare with version 2").click()
    differs = page.get_by_role("table", name="Price Base fee (base)")
    expect(differs).to_contain_text("CN¥1,299.00")
    expect(differs).to_contain_text("+15.4 %")
    expect(page.get_by_role("table", name="What ten tenants would pay")).to_contain_text(
        "CN¥200.00"
    )
    shot(page, "plan-comparison")
