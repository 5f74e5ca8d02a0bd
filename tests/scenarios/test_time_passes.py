"""Stories of time: what falls due happens at its instant, in order, and nothing is kept."""

import json
from pathlib import Path

import pytest

from billing.invoicing.models import Invoice
from billing.subscriptions.models import Subscription
from tenants.models import Tenant
from tenants.scope import system_scope
from tests import factories
from tests.scenarios.stories import (
    BASE,
    a_plan,
    a_story,
    amounts,
    at,
    beginning,
    played,
    refused,
    told,
)

pytestmark = pytest.mark.usefixtures("db")

DAU = {
    "key": "dau",
    "meter": "dau",
    "scope": "app",
    "period_aggregation": "max_day",
    "included": "10000",
    "model": "package",
    "package_size": "10000",
    "package_price": "1000",
    "package_rounding": "up",
}
PRO = a_plan("pro", BASE, DAU)


def test_a_month_with_usage(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("pro"),
            at("03-05T12:00", "usage", app="chat", meter="dau", day="2026-03-05", value="15000"),
            at("04-02", "advance"),
            plans=[PRO],
        ),
        tmp_path,
    )

    first, second = result["invoices"]
    # March in advance at its start; at its end 15,000 peak, 5,000 above the included: one package.
    assert (first["number"], amounts(first), first["issued_at"], first["due_on"]) == (
        "INV-2026-000001",
        [("base", "310.00")],
        "2026-03-01T00:00:00+08:00",
        "2026-03-16",
    )
    assert (second["number"], amounts(second), second["issued_at"]) == (
        "INV-2026-000002",
        [("dau", "1000.00"), ("base", "310.00")],
        "2026-04-01T00:00:00+08:00",
    )
    assert result["balances"] == {
        "acme": {"cash": "0.00", "gift": "0.00", "voucher": "0.00", "receivable": "1620.00"}
    }
    assert result["subscriptions"] == [
        {
            "tenant": "acme",
            "plan": "pro",
            "version": 1,
            "status": "active",
            "period": {
                "starts_at": "2026-04-01T00:00:00+08:00",
                "ends_at": "2026-05-01T00:00:00+08:00",
            },
        }
    ]


def test_the_grace_of_the_story_holds_a_document_with_usage(tmp_path: Path) -> None:
    story = a_story(*beginning("pro"), at("04-03T23:59", "advance"), plans=[PRO])
    story["grace"] = "PT72H"
    assert [each["status"] for each in played(story, tmp_path)["invoices"]] == ["open", "draft"]

    story["steps"][-1] = at("04-04", "advance")
    assert played(story, tmp_path)["invoices"][1]["issued_at"] == "2026-04-04T00:00:00+08:00"


def test_events_count_each_user_once_a_day(tmp_path: Path) -> None:
    per_user = {**DAU, "included": "0", "model": "per_unit", "unit_price": "1"}
    for name in ("package_size", "package_price", "package_rounding"):
        del per_user[name]
    sent = [
        {"id": str(number), "time": "2026-03-06T08:00:00+08:00", "user": user}
        for number, user in enumerate(("u1", "u2", "u1"))
    ]
    result = played(
        a_story(
            *beginning("pro"),
            at("03-06T09:00", "events", app="chat", events=[*sent, sent[0]]),
            at("04-02", "advance"),
            plans=[a_plan("pro", per_user)],
        ),
        tmp_path,
    )

    assert [amounts(each) for each in result["invoices"]] == [[("dau", "2.00")]]


def test_payments_settle_and_the_surplus_is_cash(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("pro"),
            at("03-05", "pay", invoice=1, amount="100.00"),
            at("03-06", "pay", invoice=1, amount="250.00"),
            plans=[PRO],
        ),
        tmp_path,
    )

    assert [(each["status"], each["due"]) for each in result["invoices"]] == [("paid", "0.00")]
    assert result["balances"]["acme"]["cash"] == "40.00"
    assert result["balances"]["acme"]["receivable"] == "0.00"


def test_the_same_story_gives_the_same_bytes_beside_a_busy_world(tmp_path: Path) -> None:
    story = a_story(*beginning("pro"), at("05-01", "advance"), plans=[PRO])
    alone = told(story, tmp_path)
    factories.a_plan({**factories.STANDARD, "key": "pro"})
    factories.a_subscription(factories.a_tenant("acme"), plan="pro")

    assert told(story, tmp_path) == alone
    with system_scope(purpose="test"):
        assert list(Tenant.objects.values_list("key", flat=True)) == ["acme"]
        assert not Invoice.objects.exists()
        assert Subscription.objects.get().next_boundary_at == Subscription.objects.get().starts_at


def test_a_list_of_stories_gives_the_list_of_their_results(tmp_path: Path) -> None:
    good = a_story(*beginning("pro"), at("05-01", "advance"), plans=[PRO])
    bad = a_story(*beginning("pro"), at("03-02", "pay", invoice=7), plans=[PRO])
    alone = [json.loads(told(story, tmp_path)[0]) for story in (good, bad)]

    printed, status = told([good, bad, good], tmp_path)
    assert (json.loads(printed), status) == ([*alone, alone[0]], 1)
    printed, status = told([good], tmp_path)
    assert (json.loads(printed), status) == ([alone[0]], 0)


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (at("03-02", "subscribe", tenant="nobody", plan="pro"), "tenant_not_found"),
        (at("03-02", "subscribe", tenant="acme", plan="pro"), "already_subscribed"),
        (at("03-02", "dance"), "unknown_step"),
        (at("03-02", "pay", invoice=7), "invoice_not_found"),
        (at("03-02", "pay", invoice=1, amount="0.001"), "too_many_decimals"),
        (at("03-02", "pay", invoice=1, amount="-1"), "amount_not_positive"),
        ({"do": "advance", "to": "tomorrow"}, "not_an_instant"),
        (at("03-02", "create_tenant", tenant="acme"), "tenant_key_taken"),
        (
            at("03-02", "usage", app="chat", meter="dau", day="2026-03-01", value="-1"),
            "negative_usage",
        ),
        (
            at("03-02", "events", app="chat", events=[{"id": "1", "user": "u"}]),
            "bad_time",
        ),
        ({"do": "advance", "to": "0001-01-01T00:00:00+14:00"}, "date_out_of_range"),
        ({"do": "advance", "to": "9999-12-31T23:59:59-12:00"}, "date_out_of_range"),
        ({"do": "advance", "to": "2206-04-02T00:00:00+08:00"}, "story_too_long"),
    ],
)
def test_an_impossible_step_is_told_with_its_place(
    step: dict[str, object], code: str, tmp_path: Path
) -> None:
    error = refused(a_story(*beginning("pro"), step, plans=[PRO]), tmp_path)

    assert (error["step"], error["code"]) == (2, code)
    assert error["message"]


def test_a_wrong_plan_is_told_with_every_fault(tmp_path: Path) -> None:
    error = refused(a_story(plans=[a_plan("pro", {**BASE, "amount": "x"})]), tmp_path)

    assert error["step"] is None
    assert error["faults"][0]["path"] == "prices[0].amount"


def test_steps_go_by_their_instants_not_by_their_places(tmp_path: Path) -> None:
    story = a_story(*reversed(beginning("pro")), plans=[PRO])
    assert refused(story, tmp_path)["step"] == 0  # one instant: in the order of the file

    late = at("03-02", "subscribe", tenant="acme", plan="pro")
    story = a_story(late, at("03-01", "create_tenant", tenant="acme"), plans=[PRO])
    assert len(played(story, tmp_path)["invoices"]) == 1
