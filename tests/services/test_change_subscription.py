"""Changes of a subscription: what a preview shows is what is billed, and the web only asks.

April 2026 has 30 days. `small` is 300 a month, 10 a day, with seats of 30; `large` twice that.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.catalog.services.offer_plan import offer_plan
from billing.invoicing.contracts import load_contracts
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import CreditNote, CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.services.carry_out_change import carry_out_change
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.decide_change import decide_change, find_subscription
from billing.invoicing.services.preview_change import PreviewedDocument, preview_change
from billing.invoicing.services.request_change import request_change
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.subscriptions.domain import AskedChange, ChangeKind, ChangeState, EffectiveWhen
from billing.subscriptions.models import Subscription, SubscriptionChange
from billing.subscriptions.queries import change_of, change_page
from kernel import clock
from kernel.errors import Conflict, DomainError, NotFound
from kernel.ids import public_id
from tenants.domain import KeyScope
from tenants.models import AuditRecord
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.api.world import call
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.jobs import run_pending

pytestmark = pytest.mark.usefixtures("db")


def plan(key: str, times: int, **fields: Any) -> dict[str, Any]:
    return {
        "key": key,
        "currency": "CNY",
        "grace": "PT0S",
        "prices": [
            {"key": "base", "model": "flat", "amount": str(300 * times), "prorate": True},
            {"key": "seats", "model": "per_unit", "unit_price": str(30 * times), "prorate": True},
            {"key": "support", "model": "flat", "amount": str(50 * times)},
            {
                "key": "history",
                "model": "flat",
                "amount": str(60 * times),
                "addon": True,
                "prorate": True,
            },
            {
                "key": "peak",
                "meter": "dau",
                "period_aggregation": "max_day",
                "model": "per_unit",
                "unit_price": str(times),
            },
        ],
        **fields,
    }


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-{text}:00+08:00")


@pytest.fixture
def acme() -> CreatedTenant:
    """On `small` since April 1st, which is billed; 7 active users on the 5th."""
    a_plan(plan("small", 1))
    a_plan(plan("large", 2))
    a_plan(plan("yearly", 10, interval="year"))
    tenant = a_tenant()
    a_subscription(tenant, plan="small", starts_on=date(2026, 4, 1))
    some_usage(tenant, {date(2026, 4, 5): 7})
    bill(at("04-01T00:00"))
    return tenant


def bill(when: datetime) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(at=when, finalize=True, requested_by="test", now=when)
    execute_run(run_id=run_id, clock=lambda: when)


def changed(tenant: CreatedTenant, asked: AskedChange, when: datetime) -> None:
    with system_scope(purpose="test"):
        change_subscription(tenant_id=tenant.id, asked=asked, now=when, actor="test")


def previewed(documents: Sequence[PreviewedDocument]) -> list[Any]:
    return [
        (
            each.is_credit_note,
            each.period,
            each.total.minor,
            [
                (
                    line.key,
                    line.description,
                    line.amount.minor,
                    line.period.starts_at,
                    line.period.ends_at,
                    line.explanation,
                )
                for line in each.lines
            ],
        )
        for each in documents
    ]


def issued(kinds: Sequence[InvoiceKind], since: datetime) -> list[Any]:
    """The credit notes and invoices issued since, in the order in which a change makes them."""
    names = (
        "key",
        "description",
        "amount_minor",
        "period_starts_at",
        "period_ends_at",
        "explanation",
    )
    with system_scope(purpose="test"):
        return [
            *(
                (
                    True,
                    None,
                    note.total_minor,
                    list(
                        CreditNoteLine.objects.filter(credit_note=note)
                        .order_by("position")
                        .values_list(*names)
                    ),
                )
                for note in CreditNote.objects.filter(issued_at__gte=since)
            ),
            *(
                (
                    False,
                    (invoice.period_starts_at, invoice.period_ends_at),
                    invoice.total_minor,
                    list(
                        InvoiceLine.objects.filter(invoice=invoice)
                        .order_by("position")
                        .values_list(*names)
                    ),
                )
                for invoice in Invoice.objects.filter(kind__in=kinds, issued_at__gte=since)
            ),
        ]


PLAN = AskedChange(kind=ChangeKind.PLAN, plan="large")
CHANGES = {
    "upgrade": PLAN,
    "another interval": AskedChange(kind=ChangeKind.PLAN, plan="yearly"),
    "more seats": AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(5)),
    "no seats": AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(0)),
    "more of a whole fee": AskedChange(
        kind=ChangeKind.QUANTITY, price="support", quantity=Decimal(3)
    ),
    "an add-on": AskedChange(kind=ChangeKind.ADD, price="history"),
    "a pause": AskedChange(kind=ChangeKind.PAUSE),
    "the end": AskedChange(kind=ChangeKind.CANCEL),
}


@pytest.mark.parametrize(
    ("name", "when"),
    [
        (name, when)
        for name in CHANGES
        for when in ("04-01T00:00", "04-11T15:30", "04-30T23:59")
        # At its first instant there is nothing to end yet.
        if (name, when) != ("the end", "04-01T00:00")
    ],
)
def test_a_preview_under_the_web_role_shows_what_is_then_billed(
    name: str, when: str, acme: CreatedTenant
) -> None:
    now = at(when)
    asked = CHANGES[name]
    with tenant_scope(acme.id):
        preview = preview_change(tenant_id=acme.id, asked=asked, now=now)

    changed(acme, asked, now)

    at_once = [InvoiceKind.CHANGE, InvoiceKind.FINAL]
    told = [
        (credit, None if credit else (period.starts_at, period.ends_at), total, lines)
        for credit, period, total, lines in previewed(preview.documents)
    ]
    assert told == issued(at_once, since=now)
    assert told != []
    # And what follows is what the next run bills.
    for each in preview.following:
        bill(each.issued_at)
        following = issued([InvoiceKind.SUBSCRIPTION], since=each.issued_at)
        (shown,) = previewed([each])
        assert following[-1][2:] == shown[2:]


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_stored_is_what_was_decided(name: str, acme: CreatedTenant) -> None:
    now = at("04-11T15:30")
    with system_scope(purpose="test"):
        row = find_subscription(tenant_id=acme.id, subscription_id=None, lock=False)
        decided = decide_change(
            row=row, contract=load_contracts([row])[row.id], asked=CHANGES[name], now=now
        )
    changed(acme, CHANGES[name], now)
    with system_scope(purpose="test"):
        stored = Subscription.objects.select_related("plan_version", "tenant").get(id=row.id)
        after = load_contracts([stored])[row.id]
        assert after.phases == decided.decision.after.phases
        assert after.versions == decided.decision.after.versions
        assert after.holdings == decided.decision.after.holdings
        assert after.pauses == decided.decision.after.pauses
        assert after.cadence == decided.decision.after.cadence
        assert stored.next_boundary_at == decided.decision.next_boundary_at


def test_a_preview_just_after_a_period_ended_counts_it_as_drafted(acme: CreatedTenant) -> None:
    now = at("05-01T00:10")
    with tenant_scope(acme.id):
        preview = preview_change(tenant_id=acme.id, asked=PLAN, now=now)
    # On the first day, before it is issued, the change only changes the document that opens May.
    assert preview.documents == ()
    (document, *_) = preview.following
    assert [(line.key, str(line.amount.amount)) for line in document.lines] == [
        ("peak", "7.00"),
        ("base", "600.00"),
        ("seats", "60.00"),
        ("support", "100.00"),
    ]
    with system_scope(purpose="test"), pytest.raises(Conflict, match="run the billing first"):
        change_subscription(tenant_id=acme.id, asked=PLAN, now=now, actor="test")


def test_a_change_asked_for_by_the_web_is_done_by_a_job_once(acme: CreatedTenant) -> None:
    now = at("04-16T12:00")
    with tenant_scope(acme.id):
        subscription_id = Subscription.objects.get(tenant_id=acme.id).id
        change_id = request_change(
            tenant_id=acme.id, subscription_id=subscription_id, asked=PLAN, now=now, actor="key:1"
        )
        pending = change_of(tenant_id=acme.id, subscription_id=subscription_id, change_id=change_id)
    assert pending.state is ChangeState.PENDING

    run_pending(now=now, kinds=["billing.change_subscription"])
    assert carry_out_change(change_id=change_id, now=now) is ChangeState.DONE  # again: nothing more

    with tenant_scope(acme.id):
        done = change_of(tenant_id=acme.id, subscription_id=subscription_id, change_id=change_id)
        assert (done.state, done.concluded_at) == (ChangeState.DONE, now)
        (document,) = done.documents
        invoice = Invoice.objects.get(kind=InvoiceKind.CHANGE)
        # Half of April: 150 and 15 come back, 300, 30 and the whole support fee of 100 are due.
        assert (document["number"], invoice.total_minor) == (invoice.number, 265_00)
        actions = AuditRecord.objects.filter(tenant_id=acme.id).values_list("action", "actor")
        assert ("subscription.change_requested", "key:1") in set(actions)
        assert ("subscription.plan_changed", "key:1") in set(actions)


def test_a_job_drafts_a_period_that_ended_before_it_changes(acme: CreatedTenant) -> None:
    now = at("05-01T00:10")
    with tenant_scope(acme.id):
        subscription_id = Subscription.objects.get(tenant_id=acme.id).id
        change_id = request_change(
            tenant_id=acme.id, subscription_id=subscription_id, asked=PLAN, now=now, actor="key:1"
        )
    assert carry_out_change(change_id=change_id, now=now) is ChangeState.DONE
    bill(at("05-01T01:00"))
    with tenant_scope(acme.id):
        invoice = Invoice.objects.order_by("-issued_at")[0]
        assert invoice.total_minor == (7 + 600 + 60 + 100) * 100


def test_what_the_state_refuses_meanwhile_is_the_outcome(acme: CreatedTenant) -> None:
    now = at("04-16T12:00")
    with tenant_scope(acme.id):
        subscription_id = Subscription.objects.get(tenant_id=acme.id).id
        change_id = request_change(
            tenant_id=acme.id, subscription_id=subscription_id, asked=PLAN, now=now, actor="key:1"
        )
    changed(acme, PLAN, now)

    assert carry_out_change(change_id=change_id, now=now) is ChangeState.REFUSED

    with tenant_scope(acme.id):
        (row,) = change_page(
            tenant_id=acme.id, subscription_id=subscription_id, after=None, limit=10
        )
        assert (row.state, row.error_code, row.documents) == (ChangeState.REFUSED, "same_plan", [])
        assert Invoice.objects.filter(kind=InvoiceKind.CHANGE).count() == 1


def test_what_can_be_refused_at_once_is_not_recorded(acme: CreatedTenant) -> None:
    with tenant_scope(acme.id):
        subscription_id = Subscription.objects.get(tenant_id=acme.id).id
        with pytest.raises(NotFound) as refused:
            request_change(
                tenant_id=acme.id,
                subscription_id=subscription_id,
                asked=AskedChange(kind=ChangeKind.PLAN, plan="nothing"),
                now=at("04-16T12:00"),
                actor="key:1",
            )
        assert refused.value.code == "plan_not_found"
        assert not SubscriptionChange.objects.exists()


def test_over_http_a_change_is_previewed_asked_for_and_read(acme: CreatedTenant) -> None:
    with clock.moved_to(at("04-16T12:00")):
        with system_scope(purpose="test"):
            key = create_api_key(
                tenant_id=acme.id, scope=KeyScope.FULL, label="", now=clock.now(), actor="test"
            ).text
            id_ = public_id("sub", Subscription.objects.get(tenant_id=acme.id).id)
        body = {"kind": "change_quantity", "price": "seats", "quantity": "3"}
        preview = call("POST", f"/subscriptions/{id_}/preview", key=key, body=body).json()
        asked = call("POST", f"/subscriptions/{id_}/changes", key=key, body=body)
        assert (asked.status_code, asked.json()["state"]) == (202, "pending")
        run_pending(now=clock.now(), kinds=["billing.change_subscription"])
        read = call("GET", f"/subscriptions/{id_}/changes/{asked.json()['id']}", key=key).json()
        (document,) = read["documents"]
        invoice = call("GET", f"/invoices/{document['id']}", key=key).json()
        listed = call("GET", f"/subscriptions/{id_}/changes", key=key).json()["data"]
    assert (read["state"], listed) == ("done", [read])
    (shown,) = preview["documents"]
    # 15 of 30 days: one seat's 15 come back, three seats' 45 are due.
    assert [line["amount"] for line in shown["lines"]] == ["-15.00", "45.00"]
    assert shown["lines"] == invoice["lines"]
    assert (shown["total"], shown["period"]) == (invoice["total"], invoice["period"])


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (AskedChange(kind=ChangeKind.PLAN, plan="small", version=9), "plan_version_not_found"),
        (AskedChange(kind=ChangeKind.QUANTITY, price="seats"), "missing"),
        (
            AskedChange(kind=ChangeKind.QUANTITY, price="peak", quantity=Decimal(2)),
            "price_is_metered",
        ),
        (AskedChange(kind=ChangeKind.QUANTITY, price="none", quantity=Decimal(2)), "unknown_price"),
        (
            AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(1)),
            "same_quantity",
        ),
        (
            AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(-1)),
            "quantity_out_of_range",
        ),
        (AskedChange(kind=ChangeKind.ADD, price="base"), "not_an_addon"),
        (AskedChange(kind=ChangeKind.REMOVE, price="history"), "addon_not_held"),
        (AskedChange(kind=ChangeKind.RESUME), "not_paused"),
        (AskedChange(kind=ChangeKind.UNDO_CANCEL), "not_cancelled"),
        (AskedChange(kind=ChangeKind.UNDO_CHANGE), "nothing_planned"),
        (AskedChange(kind=ChangeKind.END_TRIAL), "not_on_trial"),
    ],
)
def test_what_can_not_be_done_is_refused_with_a_code(
    asked: AskedChange, code: str, acme: CreatedTenant
) -> None:
    with tenant_scope(acme.id), pytest.raises(DomainError) as refused:
        preview_change(tenant_id=acme.id, asked=asked, now=at("04-16T12:00"))
    assert refused.value.code == code


def test_planned_changes_bill_nothing_at_once(acme: CreatedTenant) -> None:
    asked = AskedChange(kind=ChangeKind.PLAN, plan="large", when=EffectiveWhen.PERIOD_END)
    with tenant_scope(acme.id):
        preview = preview_change(tenant_id=acme.id, asked=asked, now=at("04-16T12:00"))
    assert (preview.documents, preview.plan_key) == ((), "small")
    assert [str(each.total.amount) for each in preview.following] == ["767.00"]


def test_a_private_plan_is_for_those_to_whom_it_was_offered(acme: CreatedTenant) -> None:
    a_plan(plan("secret", 3, private=True))
    asked = AskedChange(kind=ChangeKind.PLAN, plan="secret")
    now = at("04-16T12:00")
    with tenant_scope(acme.id), pytest.raises(NotFound) as hidden:
        preview_change(tenant_id=acme.id, asked=asked, now=now)
    assert hidden.value.code == "plan_not_found"
    with system_scope(purpose="test"):
        assert preview_change(tenant_id=acme.id, asked=asked, now=now, for_staff=True).documents
        offer_plan(tenant_id=acme.id, plan_key="secret", now=now, actor="test")
    with tenant_scope(acme.id):
        assert preview_change(tenant_id=acme.id, asked=asked, now=now).plan_key == "secret"
