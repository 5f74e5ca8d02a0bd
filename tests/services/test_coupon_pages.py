"""Coupons in console and portal: made, redeemed after a look, shown with what they took, retired."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from billing.discounts.models import Coupon
from billing.invoicing.models import Invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.subscriptions.models import SubscriptionDiscount
from kernel import clock
from tenants.domain import Role, StaffRole
from tenants.models import AuditRecord, Member, User
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant
from tests.factories import a_plan, a_subscription, a_tenant
from work.jobs import run_pending

pytestmark = pytest.mark.usefixtures("db")

NEW = "/console/coupons/new/"
CHANGE = "/console/tenants/acme/change/"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture(autouse=True)
def acme(db: None) -> CreatedTenant:
    """On `standard`, 199 a month in advance, since the month that runs; that month is billed."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant, starts_on=clock.now().date().replace(day=1))
    bill(clock.now())
    return tenant


def bill(at: datetime) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(at=at, finalize=True, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)


def staff(role: StaffRole = StaffRole.FINANCE) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email=f"{role}@summit.test", staff_role=role)
    client.force_login(user, backend=BACKEND)
    return client


def form(**changes: str) -> dict[str, Any]:
    return {
        "code": "welcome20",
        "name": "Welcome",
        "type": "percentage",
        "value": "20",
        "currency": "",
        "prices": "base",
        "plans": "",
        "periods": "3",
        "valid_from": "",
        "valid_to": "",
        "max_redemptions": "100",
        **changes,
    }


def test_a_coupon_is_made_as_the_form_says() -> None:
    client = staff()
    assert client.get(NEW).status_code == 200
    assert client.post(NEW, form()).status_code == 302
    with system_scope(purpose="test"):
        coupon = Coupon.objects.get()
        assert AuditRecord.objects.filter(action="coupon.created").count() == 1
    assert (coupon.code, coupon.price_keys, coupon.periods, coupon.max_redemptions) == (
        "WELCOME20",
        ["base"],
        3,
        100,
    )
    shown = client.get("/console/coupons/").content.decode()
    for text in ("WELCOME20", "20 % off · base", "3 billing periods", "0 / 100", "Redeemable"):
        assert text in shown
    # Sent again, the code is taken: there is no second one.
    again = client.post(NEW, form())
    assert again.status_code == 422
    assert set(again.context["form"].errors) == {"code"}
    with system_scope(purpose="test"):
        assert Coupon.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": "a b"}, "code"),
        ({"value": "101"}, "value"),
        ({"value": "0"}, "value"),
        ({"value": "many"}, "value"),
        ({"type": "fixed"}, "currency"),
        ({"type": "fixed", "currency": "XXQ"}, "currency"),
        ({"type": "fixed", "currency": "CNY", "value": "1.005"}, "value"),
        ({"currency": "CNY"}, "currency"),
        ({"type": "usage", "prices": ""}, "prices"),
        ({"type": "gold"}, "type"),
        ({"periods": "0"}, "periods"),
        ({"valid_from": "2027-02-01", "valid_to": "2027-01-01"}, "valid_to"),
    ],
)
def test_what_cant_be_is_said_at_its_field(changes: dict[str, str], field: str) -> None:
    answer = staff().post(NEW, form(**changes))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    with system_scope(purpose="test"):
        assert not Coupon.objects.exists()


def test_the_list_is_paged_and_searched() -> None:
    client = staff()
    for number in range(27):
        assert client.post(NEW, form(code=f"C-{number:02}")).status_code == 302
    first = client.get("/console/coupons/")
    assert len(first.context["table"].rows) == 25
    second = client.get(f"/console/coupons/?after={first.context['next']}")
    assert [row.terms.coupon for row in second.context["table"].rows] == ["C-01", "C-00"]
    assert not second.context["next"]
    assert len(client.get("/console/coupons/?q=c-1").context["table"].rows) == 10
    assert client.get("/console/coupons/?after=nonsense").status_code == 200


def test_it_is_redeemed_after_a_look_and_shows_what_it_took(acme: CreatedTenant) -> None:
    client = staff()
    client.post(NEW, form())
    asked = {"kind": "apply_coupon", "coupon": "welcome20", "when": "period_end"}
    look = client.get(CHANGE, asked)
    assert look.status_code == 200
    # 199.00 less 20 %.
    assert "159.20" in look.content.decode()
    with system_scope(purpose="test"):
        assert not SubscriptionDiscount.objects.exists()
    hidden = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', look.content.decode())
    )
    assert hidden["coupon"] == "welcome20"
    answer = client.post(CHANGE, {**asked, "seen": hidden["seen"], "token": hidden["token"]})
    assert answer.status_code == 302
    run_pending(now=clock.now())
    with system_scope(purpose="test"):
        boundary = SubscriptionDiscount.objects.get().subscription.next_boundary_at
        assert Coupon.objects.get().redeemed == 1
    assert boundary is not None
    bill(boundary + timedelta(days=3))
    with system_scope(purpose="test"):
        invoice = Invoice.objects.filter(tenant_id=acme.id, number__isnull=False).latest("number")
    assert (invoice.subtotal_minor, invoice.discount_minor) == (19900, 3980)
    page = client.get("/console/tenants/acme/discounts/")
    ((taken, gives),) = page.context["discounts"]
    assert (f"{taken.taken}", taken.invoices, gives) == ("39.80 CNY", 1, "20 % off · base")
    owner = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=acme.id, user=user, role=Role.OWNER)
    owner.force_login(user, backend=BACKEND)
    shown = owner.get("/portal/acme/plan/").content.decode()
    assert "39.80" in shown
    assert "Welcome" in shown


def test_a_retired_coupon_is_redeemed_no_more() -> None:
    client = staff()
    client.post(NEW, form())
    assert client.post("/console/coupons/WELCOME20/retire").status_code == 302
    assert "Retired" in client.get("/console/coupons/").content.decode()
    look = client.get(CHANGE, {"kind": "apply_coupon", "coupon": "WELCOME20", "when": "now"})
    assert look.status_code == 409
    assert "not given any more" in look.content.decode()
    assert client.post("/console/coupons/NOTHING/retire").status_code == 404


def test_only_sales_and_finance_make_and_retire() -> None:
    staff().post(NEW, form())
    for role in (StaffRole.OPERATIONS, StaffRole.AUDITOR):
        client = staff(role)
        assert client.post(NEW, form(code="other")).status_code == 403
        assert client.post("/console/coupons/WELCOME20/retire").status_code == 403
        assert "WELCOME20" in client.get("/console/coupons/").content.decode()
    with system_scope(purpose="test"):
        assert Coupon.objects.get().retired_at is None
