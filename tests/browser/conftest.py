"""Browser tests: Chromium against the real application over HTTP, on a real PostgreSQL.

Every page is watched: a violation of the content policy, an error in the browser's console, a script
error or a failed request fails the test. Without a Chromium the tests are skipped, loudly.
"""

import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.mailing.models import DocumentMail
from billing.statements.models import Statement
from billing.statements.services.make_statement import make_statement
from billing.statements.services.request_statement import request_statement
from kernel import clock, ids
from kernel.money import Money
from metering.reports.domain import AppUsage
from metering.reports.models import Gateway
from metering.reports.services.gateways import create_gateway, note_conflict
from metering.reports.services.report_columns import ReportPlace
from metering.reports.services.sealed_usage import seal_usage
from tenants.models import Member, Tenant, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tests.conftest import empty_tables
from tests.factories import EVERYTHING, NOW, a_plan, a_subscription, a_tenant, some_usage
from tests.services.charge_world import a_charge
from tests.services.metering_world import message, send
from tests.services.payment_world import local_stripe

# Playwright's own event loop runs in this thread, beside which Django would refuse the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

__all__ = ["local_stripe"]

FILLERS = 30
PASSWORD = "correct horse battery staple"
SHOTS = os.environ.get("SUMMIT_SCREENSHOTS", "")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_MISSING = (
    "NO CHROMIUM FOUND: the browser tests did not run. Install one (Debian: apt-get install chromium) "
    "or name it with CHROMIUM=/path."
)


def chromium() -> str:
    """The path of a Chromium; empty when there is none."""
    named = os.environ.get("CHROMIUM", "")
    return named or next((path for name in _BROWSERS if (path := shutil.which(name))), "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last: their world stays up for all of them."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    items[:] = [item for item in items if item not in mine] + mine
    if not chromium():
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=_MISSING))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it once more where it is read."""
    if not chromium():
        terminalreporter.write_sep("!", _MISSING, red=True, bold=True)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """How pytest-playwright starts the browser."""
    return {"executable_path": chromium(), "args": list(_FLAGS), "headless": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the browser finds: addresses and logins."""

    address: str
    staff: str = "finance@summit.test"
    sales: str = "sales@summit.test"
    owner: str = "owner@acme.test"
    developer: str = "developer@acme.test"
    stranger: str = "owner@beta.test"


@pytest.fixture(scope="session")
def world(schema: None, local_stripe: str) -> Iterator[World]:
    """Two tenants with usage and invoices, thirty more to page through, and a running server."""
    if not (Path(str(settings.STATIC_ROOT)) / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)
    patch = pytest.MonkeyPatch()
    patch.setattr(settings, "STRIPE_SECRET_KEY", "sk_test_browser")
    patch.setattr(settings, "STRIPE_PUBLISHABLE_KEY", "pk_test_browser")
    patch.setattr(settings, "STRIPE_API_BASE", local_stripe)
    empty_tables()
    _populate()
    server = ThreadedWSGIServer(("127.0.0.1", 0), _QuietHandler, allow_reuse_address=False)
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield World(address=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)
    patch.undo()
    empty_tables()


class _QuietHandler(WSGIRequestHandler):
    """Requests are watched in the browser; the server's own lines would drown the report."""

    def log_message(self, *args: Any) -> None:
        pass


def _populate() -> None:
    a_plan()
    a_plan(EVERYTHING)
    dearer = {**EVERYTHING["prices"][0], "amount": "1499"}
    a_plan(EVERYTHING, prices=[dearer, *EVERYTHING["prices"][1:-1]], trial_days=7)
    acme = a_tenant("acme", apps=("chat", "live"))
    beta = a_tenant("beta", apps=("beta-chat",))
    for tenant in (acme, beta):
        a_subscription(tenant, starts_on=date(2026, 3, 1))
    first = date(2026, 3, 1)
    some_usage(acme, {first + timedelta(days=n): 12 + n for n in range(31)})
    some_usage(acme, {first + timedelta(days=n): 100 + 7 * n for n in range(31)}, meter="messages")
    some_usage(acme, {first + timedelta(days=n): 3 for n in range(10)}, app=1)
    some_usage(beta, {first: 40})
    for number in range(FILLERS):
        a_tenant(f"filler-{number:02}", apps=(f"filler-app-{number:02}",))
    with system_scope(purpose="test"):
        Tenant.objects.filter(key="filler-00").update(name="Enduring" * 25)
        for email, role in (("finance@summit.test", "finance"), ("sales@summit.test", "sales")):
            User.objects.create_user(email, PASSWORD, name=role.title(), staff_role=role)
        for email, tenant, role in (
            ("owner@acme.test", acme, "owner"),
            ("developer@acme.test", acme, "developer"),
            ("owner@beta.test", beta, "owner"),
        ):
            Member.objects.create(
                tenant_id=tenant.id, user=User.objects.create_user(email, PASSWORD), role=role
            )
    for dry in (True, False):
        with system_scope(purpose="test"):
            run_id = create_run(
                at=datetime(2026, 4, 3, tzinfo=UTC),
                finalize=True,
                dry=dry,
                requested_by="finance@summit.test",
                now=NOW,
            )
        execute_run(run_id=run_id, clock=clock.now)
    a_charge(
        acme.id,
        {"description": {"en": "Setting up " * 20, "zh-hans": "安装部署" * 40}, "amount": "80"},
        {
            "description": {"en": "Training", "zh-hans": "培训"},
            "quantity": "3",
            "unit_price": "333.335",
            "tax_percent": "6",
        },
        reference=("order of the browser's tests " * 3).strip(),
    )
    _credit(acme)
    _refuse(beta)
    _state(acme)


def _credit(tenant: CreatedTenant) -> None:
    """A credit note on the cheapest invoice, with a long reason, whose mail failed."""
    with system_scope(purpose="test"):
        invoice = Invoice.objects.filter(tenant_id=tenant.id, number__isnull=False).earliest(
            "total_minor", "number"
        )
        credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money(1, invoice.currency))],
            reason="Taken back " * 20,
            now=clock.now(),
            actor="test",
        )
        DocumentMail.objects.create(
            tenant_id=tenant.id,
            credit_note=CreditNote.objects.get(),
            address="accounts@acme.example",
            state="failed",
            batch=ids.new_id(),
            failure_code="smtp_550",
            planned_at=clock.now(),
            concluded_at=clock.now(),
        )


def _state(tenant: CreatedTenant) -> None:
    """A statement of March and early April that is ready, and one that failed."""
    for failure in ("", "open_items_differ"):
        with tenant_scope(tenant.id):
            statement_id = request_statement(
                tenant_id=tenant.id,
                currency="CNY",
                starts_on=date(2026, 3, 1),
                ends_on=date(2026, 4, 4),
                now=clock.now(),
                actor="test",
            )
        if failure:
            with system_scope(purpose="test"):
                Statement.objects.filter(id=statement_id).update(
                    state="failed",
                    failure_code=failure,
                    failure_detail="What is open of the invoices comes to 1.00 CNY, not 0.99 CNY.",
                    finished_at=NOW,
                )
        else:
            make_statement(statement_id=statement_id, now=clock.now())


def _refuse(tenant: CreatedTenant) -> None:
    """An event that came twice, one that was refused, and a gateway that named apps before they were made
    and began anew."""
    now = clock.now()
    event = message("1", time=now, app=tenant.apps[0].key)
    for _ in range(2):
        send(tenant.id, [event, message("2", time=now, app="nobodys")], now=now)
    with system_scope(purpose="test"):
        create_gateway(key="gw-1", deployment="shared", now=now, actor="test")
        for app in ("nobodys", tenant.apps[0].key):
            seal_usage(
                AppUsage(app=app, counts={"login": 3}),
                rejected_id=ids.new_id(),
                place=ReportPlace(
                    gateway=Gateway.objects.get(key="gw-1"), epoch="", sequence=1, starts_at=now
                ),
                now=now,
            )
        note_conflict(key="gw-1", sequence=1, now=now)


def invoice_of(tenant_key: str) -> Invoice:
    """The tenant's dearest open invoice; the dearest of all where each is paid."""
    with system_scope(purpose="test"):
        issued = Invoice.objects.filter(tenant__key=tenant_key, number__isnull=False)
        dearest = issued.order_by("-total_minor")
        invoice = dearest.filter(status="open").first() or dearest.first()
    assert invoice is not None
    return invoice


@dataclass
class Watch:
    """What went wrong in the browser during a test."""

    faults: list[str] = field(default_factory=list)
    expected_statuses: set[int] = field(default_factory=set)

    def expect(self, *statuses: int) -> None:
        """Answers with these statuses are part of the test."""
        self.expected_statuses.update(statuses)

    def attach(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.faults.append(f"script error: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        status = re.search(r"the server responded with a status of (\d+)", message.text)
        if status and int(status[1]) in self.expected_statuses:
            return
        self.faults.append(f"console: {message.text}")

    def _failed(self, request: Request) -> None:
        # A navigation away cancels what is still loading, and a file that is shown instead of the
        # page (PDF, CSV) ends its navigation: neither is a failure.
        if request.failure != "net::ERR_ABORTED":
            self.faults.append(f"failed: {request.url} {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.faults.append(f"{response.status}: {response.url}")


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Collects faults; the test fails when there are any at its end."""
    watching = Watch()
    yield watching
    assert watching.faults == []


SignIn = Callable[..., Page]


@pytest.fixture
def sign_in(browser: Browser, world: World, watch: Watch) -> Iterator[SignIn]:
    """`sign_in(email, theme=…, language=…, width=…, scripts=…)`: a page of a person who signed in."""
    contexts: list[BrowserContext] = []

    def open_page(
        email: str = "",
        *,
        theme: str = "light",
        language: str = "en",
        width: int = 1280,
        scripts: bool = True,
    ) -> Page:
        context = browser.new_context(
            base_url=world.address,
            viewport={"width": width, "height": 900},
            locale="en-GB",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        context.add_cookies(
            [
                {"name": "summit_theme", "value": theme, "url": world.address},
                {"name": "summit_language", "value": language, "url": world.address},
            ]
        )
        page = context.new_page()
        watch.attach(page)
        if email:
            page.goto("/accounts/login/")
            page.fill("#id_login", email)
            page.fill("#id_password", PASSWORD)
            page.click("button.btn-primary")
            page.wait_for_url(re.compile(r"/(console|portal)/"))
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def shot() -> Callable[[Page, str], None]:
    """Keeps a picture of the page when SUMMIT_SCREENSHOTS names a folder."""

    def take(page: Page, name: str) -> None:
        if SHOTS:
            page.wait_for_timeout(400)
            page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)

    return take


def accessibility_faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 A and AA, and its best practices."""
    results = Axe().run(
        page,
        options={
            "runOnly": {
                "type": "tag",
                "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
            }
        },
    )
    return [
        f"{fault['id']}: {node['html'][:200]} — {node.get('failureSummary', '')[:300]}"
        for fault in results.response["violations"]
        for node in fault["nodes"]
    ]
