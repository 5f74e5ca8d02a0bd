"""Rates of tax and a tenant's standing in the console: a look first, history is never edited."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from billing.taxes.models import TaxRate
from billing.taxes.services.load_taxes import load_taxes
from kernel import clock
from tenants.domain import StaffRole
from tenants.models import AuditRecord, Tenant, User
from tenants.scope import system_scope
from tests.factories import a_tenant

pytestmark = pytest.mark.usefixtures("db")

PAGE = "/console/tax-rates/new/"
STANDING = "/console/tenants/acme/tax/"


@pytest.fixture(autouse=True)
def stored(db: None) -> None:
    """China wants 6 % of software services since 2016."""
    with system_scope(purpose="test"):
        load_taxes(
            document=[
                {
                    "jurisdiction": "CN",
                    "category": "software_service",
                    "percent": "6",
                    "valid_from": "2016-05-01",
                }
            ],
            now=clock.now(),
            actor="test",
        )
    a_tenant()


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def form(**changes: str) -> dict[str, Any]:
    return {
        "jurisdiction": "cn",
        "category": "software_service",
        "supply": "domestic",
        "code": "standard",
        "percent": "9",
        "valid_from": "2027-01-01",
        "text_en": "",
        "text_zh": "",
        **changes,
    }


def rows() -> list[tuple[Decimal, date, date | None]]:
    with system_scope(purpose="test"):
        return list(
            TaxRate.objects.order_by("valid_from").values_list("percent", "valid_from", "valid_to")
        )


def test_a_look_tells_what_it_ends_and_stores_nothing() -> None:
    before = rows()
    answer = staff(StaffRole.FINANCE).post(PAGE, form())
    assert answer.status_code == 200
    assert answer.context["before"].percent == 6
    assert "ends before Jan 1, 2027" in answer.content.decode()
    assert rows() == before
    with system_scope(purpose="test"):
        assert AuditRecord.objects.filter(action="tax_rates.loaded").count() == 1


def test_it_is_added_once_and_the_old_one_ends_there() -> None:
    client = staff(StaffRole.ADMIN)
    for _ in range(2):
        assert client.post(PAGE, form(add="yes")).status_code == 302
    day = date(2027, 1, 1)
    assert rows() == [(Decimal(6), date(2016, 5, 1), day), (Decimal(9), day, None)]
    assert "Nothing: it is stored already." in client.post(PAGE, form()).content.decode()
    shown = client.get("/console/tax-rates/").content.decode()
    assert "9 %" in shown
    assert "6 %" in shown


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"percent": "101"}, {"percent"}),
        ({"percent": "0"}, {"percent"}),
        ({"percent": ""}, {"percent"}),
        ({"percent": "six"}, {"percent"}),
        ({"code": "exempt"}, {"percent"}),
        ({"code": "reverse_charge", "percent": ""}, {"text_en"}),
        ({"jurisdiction": "China"}, {"jurisdiction"}),
        ({"category": "a b"}, {"category"}),
        ({"valid_from": ""}, {"valid_from"}),
        # History is not edited: that day has its rate.
        ({"valid_from": "2016-05-01"}, {"__all__"}),
        ({"valid_from": "2015-01-01"}, {"__all__"}),
    ],
)
def test_what_cant_be_is_said_at_its_field(changes: dict[str, str], fields: set[str]) -> None:
    before = rows()
    answer = staff(StaffRole.FINANCE).post(PAGE, form(add="yes", **changes))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == fields
    assert rows() == before


def standing(**changes: str) -> dict[str, str]:
    return {
        "country": "de",
        "tax_id": "DE123456789",
        "treatment": "reverse_charge",
        "percent": "",
        "evidence": "VIES check of March 2nd",
        **changes,
    }


def test_a_standing_is_recorded_with_its_evidence() -> None:
    client = staff(StaffRole.FINANCE)
    assert client.get(STANDING).status_code == 200
    assert client.post(STANDING, standing()).status_code == 302
    with system_scope(purpose="test"):
        tenant = Tenant.objects.get(key="acme")
        record = AuditRecord.objects.get(action="tenant.tax_set")
    assert (tenant.country, tenant.tax_id, tenant.tax_treatment) == (
        "DE",
        "DE123456789",
        "reverse_charge",
    )
    assert record.reason == "VIES check of March 2nd"
    shown = client.get(STANDING).content.decode()
    assert "VIES check of March 2nd" in shown
    assert "DE123456789" in shown


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"evidence": "  "}, "evidence"),
        ({"treatment": "exempt", "evidence": ""}, "evidence"),
        ({"country": "Germany"}, "country"),
        ({"percent": "6"}, "percent"),
        ({"percent": "-1", "treatment": "taxable"}, "percent"),
        ({"percent": "six", "treatment": "taxable"}, "percent"),
        ({"treatment": "free"}, "treatment"),
    ],
)
def test_a_standing_that_cant_be_is_refused(changes: dict[str, str], field: str) -> None:
    answer = staff(StaffRole.FINANCE).post(STANDING, standing(**changes))
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {field}
    with system_scope(purpose="test"):
        assert Tenant.objects.get(key="acme").tax_treatment == ""


def test_only_finance_changes_and_all_staff_see_the_rates() -> None:
    for role in (StaffRole.SALES, StaffRole.OPERATIONS, StaffRole.AUDITOR):
        client = staff(role)
        assert client.post(PAGE, form(add="yes")).status_code == 403
        assert client.post(STANDING, standing()).status_code == 403
        assert client.get("/console/tax-rates/").status_code == 200
    assert len(rows()) == 1
