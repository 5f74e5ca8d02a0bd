"""What a tenant may use now follows what it holds, and counts every committed event.

All happens in June 2026 at Shanghai; the clock is moved there.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.entitlements.queries import check_entitlement
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict
from metering.services import roll_up_pending
from tenants.domain import KeyScope, TenantStatus
from tenants.models import Tenant
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.api.world import call
from tests.factories import a_plan, a_subscription, a_tenant, some_usage

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime.fromisoformat("2026-06-10T12:00:00+08:00")


def metered(meter: str, aggregation: str, **fields: Any) -> dict[str, Any]:
    return {
        "key": meter,
        "meter": meter,
        "period_aggregation": aggregation,
        "model": "per_unit",
        "unit_price": "0.01",
        **fields,
    }


PRO: dict[str, Any] = {
    "key": "pro",
    "currency": "CNY",
    "grace": "PT0S",
    "entitlements": {
        "max_group_size": 3000,
        "dau": {"limit": 3, "kind": "hard"},
        "messages": {"limit": 10, "kind": "soft"},
        "mau": 4,
        "storage": {"limit": 100, "kind": "grace"},
        "support": "by mail",
        "video": False,
    },
    "prices": [
        {"key": "base", "model": "flat", "amount": "300", "prorate": True},
        metered("dau", "max_day"),
        metered("messages", "sum", scope="tenant"),
        {
            "key": "pack",
            "model": "flat",
            "amount": "20",
            "addon": True,
            "entitlements": {"max_group_size": {"adds": 500}, "video": True},
        },
        {
            "key": "seats",
            "model": "per_unit",
            "unit_price": "5",
            "entitlements": {"seats": {"adds": 1}},
        },
    ],
}
ULTIMATE: dict[str, Any] = {
    **PRO,
    "key": "ultimate",
    "entitlements": {"max_group_size": {"limit": 9000}, "dau": {"limit": 50}},
    "prices": PRO["prices"][:3],
}


@pytest.fixture(autouse=True)
def now() -> Iterator[None]:
    with clock.moved_to(NOW):
        yield


@pytest.fixture
def acme() -> CreatedTenant:
    a_plan(PRO)
    a_plan(ULTIMATE)
    tenant = a_tenant(apps=("chat", "push"))
    a_subscription(tenant, plan="pro", starts_on=date(2026, 6, 1))
    bill("2026-06-01T00:00:00+08:00")
    return tenant


def bill(at: str) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(
            at=datetime.fromisoformat(at),
            finalize=True,
            tenant_key="",
            requested_by="test",
            now=clock.now(),
        )
    execute_run(run_id=run_id, clock=clock.now)


def key_of(tenant: CreatedTenant, scope: KeyScope) -> str:
    with system_scope(purpose="test"):
        return create_api_key(
            tenant_id=tenant.id, scope=scope, label="", now=clock.now(), actor="test"
        ).text


def check(tenant: CreatedTenant, feature: str, quantity: str = "1", app: str = "chat") -> Any:
    answer = call(
        "GET",
        f"/entitlements/check?app={app}&feature={feature}&quantity={quantity}",
        key=key_of(tenant, KeyScope.READ),
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def change(tenant: CreatedTenant, kind: ChangeKind, **fields: Any) -> None:
    with system_scope(purpose="test"):
        change_subscription(
            tenant_id=tenant.id,
            asked=AskedChange(kind=kind, **fields),
            now=clock.now(),
            actor="test",
        )


def send(tenant: CreatedTenant, *users: str, app: str = "chat", **fields: Any) -> None:
    body = [
        {
            "specversion": "1.0",
            "id": f"{app} {user} {index} {clock.now()}",
            "source": "tests",
            "type": "message.sent",
            "subject": app,
            "time": clock.now().isoformat(),
            "data": {"user": user},
            **fields,
        }
        for index, user in enumerate(users)
    ]
    answer = call("POST", "/events", key=key_of(tenant, KeyScope.INGEST), body=body)
    assert answer.json()["accepted"] == len(body), answer.content


def fold() -> None:
    roll_up_pending(now=clock.now())


def test_a_limit_on_nothing_that_is_counted(acme: CreatedTenant) -> None:
    found = check(acme, "max_group_size", "3000")
    assert (found["allowed"], found["reason"], found["limit"]) == (True, None, "3000")
    assert (found["used"], found["remaining"], found["counted"]) == (None, None, None)
    assert found["sources"] == [{"price": None, "held": "1", "value": "3000", "adds": False}]
    beyond = check(acme, "max_group_size", "3001")
    assert (beyond["allowed"], beyond["reason"], beyond["over_limit"]) == (
        False,
        "limit_reached",
        True,
    )


def test_what_isnt_named_left_out_or_a_text(acme: CreatedTenant) -> None:
    assert check(acme, "recall")["reason"] == "not_granted"
    assert check(acme, "video")["reason"] == "not_included"
    assert (check(acme, "support")["allowed"], check(acme, "support")["value"]) == (True, "by mail")


def test_an_addon_allows_while_it_is_held(acme: CreatedTenant) -> None:
    change(acme, ChangeKind.ADD, price="pack", quantity=Decimal(2))
    found = check(acme, "max_group_size", "4000")
    assert (found["allowed"], found["limit"]) == (True, "4000")
    assert found["sources"][1] == {"price": "pack", "held": "2", "value": "500", "adds": True}
    assert check(acme, "video")["allowed"] is True
    change(acme, ChangeKind.REMOVE, price="pack", quantity=Decimal(1))
    assert check(acme, "max_group_size")["limit"] == "3500"
    change(acme, ChangeKind.REMOVE, price="pack", when=EffectiveWhen.PERIOD_END)
    assert check(acme, "max_group_size")["limit"] == "3500"
    with clock.moved_to(datetime.fromisoformat("2026-06-30T23:59:59.999999+08:00")):
        assert check(acme, "video")["allowed"] is True
    with clock.moved_to(datetime.fromisoformat("2026-07-01T00:00:00+08:00")):
        assert check(acme, "max_group_size")["limit"] == "3000"
        assert check(acme, "video")["allowed"] is False


def test_a_quantity_allows_as_much(acme: CreatedTenant) -> None:
    assert check(acme, "seats", "2")["allowed"] is False
    change(acme, ChangeKind.QUANTITY, price="seats", quantity=Decimal(25))
    assert (check(acme, "seats", "25")["allowed"], check(acme, "seats", "26")["allowed"]) == (
        True,
        False,
    )


def test_a_change_of_plan_counts_from_its_day(acme: CreatedTenant) -> None:
    change(acme, ChangeKind.ADD, price="pack")
    change(acme, ChangeKind.PLAN, plan="ultimate", when=EffectiveWhen.PERIOD_END)
    assert check(acme, "max_group_size")["limit"] == "3500"
    change(acme, ChangeKind.UNDO_CHANGE)
    change(acme, ChangeKind.PLAN, plan="ultimate")
    found = check(acme, "max_group_size")
    # The new plan has no such add-on: what was held of it ended with the old plan.
    assert (found["plan"], found["limit"]) == ("ultimate", "9000")
    assert check(acme, "seats")["reason"] == "not_granted"


def test_nothing_is_allowed_while_it_rests(acme: CreatedTenant) -> None:
    change(acme, ChangeKind.PAUSE)
    for feature in ("max_group_size", "support", "dau"):
        assert (check(acme, feature)["allowed"], check(acme, feature)["reason"]) == (
            False,
            "paused",
        )
    with clock.moved_to(datetime.fromisoformat("2026-06-12T09:00:00+08:00")):
        change(acme, ChangeKind.RESUME)
        assert check(acme, "max_group_size")["allowed"] is True


def test_after_the_end_and_before_the_start(acme: CreatedTenant) -> None:
    change(acme, ChangeKind.CANCEL, when=EffectiveWhen.PERIOD_END)
    assert check(acme, "max_group_size")["allowed"] is True
    with clock.moved_to(datetime.fromisoformat("2026-07-01T00:00:00+08:00")):
        found = check(acme, "max_group_size")
        assert (found["allowed"], found["reason"], found["plan"]) == (
            False,
            "no_subscription",
            None,
        )
    with clock.moved_to(datetime.fromisoformat("2026-05-31T23:59:59+08:00")):
        assert check(acme, "max_group_size")["reason"] == "no_subscription"


def test_a_trial_allows_what_it_leads_to() -> None:
    a_plan({**PRO, "trial_days": 14})
    tenant = a_tenant()
    a_subscription(tenant, plan="pro", starts_on=date(2026, 6, 5))
    some_usage(tenant, {date(2026, 6, 6): 8}, meter="messages")
    found = check(tenant, "messages")
    assert (found["limit"], found["used"]) == ("10", "8")
    assert found["counted"]["period"] == {
        "starts_at": "2026-06-05T00:00:00+08:00",
        "ends_at": "2026-06-19T00:00:00+08:00",
    }


def test_a_tenant_that_is_suspended(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=acme.id).update(status=TenantStatus.SUSPENDED)
    assert check(acme, "support")["reason"] == "suspended"


@pytest.mark.parametrize("is_folded", [True, False])
def test_daily_users_of_the_app_and_day(acme: CreatedTenant, is_folded: bool) -> None:
    with clock.moved_to(datetime.fromisoformat("2026-06-09T12:00:00+08:00")):
        send(acme, "a", "b", "c", "d")
    send(acme, "a", "b", "a")
    send(acme, "x", "y", "z", app="push")
    if is_folded:
        fold()
    found = check(acme, "dau")
    assert (found["used"], found["remaining"], found["allowed"]) == ("2", "1", True)
    assert found["counted"] == {
        "meter": "dau",
        "scope": "app",
        "window": "day",
        "period": {
            "starts_at": "2026-06-10T00:00:00+08:00",
            "ends_at": "2026-06-11T00:00:00+08:00",
        },
    }
    assert check(acme, "dau", "2")["reason"] == "limit_reached"
    assert check(acme, "dau", app="push")["reason"] == "limit_reached"


@pytest.mark.parametrize("is_folded", [True, False])
def test_different_users_of_the_period(acme: CreatedTenant, is_folded: bool) -> None:
    with clock.moved_to(datetime.fromisoformat("2026-05-31T12:00:00+08:00")):
        send(acme, "before")
    with clock.moved_to(datetime.fromisoformat("2026-06-02T12:00:00+08:00")):
        send(acme, "a", "b")
    fold()
    send(acme, "b", "c")
    if is_folded:
        fold()
    found = check(acme, "mau")
    assert (found["used"], found["counted"]["window"]) == ("3", "period")
    send(acme, "d")
    assert check(acme, "mau")["reason"] == "limit_reached"


def test_sums_count_for_the_whole_tenant_as_they_are_priced(acme: CreatedTenant) -> None:
    with clock.moved_to(datetime.fromisoformat("2026-05-31T23:00:00+08:00")):
        send(acme, "a")
    send(acme, "a", "a", "a", data={"user": "a", "count": 2})
    fold()
    send(acme, "b", app="push", data={"user": "b", "count": 3})
    found = check(acme, "messages")
    assert (found["used"], found["remaining"], found["counted"]["scope"]) == ("9", "1", "tenant")
    over = check(acme, "messages", "2")
    # A soft limit lets it through and says so.
    assert (over["allowed"], over["over_limit"], over["reason"]) == (True, True, None)


@pytest.mark.parametrize("is_folded", [True, False])
def test_a_level_stands_until_the_next(acme: CreatedTenant, is_folded: bool) -> None:
    def measured(value: int, at: str) -> None:
        with clock.moved_to(datetime.fromisoformat(at)):
            send(acme, "n", type="storage.measured", data={"value": value})

    measured(80, "2026-05-30T12:00:00+08:00")
    if is_folded:
        fold()
    assert (check(acme, "storage")["used"], check(acme, "storage")["allowed"]) == ("80", True)
    measured(120, "2026-06-10T10:00:00+08:00")
    measured(110, "2026-06-10T09:00:00+08:00")
    if is_folded:
        fold()
    found = check(acme, "storage")
    # Over the limit for the first time in this period: grace.
    assert (found["used"], found["allowed"], found["over_limit"]) == ("120", True, True)
    with clock.moved_to(datetime.fromisoformat("2026-07-02T12:00:00+08:00")):
        assert check(acme, "storage")["reason"] == "grace_over"


def test_corrections_count(acme: CreatedTenant) -> None:
    some_usage(acme, {date(2026, 6, 3): 6, date(2026, 6, 4): 5}, meter="messages")
    some_usage(acme, {date(2026, 6, 4): 2}, meter="messages")
    assert check(acme, "messages")["used"] == "8"


def test_users_that_cant_be_told_are_not_guessed(acme: CreatedTenant) -> None:
    some_usage(acme, {date(2026, 6, 3): 2, date(2026, 6, 4): 2})
    answer = call(
        "GET", "/entitlements/check?app=chat&feature=mau", key=key_of(acme, KeyScope.READ)
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "usage_not_known")
    with tenant_scope(acme.id), pytest.raises(Conflict):
        check_entitlement(
            tenant_id=acme.id,
            app_key="chat",
            feature="mau",
            quantity=Decimal(1),
            timezone="UTC",
            now=NOW,
        )


def test_the_list_in_pages(acme: CreatedTenant) -> None:
    send(acme, "a", "b")
    key = key_of(acme, KeyScope.READ)
    first = call("GET", "/entitlements?app=chat&limit=3", key=key).json()
    rest = call("GET", f"/entitlements?app=chat&cursor={first['next']}", key=key).json()
    rows = {row["feature"]: row for row in [*first["data"], *rest["data"]]}
    assert list(rows) == sorted(
        ["dau", "max_group_size", "mau", "messages", "seats", "storage", "support", "video"]
    )
    assert (rows["dau"]["used"], rows["mau"]["used"], rows["messages"]["used"]) == ("2", "2", "2")
    whole = {row["feature"]: row for row in call("GET", "/entitlements", key=key).json()["data"]}
    assert (whole["dau"]["allowed"], whole["dau"]["limit"], whole["messages"]["used"]) == (
        None,
        "3",
        "2",
    )


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("app=nobody&feature=dau", 404, "unknown_app"),
        ("app=chat&feature=dau&quantity=-1", 400, "negative"),
        ("app=chat&feature=dau&quantity=many", 400, "not_a_decimal"),
        ("app=chat", 400, "missing"),
        ("feature=dau", 400, "missing"),
        ("app=chat&feature=dau&user=u", 400, "unknown_parameter"),
    ],
)
def test_wrong_questions(acme: CreatedTenant, query: str, status: int, code: str) -> None:
    answer = call("GET", f"/entitlements/check?{query}", key=key_of(acme, KeyScope.READ))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_the_app_of_another_tenant_is_unknown(acme: CreatedTenant) -> None:
    other = a_tenant("other", apps=("theirs",))
    a_subscription(other, plan="pro", starts_on=date(2026, 6, 1))
    answer = call(
        "GET",
        "/entitlements/check?app=theirs&feature=max_group_size",
        key=key_of(acme, KeyScope.READ),
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_app")
    with system_scope(purpose="test"):
        assert Subscription.objects.count() == 2
