"""The console as finance and operations use it."""

import re

from playwright.sync_api import expect

from billing.invoicing.services.run_billing import execute_run
from kernel import clock
from tenants.models import AccessRecord
from tenants.scope import system_scope
from tests.browser.conftest import SignIn, Watch, World, invoice_of


def test_tenant_is_found_by_app_key_while_typing(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/tenants/")
    search = page.get_by_role("searchbox", name="Name, tenant key or app key")
    search.press_sequentially("FILLER-app-07", delay=10)
    rows = page.locator("#list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("filler-07")
    # The field keeps the focus, and the address can be shared.
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile(r"q=FILLER-app-07"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_role("link", name="Filler-07").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Filler-07")


def test_search_box_leads_straight_to_what_it_finds(sign_in: SignIn, world: World) -> None:
    invoice = invoice_of("acme")
    page = sign_in(world.staff)
    for text, heading in (
        (str(invoice.number).lower(), str(invoice.number)),
        ("filler-app-07", "Filler-07"),
        ("filler", "Tenants"),
    ):
        page.goto("/console/")
        page.get_by_role("searchbox").fill(text)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text(heading)


def test_tenants_are_paged_and_sorted_by_address(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/tenants/")
    expect(page.locator(".table-count")).to_have_text("1–25 of 32")
    page.get_by_role("link", name="2", exact=True).click()
    expect(page.locator(".table-count")).to_have_text("26–32 of 32")
    page.go_back()
    expect(page.locator(".table-count")).to_have_text("1–25 of 32")
    page.get_by_role("link", name="Tenant", exact=True).click()
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Tenant")
    expect(page.locator("#list tbody tr").first).to_contain_text("Filler-29")


def test_nothing_found_says_what_to_do(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/tenants/?q=no-such-tenant")
    expect(page.locator("#list")).to_contain_text("Nothing matches")


def test_export_holds_what_the_screen_shows(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/invoices/?q=acme")
    shown = page.locator("#list tbody tr").count()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert download.value.suggested_filename == "invoices.csv"
    assert len(text.splitlines()) == shown + 1


def test_invoice_line_opens_into_its_working(sign_in: SignIn, world: World) -> None:
    """42 users on the highest day, 10 included: 32 in 4 started packages of 10 at 5.00."""
    invoice = invoice_of("acme")
    page = sign_in(world.staff)
    page.goto(f"/console/invoices/{invoice.id}/")
    page.get_by_text("Daily active users · chat").click()
    working = page.locator("details[open] .formula")
    expect(working).to_contain_text("Highest day: 42 on Mar 31, 2026")
    expect(working).to_contain_text("10 of it included, so 32 to be paid for")
    expect(working).to_contain_text("4 × CN¥5.00 = CN¥20.00")
    expect(page.locator(".day-counted").first).to_contain_text("Mar 31, 2026")
    ledger = page.get_by_role("table", name="Ledger")
    expect(ledger).to_contain_text("Receivables")
    expect(page.get_by_role("link", name="PDF")).to_be_visible()
    page.get_by_role("link", name="See this usage by day and hour").and_(
        page.locator(":visible")
    ).click()
    heading = page.get_by_role("heading", name="Daily active users, March 2026")
    expect(heading).to_be_visible()
    expect(page.get_by_role("table", name="By day")).to_contain_text("Mar 31, 2026")


def test_invoice_file_is_a_pdf(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    answer = page.request.get(f"/console/invoices/{invoice_of('acme').id}/pdf")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.body().startswith(b"%PDF-")


def test_bank_transfer_is_recorded_once(sign_in: SignIn, watch: Watch, world: World) -> None:
    watch.expect(422)
    invoice = invoice_of("beta")
    page = sign_in(world.staff)
    page.goto(f"/console/invoices/{invoice.id}/")
    page.get_by_role("link", name="Record a bank transfer").click()
    page.get_by_label("Amount").fill("100.00")
    page.get_by_label("Received on").fill("2026-04-20")
    page.get_by_label("Reference of the bank").fill("ICBC 20260420 77")
    page.get_by_role("button", name="Book the payment").click()
    expect(page.get_by_role("status")).to_contain_text("the rest stays open")
    expect(page.locator("main")).to_contain_text("CN¥100.00")
    # The same line of the statement again is refused beside the field, and the input stays.
    page.get_by_role("link", name="Record a bank transfer").click()
    page.get_by_label("Amount").fill("100.00")
    page.get_by_label("Received on").fill("2026-04-20")
    page.get_by_label("Reference of the bank").fill("icbc 20260420 77")
    page.get_by_role("button", name="Book the payment").click()
    expect(page.locator(".field-errors")).to_contain_text("booked already")
    expect(page.get_by_label("Amount")).to_have_value("100.00")
    page.get_by_label("Amount").fill("12,5")
    page.get_by_role("button", name="Book the payment").click()
    expect(page.locator(".field-errors")).to_be_visible()


def test_run_shows_its_progress_until_it_is_over(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/runs/")
    page.get_by_role("link", name="Start a run").click()
    page.get_by_label("As of (UTC)").fill("2026-05-03T00:00")
    page.get_by_label(re.compile("Finalise the drafts")).check()
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile(r"/console/runs/[0-9a-f-]{36}/"))
    progress = page.locator("#run-progress")
    expect(progress).to_contain_text("Waiting")
    run_id = page.url.rstrip("/").rsplit("/", 1)[1]
    execute_run(run_id=run_id, clock=clock.now)  # type: ignore[arg-type]  # as its text names it
    expect(progress).to_contain_text("Finished", timeout=8_000)
    # A run that is over asks no more.
    expect(progress).not_to_have_attribute("hx-get", re.compile("."))
    with system_scope(purpose="test"):
        looks = AccessRecord.objects.filter(purpose__startswith="billing run progress").count()
    page.wait_for_timeout(2_500)
    with system_scope(purpose="test"):
        after = AccessRecord.objects.filter(purpose__startswith="billing run progress").count()
    assert after == looks


def test_run_of_an_unknown_tenant_is_refused_beside_the_field(
    sign_in: SignIn, watch: Watch, world: World
) -> None:
    watch.expect(422)
    page = sign_in(world.staff)
    page.goto("/console/runs/new/")
    page.get_by_label("Only this tenant").fill("nobody")
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#id_tenant_errors")).to_contain_text("no such tenant")
    expect(page.get_by_label("Only this tenant")).to_have_attribute("aria-invalid", "true")


def test_plan_page_says_the_terms(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.goto("/console/plans/")
    page.get_by_role("link", name="Standard").click()
    prices = page.get_by_role("table", name="Prices")
    expect(prices).to_contain_text("CN¥5.00 per started 10")
    expect(prices).to_contain_text("peak day of each app")


def test_session_that_ended_leads_a_fetched_part_to_the_sign_in_page(
    sign_in: SignIn, world: World
) -> None:
    page = sign_in(world.staff)
    page.goto("/console/tenants/")
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("link", name="2", exact=True).click()
    page.wait_for_url(re.compile("/accounts/login/"))
    assert page.locator("h1").count() == 1


def test_a_balance_is_granted_by_keyboard_after_a_look(
    sign_in: SignIn, watch: Watch, world: World
) -> None:
    watch.expect(422)
    page = sign_in(world.staff, width=375)
    page.goto("/console/tenants/beta/balance/")
    page.get_by_role("link", name="Grant a balance").press("Enter")
    page.get_by_label("Amount").fill("50.00")
    page.get_by_label("Kind").select_option("voucher")
    page.get_by_label("Only these apps").fill("nobodys")
    page.get_by_label("Reason").fill("apology")
    page.keyboard.press("Enter")
    expect(page.locator(".field-errors")).to_contain_text("nobodys")
    expect(page.get_by_label("Amount")).to_have_value("50.00")
    page.get_by_label("Only these apps").fill("")
    page.get_by_role("button", name="Look at it").press("Enter")
    expect(page.locator("main")).to_contain_text("Grant this?")
    expect(page.locator("main")).to_contain_text("CN¥50.00")
    page.get_by_role("button", name="Grant it").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The balance is granted.")
    expect(page.locator(".figures")).to_contain_text("CN¥50.00")
    expect(page.locator("#list")).to_contain_text("Voucher")


def test_subscriptions_are_moved_by_keyboard_after_a_look(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff, width=375)
    page.goto("/console/plans/standard/versions/1/")
    page.get_by_role("link", name="Move subscriptions").press("Enter")
    page.get_by_label("Only these tenants").fill("beta")
    page.get_by_label("To").select_option("everything:1")
    page.get_by_role("button", name="Look at it").press("Enter")
    expect(page.locator("main")).to_contain_text("Some of them over the last month")
    page.get_by_role("button", name="Move 1 subscription").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The migration is started.")
    expect(page.locator("#migration-progress")).to_contain_text("Still waiting")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_a_coupon_is_made_and_retired_by_keyboard(
    sign_in: SignIn, watch: Watch, world: World
) -> None:
    watch.expect(422)
    page = sign_in(world.staff, width=375)
    page.goto("/console/coupons/")
    page.get_by_role("link", name="Make a coupon").press("Enter")
    page.get_by_label("Code").fill("spring 10")
    page.get_by_label("How much").fill("10")
    page.keyboard.press("Enter")
    expect(page.locator(".field-errors")).to_contain_text("is not a code")
    page.get_by_label("Code").fill("spring10")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("SPRING10 is made")
    page.get_by_role("button", name="Retire SPRING10").press("Enter")
    page.get_by_role("button", name="Retire", exact=True).press("Enter")
    expect(page.get_by_role("status")).to_contain_text("SPRING10 is retired")
    expect(page.locator("#list")).to_contain_text("Retired")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
