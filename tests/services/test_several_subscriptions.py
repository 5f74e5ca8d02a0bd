"""Several subscriptions of one tenant: what the database refuses, what is allowed, what is shown."""

import threading
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.wording import terms_on
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict
from kernel.ids import public_id
from tenants.domain import KeyScope, Role
from tenants.models import Member, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.api.world import call
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work.connections import JOBS

pytestmark = pytest.mark.usefixtures("db")

NOW = datetime.fromisoformat("2026-06-10T12:00:00+08:00")
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def metered(meter: str) -> dict[str, Any]:
    return {
        "key": meter,
        "meter": meter,
        "period_aggregation": "max_day" if meter == "dau" else "sum",
        "model": "per_unit",
        "unit_price": "0.01",
    }


def plan(key: str, *meters: str, **entitlements: Any) -> str:
    return a_plan(
        {
            "key": key,
            "name": {"en": key.title()},
            "currency": "CNY",
            "entitlements": entitlements,
            "prices": [
                {"key": "base", "model": "flat", "amount": "300", "prorate": True},
                *(metered(meter) for meter in meters),
            ],
        }
    )


@pytest.fixture(autouse=True)
def now() -> Iterator[None]:
    with clock.moved_to(NOW):
        yield


@pytest.fixture
def acme() -> CreatedTenant:
    """Holds chat since the first of June and calls since the second."""
    plan(
        "chat",
        "dau",
        dau={"limit": 10, "kind": "hard"},
        max_group_size=3000,
        recall=False,
        support="by mail",
        translation=True,
    )
    plan(
        "calls",
        "messages",
        messages={"limit": 100, "kind": "hard"},
        dau={"limit": 5, "kind": "soft"},
        max_group_size={"limit": 3000, "kind": "soft"},
        recall=True,
        support="by telephone",
        translation=False,
    )
    tenant = a_tenant(apps=("chat",))
    a_subscription(tenant, plan="chat", starts_on=date(2026, 6, 1))
    a_subscription(tenant, plan="calls", starts_on=date(2026, 6, 2))
    return tenant


def subscription_id(plan_key: str) -> Any:
    with system_scope(purpose="test"):
        return Subscription.objects.get(plan_version__plan__key=plan_key).id


def read_key(tenant: CreatedTenant) -> str:
    with system_scope(purpose="test"):
        return create_api_key(
            tenant_id=tenant.id, scope=KeyScope.READ, label="", now=NOW, actor="test"
        ).text


def test_the_database_itself_refuses_a_meter_that_is_priced_twice(acme: CreatedTenant) -> None:
    plan("other-chat", "dau")
    with connections[JOBS].cursor() as cursor, pytest.raises(Exception, match="prices what"):
        cursor.execute(
            "UPDATE billing_subscription SET plan_version_id = v.id FROM billing_planversion v"
            " JOIN billing_plan p ON p.id = v.plan_id WHERE p.key = 'other-chat'"
            " AND billing_subscription.id = %s",
            [subscription_id("calls")],
        )


def test_of_two_that_price_the_same_at_once_one_starts() -> None:
    for key in ("one", "two", "three"):
        plan(key, "dau")
    tenant = a_tenant()
    ready = threading.Barrier(3)
    outcomes: list[str] = []

    def start(key: str) -> None:
        ready.wait()
        try:
            a_subscription(tenant, plan=key)
            outcomes.append("started")
        except Conflict as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=start, args=[key]) for key in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["meter_priced_twice"] * 2 + ["started"]


def test_which_one_is_meant_must_be_said(acme: CreatedTenant) -> None:
    asked = AskedChange(kind=ChangeKind.CANCEL, when=EffectiveWhen.PERIOD_END)
    with pytest.raises(Conflict) as refused, system_scope(purpose="test"):
        change_subscription(tenant_id=acme.id, asked=asked, now=NOW, actor="test")
    assert refused.value.code == "several_subscriptions"
    assert refused.value.params == {"plans": "chat, calls"}


def test_of_several_the_most_generous_answer_holds(acme: CreatedTenant) -> None:
    key = read_key(acme)
    some_usage(acme, {date(2026, 6, 10): 9})
    answer = call("GET", "/api/v1/entitlements?app=chat", key=key)
    assert answer.status_code == 200
    told = {
        each["feature"]: (each["plan"], each["value"], each["kind"], each["allowed"])
        for each in answer.json()["data"]
    }
    assert told == {
        "dau": ("chat", "10", "hard", True),
        "max_group_size": ("calls", "3000", "soft", True),
        "messages": ("calls", "100", "hard", True),
        "recall": ("calls", True, None, True),
        "support": ("calls", "by telephone", None, True),
        "translation": ("chat", True, None, True),
    }
    one = call("GET", "/api/v1/entitlements/check?app=chat&feature=dau&quantity=2", key=key).json()
    assert (one["allowed"], one["reason"], one["used"]) == (False, "limit_reached", "9")
    assert one["subscription"] == public_id("sub", subscription_id("chat"))


def test_one_that_rests_gives_nothing_beside_one_that_serves(acme: CreatedTenant) -> None:
    def rest(key: str) -> None:
        with system_scope(purpose="test"):
            subscription = Subscription.objects.get(plan_version__plan__key=key)
            change_subscription(
                tenant_id=acme.id,
                subscription_id=subscription.id,
                asked=AskedChange(kind=ChangeKind.PAUSE),
                now=NOW,
                actor="test",
            )

    read = read_key(acme)

    def answer(feature: str) -> tuple[Any, Any, Any]:
        path = f"/api/v1/entitlements/check?app=chat&feature={feature}"
        told = call("GET", path, key=read).json()
        return told["plan"], told["allowed"], told["reason"]

    while draft_due(at=NOW).subscriptions:
        pass
    rest("calls")
    assert answer("max_group_size") == ("chat", True, None)
    assert answer("messages") == ("calls", False, "paused")
    rest("chat")
    assert answer("max_group_size")[1:] == (False, "paused")


def test_terms_are_those_of_the_named_one(acme: CreatedTenant) -> None:
    with tenant_scope(acme.id):
        assert terms_on(tenant_id=acme.id, day=date(2026, 6, 5)).plan_key == "chat"
        named = terms_on(
            tenant_id=acme.id, day=date(2026, 6, 5), subscription_id=subscription_id_in("calls")
        )
    assert named.plan_key == "calls"
    key = read_key(acme)
    wanted = public_id("sub", subscription_id("calls"))
    answer = call("GET", f"/api/v1/terms?on=2026-06-05&subscription={wanted}", key=key)
    assert (answer.json()["plan"], answer.json()["subscription"]) == ("calls", wanted)
    assert (
        call("GET", f"/api/v1/terms?on=2026-06-01&subscription={wanted}", key=key).json()["code"]
        == "no_terms"
    )
    assert call("GET", "/api/v1/terms?subscription=sub_nothing", key=key).status_code == 404


def subscription_id_in(plan_key: str) -> Any:
    return Subscription.objects.get(plan_version__plan__key=plan_key).id


def test_the_portal_shows_each_and_changes_the_chosen_one(acme: CreatedTenant) -> None:
    plan("more-calls", "messages")
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user("owner@acme.test", "x")
        Member.objects.create(tenant_id=acme.id, user=user, role=Role.OWNER)
    client.force_login(user, backend=BACKEND)
    home = client.get("/portal/acme/").content.decode()
    for name in ("Chat", "Calls"):
        assert f'<p class="page-lead">{name}' in home
        assert f"The next invoice, as it stands now: {name}" in home
    shown = client.get("/portal/acme/plan/").content.decode()
    calls, chat = (public_id("sub", subscription_id(key)) for key in ("calls", "chat"))
    assert f"subscription={calls}" in shown
    assert f"subscription={chat}" in shown
    # What the other one prices already isn't offered.
    form = client.get(f"/portal/acme/plan/change/?subscription={calls}")
    assert [each.plan_key for each in form.context["considered"].offers] == ["more-calls"]
    form = client.get(f"/portal/acme/plan/change/?subscription={chat}")
    assert form.context["considered"].offers == []
    asked = client.get(f"/portal/acme/plan/change/?subscription={calls}&kind=cancel&when=now")
    assert asked.context["considered"].held.terms.key == "calls"
