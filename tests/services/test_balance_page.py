"""The balance of a tenant on its pages: what is left, what it paid, and granting more, once.

The world: an invoice of 249.00 (base 199.00, and 10 started tens of users above the included 10).
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from billing.invoicing.models import Invoice
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.ledger.domain import BalanceKind
from billing.ledger.models import BalanceLot
from billing.ledger.queries import first_balance_drift, first_imbalance
from billing.payments.balance_listing import balance_sums, draw_rows, lot_rows
from billing.payments.services.expire_balances import expire_balances
from billing.payments.services.grant_balance import grant_balance
from billing.payments.services.pay_from_balance import pay_from_balance
from billing.rating.adjustments.credits import CreditScope
from kernel import clock
from kernel.errors import Conflict
from kernel.ids import new_id
from kernel.money import Money
from tenants.domain import KeyScope, Role, StaffRole
from tenants.models import AuditRecord, Member, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.api.world import call
from tests.factories import NOW, a_plan, a_subscription, a_tenant, some_usage

pytestmark = pytest.mark.usefixtures("db")

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
LATER = datetime(2026, 4, 3, tzinfo=UTC)


@pytest.fixture
def acme() -> CreatedTenant:
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 110})
    return tenant


def cny(amount: str) -> Money:
    return Money.of(amount, "CNY")


def granted(tenant: CreatedTenant, amount: str, **fields: Any) -> None:
    with system_scope(purpose="test"):
        grant_balance(
            tenant_id=tenant.id,
            amount=cny(amount),
            reason="test",
            now=fields.pop("now", NOW),
            actor="test",
            kind=fields.pop("kind", BalanceKind.CASH),
            expires_at=fields.pop("expires_at", None),
            **fields,
        )


def billed(tenant: CreatedTenant) -> Invoice:
    """The invoice of March's usage and April's base, paid from the balance."""
    with system_scope(purpose="test"):
        run_id = create_run(
            at=LATER, finalize=True, tenant_key="", requested_by="test", now=clock.now()
        )
    execute_run(run_id=run_id, clock=lambda: LATER)
    with system_scope(purpose="test"):
        invoice = Invoice.objects.filter(tenant_id=tenant.id, number__isnull=False).latest("number")
        pay_from_balance(tenant_id=tenant.id, invoice_id=invoice.id, now=LATER)
    return invoice


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client.force_login(user, backend=BACKEND)
    return client


FORM = {
    "kind": "gift",
    "amount": "12.34",
    "currency": "CNY",
    "ends_on": "2099-01-01",
    "priority": "5",
    "prices": "dau, base",
    "plans": "",
    "apps": "chat",
    "reason": "the outage of March",
}


def test_every_cent_of_a_grant_is_drawn_ended_or_left(acme: CreatedTenant) -> None:
    granted(acme, "100.00", kind=BalanceKind.VOUCHER, expires_at=LATER + timedelta(days=10))
    granted(acme, "300.00")
    granted(acme, "7.00", scope=CreditScope(apps=frozenset({"chat"})), priority=900)
    invoice = billed(acme)
    with tenant_scope(acme.id):
        (before,) = balance_sums(tenant_id=acme.id, now=LATER)
        lots = lot_rows(tenant_id=acme.id, now=LATER, limit=25).rows
        draws = draw_rows(tenant_id=acme.id, limit=25)
    assert draws.total == len(draws.rows) > 0
    assert {draw.invoice_id for draw in draws.rows} == {invoice.id}
    paid = sum((draw.amount.minor for draw in draws.rows), 0)
    assert paid == invoice.total_minor
    assert before.total == cny("407.00") - Money(paid, "CNY")
    for lot in lots:
        assert lot.amount == lot.drawn + lot.expired + lot.left
    # Once a voucher has ended it is gone from the page, whether or not a run has taken it back.
    granted(acme, "40.00", kind=BalanceKind.GIFT, expires_at=LATER + timedelta(days=2), now=LATER)
    after = LATER + timedelta(days=2)
    with tenant_scope(acme.id):
        (soon,) = balance_sums(tenant_id=acme.id, now=LATER)
        (shown,) = balance_sums(tenant_id=acme.id, now=after)
    assert (soon.ends_soon, soon.first_end) == (cny("40.00"), after)
    assert soon.left[BalanceKind.GIFT] == cny("40.00")
    assert shown.left[BalanceKind.GIFT] == cny("0.00")
    with system_scope(purpose="test"):
        expire_balances(now=after)
        assert first_balance_drift() is None
    with tenant_scope(acme.id):
        assert balance_sums(tenant_id=acme.id, now=after) == [shown]
        gift = lot_rows(tenant_id=acme.id, now=after, limit=1).rows[0]
    assert (gift.expired, gift.left, gift.drawn) == (cny("40.00"), cny("0"), cny("0"))


def test_granting_asks_first_and_grants_once(acme: CreatedTenant) -> None:
    client = staff(StaffRole.FINANCE)
    address = "/console/tenants/acme/balance/grant/"
    assert client.get(address).status_code == 200
    asked = client.post(address, FORM)
    assert "Grant this?" in asked.content.decode()
    assert "prices: base, dau; apps: chat" in asked.content.decode()
    with system_scope(purpose="test"):
        assert not BalanceLot.objects.exists()
    token = asked.context["token"]
    for _ in range(2):
        answer = client.post(address, {**FORM, "token": token})
        assert answer.status_code == 302
    with system_scope(purpose="test"):
        lot = BalanceLot.objects.get()
        assert (lot.kind, lot.amount_minor, lot.priority) == ("gift", 1234, 5)
        assert lot.scope == {"prices": ["base", "dau"], "apps": ["chat"]}
        # Midnight in Shanghai.
        assert lot.expires_at == datetime(2098, 12, 31, 16, tzinfo=UTC)
        record = AuditRecord.objects.get(action="balance.granted")
        assert record.after is not None
        assert (record.reason, record.after["amount"]) == ("the outage of March", "12.34 CNY")
        assert first_imbalance() is None
        assert first_balance_drift() is None
    shown = client.get("/console/tenants/acme/balance/").content.decode()
    assert "12.34" in shown
    assert "Granted by staff" in shown


def test_the_same_grant_twice_is_refused_by_the_service(acme: CreatedTenant) -> None:
    grant_id = new_id()
    granted(acme, "5.00", grant_id=grant_id)
    with pytest.raises(Conflict, match="already"):
        granted(acme, "5.00", grant_id=grant_id)
    with system_scope(purpose="test"):
        assert BalanceLot.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1e3"}, "amount"),
        ({"amount": "1.005"}, "amount"),
        ({"ends_on": "2020-01-01"}, "ends_on"),
        ({"priority": "1001"}, "priority"),
        ({"prices": "daus"}, "prices"),
        ({"plans": "nothing"}, "plans"),
        ({"apps": "theirs"}, "apps"),
        ({"currency": "EUR"}, "currency"),
        ({"kind": "gold"}, "kind"),
        ({"reason": " "}, "reason"),
    ],
)
def test_what_cant_be_granted_is_said_at_its_field(
    acme: CreatedTenant, changes: dict[str, str], field: str
) -> None:
    client = staff(StaffRole.ADMIN)
    a_tenant("other", apps=("theirs",))
    answer = client.post("/console/tenants/acme/balance/grant/", {**FORM, **changes})
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    with system_scope(purpose="test"):
        assert not BalanceLot.objects.exists()


def test_a_token_for_another_tenant_grants_nothing(acme: CreatedTenant) -> None:
    a_tenant("other", apps=("theirs",))
    client = staff(StaffRole.FINANCE)
    own = {**FORM, "prices": "", "apps": ""}
    token = client.post("/console/tenants/other/balance/grant/", own).context["token"]
    answer = client.post("/console/tenants/acme/balance/grant/", {**own, "token": token})
    assert "Grant this?" in answer.content.decode()
    with system_scope(purpose="test"):
        assert not BalanceLot.objects.exists()


def test_only_finance_grants_and_a_member_reads(acme: CreatedTenant) -> None:
    for role in (StaffRole.SALES, StaffRole.OPERATIONS, StaffRole.AUDITOR):
        client = staff(role)
        assert client.post("/console/tenants/acme/balance/grant/", FORM).status_code == 403
        shown = client.get("/console/tenants/acme/balance/")
        assert shown.status_code == 200
        assert "Grant a balance" not in shown.content.decode()
    granted(acme, "300.00")
    invoice = billed(acme)
    client = Client()
    with system_scope(purpose="test"):
        owner = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=acme.id, user=owner, role=Role.OWNER)
    client.force_login(owner, backend=BACKEND)
    assert "300.00" in client.get("/portal/acme/balance/").content.decode()
    assert str(invoice.number) in client.get("/portal/acme/balance/?show=paid").content.decode()
    assert client.post("/portal/acme/balance/", FORM).status_code in {200, 405}
    with system_scope(purpose="test"):
        assert BalanceLot.objects.count() == 1


def test_over_http(acme: CreatedTenant) -> None:
    granted(acme, "300.00")
    granted(acme, "9.99", kind=BalanceKind.GIFT, scope=CreditScope(plans=frozenset({"standard"})))
    with system_scope(purpose="test"):
        key = create_api_key(
            tenant_id=acme.id, scope=KeyScope.READ, label="", now=clock.now(), actor="test"
        ).text
    first = call("GET", "/balance?limit=1", key=key).json()
    assert first["balances"] == [
        {
            "currency": "CNY",
            "total": "309.99",
            "cash": "300.00",
            "gift": "9.99",
            "voucher": "0.00",
        }
    ]
    assert first["data"][0]["scope"] == {"prices": [], "plans": ["standard"], "apps": []}
    second = call("GET", f"/balance?cursor={first['next']}", key=key).json()
    assert [row["amount"] for row in second["data"]] == ["300.00"]
