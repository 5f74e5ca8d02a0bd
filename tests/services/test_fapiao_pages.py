"""Fapiao in portal and console: for whom, asked at an invoice, taken back, and what products are called."""

import io

import pytest
from django.test import Client
from pypdf import PdfReader

from billing.fapiao.models import Fapiao, FapiaoBuyer, FapiaoProductName
from billing.fapiao.services.ask_platform import KIND
from billing.invoicing.crediting import LineCredit
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from kernel import clock
from kernel.money import Money
from tenants.domain import Role, StaffRole
from tenants.models import Member, User
from tenants.scope import system_scope
from tests.services.fapiao_world import CHAT, StandIn, invoice, platform, stand_in
from work.jobs import run_pending

__all__ = ["invoice", "platform", "stand_in"]  # fixtures

pytestmark = pytest.mark.usefixtures("db")

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
BUYER = {
    "kind": "special",
    "buyer_type": "organisation",
    "name": "上海云杉科技有限公司",
    "tax_id": "91350100m000100y43",
    "address": "",
    "phone": "",
    "bank": "",
    "bank_account": "",
    "email": "",
}


def member(invoice: Invoice, role: Role) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@acme.test", "x")
        Member.objects.create(tenant_id=invoice.tenant_id, user=user, role=role)
    client.force_login(user, backend=BACKEND)
    return client


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email=f"{role}@summit.test", staff_role=role)
    client.force_login(user, backend=BACKEND)
    return client


def test_the_portal_says_for_whom_and_asks(platform: StandIn, invoice: Invoice) -> None:
    owner = member(invoice, Role.OWNER)
    refused = owner.post("/portal/acme/fapiao/", {**BUYER, "tax_id": "1", "bank": "中国银行"})
    assert refused.status_code == 422
    page = refused.content.decode()
    assert "It is not a tax number" in page
    assert "Bank and account belong together" in page
    assert owner.post("/portal/acme/fapiao/", BUYER).status_code == 302
    with system_scope(purpose="test"):
        buyer = FapiaoBuyer.objects.get()
    assert (buyer.name, buyer.tax_id) == (BUYER["name"], "91350100M000100Y43")

    at_invoice = f"/portal/acme/invoices/{invoice.id}/"
    assert "Ask for the fapiao" in owner.get(at_invoice).content.decode()
    asked = owner.post(f"{at_invoice}fapiao", follow=True).content.decode()
    assert "The fapiao is asked for" in asked
    assert "Asked for" in asked
    again = owner.post(f"{at_invoice}fapiao", follow=True).content.decode()
    assert "was asked for already" in again
    assert "Ask for the fapiao" not in owner.get(at_invoice).content.decode()

    run_pending(now=clock.now(), kinds=[KIND])
    with system_scope(purpose="test"):
        row = Fapiao.objects.get()
    assert row.number is not None
    assert row.number in owner.get("/portal/acme/fapiao/").content.decode()
    file = owner.get(f"/portal/acme/fapiao/{row.id}/xml")
    assert row.number.encode() in file.content
    assert file["Content-Disposition"] == f'attachment; filename="fapiao-{row.number}.xml"'
    paper = owner.get(f"/portal/acme/fapiao/{row.id}/pdf")
    assert paper["Content-Disposition"] == f'inline; filename="fapiao-{row.number}.pdf"'
    (page_read,) = PdfReader(io.BytesIO(paper.content)).pages
    text = page_read.extract_text()
    assert row.number in text
    assert "样张" in text
    assert "11.94" in text
    assert f"{row.number}.pdf" in staff(StaffRole.FINANCE).get("/console/fapiao/").content.decode()
    assert staff(StaffRole.FINANCE).get(f"/console/fapiao/{row.id}/pdf").content == paper.content


def test_who_only_reads_asks_for_nothing(platform: StandIn, invoice: Invoice) -> None:
    viewer = member(invoice, Role.VIEWER)
    assert viewer.get("/portal/acme/fapiao/").status_code == 200
    assert viewer.post("/portal/acme/fapiao/", BUYER).status_code == 403
    assert viewer.post(f"/portal/acme/invoices/{invoice.id}/fapiao").status_code == 403
    assert member(invoice, Role.DEVELOPER).get("/portal/acme/fapiao/").status_code == 403
    with system_scope(purpose="test"):
        assert not Fapiao.objects.exists()


def test_the_console_takes_back_for_a_credit_note(platform: StandIn, invoice: Invoice) -> None:
    owner = member(invoice, Role.OWNER)
    owner.post(f"/portal/acme/invoices/{invoice.id}/fapiao")
    run_pending(now=clock.now(), kinds=[KIND])
    with system_scope(purpose="test"):
        blue = Fapiao.objects.get()
        credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money.of("50.00", "CNY"))],
            reason="a day without service",
            now=clock.now(),
            actor="test",
        )
        note = CreditNote.objects.get()
    finance = staff(StaffRole.FINANCE)
    page = finance.get("/console/fapiao/").content.decode()
    assert note.number in page
    assert f"{blue.number} was issued in error" in page

    asking = {"credit_note": str(note.id), "reason": "service_ended"}
    red_at = f"/console/fapiao/{blue.id}/red"
    assert staff(StaffRole.SALES).post(red_at, asking).status_code == 403
    assert (
        "The red fapiao is asked for" in finance.post(red_at, asking, follow=True).content.decode()
    )
    page = finance.post(red_at, {"reason": "issued_in_error"}, follow=True).content.decode()
    assert "was taken back already" in page
    assert (
        "There is no such credit note"
        in finance.post(
            red_at, {"credit_note": "x", "reason": "discount"}, follow=True
        ).content.decode()
    )
    assert finance.post(f"/console/fapiao/{note.id}/red").status_code == 404
    run_pending(now=clock.now(), kinds=[KIND])
    with system_scope(purpose="test"):
        red = Fapiao.objects.get(color="red")
    assert (red.state, red.total_minor, red.reason) == ("issued", note.total_minor, "service_ended")
    assert "None: all that was given back" in finance.get("/console/fapiao/").content.decode()
    assert red.number is not None
    assert red.number in finance.get("/console/fapiao/?state=issued").content.decode()
    assert red.number not in finance.get("/console/fapiao/?state=failed").content.decode()


def test_products_are_named_in_the_console(invoice: Invoice) -> None:
    finance = staff(StaffRole.FINANCE)
    wanted = {
        "category": "sms",
        "name": "*电信服务*短信服务费",
        "code": "3030200000000000000",
        "unit": "条",
        "specification": "",
    }
    assert finance.post("/console/fapiao/", {**wanted, "code": "1"}).status_code == 422
    assert staff(StaffRole.SALES).post("/console/fapiao/", wanted).status_code == 403
    assert finance.post("/console/fapiao/", wanted).status_code == 302
    page = finance.get("/console/fapiao/").content.decode()
    assert wanted["name"] in page
    assert CHAT.name in page
    with system_scope(purpose="test"):
        assert FapiaoProductName.objects.count() == 2
