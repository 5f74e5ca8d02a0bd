"""Billing runs: what is due from dates alone, drafted, finalised, numbered, posted."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError, IntegrityError, connections

from billing.invoicing.models import Invoice
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.queries import account_balances, first_drift, first_imbalance
from billing.subscriptions.domain import Anchor
from kernel import clock
from kernel.money import Money
from tenants.scope import system_scope
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS, OWNER

pytestmark = pytest.mark.usefixtures("db")


def bill(at: str, *, finalize: bool = True, tenant: str = "") -> RunResult:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at),
            finalize=finalize,
            tenant_key=tenant,
            requested_by="test",
            now=clock.now(),
        )
    return execute_run(run_id=run_id, clock=clock.now)


def listed(**wanted: Any) -> list[dict[str, Any]]:
    with system_scope(purpose="test"):
        return [invoice_document(each) for each in all_invoices(wanted=InvoiceFilter(**wanted))]


def test_a_month_is_billed_as_computed_by_hand() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35, date(2026, 3, 6): 12})

    result = bill("2026-04-02T00:00:00+08:00")

    # At March 1st the base of March; at April 1st the arrears of March and the base of April.
    assert (result.due, result.drafted, result.finalized, result.parked) == (2, 2, 2, [])
    first, second = listed()
    assert [line["key"] for line in first["lines"]] == ["base"]
    assert first["total"] == "199.00"
    # Peak 35: 25 above the included 10 are 3 started tens, 15.00; and 199 for April.
    assert [(line["key"], line["amount"]) for line in second["lines"]] == [
        ("dau", "15.00"),
        ("base", "199.00"),
    ]
    assert (second["total"], second["due"], second["status"]) == ("214.00", "214.00", "open")
    assert second["period"] == {
        "starts_at": "2026-03-01T00:00:00+08:00",
        "ends_at": "2026-04-01T00:00:00+08:00",
    }
    assert second["issued_at"] == "2026-04-02T00:00:00+08:00"
    assert second["due_on"] == "2026-04-17"
    assert result.totals == {"CNY": Money.of("413.00", "CNY")}


def test_grace_holds_a_document_with_usage_and_no_other() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)

    assert bill("2026-03-01T00:00:00+08:00").finalized == 1  # no usage in it: at once
    assert bill("2026-04-01T23:59:59+08:00").finalized == 0
    assert [each["status"] for each in listed()] == ["open", "draft"]
    assert bill("2026-04-02T00:00:00+08:00").finalized == 1


def test_late_usage_refreshes_the_draft() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 11})
    bill("2026-04-01T00:00:00+08:00")
    assert listed()[-1]["total"] == "204.00"

    some_usage(tenant, {date(2026, 3, 6): 51})  # the day is closed: it becomes a correction
    bill("2026-04-02T00:00:00+08:00")

    assert listed()[-1]["total"] == "224.00"


def test_a_second_run_finds_nothing_new() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    bill("2026-04-02T00:00:00+08:00")
    before = listed()

    again = bill("2026-04-02T00:00:00+08:00")

    assert (again.due, again.drafted, again.finalized, again.unchanged) == (0, 0, 0, 0)
    assert listed() == before


def test_numbers_are_gapless_and_in_order_of_issue() -> None:
    a_plan()
    for index in range(7):
        a_subscription(a_tenant(f"t{index}", apps=(f"app{index}",)))
    bill("2026-03-01T00:00:00+08:00", tenant="t3")
    bill("2026-04-02T00:00:00+08:00")

    numbers = [each["number"] for each in listed()]
    assert sorted(numbers) == [f"INV-2026-{n:06d}" for n in range(1, 15)]
    with system_scope(purpose="test"):
        found = Invoice.objects.order_by("number").values_list("issued_at", flat=True)
        issued = [issued_at for issued_at in found if issued_at is not None]
    assert issued == sorted(issued)


def test_each_app_is_priced_by_itself() -> None:
    a_plan()
    tenant = a_tenant(apps=("one", "two"))
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 15}, app=0)
    some_usage(tenant, {date(2026, 3, 6): 25}, app=1)

    bill("2026-04-02T00:00:00+08:00")

    lines = [(line["app"], line["amount"]) for line in listed()[-1]["lines"]]
    assert lines == [("one", "5.00"), ("two", "10.00"), (None, "199.00")]


def test_an_anniversary_on_the_31st_falls_to_the_month_end_and_returns() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant, starts_on=date(2026, 1, 31), anchor=Anchor.ANNIVERSARY)

    bill("2026-04-02T00:00:00+08:00")

    starts = [each["period"]["starts_at"][:10] for each in listed()]
    assert starts == ["2026-01-31", "2026-01-31", "2026-02-28"]


def test_a_part_of_a_first_month_is_prorated_only_where_the_price_says_so() -> None:
    prices = [
        {"key": "whole", "model": "flat", "amount": "310"},
        {"key": "part", "model": "flat", "amount": "310", "prorate": True},
    ]
    a_plan({**STANDARD, "prices": prices})
    tenant = a_tenant()
    a_subscription(tenant, starts_on=date(2026, 3, 22))

    bill("2026-03-22T00:00:00+08:00")

    assert [line["amount"] for line in listed()[0]["lines"]] == ["310.00", "100.00"]


def test_a_document_of_zeros_is_not_issued_and_takes_no_number() -> None:
    a_plan({**STANDARD, "prices": [STANDARD["prices"][1]]})
    tenant = a_tenant()
    a_subscription(tenant)

    result = bill("2026-04-02T00:00:00+08:00")

    assert result.finalized == 0
    assert listed() == []


def test_the_ledger_says_what_the_invoices_say() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 35})
    bill("2026-04-02T00:00:00+08:00")

    with system_scope(purpose="test"):
        assert first_imbalance() is None
        assert first_drift() is None
        balances = account_balances()
    assert balances == {
        ("receivable", "CNY"): Money.of("413.00", "CNY"),
        ("deferred_revenue", "CNY"): Money.of("-398.00", "CNY"),
        ("revenue", "CNY"): Money.of("-15.00", "CNY"),
    }


def test_a_tenant_whose_data_contradict_is_parked_and_the_others_go_on() -> None:
    a_plan()
    bad, good = a_tenant("bad", apps=("b",)), a_tenant("good", apps=("g",))
    a_subscription(bad)
    a_subscription(good)
    bill("2026-03-01T00:00:00+08:00")
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "UPDATE billing_subscription SET next_boundary_at = starts_at WHERE tenant_id = %s",
            [str(bad.id)],
        )

    result = bill("2026-04-02T00:00:00+08:00")

    assert [(each.tenant, each.code) for each in result.parked] == [
        ("bad", "period_already_billed")
    ]
    assert [each["tenant"] for each in listed()] == ["bad", "good", "good"]


def test_a_draft_that_its_dates_no_longer_bill_stops_nobody_else() -> None:
    a_plan()
    bad, good = a_tenant("bad", apps=("b",)), a_tenant("good", apps=("g",))
    a_subscription(bad)
    a_subscription(good)
    bill("2026-03-01T00:00:00+08:00", finalize=False)
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "UPDATE billing_subscription SET ends_at = starts_at + interval '1 hour'"
            " WHERE tenant_id = %s",
            [str(bad.id)],
        )

    result = bill("2026-03-01T00:00:00+08:00")

    assert [(each.tenant, each.code) for each in result.parked] == [
        ("bad", "draft_without_content")
    ]
    assert [(each["tenant"], each["status"]) for each in listed()] == [
        ("good", "open"),
        ("bad", "draft"),
    ]


def test_a_run_that_names_a_parked_tenant_tries_it_again() -> None:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    bill("2026-03-01T00:00:00+08:00")
    cursor_at = "UPDATE billing_subscription SET next_boundary_at = %s"
    with connections[OWNER].cursor() as cursor:
        cursor.execute(cursor_at, ["2026-03-01T00:00:00+08:00"])
    assert [each.code for each in bill("2026-04-02T00:00:00+08:00").parked] == [
        "period_already_billed"
    ]
    still = bill("2026-04-02T00:00:00+08:00", tenant="acme")
    assert [each.code for each in still.parked] == ["period_already_billed"]
    with connections[OWNER].cursor() as cursor:
        cursor.execute(cursor_at, ["2026-04-01T00:00:00+08:00"])
    assert bill("2026-04-02T00:00:00+08:00").drafted == 0  # a run over all leaves it parked

    mended = bill("2026-04-02T00:00:00+08:00", tenant="acme")

    assert (mended.drafted, mended.finalized, mended.parked) == (1, 1, [])
    assert [each["total"] for each in listed()] == ["199.00", "199.00"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total_minor = 1",
        "UPDATE billing_invoice SET number = 'X'",
        "UPDATE billing_invoice SET status = 'draft'",
        "DELETE FROM billing_invoice",
        "UPDATE billing_invoiceline SET amount_minor = 1",
        "DELETE FROM billing_invoiceline",
        (
            "INSERT INTO billing_invoiceline (id, tenant_id, invoice_id, position, key, kind, timing,"
            " app_key, description, quantity, unit_price, amount_minor, period_starts_at,"
            " period_ends_at, plan_version_id, explanation) SELECT gen_random_uuid(), tenant_id,"
            " invoice_id, 99, key, kind, timing, app_key, description, quantity, unit_price, 1,"
            " period_starts_at, period_ends_at, plan_version_id, explanation"
            " FROM billing_invoiceline LIMIT 1"
        ),
        "UPDATE billing_journalentry SET amount_minor = 0",
        "DELETE FROM billing_journaltransaction",
        "TRUNCATE billing_journalentry",
        "UPDATE billing_planversion SET number = 9",
    ],
)
@pytest.mark.parametrize("alias", [JOBS, OWNER])
def test_what_is_issued_can_not_be_changed_by_sql(statement: str, alias: str) -> None:
    a_plan()
    a_subscription(a_tenant())
    bill("2026-04-02T00:00:00+08:00")
    with pytest.raises(DatabaseError) as refused, connections[alias].cursor() as cursor:
        cursor.execute(statement)
    assert getattr(refused.value.__cause__, "pgcode", "") in {"23000", "42501"}


def test_an_unbalanced_transaction_is_refused() -> None:
    tenant = a_tenant()
    with pytest.raises(IntegrityError, match="does not balance"):
        _post_one_side(tenant.id)


def _post_one_side(tenant_id: UUID) -> None:
    with system_scope(purpose="test"), connections[JOBS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO billing_journaltransaction (id, tenant_id, kind, reference,"
            " description, posted_at) VALUES (gen_random_uuid(), %s, 'x', 'x', '', now())"
            " RETURNING id",
            [str(tenant_id)],
        )
        (transaction_id,) = cursor.fetchone()
        cursor.execute(
            "INSERT INTO billing_journalentry (id, tenant_id, transaction_id, account,"
            " currency, amount_minor) VALUES (gen_random_uuid(), %s, %s, 'bank', 'CNY', 1)",
            [str(tenant_id), str(transaction_id)],
        )
