"""One invoice for several subscriptions: complete, once, and the same to the books, the proofs and people."""

import io
import json
from datetime import date, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connections
from django.test import Client
from pypdf import PdfReader

from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.services import draft_due, finalize_due
from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.queries import first_drift, first_imbalance
from billing.ledger.recognition import first_deferral_drift
from billing.ledger.services.recognize_revenue import recognize_revenue
from billing.subscriptions.models import Subscription
from kernel import clock
from tenants.domain import Role, StaffRole
from tenants.models import AuditRecord, Member, Tenant, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

MARCH = "2026-03-01T00:00:00+08:00"
APRIL = "2026-04-02T00:00:00+08:00"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def plan(key: str, title: str, meter: str) -> str:
    return a_plan(
        key=key,
        name={"en": title, "zh-hans": f"{title}套餐"},
        prices=[
            {"key": "base", "model": "flat", "amount": "100", "timing": "in_advance"},
            {
                "key": meter,
                "meter": meter,
                "period_aggregation": "max_day" if meter == "dau" else "sum",
                "model": "per_unit",
                "unit_price": "1",
            },
        ],
    )


@pytest.fixture
def plans() -> None:
    plan("chat", "Chat", "dau")
    plan("calls", "Calls", "messages")


def tenant_with_both(key: str = "acme") -> CreatedTenant:
    tenant = a_tenant(key, apps=(f"{key}-app",))
    a_subscription(tenant, plan="chat")
    a_subscription(tenant, plan="calls")
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=tenant.id).update(consolidates_invoices=True)
    some_usage(tenant, {date(2026, 3, 5): 35})
    some_usage(tenant, {date(2026, 3, 6): 200}, meter="messages")
    return tenant


@pytest.fixture
def acme(plans: None) -> CreatedTenant:
    return tenant_with_both()


def bill(at: str, **options: Any) -> RunResult:
    moment = datetime.fromisoformat(at)
    with clock.moved_to(moment):
        with system_scope(purpose="test"):
            run_id = create_run(
                at=moment, finalize=True, requested_by="test", now=clock.now(), **options
            )
        return execute_run(run_id=run_id, clock=clock.now)


def numbered() -> list[tuple[str, str, int]]:
    with system_scope(purpose="test"):
        return [
            (each.tenant.key, each.kind, each.total_minor)
            for each in Invoice.objects.filter(number__isnull=False)
            .select_related("tenant")
            .order_by("number")
        ]


def test_a_run_issues_one_and_a_second_run_nothing(acme: CreatedTenant) -> None:
    result = bill(APRIL)
    assert numbered() == [("acme", "consolidated", 20000), ("acme", "consolidated", 43500)]
    # Four drafts, of which two and two became one invoice each.
    assert (result.drafted, result.finalized, result.parked) == (4, 2, [])
    assert f"{result.totals['CNY'].amount}" == "635.00"
    again = bill("2026-04-02T01:00:00+08:00")
    assert (again.due, again.drafted, again.finalized) == (0, 0, 0)
    with system_scope(purpose="test"):
        parts = Invoice.objects.filter(consolidated_into__isnull=False)
        assert {(each.status, each.kind, each.number) for each in parts} == {
            ("void", "subscription", None)
        }
        assert parts.count() == 4
        assert not InvoiceLine.objects.filter(invoice__in=parts).exists()
        assert (first_imbalance(), first_drift()) == (None, None)


def test_chunks_never_part_what_goes_together(plans: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (draft_due, finalize_due):
        monkeypatch.setattr(module, "CHUNK", 1)
    for key in ("acme", "other", "third"):
        tenant_with_both(key)
    bill(APRIL)
    assert sorted(numbered()) == sorted(
        (key, "consolidated", total)
        for key in ("acme", "other", "third")
        for total in (20000, 43500)
    )


def test_it_waits_for_one_that_is_left_aside(acme: CreatedTenant) -> None:
    bill(MARCH)
    with system_scope(purpose="test"):
        Subscription.objects.filter(plan_version__plan__key="calls").update(
            parked_code="by_hand", parked_detail="looked at"
        )
    waiting = bill(APRIL)
    assert waiting.finalized == 0
    assert len(numbered()) == 1
    bill("2026-04-02T01:00:00+08:00", tenant_key="acme")  # tries again what was left aside
    assert numbered()[1:] == [("acme", "consolidated", 43500)]


def test_a_period_is_not_billed_again_after_it_was_consolidated(acme: CreatedTenant) -> None:
    bill(APRIL)
    before = numbered()
    with connections[OWNER].cursor() as cursor:
        cursor.execute("UPDATE billing_subscription SET next_boundary_at = %s", [MARCH])
    result = bill("2026-04-03T00:00:00+08:00")
    assert {each.code for each in result.parked} == {"period_already_billed"}
    assert numbered() == before


@pytest.mark.parametrize(
    "statement",
    [
        # A second document of a boundary, beside the one that was consolidated.
        (
            "INSERT INTO billing_invoice (id, tenant_id, seller_id, subscription_id, kind, status, currency,"
            " timezone, language, boundary_at, period_starts_at, period_ends_at, finalize_at, subtotal_minor,"
            " discount_minor, tax_minor, total_minor, paid_minor, buyer, created_at)"
            " SELECT gen_random_uuid(), tenant_id, seller_id, subscription_id, kind, 'draft', currency,"
            " timezone, language, boundary_at, period_starts_at, period_ends_at, finalize_at, 0, 0, 0, 0, 0,"
            " '{}', created_at FROM billing_invoice WHERE consolidated_into_id IS NOT NULL"
        ),
        "DELETE FROM billing_invoice WHERE consolidated_into_id IS NOT NULL",
        "UPDATE billing_invoice SET consolidated_into_id = NULL WHERE consolidated_into_id IS NOT NULL",
        "UPDATE billing_invoiceline SET amount_minor = amount_minor + 1",
        "DELETE FROM billing_invoiceline",
        # An invoice can't take what is issued by itself.
        "UPDATE billing_invoice SET consolidated_into_id = id WHERE kind = 'consolidated'",
    ],
)
def test_the_database_keeps_what_was_consolidated(acme: CreatedTenant, statement: str) -> None:
    bill(APRIL)
    with connections[JOBS].cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute(statement)


def test_the_database_issues_no_lines_of_others(acme: CreatedTenant) -> None:
    """A line on a consolidated invoice belongs to a document that it took; else it isn't issued."""
    bill(MARCH)
    with connections[JOBS].cursor() as cursor, pytest.raises(IntegrityError, match="not those of"):
        cursor.execute(
            "INSERT INTO billing_invoice (id, tenant_id, seller_id, kind, status, currency, timezone,"
            " language, boundary_at, period_starts_at, period_ends_at, finalize_at, subtotal_minor,"
            " discount_minor, tax_minor, total_minor, paid_minor, buyer, created_at)"
            " SELECT '00000000-0000-7000-8000-000000000001', tenant_id, seller_id, kind, 'draft',"
            " currency, timezone, language, boundary_at + interval '1 day', period_starts_at,"
            " period_ends_at, finalize_at, 0, 0, 0, 0, 0, '{}', created_at FROM billing_invoice"
            " WHERE kind = 'consolidated';"
            "INSERT INTO billing_invoiceline SELECT (json_populate_record(l, json_build_object("
            " 'id', gen_random_uuid(), 'invoice_id', '00000000-0000-7000-8000-000000000001'))).*"
            " FROM billing_invoiceline l LIMIT 1;"
            "UPDATE billing_invoice SET status = 'void'"
            " WHERE id = '00000000-0000-7000-8000-000000000001'"
        )


def test_the_books_and_the_proofs_agree(acme: CreatedTenant) -> None:
    bill(APRIL)
    with clock.moved_to(datetime.fromisoformat("2026-04-20T00:00:00+08:00")):
        recognize_revenue(through=date(2026, 4, 19), now=clock.now())
        with system_scope(purpose="test"):
            assert first_deferral_drift() is None
        call_command("verify_ledger", stdout=io.StringIO())
        printed = io.StringIO()
        call_command("reconcile", "--date", "2026-04-02", "--json", stdout=printed)
    told = json.loads(printed.getvalue())
    compared = {each["name"]: each["compared"] for each in told["checks"]}
    assert (told["ok"], compared["invoice_quantities"] > 0) == (True, True)


def test_paper_and_pages_have_a_section_for_each(acme: CreatedTenant) -> None:
    bill(APRIL)
    with system_scope(purpose="test"):
        invoice = Invoice.objects.get(kind="consolidated", total_minor=43500)
        owner = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=acme.id, user=owner, role=Role.OWNER)
        staff, _ = User.objects.get_or_create(email="f@summit.test", staff_role=StaffRole.FINANCE)
    for language, subtotals in (
        ("en", ("Subtotal:Chat", "Subtotal:Calls")),
        ("zh-hans", ("小计：Chat套餐", "小计：Calls套餐")),
    ):
        printed = print_invoice(tenant_id=acme.id, invoice_id=invoice.id, language=language)
        text = "".join(page.extract_text() for page in PdfReader(io.BytesIO(printed.content)).pages)
        text = "".join(text.split())
        for each in subtotals:
            assert each in text
        for amount in ("135.00", "300.00", "435.00"):
            assert amount in text
    for person, path in (
        (owner, f"/portal/acme/invoices/{invoice.id}/"),
        (staff, f"/console/invoices/{invoice.id}/"),
    ):
        client = Client()
        client.force_login(person, backend=BACKEND)
        shown = client.get(path)
        assert [each.title for each in shown.context["sections"]] == ["Chat", "Calls"]
        assert "<span>Calls</span>" in shown.content.decode()
        listed = client.get(path.replace(f"{invoice.id}/", "")).content.decode()
        assert listed.count("INV-2026-") == 2 * listed.count(str(invoice.number))


def test_who_may_change_plans_chooses(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        people = {}
        for role in (Role.OWNER, Role.DEVELOPER):
            people[role] = User.objects.create_user(f"{role}@acme.test", "x")
            Member.objects.create(tenant_id=acme.id, user=people[role], role=role)
        sales, _ = User.objects.get_or_create(email="s@summit.test", staff_role=StaffRole.SALES)
        auditor, _ = User.objects.get_or_create(email="a@summit.test", staff_role=StaffRole.AUDITOR)

    def send(person: User, path: str, wanted: str) -> int:
        client = Client()
        client.force_login(person, backend=BACKEND)
        return client.post(path, {"consolidates": wanted}).status_code

    def consolidates() -> bool:
        with system_scope(purpose="test"):
            return Tenant.objects.get(id=acme.id).consolidates_invoices

    mine, theirs = "/portal/acme/plan/consolidation", "/console/tenants/acme/consolidation"
    assert send(people[Role.DEVELOPER], mine, "no") == 403
    assert send(auditor, theirs, "no") == 403
    assert consolidates()
    assert send(people[Role.OWNER], mine, "no") == 302
    assert not consolidates()
    assert send(sales, theirs, "yes") == 302
    assert consolidates()
    with system_scope(purpose="test"):
        assert AuditRecord.objects.filter(action="tenant.consolidation_set").count() == 2
    client = Client()
    client.force_login(people[Role.OWNER], backend=BACKEND)
    assert "one for all subscriptions" in client.get("/portal/acme/plan/").content.decode()
