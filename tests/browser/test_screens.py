"""Every screen in both themes and both languages: axe finds nothing, the policy holds, and at 375
pixels nothing is cut off."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page

from billing.invoicing.models import BillingRun, Charge, CreditNote
from billing.statements.models import Statement
from tenants.scope import system_scope
from tests.browser.conftest import (
    PASSWORD,
    SignIn,
    Watch,
    World,
    accessibility_faults,
    invoice_of,
)

SALES = {
    "overview": "/console/",
    "tenants": "/console/tenants/",
    "tenant": "/console/tenants/acme/",
    "change-subscription": "/console/tenants/acme/change/",
    "preview-change": "/console/tenants/acme/change/?kind=change_plan&plan=everything&when=period_end",
    "nothing-to-change": "/console/tenants/filler-00/change/",
    "first-plan": "/console/tenants/filler-00/plan/",
    "plan-is-held": "/console/tenants/acme/plan/",
    "long-names": "/console/tenants/?q=filler-00",
    "long-name": "/console/tenants/filler-00/",
    "plans": "/console/plans/",
    "plan": "/console/plans/standard/",
    "cohort": "/console/plans/standard/versions/1/",
    "migrate": "/console/plans/standard/versions/1/migrate/",
    "new-plan": "/console/plan-editor/",
    "edit-plan": "/console/plan-editor/standard/",
    "edit-long-plan": "/console/plan-editor/everything/",
    "compare-plans": "/console/plan-comparison/",
    "compare-versions": "/console/plan-comparison/?old=standard:1&new=everything:2&sample=real",
}
FINANCE = {
    "balance": "/console/tenants/acme/balance/",
    "balance-paid": "/console/tenants/acme/balance/?show=paid",
    "no-balance": "/console/tenants/filler-00/balance/",
    "grant": "/console/tenants/acme/balance/grant/",
    "bill-a-top-up": "/console/tenants/acme/balance/top-up/",
    "coupons": "/console/coupons/",
    "new-coupon": "/console/coupons/new/",
    "discounts": "/console/tenants/acme/discounts/",
    "retention": "/console/retention/",
    "statements": "/console/statements/",
    "tenant-statements": "/console/tenants/acme/statements/",
    "no-statements": "/console/tenants/filler-00/statements/",
    "statement": "/console/statements/{statement}/",
    "fapiao": "/console/fapiao/",
    "tax-rates": "/console/tax-rates/",
    "new-tax-rate": "/console/tax-rates/new/",
    "seller": "/console/seller/",
    "exchange-rates": "/console/exchange-rates/",
    "billing-details": "/console/tenants/acme/billing-details/",
    "tax-standing": "/console/tenants/acme/tax/",
    "charges": "/console/charges/",
    "no-charges": "/console/charges/?state=nothing_due",
    "charge": "/console/charges/{charge}/",
    "new-charge": "/console/tenants/acme/charges/new/?kind=milestone",
    "pro-formas": "/console/tenants/acme/pro-formas/",
    "new-true-up": "/console/tenants/acme/charges/new/?kind=true_up",
    "invoices": "/console/invoices/",
    "invoice": "/console/invoices/{acme}/",
    "mails": "/console/mails/",
    "no-mails": "/console/mails/?state=bounced",
    "credit-notes": "/console/credit-notes/",
    "credit-note": "/console/credit-notes/{note}/",
    "no-credit-notes": "/console/credit-notes/?q=nothing",
    "ask-credit": "/console/invoices/{acme}/credit",
    "ask-write-off": "/console/invoices/{acme}/write-off",
    "invoice-requests": "/console/invoice-requests/",
    "record-payment": "/console/invoices/{acme}/payment",
    "payments": "/console/payments/",
    "ledger": "/console/ledger/",
    "account": "/console/ledger/receivable/CNY/",
    "accounting-months": "/console/accounting-months/",
    "accounting-month": "/console/accounting-months/2026-04/",
    "certificates": "/console/certificates/",
    "corrections": "/console/corrections/",
    "new-correction": "/console/corrections/new/",
    "late-usage": "/console/late-usage/",
}
OPERATIONS = {
    "meters": "/console/meters/",
    "ingest": "/console/ingest/",
    "rejected-events": "/console/rejected/",
    "rejected-of-tenant": "/console/rejected/beta/",
    "gateways": "/console/gateways/",
    "raw-events": "/console/partitions/",
    "days": "/console/days/",
    "days-held": "/console/days/?state=held",
    "tenant-days": "/console/tenants/acme/days/?month=2026-03",
    "tenant-usage": "/console/tenants/acme/usage/?period=2026-03",
    "no-usage": "/console/tenants/filler-00/usage/",
    "runs": "/console/runs/",
    "new-run": "/console/runs/new/",
    "run": "/console/runs/{run}/",
    "dry-run": "/console/runs/{dry}/",
    "run-difference": "/console/runs/{dry}/difference/",
}
CONSOLE = {**SALES, **FINANCE, **OPERATIONS}
PORTAL = {
    "home": "/portal/acme/",
    "usage": "/portal/acme/usage/",
    "proof": "/portal/acme/usage/proof/",
    "certificate": "/portal/acme/usage/certificate/",
    "certificate-of-a-day": "/portal/acme/usage/certificate/?day=2026-03-05",
    "rejected": "/portal/acme/usage/rejected/",
    "messages": "/portal/acme/usage/?meter=messages&app=chat&by=kind&period=2026-03",
    "usage-of-a-day": "/portal/acme/usage/?meter=messages&period=2026-03-31",
    "usage-of-a-year": "/portal/acme/usage/?period=2026",
    "plan": "/portal/acme/plan/",
    "change-plan": "/portal/acme/plan/change/",
    "preview-change": "/portal/acme/plan/change/?kind=change_plan&plan=everything&when=now",
    "invoices": "/portal/acme/invoices/",
    "invoice": "/portal/acme/invoices/{acme}/",
    "pay": "/portal/acme/invoices/{acme}/pay/",
    "credit-notes": "/portal/acme/credit-notes/",
    "credit-note": "/portal/acme/credit-notes/{note}/",
    "statements": "/portal/acme/statements/",
    "statement": "/portal/acme/statements/{statement}/",
    "fapiao": "/portal/acme/fapiao/",
    "billing-details": "/portal/acme/billing-details/",
    "mail": "/portal/acme/invoice-mail/",
    "balance": "/portal/acme/balance/",
    "top-up": "/portal/acme/balance/top-up/",
    "pro-formas": "/portal/acme/pro-formas/",
    "balance-paid": "/portal/acme/balance/?show=paid",
    "keys": "/portal/acme/keys/",
    "members": "/portal/acme/members/",
}
ENTRANCE = {
    "sign-in": "/accounts/login/",
    "reset": "/accounts/password/reset/",
    "sign-up": "/accounts/signup/",
}
ACCOUNT = {
    "password-again": "/accounts/reauthenticate/",
    "password": "/accounts/password/change/",
    "second-factor": "/accounts/2fa/",
    "second-factor-set-up": "/accounts/2fa/totp/activate/",
    "sign-out": "/accounts/logout/",
}
LOOKS = [("light", "en"), ("dark", "zh-hans")]


def address(pattern: str) -> str:
    """The address with the ids of this world."""
    for name, dry in (("run", False), ("dry", True)):
        if f"{{{name}}}" in pattern:
            with system_scope(purpose="test"):
                return pattern.format(**{name: BillingRun.objects.filter(dry=dry)[0].id})
    if "{charge}" in pattern:
        with system_scope(purpose="test"):
            return pattern.format(charge=Charge.objects.values_list("id", flat=True)[0])
    if "{note}" in pattern:
        with system_scope(purpose="test"):
            return pattern.format(note=CreditNote.objects.values_list("id", flat=True)[0])
    if "{statement}" in pattern:
        with system_scope(purpose="test"):
            return pattern.format(
                statement=Statement.objects.filter(state="ready").values_list("id", flat=True)[0]
            )
    return pattern.format(acme=invoice_of("acme").id) if "{" in pattern else pattern


def faults_of(page: Page, path: str) -> list[str]:
    """Open the page, unfold what is folded, and let axe judge it."""
    page.goto(address(path))
    assert page.locator("h1").count() == 1
    page.evaluate("document.querySelectorAll('main details').forEach(each => each.open = true)")
    return [f"{path}: {fault}" for fault in accessibility_faults(page)]


@pytest.mark.parametrize(("theme", "language"), LOOKS)
@pytest.mark.parametrize(
    "screens", [SALES, FINANCE, OPERATIONS], ids=["sales", "finance", "operations"]
)
def test_console_screens(
    sign_in: SignIn,
    world: World,
    shot: Callable[[Page, str], None],
    theme: str,
    language: str,
    screens: dict[str, str],
) -> None:
    page = sign_in(world.staff, theme=theme, language=language)
    faults: list[str] = []
    for name, path in screens.items():
        faults += faults_of(page, path)
        shot(page, f"console-{name}-{theme}-{language}")
    assert faults == []


@pytest.mark.parametrize(("theme", "language"), LOOKS)
def test_portal_screens(
    sign_in: SignIn,
    world: World,
    shot: Callable[[Page, str], None],
    theme: str,
    language: str,
) -> None:
    page = sign_in(world.owner, theme=theme, language=language)
    faults: list[str] = []
    screens = {**PORTAL, **ACCOUNT}
    for name, path in screens.items():
        faults += faults_of(page, path)
        shot(page, f"portal-{name}-{theme}-{language}")
        if name == "password-again":
            page.fill("#id_password", PASSWORD)
            page.click("button.btn-primary")
    assert faults == []


@pytest.mark.parametrize(("theme", "language"), LOOKS)
def test_entrance_and_error_screens(
    sign_in: SignIn,
    watch: Watch,
    shot: Callable[[Page, str], None],
    theme: str,
    language: str,
) -> None:
    watch.expect(404)
    page = sign_in(theme=theme, language=language)
    faults: list[str] = []
    for name, path in {**ENTRANCE, "nothing": "/nothing-here"}.items():
        faults += faults_of(page, path)
        shot(page, f"entrance-{name}-{theme}-{language}")
    assert faults == []


def test_narrow_screens_are_not_cut_off(
    sign_in: SignIn, world: World, shot: Callable[[Page, str], None]
) -> None:
    for email, kind, screens in (
        (world.staff, "console", CONSOLE),
        (world.owner, "portal", PORTAL),
    ):
        page = sign_in(email, width=375)
        for name, path in screens.items():
            page.goto(address(path))
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, (kind, name)
            shot(page, f"narrow-{kind}-{name}")


def test_narrow_menu_opens_without_scripts(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff, width=375, scripts=False)
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("link", name="Invoices", exact=True).click()
    assert page.get_by_role("heading", level=1).inner_text() == "Invoices"


def test_theme_follows_the_system_until_one_is_chosen(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.owner, theme="system")
    page.emulate_media(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) != dark
    page.get_by_role("button", name="Dark").click()
    page.wait_for_url("**/portal/acme/")
    assert page.evaluate(background) == dark
    assert page.url.endswith("/portal/acme/")


def test_language_is_switched_and_kept(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.owner)
    page.get_by_role("button", name="简体中文").click()
    page.wait_for_url("**/portal/acme/")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    page.goto("/portal/acme/invoices/")
    assert page.get_by_role("heading", level=1).inner_text() == "账单"


def test_keyboard_reaches_the_content_first(sign_in: SignIn, world: World) -> None:
    page = sign_in(world.staff)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
