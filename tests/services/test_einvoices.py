"""Electronic invoices of what was really issued: the same bytes whatever changes later, and through every
door."""

from datetime import datetime
from typing import Any
from uuid import UUID
from xml.etree import ElementTree as Xml

import pytest
from django.test import Client
from django.urls import reverse

from billing.einvoices.domain.mapping import electronic_invoice
from billing.einvoices.domain.rules import broken_rules
from billing.einvoices.queries import issued_invoice
from billing.einvoices.services.export_ubl import UblFile, export_credit_note, export_invoice
from billing.invoicing.credit_note_listing import notes_of_invoice
from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from kernel import clock
from kernel.errors import Conflict, NotFound
from kernel.ids import new_id, public_id
from kernel.money import Money
from tenants.domain import Role, StaffRole
from tenants.models import User
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tenants.services.people import NewPerson, add_member, create_staff
from tests.api.world import call
from tests.factories import EVERYTHING, a_plan, a_subscription, a_tenant
from tests.services.test_required_fields import (
    IN_EUR,
    a_buyer,
    a_seller,
    an_address,
    bill,
    invoices,
)

pytestmark = pytest.mark.usefixtures("db")

NAMES = {
    "cac": "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2",
    "cbc": "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2",
}


def texts(file: UblFile, path: str) -> list[str]:
    root = Xml.fromstring(file.content)  # noqa: S314  # our own bytes
    return [each.text or "" for each in root.findall(path, NAMES)]


def exported(tenant: CreatedTenant, invoice: Invoice) -> UblFile:
    with tenant_scope(tenant.id):
        return export_invoice(invoice_id=invoice.id, tenant_id=tenant.id)


def an_invoice() -> tuple[CreatedTenant, Invoice]:
    """Of 199.00 EUR, from Berlin to Paris by reverse charge."""
    a_seller()
    tenant = a_buyer("acme")
    an_address(tenant, order_number="PO 4711", legal_name="Acme SARL")
    bill()
    (issued,) = invoices(tenant)
    return tenant, issued


def a_note(invoice: Invoice) -> None:
    with system_scope(purpose="test"):
        credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money(5000, "EUR"))],
            reason="The service was down",
            now=datetime.fromisoformat("2026-03-05T00:00:00+08:00"),
            actor="test",
        )


def test_it_says_what_the_invoice_kept_and_stays_so() -> None:
    tenant, issued = an_invoice()
    before = exported(tenant, issued)
    assert texts(before, "cbc:ID") == ["INV-2026-000001"]
    assert texts(before, "cac:OrderReference/cbc:ID") == ["PO 4711"]
    assert texts(before, ".//cac:PartyTaxScheme/cbc:CompanyID") == ["DE136695976", "FR40303265045"]
    assert texts(before, ".//cbc:RegistrationName") == ["Messaging GmbH", "Acme SARL"]
    assert texts(before, "cac:LegalMonetaryTotal/cbc:PayableAmount") == ["199.00"]
    assert texts(before, ".//cac:TaxCategory/cbc:ID") == ["AE"]
    (line,) = Xml.fromstring(before.content).findall("cac:InvoiceLine/cbc:InvoicedQuantity", NAMES)  # noqa: S314
    assert (line.text, line.get("unitCode")) == ("1", "MON")
    a_seller(name="Other GmbH", street="Elsewhere 9")
    an_address(tenant, legal_name="Acme SA", order_number="PO 1")
    assert exported(tenant, issued) == before
    assert before.filename == "INV-2026-000001.xml"


def test_a_credit_note_names_number_and_date_of_what_it_corrects() -> None:
    tenant, issued = an_invoice()
    a_note(issued)
    with tenant_scope(tenant.id):
        (note,) = notes_of_invoice(invoice_id=issued.id, tenant_id=tenant.id)
        file = export_credit_note(credit_note_id=note.id, tenant_id=tenant.id)
    assert note.number == "INV-CN-2026-000001"
    reference = "cac:BillingReference/cac:InvoiceDocumentReference"
    assert texts(file, f"{reference}/cbc:ID") == [issued.number]
    assert texts(file, f"{reference}/cbc:IssueDate") == ["2026-03-01"]
    assert texts(file, "cbc:Note") == ["The service was down"]
    assert texts(file, "cac:LegalMonetaryTotal/cbc:PayableAmount") == ["50.00"]


def test_a_plan_with_every_kind_of_price_keeps_the_rules() -> None:
    a_seller()
    plan = {**EVERYTHING, "currency": "EUR", "trial_days": 0, "tax_percent": "19"}
    tenant = a_buyer("acme", plan=plan)
    an_address(tenant)
    bill()
    bill("2026-05-05T00:00:00+08:00")
    issued = invoices(tenant, number__isnull=False)
    assert issued
    with tenant_scope(tenant.id):
        for invoice in issued:
            document = issued_invoice(invoice_id=invoice.id, tenant_id=tenant.id)
            assert list(broken_rules(electronic_invoice(document))) == []


def test_drafts_and_others_invoices_have_none() -> None:
    a_seller()
    tenant, other = a_buyer("acme"), a_tenant("other", apps=("other-chat",))
    bill()  # parked: it lacks an address
    (draft,) = invoices(tenant)
    with pytest.raises(Conflict) as refused:
        exported(tenant, draft)
    assert refused.value.code == "invoice_not_issued"
    with pytest.raises(NotFound), tenant_scope(other.id):
        export_invoice(invoice_id=draft.id, tenant_id=other.id)
    with pytest.raises(NotFound), tenant_scope(other.id):
        export_credit_note(credit_note_id=new_id(), tenant_id=other.id)


def test_one_that_breaks_a_rule_is_refused_with_it() -> None:
    a_plan(IN_EUR)
    tenant = a_tenant()
    a_subscription(tenant)
    bill()
    (issued,) = invoices(tenant)
    with pytest.raises(Conflict) as refused:
        exported(tenant, issued)
    assert refused.value.code == "einvoice_breaks_rules"
    assert str(refused.value.params["rules"]).split(", ")[:2] == ["BR-09", "BR-11"]
    page = member(tenant).get(reverse("portal:invoice_ubl", args=[tenant.key, issued.id]))
    assert (page.status_code, "BR-09" in page.content.decode()) == (409, True)


def member(tenant: CreatedTenant) -> Client:
    with system_scope(purpose="test"):
        person = add_member(
            tenant_key=tenant.key,
            person=NewPerson(email="owner@example.com", name="Owner"),
            role=Role.OWNER,
            now=clock.now(),
            actor="test",
        )
    return signed_in(person.user_id)


def signed_in(user_id: Any) -> Client:
    client = Client()
    client.force_login(User.objects.get(pk=user_id))
    return client


def test_every_door_hands_out_the_same_bytes() -> None:
    tenant, issued = an_invoice()
    a_note(issued)
    with tenant_scope(tenant.id):
        (note,) = notes_of_invoice(invoice_id=issued.id, tenant_id=tenant.id)
    with system_scope(purpose="test"):
        key = create_api_key(
            tenant_id=tenant.id, scope="read", label="", now=clock.now(), actor="test"
        ).text
        staff = create_staff(
            person=NewPerson(email="finance@example.com", name="Finance"),
            role=StaffRole.FINANCE,
            now=clock.now(),
            actor="test",
        )
    owner, finance = member(tenant), signed_in(staff.user_id)

    def answers(name: str, api: str, row_id: UUID) -> set[bytes]:
        found = [
            call("GET", api, key=key),
            owner.get(reverse(f"portal:{name}", args=[tenant.key, row_id])),
            finance.get(reverse(f"console:{name}", args=[row_id])),
        ]
        assert {each["Content-Type"] for each in found} == {"application/xml"}
        return {each.content for each in found}

    invoice_api = f"/invoices/{public_id('inv', issued.id)}/ubl"
    assert answers("invoice_ubl", invoice_api, issued.id) == {exported(tenant, issued).content}
    note_api = f"/credit-notes/{public_id('crn', note.id)}/ubl"
    assert len(answers("credit_note_ubl", note_api, note.id)) == 1
    for page in (
        owner.get(reverse("portal:invoice", args=[tenant.key, issued.id])),
        finance.get(reverse("console:invoice", args=[issued.id])),
    ):
        assert "INV-CN-2026-000001" in page.content.decode()
        assert "/ubl" in page.content.decode()
