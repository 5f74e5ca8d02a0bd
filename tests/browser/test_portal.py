"""The portal as the people of a tenant use it."""

import io
import re
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from pypdf import PdfReader

from billing.invoicing.models import Invoice
from billing.invoicing.services.print_invoice import paper_of, print_invoice
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tests.browser.conftest import PASSWORD, SignIn, Watch, World, invoice_of
from tests.services.metering_world import message, send


def status_of(invoice: Invoice) -> str:
    with system_scope(purpose="test"):
        return str(Invoice.objects.values_list("status", flat=True).get(id=invoice.id))


def test_usage_is_drawn_and_told(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.owner)
    page.get_by_role("link", name="Usage", exact=True).click()
    expect(page.locator("canvas")).to_be_visible()
    # Asked again and again from outside: the page's policy forbids what would wait inside it.
    lines = "document.querySelector('summit-chart').chart?.data.datasets.length"
    deadline = monotonic() + 10
    while page.evaluate(lines) != 2 and monotonic() < deadline:
        page.wait_for_timeout(50)
    assert page.evaluate(lines) == 2
    page.get_by_label("App").select_option("chat")
    page.wait_for_url(re.compile("app=chat"))
    days = page.get_by_role("table", name="By day", exact=True)
    expect(days).to_contain_text("Mar 31, 2026")
    expect(days.get_by_role("row").nth(1)).to_contain_text("42")
    expect(page.locator("#usage-now")).to_contain_text("the month before")
    page.get_by_label("Meter").select_option("messages")
    page.wait_for_url(re.compile("meter=messages"))
    expect(page.get_by_role("heading", level=2).first).to_contain_text("Messages")
    page.get_by_label("Told apart by").select_option("kind")
    page.wait_for_url(re.compile("by=kind"))
    # A day opens into its hours, and what was chosen stays.
    page.get_by_role("link", name="Mar 31, 2026").click()
    page.wait_for_url(re.compile(r"meter=messages.*by=kind.*period=2026-03-31"))
    expect(page.locator("main")).to_contain_text("This usage can't be told apart so")
    expect(page.locator("#usage-now")).to_contain_text("the day before")


def test_usage_of_today_follows_by_itself(sign_in: SignIn, world: World) -> None:
    """What is committed is on the page within 5 seconds, without a click."""
    page = sign_in(world.stranger)
    now = datetime.now(tz=UTC)
    today = now.astimezone(ZoneInfo("Asia/Shanghai")).date()
    page.goto(f"/portal/beta/usage/?period={today}")
    with system_scope(purpose="test"):
        tenant_id = Tenant.objects.values_list("id", flat=True).get(key="beta")
    send(tenant_id, [message("now", "somebody", now, app="beta-chat")], now=now)
    figures = page.locator("#usage-now")
    expect(figures.locator(".figure-value").first).to_have_text("1", timeout=5000)
    expect(figures).to_contain_text("yesterday by this time: 0")
    page.reload()
    hours = page.get_by_role("table", name="By hour", exact=True)
    expect(hours.get_by_role("row").nth(1)).to_contain_text("Open")


def test_usage_is_exported(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.owner)
    page.goto("/portal/acme/usage/?meter=dau&period=2026-03")
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert download.value.suggested_filename == "usage-acme-dau-2026-03.csv"
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert lines[0].split(",")[0] == "day"
    assert len(lines) == 32
    assert lines[31].startswith("2026-03-31,42,")


def test_invoice_is_paid_by_card(sign_in: SignIn, world: World) -> None:
    invoice = invoice_of("acme")
    page = sign_in(world.owner)
    page.goto(f"/portal/acme/invoices/{invoice.id}/")
    page.get_by_role("link", name="Pay", exact=True).click()
    page.get_by_label("Test card").select_option("declined")
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    expect(page.get_by_role("status")).to_contain_text("did not go through")
    assert status_of(invoice) == "open"
    page.get_by_label("Test card").select_option("succeeds")
    page.get_by_role("button", name=re.compile("^Pay ")).dblclick()
    expect(page.get_by_role("status")).to_contain_text("the payment has been received")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Paid")
    assert status_of(invoice) == "paid"
    page.goto(f"/portal/acme/invoices/{invoice.id}/pay/")
    expect(page.get_by_role("status")).to_contain_text("Nothing of this invoice is left to pay")


def test_bank_of_the_card_is_answered_without_scripts(sign_in: SignIn, world: World) -> None:
    """Reading and paying work with scripts off."""
    invoice = invoice_of("acme")
    page = sign_in(world.owner, scripts=False)
    page.get_by_role("link", name="Invoices", exact=True).click()
    page.get_by_role("link", name=str(invoice.number)).click()
    page.get_by_text("How this amount came about").first.is_hidden()
    page.locator("summary").filter(has_text="CN¥").first.click()
    expect(page.locator(".formula").first).to_be_visible()
    page.get_by_role("link", name="Pay", exact=True).click()
    page.get_by_label("Test card").select_option("needs_authentication")
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("status")).to_contain_text("the payment has been received")
    assert status_of(invoice) == "paid"


def test_usage_is_read_without_scripts(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.owner, scripts=False)
    page.get_by_role("link", name="Usage", exact=True).click()
    page.get_by_text("Show as a table").click()
    expect(page.get_by_role("table", name="Daily active users")).to_contain_text("Mar 31, 2026")
    page.get_by_label("Meter").select_option("messages")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("heading", level=2).first).to_contain_text("Messages")


def test_key_is_shown_once_and_revoked_after_a_question(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.developer)
    page.get_by_role("link", name="API keys").click()
    page.get_by_label("Name").fill("<b>Chat server</b>")
    page.get_by_role("button", name="Make a key").click()
    # Something so dangerous asks for the password once more, then goes on by itself.
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    secret = page.locator(".secret code").inner_text()
    assert len(secret) > 40
    expect(page.get_by_role("button", name="Copy")).to_be_visible()
    page.goto("/portal/acme/keys/")
    assert secret not in page.content()
    row = page.get_by_role("row").filter(has_text="<b>Chat server</b>")
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name=re.compile("Revoke")).click()
    question = page.get_by_role("dialog")
    expect(question).to_contain_text("cannot be undone")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_be_hidden()
    row.get_by_role("button", name=re.compile("Revoke")).click()
    question.get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status").first).to_contain_text("is revoked")
    expect(row).to_contain_text("Revoked")


def test_foreign_and_unknown_look_the_same(sign_in: SignIn, watch: Watch, world: World) -> None:
    """What belongs to another tenant, and what belongs to nobody: one answer, to the letter."""
    watch.expect(404)
    invoice = invoice_of("acme")
    page = sign_in(world.stranger)
    answers = set()
    for path in (
        "/portal/acme/",
        "/portal/nobody/",
        f"/portal/acme/invoices/{invoice.id}/",
        f"/portal/beta/invoices/{invoice.id}/",
        f"/portal/beta/invoices/{invoice.id}/pdf",
        f"/portal/beta/invoices/{invoice.id}/pay/",
        "/portal/beta/invoices/00000000-0000-7000-8000-000000000000/",
        "/console/",
        f"/console/invoices/{invoice.id}/",
    ):
        answer = page.request.get(path)
        assert answer.status == 404, path
        answers.add(re.sub(r'value="[^"]*"', "", answer.text()))
    assert len(answers) == 1


def test_roles_see_and_do_what_is_theirs(sign_in: SignIn, watch: Watch, world: World) -> None:
    watch.expect(403)
    page = sign_in(world.developer)
    expect(page.get_by_role("link", name="Invoices", exact=True)).to_have_count(0)
    answer = page.goto("/portal/acme/invoices/")
    assert answer is not None
    assert answer.status == 403
    expect(page.locator("main")).to_contain_text("forbidden")
    page = sign_in(world.sales)
    page.goto(f"/console/invoices/{invoice_of('beta').id}/")
    expect(page.get_by_role("link", name="Record a bank transfer")).to_have_count(0)
    answer = page.goto(f"/console/invoices/{invoice_of('beta').id}/payment")
    assert answer is not None
    assert answer.status == 403


def test_wrong_password_is_told_beside_the_form(sign_in: SignIn, world: World) -> None:
    page = sign_in()
    page.goto("/accounts/login/")
    page.fill("#id_login", world.owner)
    page.fill("#id_password", "not the password")
    page.click("button.btn-primary")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("#id_login")).to_have_value(world.owner)


def _as_read(content: bytes) -> str:
    """The text of a PDF without what line breaks and columns add."""
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    return re.sub(r"[\s\u200b]+", "", "".join(pages))


def _told(paper: dict[str, Any]) -> list[str]:
    """What the paper says, in its order."""
    lines = [
        line[name]
        for line in paper["lines"]
        for name in (
            "description",
            "detail",
            "working",
            "discount",
            "quantity",
            "unit_price",
            "amount",
        )
    ]
    taxes = [tax[name] for tax in paper["taxes"] for name in ("rate", "taxable", "tax")]
    sums = [each[name] for each in paper["sums"] for name in ("label", "amount")]
    told = [
        *(paper["seller"]["name"], paper["words"]["title"]),
        *lines,
        *taxes,
        *sums,
        *(paper["words"]["due"], paper["due"], paper["words"]["payment"]),
        *paper["payment"],
        *paper["notes"],
    ]
    return [text for each in told if (text := re.sub(r"[\s\u200b]+", "", each))]


@pytest.mark.parametrize("front", ["portal", "console"])
def test_the_page_prints_what_the_paper_says(sign_in: SignIn, world: World, front: str) -> None:
    """Fields, order and totals; in the invoice's language, whatever the reader's is."""
    invoice = invoice_of("acme")
    with tenant_scope(invoice.tenant_id):
        paper = paper_of(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
    page = sign_in(world.owner if front == "portal" else world.staff)
    address = "/portal/acme/invoices" if front == "portal" else "/console/invoices"
    page.goto(f"{address}/{invoice.id}/")
    printed = _as_read(page.pdf(format="A4"))
    issued = _as_read(print_invoice(tenant_id=invoice.tenant_id, invoice_id=invoice.id).content)

    facts = [re.sub(r"\s+", "", text) for fact in paper["facts"] for text in fact]
    for text in (printed, issued):
        assert [fact for fact in facts if fact not in text] == []
        place = 0
        for each in _told(paper):
            assert each in text[place:], f"{each} is missing or out of its place"
            place = text.index(each, place) + len(each)
    assert "Openaline" not in printed
