"""Charges in the console: typed in rows, looked at, issued once, and for those who may."""

from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import Charge, Invoice
from kernel.ids import new_id
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import a_tenant
from tests.services.charge_world import a_charge

pytestmark = pytest.mark.usefixtures("db")

NEW = "/console/tenants/acme/charges/new/"


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def form(*lines: dict[str, str], **changes: str) -> dict[str, Any]:
    rows = lines or ({"text_en": "Setting up", "quantity": "3", "unit_price": "333.335"},)
    sent = {
        "reference": "order-1",
        "currency": "CNY",
        "issue_on": "",
        "days_to_pay": "30",
        **changes,
    }
    sent |= {"lines-TOTAL_FORMS": str(len(rows)), "lines-INITIAL_FORMS": "0"}
    for place, row in enumerate(rows):
        sent |= {f"lines-{place}-{name}": value for name, value in row.items()}
    return sent


def charges() -> list[Charge]:
    with system_scope(purpose="test"):
        return list(Charge.objects.select_related("invoice").order_by("id"))


def test_from_the_form_to_the_invoice() -> None:
    a_tenant()
    client = staff(StaffRole.FINANCE)
    assert b"Setting" not in client.get(NEW).content

    answer = client.post(NEW, form())

    (charge,) = charges()
    page = f"/console/charges/{charge.id}/"
    assert (answer.status_code, answer["Location"]) == (302, page)
    shown = client.get(page)
    assert "1,000.01" in shown.content.decode()
    assert "333.335" in shown.content.decode()

    issue = {"do": "issue", "seen": shown.context["seen"]}
    answer = client.post(f"{page}conclude", issue)

    (charge,) = charges()
    assert charge.invoice is not None
    assert answer["Location"] == f"/console/invoices/{charge.invoice_id}/"
    assert (charge.invoice.total_minor, charge.invoice.kind) == (100001, "one_off")
    invoice = client.get(answer["Location"]).content.decode()
    assert "One-off" in invoice
    assert "Setting up" in invoice
    # Sent again it bills nothing again.
    assert client.post(f"{page}conclude", issue).status_code == 409
    with system_scope(purpose="test"):
        assert Invoice.objects.count() == 1
        actions = list(
            AuditRecord.objects.filter(target=f"charge:{charge.id}").values_list(
                "action", flat=True
            )
        )
    assert actions == ["charge.drafted", "charge.issued"]
    assert "order-1" in client.get("/console/charges/").content.decode()


def test_the_same_form_twice_is_one_draft() -> None:
    a_tenant()
    client = staff(StaffRole.FINANCE)
    first, second = client.post(NEW, form()), client.post(NEW, form())
    assert first["Location"] == second["Location"]
    other = client.post(NEW, form(days_to_pay="5"))
    assert other.status_code == 422
    assert len(charges()) == 1


def test_rows_come_and_go_and_keep_what_was_typed() -> None:
    a_tenant()
    client = staff(StaffRole.FINANCE)
    more = client.post(NEW, form(rows="more"))
    assert more.status_code == 200
    assert more.content.count(b"-unit_price") >= 2
    assert b"333.335" in more.content
    assert b"lines-1-unit_price" not in client.post(NEW, form({}, {}, rows="less")).content
    assert charges() == []


def test_a_fault_stands_at_its_field() -> None:
    a_tenant()
    client = staff(StaffRole.FINANCE)
    answer = client.post(
        NEW,
        form(
            {"text_en": "a", "quantity": "1", "unit_price": "1"},
            {"text_en": "", "quantity": "1", "unit_price": "1"},
        ),
    )
    assert answer.status_code == 422
    assert answer.context["rows"].forms[1].errors["text_en"]
    assert client.post(NEW, form(currency="XXX")).context["form"].errors["currency"]
    assert client.post(NEW, form({"quantity": "-1", "unit_price": "x"})).status_code == 422
    assert charges() == []


def test_a_true_up_is_typed_as_commitment_and_days() -> None:
    a_tenant()
    client = staff(StaffRole.FINANCE)
    row = {
        "text_zh": "三月", "commitment": "300", "starts_on": "2026-03-01", "last_on": "2026-03-31",
    }  # fmt: skip
    client.post(f"{NEW}?kind=true_up", form(row))
    (charge,) = charges()
    assert charge.kind == InvoiceKind.TRUE_UP
    assert charge.lines == [
        {
            "description": {"zh-hans": "三月"},
            "commitment": "300.00",
            "starts_on": "2026-03-01",
            "ends_on": "2026-04-01",
            "recognised": "at_once",
        }
    ]
    page = client.get(f"/console/charges/{charge.id}/").content.decode()
    assert "三月" in page
    edited = client.get(f"/console/charges/{charge.id}/change/").content.decode()
    assert 'value="2026-03-31"' in edited


def test_a_draft_is_changed_and_deleted() -> None:
    a_tenant()
    client = staff(StaffRole.ADMIN)
    client.post(NEW, form())
    (charge,) = charges()
    page = f"/console/charges/{charge.id}/"
    client.post(
        f"{page}change/",
        form({"text_en": "Visit", "quantity": "1", "unit_price": "80"}, reference="forged"),
    )
    (charge,) = charges()
    assert (charge.reference, charge.lines[0]["unit_price"]) == ("order-1", "80")
    # What was seen before is not agreed to any more.
    assert client.post(f"{page}conclude", {"do": "issue", "seen": "CNY 1000.01"}).status_code == 409
    assert charges()[0].state == ChargeState.DRAFT
    assert client.post(f"{page}conclude", {"do": "withdraw"}).status_code == 302
    assert charges() == []
    assert client.get(page).status_code == 404


def test_only_finance_and_administrators_write() -> None:
    tenant = a_tenant()
    charge_id = a_charge(tenant.id)
    for role in (StaffRole.SALES, StaffRole.OPERATIONS, StaffRole.AUDITOR):
        client = staff(role)
        assert client.get(f"/console/charges/{charge_id}/").status_code == 200
        assert client.get(NEW).status_code == 403
        assert client.post(f"/console/charges/{charge_id}/conclude").status_code == 403
    assert _missing(staff(StaffRole.FINANCE), new_id()) == 404


def _missing(client: Client, charge_id: UUID) -> int:
    return client.post(f"/console/charges/{charge_id}/conclude", {"do": "issue"}).status_code
