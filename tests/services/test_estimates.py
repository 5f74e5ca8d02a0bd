"""Real tenants at the tenths of last month's usage, and the plan editor's storing."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client

from billing.catalog.models import PlanVersion
from billing.catalog.queries import latest_version
from billing.estimates.queries import sample_tenants, used_months
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope, tenant_scope
from tests.factories import EVERYTHING, STANDARD, a_plan, a_tenant, some_usage

pytestmark = pytest.mark.usefixtures("db")

APRIL = datetime(2026, 4, 10, tzinfo=UTC)


def test_ten_tenants_stand_for_the_tenths_of_last_months_users() -> None:
    tenants = [a_tenant(f"t{number:02}", apps=(f"a{number:02}",)) for number in range(25)]
    for number, tenant in enumerate(tenants):
        some_usage(tenant, {date(2026, 3, 5): 10 + number})
    a_tenant("idle", apps=("idle",))
    busy_in_april = a_tenant("april", apps=("april",))
    some_usage(busy_in_april, {date(2026, 4, 1): 10_000})
    with system_scope(purpose="test"):
        chosen = sample_tenants(now=APRIL)
    places = [next(n for n, each in enumerate(tenants, 1) if each.id == found) for found in chosen]
    assert places == [3, 5, 8, 10, 13, 15, 18, 20, 23, 25]


def test_few_tenants_stand_for_themselves_once() -> None:
    tenants = [a_tenant(f"t{number}", apps=(f"a{number}",)) for number in range(3)]
    for number, tenant in enumerate(tenants):
        some_usage(tenant, {date(2026, 3, 31): 10 + number})
    with system_scope(purpose="test"):
        assert sample_tenants(now=APRIL) == [each.id for each in tenants]


def test_a_month_that_was_is_rated_whole_in_the_tenants_zone() -> None:
    """March had 35 users on its highest day: 25 above 10 are 3 started packages of 5.00, and 199."""
    a_plan()
    acme = a_tenant("acme", apps=("chat", "idle"))
    some_usage(acme, {date(2026, 3, 1): 35, date(2026, 2, 28): 90, date(2026, 4, 1): 90})
    with tenant_scope(acme.id):
        [month] = used_months(tenant_ids=[acme.id], now=APRIL)
        cost = month.cost(terms=latest_version(plan_key="standard").terms)
    assert month.days_with_usage == 1
    assert month.apps == ("chat", "idle")
    assert cost is not None
    assert str(cost.amount) == "214.00 CNY"


def test_another_tenants_month_is_not_seen() -> None:
    acme, beta = a_tenant("acme"), a_tenant("beta", apps=("beta",))
    some_usage(beta, {date(2026, 3, 1): 35})
    with tenant_scope(acme.id):
        assert used_months(tenant_ids=[beta.id], now=APRIL) == []


def test_a_plan_of_another_rhythm_has_no_monthly_figure() -> None:
    a_plan(STANDARD, interval="year")
    acme = a_tenant("acme")
    with tenant_scope(acme.id):
        [month] = used_months(tenant_ids=[acme.id], now=APRIL)
        assert month.cost(terms=latest_version(plan_key="standard").terms) is None


def staff(role: StaffRole) -> Client:
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def as_text(document: dict[str, Any], **more: str) -> dict[str, str]:
    return {"mode": "text", "text": json.dumps(document), "do": "store", **more}


def numbers(key: str) -> list[int]:
    with system_scope(purpose="test"):
        return sorted(PlanVersion.objects.filter(plan__key=key).values_list("number", flat=True))


def test_storing_makes_a_version_and_an_entry_of_the_trail() -> None:
    client = staff(StaffRole.SALES)
    answer = client.post("/console/plan-editor/", as_text(STANDARD, based_on="0"))
    assert answer.status_code == 302
    assert numbers("standard") == [1]
    with system_scope(purpose="test"):
        record = AuditRecord.objects.get(action="plan_version.created")
        assert record.target == "plan:standard"
        assert record.actor.startswith("user:")


def test_a_double_click_stores_once() -> None:
    client = staff(StaffRole.SALES)
    a_plan()
    changed = as_text({**STANDARD, "trial_days": 5}, based_on="1")
    for _ in range(2):
        answer = client.post("/console/plan-editor/standard/", changed)
        assert answer.status_code == 302
    assert numbers("standard") == [1, 2]


@pytest.mark.parametrize(
    ("address", "document", "based_on", "status"),
    [
        ("/console/plan-editor/standard/", {"trial_days": 5}, "1", 409),
        ("/console/plan-editor/", {"trial_days": 5}, "0", 409),
        ("/console/plan-editor/standard/", {"key": "other"}, "2", 422),
        ("/console/plan-editor/standard/", {"currency": "??"}, "2", 422),
    ],
)
def test_what_is_refused_keeps_what_was_typed_and_stores_nothing(
    address: str, document: dict[str, Any], based_on: str, status: int
) -> None:
    a_plan()
    a_plan(STANDARD, trial_days=3)
    sent = as_text({**STANDARD, **document}, based_on=based_on)
    answer = staff(StaffRole.FINANCE).post(address, sent)
    assert answer.status_code == status
    assert answer.context["text"] == sent["text"]
    assert numbers("standard") == [1, 2]
    assert numbers("other") == []


@pytest.mark.parametrize("role", [StaffRole.AUDITOR, StaffRole.OPERATIONS])
def test_others_read_only(role: StaffRole) -> None:
    a_plan()
    client = staff(role)
    sent = as_text({**STANDARD, "trial_days": 5}, based_on="1")
    for address in ("/console/plan-editor/standard/", "/console/plan-editor/"):
        assert client.post(address, sent).status_code == 403
    assert client.post("/console/plan-preview/", sent).status_code == 403
    assert numbers("standard") == [1]
    assert b"plan-editor" not in client.get("/console/plans/standard/").content


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"key": "a", "key": "b"}', "[" * 5000])
def test_text_that_is_no_plan_is_refused_in_words(text: str) -> None:
    client = staff(StaffRole.SALES)
    for do in ("store", "check", "as_form", "as_text"):
        answer = client.post("/console/plan-editor/", {"mode": "text", "text": text, "do": do})
        assert answer.status_code in {200, 422}
    assert client.post("/console/plan-preview/", {"mode": "text", "text": text}).status_code == 200


def test_the_preview_of_real_tenants_keeps_to_those_first_chosen() -> None:
    a_plan()
    a_plan(EVERYTHING)
    client = staff(StaffRole.SALES)
    acme = a_tenant("acme")
    sent = {**as_text(EVERYTHING), "sample": "real", "against": "standard:1"}
    answer = client.post("/console/plan-preview/", {**sent, "tenants": str(acme.id)})
    assert b"/console/tenants/acme/" in answer.content
    answer = client.post("/console/plan-preview/", {**sent, "tenants": "nobody"})
    assert answer.status_code == 200
    assert b"/console/tenants/acme/" not in answer.content
