"""What invoices say of a tenant: who may change what, and what is refused."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.exchange.models import ExchangeRate
from billing.invoicing.services.describe_seller import seller_as_described
from billing.parties.domain.profile import BillingProfile
from billing.parties.domain.validation import ProfileFaults
from billing.parties.queries import profile_of
from billing.parties.services.set_billing_profile import set_billing_profile
from kernel import clock
from tenants.domain import Role, StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.create_tenant import CreatedTenant
from tenants.services.people import NewPerson, add_member, create_staff
from tests.factories import a_tenant

pytestmark = pytest.mark.usefixtures("db")

GIVEN = {
    "legal_name": "Acme SARL",
    "street": "1 Rue de la Paix",
    "postal_code": "75002",
    "city": "Paris",
    "contact_email": "bills@acme.example",
    "order_number": "PO 4711",
    "endpoint_scheme": "0088",
    "endpoint_id": "7300010000001",
}


def keep(tenant: CreatedTenant, *, by_staff: bool = False, **changes: str) -> BillingProfile:
    with tenant_scope(tenant.id):
        return set_billing_profile(
            tenant_id=tenant.id, changes=changes, by_staff=by_staff, now=clock.now(), actor="test"
        )


def held(tenant: CreatedTenant) -> BillingProfile:
    with tenant_scope(tenant.id):
        return profile_of(tenant_id=tenant.id)


def test_what_is_given_is_changed_and_the_rest_stays() -> None:
    tenant = a_tenant()
    assert held(tenant) == BillingProfile()
    keep(tenant, by_staff=False, **GIVEN)
    keep(tenant, city=" Lyon ")
    assert held(tenant) == BillingProfile(**{**GIVEN, "city": "Lyon"})
    keep(tenant, city="Lyon")  # nothing new
    with tenant_scope(tenant.id):
        told = AuditRecord.objects.filter(action="billing_profile.set").order_by("sequence")
        assert [each.after for each in told][-1:] == [{"city": "Lyon"}]
        assert told.count() == 2


def test_an_exemption_is_said_by_staff_alone() -> None:
    tenant = a_tenant()
    assert keep(tenant, exemption_reason="We say so").exemption_reason == ""
    told = {"exemption_reason": "Article 132", "exemption_code": "VATEX-EU-132"}
    assert keep(tenant, by_staff=True, **told).exemption_code == "VATEX-EU-132"
    assert keep(tenant, exemption_reason="", city="Rome").exemption_reason == "Article 132"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"endpoint_scheme": "0088"}, "half_an_address"),
        ({"endpoint_id": "7300010000001"}, "half_an_address"),
        ({"endpoint_scheme": "1234", "endpoint_id": "x"}, "unknown_code"),
        ({"contact_email": "nobody"}, "bad_email"),
        ({"street": "1\x0bRue"}, "forbidden_character"),
        ({"street": "1 Rue\n75002 Paris"}, "forbidden_character"),
        ({"order_number": "x" * 101}, "too_long"),
        ({"exemption_code": "VATEX-EU-132"}, "missing"),
        ({"exemption_code": "ARTICLE", "exemption_reason": "x"}, "unknown_code"),
    ],
)
def test_what_no_document_could_hold_is_refused(changes: dict[str, str], code: str) -> None:
    tenant = a_tenant()
    with pytest.raises(ProfileFaults) as refused:
        keep(tenant, by_staff=True, **changes)
    assert [fault.code for fault in refused.value.faults] == [code]
    assert held(tenant) == BillingProfile()


def signed_in(role: StaffRole | Role, tenant: CreatedTenant | None = None) -> Client:
    with system_scope(purpose="test"):
        person = NewPerson(email=f"{role}@example.com", name=role.value.title())
        if isinstance(role, StaffRole):
            created = create_staff(person=person, role=role, now=clock.now(), actor="test")
        else:
            assert tenant is not None
            created = add_member(
                tenant_key=tenant.key, person=person, role=role, now=clock.now(), actor="test"
            )
    client = Client()
    client.force_login(User.objects.get(pk=created.user_id))
    return client


def test_a_tenants_own_people_change_it_in_the_portal() -> None:
    tenant = a_tenant()
    page = reverse("portal:billing_details", args=[tenant.key])
    owner, viewer = signed_in(Role.OWNER, tenant), signed_in(Role.VIEWER, tenant)
    assert viewer.get(page).status_code == 200
    assert viewer.post(page, GIVEN).status_code == 403
    assert owner.post(page, {**GIVEN, "exemption_reason": "none"}).status_code == 302
    assert held(tenant) == BillingProfile(**GIVEN)
    refused = owner.post(page, {**GIVEN, "endpoint_id": ""})
    assert refused.status_code == 422
    assert "belong together" in refused.content.decode()
    assert "PO 4711" in owner.get(page).content.decode()


def test_staff_change_it_in_the_console() -> None:
    tenant = a_tenant()
    page = reverse("console:billing_details", args=[tenant.key])
    finance, sales = signed_in(StaffRole.FINANCE), signed_in(StaffRole.SALES)
    assert sales.get(page).status_code == 403
    told = {**GIVEN, "exemption_reason": "Article 132"}
    assert finance.post(page, told).status_code == 302
    assert held(tenant) == BillingProfile(**told)
    assert finance.post(page, {**told, "exemption_code": "x"}).status_code == 422


def test_finance_describes_the_seller() -> None:
    page = reverse("console:seller")
    finance, auditor = signed_in(StaffRole.FINANCE), signed_in(StaffRole.AUDITOR)
    told: dict[str, Any] = {
        "name": "Messaging GmbH", "street": "Am Platz 1", "city": "Berlin", "country": "de",
        "tax_id": "DE136695976", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX",
    }  # fmt: skip
    assert auditor.get(page).status_code == 200
    assert auditor.post(page, told).status_code == 403
    assert finance.post(page, told).status_code == 302
    with system_scope(purpose="test"):
        assert seller_as_described()["country"] == "DE"
    for wrong, said in (
        ({"tax_id": "DE136695977"}, "no VAT number"),
        ({"iban": "DE89370400440532013001"}, "IBAN"),
        ({"name": ""}, "needed"),
    ):
        refused = finance.post(page, {**told, **wrong})
        assert (refused.status_code, said in refused.content.decode()) == (422, True)
    # What is wrong already does not keep the rest from being put right.
    assert finance.post(page, {**told, "city": "Hamburg"}).status_code == 302


def test_exchange_rates_are_entered_in_the_console() -> None:
    page = reverse("console:exchange_rates")
    finance, auditor = signed_in(StaffRole.FINANCE), signed_in(StaffRole.AUDITOR)
    told = {"on": "2026-02-27", "base": "eur", "quote": "CNY", "rate": "7.8", "source": "ECB"}
    assert "No exchange rates yet" in auditor.get(page).content.decode()
    assert auditor.post(page, told).status_code == 403
    assert finance.post(page, told).status_code == 302
    assert finance.post(page, {**told, "rate": "7.9"}).status_code == 302
    assert "7.9" in auditor.get(page).content.decode()
    assert finance.post(page, {**told, "quote": "EUR"}).status_code == 422
    assert finance.post(page, {**told, "rate": "much"}).status_code == 422
    with system_scope(purpose="test"):
        assert [f"{each.rate.normalize()}" for each in ExchangeRate.objects.all()] == ["7.9"]
