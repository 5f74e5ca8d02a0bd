"""Coupons in the database: redeemed once, never changed, and not more often than they may be."""

import threading
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction

from billing.discounts.coupon_file import CouponFaults
from billing.discounts.models import Coupon
from billing.discounts.services import create_coupons, retire_coupon
from billing.invoicing.models import InvoiceLine
from billing.invoicing.services.agree_discount import AgreedDiscount, agree_discount, end_discount
from billing.invoicing.services.carry_out_change import carry_out_change
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.preview_change import preview_change
from billing.invoicing.services.request_change import request_change
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.subscriptions.domain import AskedChange, ChangeKind, ChangeState, EffectiveWhen
from billing.subscriptions.models import SubscriptionChange, SubscriptionDiscount
from kernel.errors import Conflict, DomainError, NotFound
from tenants.queries import trail_of
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime.fromisoformat("2026-03-10T09:00:00+08:00")
HALF = {"code": "half", "type": "percentage", "value": "50"}


def coupon(**fields: Any) -> None:
    with system_scope(purpose="test"):
        create_coupons(document=[{**HALF, **fields}], now=NOW, actor="test")


def redeem(tenant: CreatedTenant, code: str = "HALF", when: str = "period_end") -> None:
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=ChangeKind.COUPON, coupon=code, when=EffectiveWhen(when)),
            now=NOW,
            actor="test",
        )


def agree(tenant: CreatedTenant, document: Mapping[str, Any]) -> int:
    with system_scope(purpose="test"):
        return agree_discount(
            tenant_id=tenant.id,
            agreed=AgreedDiscount(
                document=document, when=EffectiveWhen.PERIOD_END, reason="pilot customer"
            ),
            now=NOW,
            actor="test",
        )


@pytest.fixture(autouse=True)
def _plan(db: None) -> None:
    a_plan()


def a_subscriber(key: str) -> CreatedTenant:
    tenant = a_tenant(key, apps=(f"chat-{key}",))
    a_subscription(tenant)
    bill("2026-03-09T00:00")
    return tenant


def bill(at: str) -> None:
    instant = datetime.fromisoformat(f"{at}+08:00")
    with system_scope(purpose="test"):
        run_id = create_run(at=instant, finalize=True, requested_by="test", now=instant)
    execute_run(run_id=run_id, clock=lambda: instant)


def test_of_many_who_want_the_last_one_at_once_one_gets_it() -> None:
    tenants = [a_subscriber(f"t{place}") for place in range(4)]
    coupon(max_redemptions=1)
    outcomes: list[str] = []
    start = threading.Barrier(len(tenants))

    def go(tenant: CreatedTenant) -> None:
        try:
            start.wait()
            redeem(tenant)
            outcomes.append("redeemed")
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=go, args=[tenant]) for tenant in tenants]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["coupon_used_up"] * 3 + ["redeemed"]
    with system_scope(purpose="test"):
        assert Coupon.objects.get().redeemed == SubscriptionDiscount.objects.count() == 1


def test_a_tenant_redeems_a_coupon_once_even_by_another_subscription() -> None:
    tenant = a_subscriber("acme")
    coupon()
    redeem(tenant, when="period_end")
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=ChangeKind.CANCEL),
            now=NOW,
            actor="test",
        )
    a_subscription(tenant, starts_on=date(2026, 3, 11))
    with pytest.raises(Conflict) as refused:
        redeem(tenant)
    assert refused.value.code == "coupon_already_used"
    with system_scope(purpose="test"):
        assert Coupon.objects.get().redeemed == 1


def test_what_the_preview_shows_is_what_the_job_does() -> None:
    tenant = a_subscriber("acme")
    coupon()
    asked = AskedChange(kind=ChangeKind.COUPON, coupon="half", when=EffectiveWhen.PERIOD_END)
    with tenant_scope(tenant.id):
        preview = preview_change(tenant_id=tenant.id, asked=asked, now=NOW)
        change_id = request_change(
            tenant_id=tenant.id,
            subscription_id=preview.subscription_id,
            asked=asked,
            now=NOW,
            actor="somebody",
        )
    assert preview.documents == ()
    assert carry_out_change(change_id=change_id, now=NOW) is ChangeState.DONE
    bill("2026-04-03T00:00")
    with system_scope(purpose="test"):
        change = SubscriptionChange.objects.get(id=change_id)
        lines = InvoiceLine.objects.filter(
            invoice__boundary_at__gte=NOW, invoice__number__isnull=False
        ).order_by("position")
        billed = [(line.key, line.amount_minor, line.discount_minor) for line in lines]
    assert change.coupon_code == "HALF"
    assert billed == [
        (line.key, line.amount.minor, line.discount.minor) for line in preview.following[0].lines
    ]
    assert any(discount for _, _, discount in billed)


def test_a_coupon_that_is_gone_by_then_is_the_change_s_outcome() -> None:
    tenant = a_subscriber("acme")
    coupon()
    asked = AskedChange(kind=ChangeKind.COUPON, coupon="HALF", when=EffectiveWhen.PERIOD_END)
    with tenant_scope(tenant.id):
        preview = preview_change(tenant_id=tenant.id, asked=asked, now=NOW)
        change_id = request_change(
            tenant_id=tenant.id,
            subscription_id=preview.subscription_id,
            asked=asked,
            now=NOW,
            actor="somebody",
        )
    with system_scope(purpose="test"):
        retire_coupon(code="half", now=NOW, actor="test")
        retire_coupon(code="half", now=NOW, actor="test")
    assert carry_out_change(change_id=change_id, now=NOW) is ChangeState.REFUSED
    with system_scope(purpose="test"):
        assert SubscriptionChange.objects.get(id=change_id).error_code == "coupon_retired"
        assert not SubscriptionDiscount.objects.exists()


def test_an_agreed_discount_is_ended_with_its_period_and_both_are_in_the_trail() -> None:
    tenant = a_subscriber("acme")
    number = agree(tenant, {"name": "Pilot", **{k: HALF[k] for k in ("type", "value")}})
    with system_scope(purpose="test"):
        end_discount(tenant_id=tenant.id, number=number, reason="over", now=NOW, actor="boss")
        held = SubscriptionDiscount.objects.get()
        # It had not begun: it never counts.
        assert held.ends_on == held.starts_on == date(2026, 4, 1)
        assert held.ended_by == "boss"
        with pytest.raises(Conflict) as refused:
            end_discount(tenant_id=tenant.id, number=number, reason="x", now=NOW, actor="boss")
        assert refused.value.code == "discount_ended"
        with pytest.raises(NotFound):
            end_discount(tenant_id=tenant.id, number=9, reason="x", now=NOW, actor="boss")
        actions = {entry.action for entry in trail_of(tenant_id=tenant.id, limit=20)}
    assert {"subscription.discount_agreed", "subscription.discount_ended"} <= actions


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE billing_coupon SET value = 60",
        "UPDATE billing_coupon SET redeemed = 0",
        "DELETE FROM billing_coupon",
        "UPDATE billing_subscriptiondiscount SET value = 60",
        "UPDATE billing_subscriptiondiscount SET ends_on = '2099-01-01'",
        "DELETE FROM billing_subscriptiondiscount",
    ],
)
def test_terms_are_never_changed(change: str) -> None:
    tenant = a_subscriber("acme")
    coupon(periods=2)
    redeem(tenant)
    with (
        pytest.raises(DatabaseError),
        system_scope(purpose="test"),
        transaction.atomic(JOBS),
        connections[JOBS].cursor() as db,
    ):
        db.execute(change)


def test_a_code_is_made_once_and_all_or_none() -> None:
    coupon()
    with pytest.raises(CouponFaults) as refused, system_scope(purpose="test"):
        create_coupons(document=[{**HALF, "code": "OTHER"}, HALF], now=NOW, actor="test")
    assert [fault.code for fault in refused.value.faults] == ["coupon_exists"]
    with system_scope(purpose="test"):
        assert [row.code for row in Coupon.objects.all()] == ["HALF"]


@pytest.mark.parametrize(
    ("document", "path", "code"),
    [
        ({"type": "percentage", "value": "5"}, "coupons[0].code", "missing"),
        ({**HALF, "code": "a b"}, "coupons[0].code", "bad_code"),
        ({**HALF, "type": "gift"}, "coupons[0].type", "unknown_discount_type"),
        ({**HALF, "value": "-1"}, "coupons[0].value", "negative"),
        ({**HALF, "value": "0"}, "coupons[0].value", "not_positive"),
        ({**HALF, "value": "100.01"}, "coupons[0].value", "out_of_range"),
        ({**HALF, "value": "NaN"}, "coupons[0].value", "not_finite"),
        ({**HALF, "currency": "CNY"}, "coupons[0].currency", "not_fixed"),
        ({**HALF, "type": "fixed"}, "coupons[0].currency", "missing"),
        ({**HALF, "type": "fixed", "currency": "XXL"}, "coupons[0].currency", "unknown_currency"),
        (
            {**HALF, "type": "fixed", "currency": "JPY", "value": "0.5"},
            "coupons[0].value",
            "too_many_decimals",
        ),
        ({**HALF, "type": "usage"}, "coupons[0].prices", "missing"),
        ({**HALF, "prices": []}, "coupons[0].prices", "missing"),
        ({**HALF, "prices": [1]}, "coupons[0].prices[0]", "not_a_key"),
        ({**HALF, "periods": 0}, "coupons[0].periods", "not_a_whole_number"),
        ({**HALF, "max_redemptions": True}, "coupons[0].max_redemptions", "not_a_whole_number"),
        (
            {**HALF, "valid_from": "2026-03-02", "valid_to": "2026-03-02"},
            "coupons[0].valid_to",
            "end_before_start",
        ),
        ({**HALF, "colour": "red"}, "coupons[0].colour", "unknown_field"),
    ],
)
def test_each_fault_of_a_coupon_is_told(document: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(CouponFaults) as refused, system_scope(purpose="test"):
        create_coupons(document={"coupons": [document]}, now=NOW, actor="test")
    assert (path, code) in [(fault.path, fault.code) for fault in refused.value.faults]
