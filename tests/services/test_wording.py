"""Which text was in force: of a plan on a day, for a tenant on a day, and who may know of it."""

import io
import json
from datetime import date, datetime
from typing import Any

import pytest
from django.core.management import call_command

from billing.catalog import examples
from billing.catalog.queries import versions_of, wording_on
from billing.catalog.services import load_plans
from billing.catalog.services.offer_plan import offer_plan
from billing.invoicing.services.agree_price import AgreedPrice, agree_price
from billing.invoicing.services.change_subscription import change_subscription
from billing.invoicing.wording import AppliedTerms, terms_on
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import Subscription
from billing.subscriptions.queries import holders_of, plans_shown_to, versions_shown_to
from kernel.errors import NotFound
from metering.meters.domain import METERS
from tenants.domain import KeyScope
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.api.world import call
from tests.factories import NOW, STANDARD, a_plan, a_subscription, a_tenant
from work.commands import CommandFault

pytestmark = pytest.mark.usefixtures("db")


def in_force(plan: str, day: str) -> tuple[int, str | None, str | None]:
    with system_scope(purpose="test"):
        found = wording_on(versions_of(plan_key=plan), day=date.fromisoformat(day))
    return (
        found.version.number,
        found.starts_on.isoformat() if found.starts_on else None,
        found.ends_on.isoformat() if found.ends_on else None,
    )


def test_two_years_lists_of_one_plan_are_its_wordings() -> None:
    for year in ("2022", "2026"):
        with system_scope(purpose="test"):
            load_plans(
                documents=[examples.operators_plan(f"easemob-pro-{year}")],
                known_meters=METERS,
                now=NOW,
                actor="test",
            )
    # Before the first date the first wording holds, so that a start in the past has one.
    assert in_force("easemob-pro", "2020-01-01") == (1, None, "2026-03-20")
    assert in_force("easemob-pro", "2026-03-19") == (1, None, "2026-03-20")
    assert in_force("easemob-pro", "2026-03-20") == (2, "2026-03-20", None)


def test_the_wording_with_the_latest_date_is_in_force_whenever_it_was_loaded() -> None:
    a_plan(effective_from="2026-01-01")
    a_plan(effective_from="2026-07-01", trial_days=1)
    a_plan(effective_from="2026-04-01", trial_days=2)
    assert in_force("standard", "2026-03-31") == (1, None, "2026-04-01")
    assert in_force("standard", "2026-04-01") == (3, "2026-04-01", "2026-07-01")
    assert in_force("standard", "2026-07-01") == (2, "2026-07-01", None)


def test_a_correction_takes_the_place_of_what_holds_from_the_same_day() -> None:
    a_plan(effective_from="2026-04-01")
    a_plan(effective_from="2026-07-01", trial_days=1)
    a_plan(effective_from="2026-04-01", trial_days=2)
    # Also before the first date, where the wording of that date stands in.
    assert in_force("standard", "2026-03-31") == (3, None, "2026-07-01")
    assert in_force("standard", "2026-04-01") == (3, None, "2026-07-01")


def test_a_wording_without_a_date_takes_the_place_of_the_one_in_force_when_it_is_loaded() -> None:
    # Loaded on March 1st (`NOW`).
    a_plan(effective_from="2026-01-01")
    a_plan(effective_from="2026-07-01", trial_days=1)
    a_plan(trial_days=2)
    assert in_force("standard", "2026-02-01") == (3, None, "2026-07-01")
    assert in_force("standard", "2026-07-01") == (2, "2026-07-01", None)


def test_a_wording_without_a_date_holds_since_ever() -> None:
    a_plan()
    assert in_force("standard", "0001-01-01") == (1, None, None)
    assert in_force("standard", "9999-12-31") == (1, None, None)


def applied(tenant: CreatedTenant, day: str) -> AppliedTerms:
    with tenant_scope(tenant.id):
        return terms_on(tenant_id=tenant.id, day=date.fromisoformat(day))


def agreed(tenant: CreatedTenant, *, starts_on: str, now: str = "2026-03-10") -> None:
    with system_scope(purpose="test"):
        agree_price(
            tenant_id=tenant.id,
            agreed=AgreedPrice(
                price_key="dau",
                starts_on=date.fromisoformat(starts_on),
                ends_on=date(2026, 5, 1),
                document={**STANDARD["prices"][1], "package_price": "4.00"},
                clause="Blocks cost 4.00 in spring.",
                reference="FA-2026-17",
            ),
            now=datetime.fromisoformat(f"{now}T00:00:00+08:00"),
            actor="test",
        )


@pytest.fixture
def acme(db: None) -> CreatedTenant:
    """Holds `standard` from March 1st on."""
    a_plan(effective_from="2026-01-01")
    a_plan({**STANDARD, "key": "large"}, effective_from="2026-02-01")
    tenant = a_tenant()
    a_subscription(tenant)
    return tenant


def test_what_applied_to_a_tenant_on_a_day(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        Subscription.objects.update(
            next_boundary_at=datetime.fromisoformat("2026-04-01T00:00:00+08:00")
        )
    agreed(acme, starts_on="2026-04-01")

    march, april, may = (applied(acme, day) for day in ("2026-03-31", "2026-04-30", "2026-05-01"))

    assert [(each.starts_on, each.ends_on) for each in (march, april, may)] == [
        (date(2026, 3, 1), date(2026, 4, 1)),
        (date(2026, 4, 1), date(2026, 5, 1)),
        (date(2026, 5, 1), None),
    ]
    assert {(each.plan_key, each.version) for each in (march, april, may)} == {("standard", 1)}
    assert march.document["prices"] == STANDARD["prices"]
    assert [each.clause for each in april.overrides] == ["Blocks cost 4.00 in spring."]
    assert april.document["prices"][1]["package_price"] == "4"
    assert may.overrides == ()
    assert april.effective_from == date(2026, 1, 1)


def test_a_change_of_plan_ends_what_applied(acme: CreatedTenant) -> None:
    with system_scope(purpose="test"):
        Subscription.objects.update(
            next_boundary_at=datetime.fromisoformat("2026-04-01T00:00:00+08:00")
        )
        change_subscription(
            tenant_id=acme.id,
            asked=AskedChange(kind=ChangeKind.PLAN, plan="large", when=EffectiveWhen.PERIOD_END),
            now=datetime.fromisoformat("2026-03-16T00:00:00+08:00"),
            actor="test",
        )
    before, after = applied(acme, "2026-03-31"), applied(acme, "2026-04-01")
    assert (before.plan_key, before.ends_on) == ("standard", date(2026, 4, 1))
    assert (after.plan_key, after.starts_on, after.ends_on) == ("large", date(2026, 4, 1), None)


@pytest.mark.parametrize("day", ["2026-02-28", "0001-01-01"])
def test_before_it_began_nothing_applied(acme: CreatedTenant, day: str) -> None:
    with pytest.raises(NotFound) as refused:
        applied(acme, day)
    assert refused.value.code == "no_terms"


def read_key(tenant: CreatedTenant) -> str:
    with system_scope(purpose="test"):
        return create_api_key(
            tenant_id=tenant.id, scope=KeyScope.READ, label="", now=NOW, actor="test"
        ).text


def test_it_is_told_over_http(acme: CreatedTenant) -> None:
    key = read_key(acme)
    terms = call("GET", "/terms?on=2026-03-05", key=key).json()
    assert (terms["plan"], terms["version"], terms["effective_from"]) == (
        "standard",
        1,
        "2026-01-01",
    )
    assert terms["terms"]["prices"] == STANDARD["prices"]
    assert (terms["overrides"], terms["ends_on"]) == ([], None)
    missing = call("GET", "/terms?on=2026-02-05", key=key)
    assert (missing.status_code, missing.json()["code"]) == (404, "no_terms")
    wording = call("GET", "/plans/standard/in-force?on=2025-12-31", key=key).json()
    assert (wording["version"], wording["on"]) == (1, "2025-12-31")
    assert wording["in_force"] == {"starts_on": None, "ends_on": None}
    assert call("GET", "/terms?on=9999-12-31", key=key).json()["plan"] == "standard"
    assert call("GET", "/terms?on=tomorrow", key=key).status_code == 400


@pytest.fixture
def negotiated(acme: CreatedTenant) -> CreatedTenant:
    """Holds the private plan `negotiated`; `acme` doesn't."""
    a_plan({**STANDARD, "key": "negotiated", "private": True})
    tenant = a_tenant("bravo", apps=("b",))
    a_subscription(tenant, plan="negotiated")
    return tenant


def shown_to(tenant: CreatedTenant) -> list[str]:
    with tenant_scope(tenant.id):
        return [each.plan_key for each in plans_shown_to(tenant_id=tenant.id, limit=10)]


def test_a_private_plan_is_shown_to_those_who_hold_it_or_were_offered_it(
    acme: CreatedTenant, negotiated: CreatedTenant
) -> None:
    assert shown_to(negotiated) == ["large", "negotiated", "standard"]
    assert shown_to(acme) == ["large", "standard"]
    with tenant_scope(acme.id), pytest.raises(NotFound) as refused:
        versions_shown_to(tenant_id=acme.id, plan_key="negotiated")
    assert refused.value.code == "plan_not_found"

    with system_scope(purpose="test"):
        for _ in range(2):  # again does nothing
            offer_plan(tenant_id=acme.id, plan_key="negotiated", now=NOW, actor="test")
    assert shown_to(acme) == ["large", "negotiated", "standard"]


def test_over_http_a_private_plan_of_others_does_not_exist(
    acme: CreatedTenant, negotiated: CreatedTenant
) -> None:
    key, their_key = read_key(acme), read_key(negotiated)
    for path in ("/plans/negotiated", "/plans/negotiated/in-force"):
        answer = call("GET", path, key=key)
        never = call("GET", path.replace("negotiated", "nothing"), key=key)
        assert (answer.status_code, answer.json()["code"]) == (404, "plan_not_found")
        assert answer.json()["detail"] == never.json()["detail"]
        assert call("GET", path, key=their_key).status_code == 200
    listed: dict[str, Any] = call("GET", "/plans", key=key).json()
    assert [each["key"] for each in listed["data"]] == ["large", "standard"]


def test_a_plan_that_becomes_public_is_shown_to_all(
    acme: CreatedTenant, negotiated: CreatedTenant
) -> None:
    a_plan({**STANDARD, "key": "negotiated"})
    assert shown_to(acme) == ["large", "negotiated", "standard"]


def test_the_cohort_of_a_version(acme: CreatedTenant) -> None:
    a_plan(effective_from="2026-03-15", trial_days=1)
    for index in range(3):
        a_subscription(a_tenant(f"t{index}", apps=(f"app{index}",)), starts_on=date(2026, 4, 1))
    with system_scope(purpose="test"):
        old = holders_of(plan_key="standard", version=1, limit=10)
        new = holders_of(plan_key="standard", version=2, limit=2, offset=1)
        found = holders_of(plan_key="standard", version=2, search="t1", limit=10)
    assert [each.tenant_key for each in old.rows] == ["acme"]
    assert (new.total, [each.tenant_key for each in new.rows]) == (3, ["t1", "t2"])
    assert [each.tenant_key for each in found.rows] == ["t1"]


def test_a_plan_is_offered_by_command(acme: CreatedTenant, negotiated: CreatedTenant) -> None:
    out = io.StringIO()
    call_command("offer_plan", "--tenant", "acme", "--plan", "negotiated", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"tenant": "acme", "plan": "negotiated"}
    assert "negotiated" in shown_to(acme)


@pytest.mark.parametrize(
    ("tenant", "plan", "code"),
    [("nobody", "negotiated", "tenant_not_found"), ("acme", "nothing", "plan_not_found")],
)
def test_what_is_not_there_is_not_offered(
    acme: CreatedTenant, negotiated: CreatedTenant, tenant: str, plan: str, code: str
) -> None:
    out = io.StringIO()
    with pytest.raises(CommandFault) as refused:
        call_command("offer_plan", "--tenant", tenant, "--plan", plan, "--json", stdout=out)
    assert refused.value.code == code
    assert json.loads(out.getvalue())["error"]["code"] == code
