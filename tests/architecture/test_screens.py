"""The screens' rules, checked over all of them: access is declared, markup needs no exception from
the content policy, a page costs few queries, and every text is translated."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from django.db import connections
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse

import console.urls
import portal.urls
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.services.describe_seller import describe_seller
from billing.invoicing.services.run_billing import create_run, execute_run
from config import messages
from kernel import clock
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from tenants.domain import Role, StaffRole
from tenants.models import Member, User
from tenants.permissions import (
    MEMBER_MAY,
    STAFF_MAY,
    MemberAction,
    StaffAction,
    member_may,
    staff_may,
)
from tenants.scope import system_scope
from tenants.services.set_tax import TaxStanding, set_tax
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from ui import errors
from work.connections import DEFAULT, JOBS

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = sorted(
    path
    for room in ("ui", "console", "portal")
    for path in (ROOT / room / "templates").rglob("*.html")
)
WITHOUT_ACTION = {"portal:tenants": "lists the person's own memberships, whatever they are"}
LEADS_ON = {"console:search"}
WITHOUT_GET = {
    "portal:answer_bank",
    "portal:ask_fapiao",
    "portal:make_proforma",
    "portal:consolidation",
    "console:consolidation",
    "portal:monthly_statements",
    "console:mail_invoice",
    "console:mails_again",
    "console:lift_hold",
    "console:run_decision",
}
MOST_QUERIES = 20
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


def routes() -> Iterator[tuple[str, URLPattern]]:
    """Every address of console and portal with its name."""
    for front in (console.urls, portal.urls):
        for pattern in front.urlpatterns:
            assert isinstance(pattern, URLPattern)
            yield f"{front.app_name}:{pattern.name}", pattern


@pytest.mark.parametrize(("name", "pattern"), list(routes()), ids=lambda each: str(each)[:40])
def test_every_view_names_its_action(name: str, pattern: URLPattern) -> None:
    action = getattr(pattern.callback, "action", None)
    if name in WITHOUT_ACTION:
        assert action is None
    else:
        wanted = StaffAction if name.startswith("console:") else MemberAction
        assert isinstance(action, wanted)


def test_every_action_is_somebodys() -> None:
    assert set(STAFF_MAY) == set(StaffAction)
    assert set(MEMBER_MAY) == set(MemberAction)
    assert all(STAFF_MAY.values())
    assert all(MEMBER_MAY.values())


def test_nobody_else_may_do_anything() -> None:
    assert not any(staff_may(role="", action=action) for action in StaffAction)
    assert not any(staff_may(role="owner", action=action) for action in StaffAction)
    assert not any(member_may(role="", action=action) for action in MemberAction)
    assert not any(member_may(role="admin", action=action) for action in MemberAction)


def test_an_auditor_changes_nothing() -> None:
    changing = {
        StaffAction.LATE_USAGE_SET,
        StaffAction.FAPIAO_CHANGE,
        StaffAction.PARTIES_CHANGE,
        StaffAction.INVOICES_MAIL,
        StaffAction.STATEMENTS_MAKE,
        StaffAction.RETENTION_CHANGE,
        StaffAction.BALANCES_GRANT,
        StaffAction.PLANS_MIGRATE,
        StaffAction.COUPONS_CHANGE,
        StaffAction.TAXES_CHANGE,
        StaffAction.CHARGES_CHANGE,
        StaffAction.PAYMENTS_RECORD,
        StaffAction.INVOICES_CORRECT,
        StaffAction.PRICES_AGREE,
        StaffAction.PLANS_CHANGE,
        StaffAction.SUBSCRIPTIONS_CHANGE,
        StaffAction.RUNS_START,
        StaffAction.GATEWAYS_CHANGE,
        StaffAction.EVENTS_REPLAY,
        StaffAction.USAGE_CORRECT,
        StaffAction.PERIODS_CLOSE,
    }
    for action in StaffAction:
        assert staff_may(role=StaffRole.AUDITOR, action=action) == (action not in changing)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_markup_needs_no_exception_from_the_policy(path: Path) -> None:
    markup = path.read_text(encoding="utf-8")
    assert not re.search(r"\sstyle\s*=", markup), "no inline styles"
    assert not re.search(r"<style\b", markup), "no style elements"
    assert not re.search(r"\son[a-z]+\s*=", markup), "no inline handlers"
    assert not re.search(r"\bhx-on", markup), "no handlers in htmx's own words"
    for script in re.findall(r"<script\b[^>]*>", markup):
        assert "src=" in script, "no inline scripts"


def test_every_text_is_translated() -> None:
    assert messages.main(["check"]) == 0


class Pages:
    """A small world, and a client for each role."""

    def __init__(self) -> None:
        a_plan()
        acme = a_tenant("acme", apps=("chat", "live"))
        a_subscription(acme)
        some_usage(acme, {})
        for number in range(25):
            a_tenant(f"tenant-{number:02}", apps=(f"app-{number:02}",))
        with system_scope(purpose="test"):
            for role in StaffRole:
                User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
            for member_role in Role:
                Member.objects.create(
                    tenant_id=acme.id,
                    user=User.objects.create_user(f"{member_role}@acme.test", "x"),
                    role=member_role,
                )
            # An electronic invoice must tell where its parties are.
            describe_seller(
                changes={"country": "CN", "tax_id": "91350100M000100Y43"},
                now=clock.now(),
                actor="test",
            )
            set_tax(
                tenant_key=acme.key,
                standing=TaxStanding(country="CN"),
                now=clock.now(),
                actor="test",
            )
            run_id = create_run(at=clock.now(), finalize=True, requested_by="", now=clock.now())
        execute_run(run_id=run_id, clock=clock.now)
        with system_scope(purpose="test"):
            self.invoice = Invoice.objects.filter(number__isnull=False).earliest("number")
            self.run = BillingRun.objects.get()
        self.ids = {
            "tenant_key": "acme",
            "plan_key": "standard",
            "version": 1,
            "invoice_id": self.invoice.id,
            "run_id": self.run.id,
            "account": "receivable",
            "currency": "CNY",
        }

    def client(self, email: str) -> Client:
        """A client of that person."""
        client = Client()
        client.force_login(
            User.objects.get(email=email),
            backend="allauth.account.auth_backends.AuthenticationBackend",
        )
        return client

    def readable(self, front: str) -> Iterator[tuple[str, str, URLPattern]]:
        """The front's addresses that this world can fill in and that are opened by GET."""
        for name, pattern in routes():
            wanted = set(pattern.pattern.converters)
            if name.startswith(front) and name not in WITHOUT_ACTION and wanted <= set(self.ids):
                if name in WITHOUT_GET:
                    continue
                yield name, reverse(name, kwargs={key: self.ids[key] for key in wanted}), pattern


@pytest.fixture
def pages(db: None) -> Pages:
    """The small world."""
    return Pages()


def test_roles_reach_what_the_table_says(pages: Pages) -> None:
    """Every address x every role: 200 where the table allows it, else 403."""
    seen: dict[tuple[str, str], int] = {}
    expected: dict[tuple[str, str], int] = {}
    for role in StaffRole:
        client = pages.client(f"{role}@summit.test")
        for name, address, pattern in pages.readable("console:"):
            action: StaffAction = pattern.callback.action  # type: ignore[attr-defined]  # see the test above
            seen[role, name] = client.get(address).status_code
            opens = 302 if name in LEADS_ON else 200
            expected[role, name] = opens if staff_may(role=role, action=action) else 403
    for member_role in Role:
        client = pages.client(f"{member_role}@acme.test")
        for name, address, pattern in pages.readable("portal:"):
            wanted: MemberAction = pattern.callback.action  # type: ignore[attr-defined]  # see the test above
            seen[member_role, name] = client.get(address).status_code
            expected[member_role, name] = (
                200 if member_may(role=member_role, action=wanted) else 403
            )
    assert seen == expected
    assert len(seen) > 100


def test_people_of_tenants_find_no_console_and_staff_no_foreign_portal(pages: Pages) -> None:
    owner, admin = pages.client("owner@acme.test"), pages.client("admin@summit.test")
    for _name, address, _pattern in pages.readable("console:"):
        assert owner.get(address).status_code == 404
        assert Client().get(address).status_code == 302
    for _name, address, _pattern in pages.readable("portal:"):
        assert admin.get(address).status_code == 404
        assert Client().get(address).status_code == 302


def test_a_page_costs_few_queries(pages: Pages) -> None:
    """However many rows it shows: none is fetched by itself."""
    counts = {}
    for email, front in (("admin@summit.test", "console:"), ("owner@acme.test", "portal:")):
        client = pages.client(email)
        for name, address, _pattern in pages.readable(front):
            client.get(address)
            with ExitStack() as stack:
                captured = [
                    stack.enter_context(CaptureQueriesContext(connections[alias]))
                    for alias in (DEFAULT, JOBS)
                ]
                client.get(address)
            counts[name] = sum(len(each) for each in captured)
    assert {name: count for name, count in counts.items() if count > MOST_QUERIES} == {}


def test_the_policy_is_on_every_page(pages: Pages) -> None:
    client = pages.client("admin@summit.test")
    addresses = ["/accounts/login/", "/nothing", "/healthz", reverse("account_logout")]
    addresses += [address for _name, address, _pattern in pages.readable("console:")]
    for address in addresses:
        answer = client.get(address)
        assert set(answer["Content-Security-Policy"].split("; ")) == POLICY, address
        assert answer["X-Frame-Options"] == "DENY"
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_error_pages_need_no_session_and_no_database() -> None:
    """They must come up when nothing else does (this test has no database)."""
    request = RequestFactory().get("/console/")
    for answer, status, code in (
        (errors.server_error(request), 500, b"internal_error"),
        (errors.not_found(request, ValueError()), 404, b"not_found"),
        (errors.forbidden(request, ValueError()), 403, b"forbidden"),
        (errors.bad_request(request, ValueError()), 400, b"bad_request"),
        (errors.csrf_failure(request), 403, b"csrf_failed"),
    ):
        assert answer.status_code == status
        assert code in answer.content


@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (NotFound("secret_not_found", "There is no such secret."), 404),
        (Forbidden("not_allowed", "no"), 403),
        (Conflict("invoice_not_open", "paid"), 409),
        (Invalid("amount_not_positive", "zero"), 422),
        (Unavailable("gateway_busy", "later"), 503),
    ],
)
def test_a_refusal_has_its_status_and_its_words(refusal: DomainError, status: int) -> None:
    answer = errors.refusal_page(RequestFactory().get("/"), refusal)
    assert answer.status_code == status
    assert b"secret" not in answer.content


def test_staff_enrol_a_second_factor_where_it_is_asked_for(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.conf.settings.SUMMIT_REQUIRE_STAFF_MFA", True)
    client = pages.client("admin@summit.test")
    for _name, address, _pattern in pages.readable("console:"):
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"] == reverse("mfa_index")


def test_only_own_addresses_are_gone_back_to(client: Client) -> None:
    for next_address, location in (
        ("/portal/", "/portal/"),
        ("https://evil.test/", "/"),
        ("//x", "/"),
    ):
        answer = client.post("/preferences/theme", {"theme": "dark", "next": next_address})
        assert answer["Location"] == location
        assert answer.cookies["summit_theme"].value == "dark"
    assert "summit_theme" not in client.post("/preferences/theme", {"theme": "pink"}).cookies
