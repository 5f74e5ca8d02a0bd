"""A contract's own wording of single prices: which days, which documents, and what they say."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pytest
from django.db import connections

from billing.catalog.domain import PlanFaults
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.invoicing.services.agree_price import AgreedPrice, agree_price
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.subscriptions.domain import AskedChange, ChangeKind
from billing.subscriptions.models import SubscriptionPrice
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from tenants.queries import trail_of
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

MARCH_10 = "2026-03-10T09:00:00+08:00"
CHEAPER = {"model": "flat", "amount": "149"}
BLOCKS = {**STANDARD["prices"][1], "package_price": "4.00"}


def agree(
    tenant: CreatedTenant,
    price_key: str,
    document: Mapping[str, Any] | None,
    starts_on: str,
    ends_on: str | None = None,
    *,
    now: str = MARCH_10,
    clause: str = "Section 3: as long as the framework agreement runs.",
) -> int:
    with system_scope(purpose="test"):
        return agree_price(
            tenant_id=tenant.id,
            agreed=AgreedPrice(
                price_key=price_key,
                starts_on=date.fromisoformat(starts_on),
                ends_on=date.fromisoformat(ends_on) if ends_on else None,
                document=document,
                clause=clause,
                reference="FA-2026-17",
            ),
            now=datetime.fromisoformat(now),
            actor="test",
        )


def bill(at: str) -> list[dict[str, Any]]:
    """Bill until an instant of Shanghai; every invoice there is, in the order of their periods."""
    instant = datetime.fromisoformat(f"{at}+08:00")
    with system_scope(purpose="test"):
        run_id = create_run(
            at=instant, finalize=True, tenant_key="", requested_by="test", now=instant
        )
    execute_run(run_id=run_id, clock=lambda: instant)
    with system_scope(purpose="test"):
        return [invoice_document(each) for each in all_invoices(wanted=InvoiceFilter())]


def amounts(invoice: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(each["key"], each["kind"], each["amount"]) for each in invoice["lines"]]


@pytest.fixture
def acme(db: None) -> CreatedTenant:
    """199 a month in advance and 5.00 for each started 10 users above 10; March's base is billed."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    bill("2026-03-01T08:00:00")
    return tenant


def test_a_fee_in_advance_holds_from_the_next_period_until_the_agreement_ends(
    acme: CreatedTenant,
) -> None:
    assert agree(acme, "base", CHEAPER, "2026-04-01", "2026-06-01") == 1

    invoices = bill("2026-06-03T00:00:00")

    # March's base was billed before; April and May are agreed, June is the plan's again.
    assert [amounts(each) for each in invoices] == [
        [("base", "recurring", "199.00")],
        [("base", "recurring", "149.00")],
        [("base", "recurring", "149.00")],
        [("base", "recurring", "199.00")],
    ]
    override = {
        "number": 1,
        "starts_on": "2026-04-01",
        "ends_on": "2026-06-01",
        "clause": "Section 3: as long as the framework agreement runs.",
        "reference": "FA-2026-17",
    }
    explained = [each["lines"][0]["explanation"] for each in invoices]
    assert [each.get("override") for each in explained] == [None, override, override, None]
    assert explained[1]["terms"] == {"key": "base", **CHEAPER}
    assert (explained[1]["plan"], explained[1]["version"]) == ("standard", 1)


def test_a_usage_price_holds_for_the_running_period(acme: CreatedTenant) -> None:
    some_usage(acme, {date(2026, 3, 5): 35, date(2026, 4, 5): 35})
    agree(acme, "dau", BLOCKS, "2026-03-01", "2026-04-01")

    invoices = bill("2026-05-02T00:00:00")

    # 25 above 10 are 3 started tens: 3 * 4.00 in March, 3 * 5.00 in April.
    assert amounts(invoices[1])[0] == ("dau", "usage", "12.00")
    assert amounts(invoices[2])[0] == ("dau", "usage", "15.00")
    assert "override" not in invoices[2]["lines"][0]["explanation"]


def test_the_later_agreement_stands_before_the_earlier(acme: CreatedTenant) -> None:
    agree(acme, "base", CHEAPER, "2026-04-01")
    assert agree(acme, "base", {"model": "flat", "amount": "99"}, "2026-05-01", "2026-06-01") == 2

    found = [amounts(each)[-1][2] for each in bill("2026-06-03T00:00:00")]

    assert found == ["199.00", "149.00", "99.00", "149.00"]


def test_what_was_agreed_can_be_ended(acme: CreatedTenant) -> None:
    agree(acme, "base", CHEAPER, "2026-04-01")
    agree(acme, "base", None, "2026-05-01")

    assert [amounts(each)[-1][2] for each in bill("2026-05-03T00:00:00")] == [
        "199.00",
        "149.00",
        "199.00",
    ]
    with pytest.raises(Conflict, match="nothing to end") as refused:
        agree(acme, "base", None, "2026-06-01", now="2026-05-03T09:00:00+08:00")
    assert refused.value.code == "not_agreed"


def test_the_preview_is_what_is_billed(acme: CreatedTenant) -> None:
    some_usage(acme, {date(2026, 3, 5): 35})
    agree(acme, "base", CHEAPER, "2026-04-01")
    agree(acme, "dau", BLOCKS, "2026-03-01")
    with system_scope(purpose="test"):
        (preview,) = preview_next_invoices(
            tenant_id=acme.id, now=datetime.fromisoformat("2026-03-31T12:00:00+08:00")
        )

    billed = bill("2026-04-02T00:00:00")[-1]

    assert [str(line.amount.amount) for line in preview.lines] == [
        line["amount"] for line in billed["lines"]
    ]
    assert [line["amount"] for line in billed["lines"]] == ["12.00", "149.00"]


def test_it_stays_with_its_plan(acme: CreatedTenant) -> None:
    """Another plan's price of the same key is another price; a new wording of the plan is not."""
    proportional = {**STANDARD["prices"][0], "prorate": True}
    a_plan({**STANDARD, "prices": [proportional, *STANDARD["prices"][1:]]})
    a_plan({**STANDARD, "key": "large", "prices": [{**proportional, "amount": "599"}]})
    agree(acme, "base", {**CHEAPER, "prorate": True}, "2026-04-01")
    bill("2026-04-02T00:00:00")
    noon = datetime.fromisoformat("2026-04-16T12:00:00+08:00")
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=acme.id,
            asked=AskedChange(kind=ChangeKind.PLAN, plan="large"),
            now=noon,
            actor="test",
        )

    changed = bill("2026-04-17T00:00:00")[-1]

    # April 16th to 30th are 15 of 30 days: half of the agreed 149 back, half of 599 charged.
    assert amounts(changed) == [("base", "credit", "-74.50"), ("base", "recurring", "299.50")]
    assert changed["lines"][0]["explanation"]["override"]["reference"] == "FA-2026-17"
    assert "override" not in changed["lines"][1]["explanation"]


@pytest.mark.parametrize(
    ("price_key", "document", "starts_on", "ends_on", "code", "field"),
    [
        ("rent", CHEAPER, "2026-04-01", None, "unknown_price", "price_key"),
        ("base", CHEAPER, "2026-03-01", None, "already_billed", "starts_on"),
        ("dau", BLOCKS, "2026-02-01", None, "already_billed", "starts_on"),
        ("base", CHEAPER, "2026-04-02", None, "within_period", "starts_on"),
        ("base", CHEAPER, "2026-04-01", "2026-05-15", "within_period", "ends_on"),
        ("base", CHEAPER, "2026-04-01", "2026-04-01", "end_before_start", "ends_on"),
        ("base", {**CHEAPER, "key": "dau"}, "2026-04-01", None, "price_key_differs", "price.key"),
        (
            "base",
            {**CHEAPER, "timing": "in_arrears"},
            "2026-04-01",
            None,
            "timing_differs",
            "price.timing",
        ),
        ("base", {**CHEAPER, "addon": True}, "2026-04-01", None, "addon_differs", "price.addon"),
        ("base", {"model": "flat"}, "2026-04-01", None, "invalid_plan", "price.amount"),
        ("base", {**CHEAPER, "amount": "-1"}, "2026-04-01", None, "invalid_plan", "price.amount"),
        ("dau", {**BLOCKS, "meter": "mood"}, "2026-04-01", None, "invalid_plan", "price.meter"),
        ("base", None, "2026-04-01", None, "not_agreed", "starts_on"),
        ("base", CHEAPER, "9999-12-31", None, "date_out_of_range", "starts_on"),
    ],
)
def test_what_is_refused(
    acme: CreatedTenant,
    price_key: str,
    document: Mapping[str, Any] | None,
    starts_on: str,
    ends_on: str | None,
    code: str,
    field: str,
) -> None:
    with pytest.raises(DomainError) as refused:
        agree(acme, price_key, document, starts_on, ends_on)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert isinstance(refused.value, PlanFaults) == (code == "invalid_plan")


def test_a_contract_without_words_is_refused(acme: CreatedTenant) -> None:
    with pytest.raises(Invalid) as refused:
        agree(acme, "base", CHEAPER, "2026-04-01", clause="  ")
    assert (refused.value.code, refused.value.field) == ("missing", "clause")


def test_without_a_subscription_there_is_nothing_to_agree_on(db: None) -> None:
    tenant = a_tenant()
    with pytest.raises(NotFound) as refused:
        agree(tenant, "base", CHEAPER, "2026-04-01")
    assert refused.value.code == "no_subscription"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_subscriptionprice SET clause = 'free'",
        "DELETE FROM billing_subscriptionprice",
    ],
)
def test_the_database_keeps_what_was_agreed(acme: CreatedTenant, statement: str) -> None:
    agree(acme, "base", CHEAPER, "2026-04-01")
    with (
        connections[JOBS].cursor() as cursor,
        pytest.raises(Exception, match=r"permission|refused"),
    ):
        cursor.execute(statement)


def test_the_day_it_was_agreed_on_stays_in_the_trail(acme: CreatedTenant) -> None:
    agree(acme, "base", CHEAPER, "2026-04-01")
    with system_scope(purpose="test"):
        entries = trail_of(tenant_id=acme.id, limit=5)
    assert "subscription.price_agreed" in [entry.action for entry in entries]


def test_an_addon_stays_one_of_its_group(acme: CreatedTenant) -> None:
    """How a price stands in its plan needs not be said again, and can't be changed."""
    addon = {"key": "history", "model": "flat", "amount": "500", "addon": True, "group": "history"}
    a_plan({**STANDARD, "key": "large", "prices": [*STANDARD["prices"], addon]})
    tenant = a_tenant("bravo", apps=("b",))
    a_subscription(tenant, plan="large", starts_on=date(2026, 4, 1))
    cheaper = {"model": "flat", "amount": "400"}
    agree(tenant, "history", cheaper, "2026-04-01")
    with system_scope(purpose="test"):
        (document,) = SubscriptionPrice.objects.values_list("document", flat=True)
    assert document == {**addon, **cheaper}
    with pytest.raises(Invalid) as refused:
        agree(tenant, "history", {**cheaper, "group": "rooms"}, "2026-05-01")
    assert (refused.value.code, refused.value.field) == ("addon_differs", "price.group")
