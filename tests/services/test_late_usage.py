"""Usage that is late for a final invoice: policies, preview, kills, races, and what it costs."""

import random
import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.invoicing.credit_notes import credit_notes
from billing.invoicing.late_listing import pending_late_usage
from billing.invoicing.models import Invoice, LateUsage
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.finalize_due import finalize_due
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.queries import first_drift, first_imbalance
from billing.payments.verification import (
    first_line_drift,
    first_number_gap,
    first_settlement_drift,
)
from billing.subscriptions.domain import LateUsagePolicy
from billing.subscriptions.models import Subscription
from billing.subscriptions.services.set_late_usage_policy import set_late_usage_policy
from kernel import clock
from kernel.errors import Invalid, NotFound
from kernel.money import Money
from metering.services import set_usage
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.conftest import empty_tables
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from tests.services.forks import Fork, Forks
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")

MARCH_FINAL = "2026-04-02T00:00:00+08:00"
APRIL_FINAL = "2026-05-02T00:00:00+08:00"


def bill(at: str, *, finalize: bool = True) -> RunResult:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at), finalize=finalize, requested_by="test", now=clock.now()
        )
    return execute_run(run_id=run_id, clock=clock.now)


def listed() -> list[dict[str, Any]]:
    with system_scope(purpose="test"):
        return [invoice_document(each) for each in all_invoices(wanted=InvoiceFilter())]


def amounts_of(invoice: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(line["key"], line["kind"], line["amount"]) for line in invoice["lines"]]


def with_policy(policy: LateUsagePolicy, *, reason: str = "") -> None:
    with system_scope(purpose="test"):
        for row in Subscription.objects.all():
            set_late_usage_policy(
                subscription_id=row.id, policy=policy, reason=reason, now=clock.now(), actor="test"
            )


def a_billed_march(value: int = 35) -> Any:
    """A tenant whose March, with a highest day of 35, was billed 15.00 above the 199.00 of the base."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): value})
    bill(MARCH_FINAL)
    return tenant


def test_the_next_invoice_takes_it_and_a_second_run_finds_nothing() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})

    bill(APRIL_FINAL)
    again = bill(APRIL_FINAL)

    # 42 above the 10 included are 5 started tens, 25.00, where 15.00 were billed.
    assert amounts_of(listed()[-1]) == [
        ("base", "recurring", "199.00"),
        ("dau", "adjustment", "10.00"),
    ]
    assert (again.due, again.finalized) == (0, 0)
    with system_scope(purpose="test"):
        settled = LateUsage.objects.get()
        document = Invoice.objects.get(number="INV-2026-000003")
    assert (settled.outcome, settled.amount_minor, settled.corrections) == ("adjusted", 1000, 1)
    assert settled.document_id == document.id


def test_it_is_on_the_draft_before_the_invoice_is_final() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})
    bill("2026-05-01T00:00:00+08:00")
    draft = listed()[-1]
    assert (draft["status"], draft["total"]) == ("draft", "209.00")

    some_usage(tenant, {date(2026, 3, 6): 62})
    bill("2026-05-01T12:00:00+08:00", finalize=False)
    assert listed()[-1]["total"] == "214.00"

    some_usage(tenant, {date(2026, 3, 6): 35})
    bill(APRIL_FINAL)
    assert (listed()[-1]["total"], len(listed()[-1]["lines"])) == ("199.00", 1)


def test_of_two_drafts_one_takes_it() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})

    bill("2026-06-01T00:00:00+08:00", finalize=False)
    drafts = [amounts_of(each) for each in listed() if each["status"] == "draft"]
    bill("2026-06-03T00:00:00+08:00")

    assert drafts == [
        [("base", "recurring", "199.00"), ("dau", "adjustment", "10.00")],
        [("base", "recurring", "199.00")],
    ]
    assert [amounts_of(each) for each in listed()[2:]] == drafts


def test_a_tenant_is_shown_the_adjustment_in_its_next_invoice() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})
    with system_scope(purpose="test"):
        (upcoming,) = preview_next_invoices(
            tenant_id=tenant.id, now=datetime.fromisoformat("2026-04-20T00:00:00+08:00")
        )

    bill(APRIL_FINAL)

    assert f"{upcoming.total.amount}" == listed()[-1]["total"] == "209.00"


def test_a_note_is_issued_at_the_next_run() -> None:
    tenant = a_billed_march()
    with_policy(LateUsagePolicy.NOTE)
    some_usage(tenant, {date(2026, 3, 6): 52})

    result = bill("2026-04-10T00:00:00+08:00")

    assert (result.finalized, result.totals) == (1, {"CNY": Money.of("10.00", "CNY")})
    assert amounts_of(listed()[-1]) == [("dau", "adjustment", "10.00")]
    assert listed()[-1]["issued_at"] == "2026-04-10T00:00:00+08:00"

    some_usage(tenant, {date(2026, 3, 6): 0, date(2026, 3, 5): 5})
    assert bill("2026-04-10T12:00:00+08:00").finalized == 0  # collected for the grace of a day
    bill("2026-04-11T00:00:00+08:00")
    with system_scope(purpose="test"):
        (note,) = credit_notes()
    assert (note["total"], note["invoice"], note["to_balance"]) == (
        "25.00",
        "INV-2026-000002",
        "25.00",
    )

    bill(APRIL_FINAL)
    assert amounts_of(listed()[-1]) == [("base", "recurring", "199.00")]


def test_waived_usage_is_recorded_with_its_reason_and_never_billed() -> None:
    tenant = a_billed_march()
    with_policy(LateUsagePolicy.WAIVE, reason="our gateway was late")
    some_usage(tenant, {date(2026, 3, 6): 52})

    bill("2026-04-10T00:00:00+08:00")

    with system_scope(purpose="test"):
        waived = LateUsage.objects.get()
        (told,) = AuditRecord.objects.filter(action="late_usage.waived")
    assert (waived.outcome, waived.amount_minor, waived.reason) == (
        "waived",
        1000,
        "our gateway was late",
    )
    assert told.reason == "our gateway was late"

    # What comes after the waiver is billed by the policy that holds then: 62 instead of 52.
    with_policy(LateUsagePolicy.NEXT_INVOICE)
    some_usage(tenant, {date(2026, 3, 6): 62})
    bill(APRIL_FINAL)
    assert amounts_of(listed()[-1])[-1] == ("dau", "adjustment", "5.00")


def test_a_waiver_needs_a_reason_and_a_subscription() -> None:
    a_billed_march()
    with pytest.raises(Invalid) as refused:
        with_policy(LateUsagePolicy.WAIVE, reason=" ")
    assert refused.value.code == "reason_missing"
    with system_scope(purpose="test"), pytest.raises(NotFound):
        set_late_usage_policy(
            subscription_id=UUID(int=1),
            policy=LateUsagePolicy.NOTE,
            reason="",
            now=clock.now(),
            actor="test",
        )


def test_the_preview_says_what_the_run_then_bills() -> None:
    tenant = a_billed_march()
    other = a_tenant("other", apps=("other",))
    a_subscription(other, starts_on=date(2026, 4, 1))
    some_usage(tenant, {date(2026, 3, 6): 52})

    with system_scope(purpose="test"):
        page = pending_late_usage(limit=10)
    bill(APRIL_FINAL)

    (row,) = page.rows
    assert (row.tenant_key, row.policy, row.amount) == (
        "acme",
        LateUsagePolicy.NEXT_INVOICE,
        Money.of("10.00", "CNY"),
    )
    (period,) = row.periods
    assert (period.invoice, period.lines[0]["billed"], period.lines[0]["rated"]) == (
        "INV-2026-000002",
        "15.00",
        "25.00",
    )
    with system_scope(purpose="test"):
        settled = LateUsage.objects.get()
        assert pending_late_usage(limit=10).rows == ()
    assert (settled.amount_minor, settled.lines) == (row.amount.minor, list(period.lines))


def test_pending_late_usage_comes_in_pages() -> None:
    a_plan()
    for index in range(5):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 11})
    bill(MARCH_FINAL)
    _late_for_all(5)

    seen: list[str] = []
    after = None
    with system_scope(purpose="test"):
        while True:
            page = pending_late_usage(after=after, limit=2)
            seen.extend(row.tenant_key for row in page.rows)
            after = page.next
            if after is None:
                break
    assert sorted(seen) == [f"t{index}" for index in range(5)]
    assert len(seen) == len(set(seen))


def test_how_it_was_settled_is_never_changed() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})
    bill(APRIL_FINAL)

    for statement in (
        "UPDATE billing_lateusage SET amount_minor = 0",
        "DELETE FROM billing_lateusage",
        "TRUNCATE billing_lateusage",
    ):
        with (
            pytest.raises(IntegrityError, match="never changed"),
            transaction.atomic(using=OWNER),
            connections[OWNER].cursor() as cursor,
        ):
            cursor.execute(statement)


def test_the_database_refuses_credits_beyond_what_adjustments_left() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 5): 15})
    bill(APRIL_FINAL)
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT l.tenant_id, l.id FROM billing_invoiceline l"
            " WHERE l.key = 'dau' AND l.kind = 'usage' AND l.amount_minor = 1500"
        )
        tenant_id, line_id = cursor.fetchone()

    def credit(minor: int) -> None:
        with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO billing_creditnote (id, tenant_id, seller_id, number, currency, timezone,
                    language, issued_at, reason, tax_minor, total_minor, to_receivable_minor,
                    to_balance_minor, buyer)
                VALUES (gen_random_uuid(), %(tenant)s, 'default', %(minor)s::text, 'CNY', 'UTC', 'en',
                        now(), '', 0, %(minor)s, 0, %(minor)s, '{}');
                INSERT INTO billing_creditnoteline (id, tenant_id, credit_note_id, invoice_line_id,
                    position, key, description, amount_minor, period_starts_at, period_ends_at,
                    explanation)
                SELECT gen_random_uuid(), %(tenant)s, id, %(line)s, 1, 'dau', '', %(minor)s, now(),
                       now() + interval '1 day', '{}'
                  FROM billing_creditnote WHERE number = %(minor)s::text
                """,
                {"tenant": tenant_id, "line": line_id, "minor": minor},
            )

    # 15.00 were billed and 10.00 taken back for late usage.
    with pytest.raises(IntegrityError, match="what its adjustments left"):
        credit(501)
    credit(500)


def test_it_takes_as_many_statements_for_six_tenants_as_for_one() -> None:
    a_plan()
    for index in range(6):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 11})
    bill(MARCH_FINAL)
    bill("2026-05-01T00:00:00+08:00", finalize=False)

    def statements() -> int:
        with CaptureQueriesContext(connections[JOBS]) as captured:
            finalize_due(at=datetime.fromisoformat("2026-05-01T00:00:00+08:00"), finalize=False)
        return len(captured.captured_queries)

    without = statements()
    _late_for_all(1)
    statements()  # refreshes the draft, once
    of_one = statements()
    _late_for_all(6)
    statements()

    assert statements() == of_one
    # Counts, documents, settlements, locks, drafts, lines, waivers and usage of the late periods.
    assert of_one - without <= 14


def _late_for_all(tenants: int) -> None:
    with system_scope(purpose="test"):
        rows = list(Subscription.objects.order_by("id").select_related("tenant")[:tenants])
        apps = {app.tenant_id: app for row in rows for app in row.tenant.apps.all()}
    with system_scope(purpose="test"):
        for row in rows:
            set_usage(
                tenant_id=row.tenant_id,
                app_id=apps[row.tenant_id].id,
                meter="dau",
                day=date(2026, 3, 7),
                value=Decimal(90),
                now=clock.now(),
                reason="test",
            )


_SMALL_CHUNKS = """
from billing.invoicing.services import draft_due, finalize_due, settle_late_usage
draft_due.CHUNK = finalize_due.CHUNK = settle_late_usage.CHUNK = 3
load_command_class("billing", "bill")
"""


@pytest.fixture
def forks() -> Iterator[Forks]:
    started = Forks(_SMALL_CHUNKS)
    yield started
    started.end()


def _start(forks: Forks, at: str) -> Fork:
    return forks.start("bill", "--at", at, "--finalize", "--json")


def _a_world_with_late_usage(tenants: int) -> None:
    """A billed March; then usage of it is late: more for some, less for others, some by a note."""
    a_plan()
    worlds = []
    for index in range(tenants):
        tenant = a_tenant(f"t{index:02}", apps=(f"app{index:02}",))
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 1 + index % 28): 7 * index})
        worlds.append(tenant)
    bill(MARCH_FINAL)
    with system_scope(purpose="test"):
        for place, row in enumerate(Subscription.objects.order_by("tenant__key")):
            if place % 4 == 0:
                set_late_usage_policy(
                    subscription_id=row.id,
                    policy=LateUsagePolicy.NOTE,
                    reason="",
                    now=clock.now(),
                    actor="test",
                )
    for index, tenant in enumerate(worlds):
        value = 7 * index
        late = 60 if value <= 50 else value + 25 * (-1) ** index * (index % 3)
        some_usage(tenant, {date(2026, 3, 1 + index % 28): late})


def _documents() -> list[Any]:
    documents = listed()
    with system_scope(purpose="test"):
        notes = credit_notes()
    for each in [*documents, *notes]:
        each.pop("id", None)
        del each["number"]
        each.pop("invoice", None)
        for line in each["lines"]:
            line.get("explanation", {}).pop("params", None)
            line.get("explanation", {}).get("adjusts", {}).pop("invoice", None)
            del line["description"]
    return [
        sorted(
            documents, key=lambda each: (each["tenant"], each["period"]["starts_at"], str(each))
        ),
        sorted(notes, key=lambda each: (each["tenant"], str(each["lines"]))),
    ]


def _assert_sound() -> None:
    with system_scope(purpose="test"):
        assert first_imbalance() is None
        assert first_drift() is None
        assert first_line_drift() is None
        assert first_settlement_drift() is None
        assert first_number_gap() is None


def test_killed_again_and_again_or_three_at_once_it_bills_the_same(forks: Forks) -> None:
    _a_world_with_late_usage(16)
    assert _start(forks, APRIL_FINAL).wait() == 0
    undisturbed = _documents()
    adjustments = [
        line for each in undisturbed[0] for line in each["lines"] if line["kind"] == "adjustment"
    ]
    assert len(adjustments) > 8
    empty_tables()

    _a_world_with_late_usage(16)
    chance = random.Random(7)  # a replayable choice of moments
    kills = 0
    for _ in range(8):
        process = _start(forks, APRIL_FINAL)
        time.sleep(chance.uniform(0.01, 0.25))
        process.kill()
        kills += process.wait() < 0
    assert kills > 3
    runs = [_start(forks, APRIL_FINAL) for _ in range(3)]

    assert [run.wait() for run in runs] == [0, 0, 0]
    _assert_sound()
    assert _documents() == undisturbed
    with system_scope(purpose="test"):
        assert pending_late_usage(limit=50).rows == ()


def test_staff_see_the_effect_and_set_the_policy() -> None:
    tenant = a_billed_march()
    some_usage(tenant, {date(2026, 3, 6): 52})
    finance = User.objects.create_user("finance@summit.test", "x", staff_role=StaffRole.FINANCE)
    client = Client()
    client.force_login(finance, backend="allauth.account.auth_backends.AuthenticationBackend")

    shown = client.get("/console/late-usage/").content.decode()
    assert "INV-2026-000002" in shown
    assert "15.00" in shown
    assert "25.00" in shown
    assert "10.00" in shown

    with system_scope(purpose="test"):
        subscription = Subscription.objects.get()
    address = f"/console/late-usage/{subscription.id}/"
    assert client.post(address, {"policy": "waive", "reason": ""}).status_code == 422
    assert client.post(address, {"policy": "waive", "reason": "our fault"}).status_code == 302
    bill("2026-04-10T00:00:00+08:00")

    shown = client.get("/console/late-usage/").content.decode()
    assert "No late usage here" in shown
    assert "our fault" in shown
    assert client.get("/console/late-usage/?after=nonsense").status_code == 200
    assert client.get(f"/console/late-usage/{UUID(int=1)}/").status_code == 404
