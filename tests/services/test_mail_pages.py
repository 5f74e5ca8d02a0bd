"""Mail in console and portal: what became of each, sending again by hand, and who gets it."""

import pytest
from django.conf import settings
from django.test import Client

from billing.invoicing.models import Invoice
from billing.mailing.models import MailPreference
from tenants.domain import Role, StaffRole
from tenants.models import User
from tenants.scope import system_scope
from tests.services.mail_world import BOX, Post, a_member, invoices, mails, post, printed, work_mail

__all__ = ["post"]  # a fixture

pytestmark = pytest.mark.usefixtures("db")

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
FORM = {"is_on": "on", "to_members": "on", "addresses": "ap@acme.example\r\nmore@acme.example"}


def member(invoice: Invoice, role: Role) -> Client:
    client = Client()
    client.force_login(a_member(invoice.tenant_id, f"{role}@acme.test", role), backend=BACKEND)
    return client


def staff(role: StaffRole) -> Client:
    client = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email=f"{role}@summit.test", staff_role=role)
    client.force_login(user, backend=BACKEND)
    return client


def test_the_console_shows_what_became_of_it_and_sends_again(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    post.answers = {BOX: ["550 no such user"]}
    work_mail()
    (mail,) = mails()

    finance = staff(StaffRole.FINANCE)
    at_invoice = f"/console/invoices/{invoice.id}/"
    page = finance.get(at_invoice).content.decode()
    assert BOX in page
    assert "smtp_550: no such user" in page
    assert "Mailed" not in page
    listed = finance.get("/console/mails/?state=troubled").content.decode()
    assert str(invoice.number) in listed
    assert str(invoice.number) not in finance.get("/console/mails/?state=sent").content.decode()

    again = f"/console/mails/{mail.id}/again"
    assert staff(StaffRole.SALES).post(again).status_code == 403
    assert "It is sent once more." in finance.post(again, follow=True).content.decode()
    assert "being sent already" in finance.post(again, follow=True).content.decode()
    assert finance.post(f"/console/mails/{invoice.id}/again").status_code == 404
    work_mail()
    page = finance.get(at_invoice).content.decode()
    assert "Mailed" in page
    assert (
        "Mail with a document sent again" in staff(StaffRole.ADMIN).get(at_invoice).content.decode()
    )
    assert [message["To"] for message in post.taken] == [BOX]


def test_the_console_mails_to_who_has_not_got_it(post: Post) -> None:
    (invoice,) = invoices(box="")
    printed(invoice)
    work_mail()
    finance = staff(StaffRole.FINANCE)
    at_invoice = f"/console/invoices/{invoice.id}/"
    assert "Nobody has it by mail." in finance.get(at_invoice).content.decode()
    asked = f"{at_invoice}mail"
    assert "nobody who hasn" in finance.post(asked, follow=True).content.decode()

    a_member(invoice.tenant_id, "billing@acme.example")
    assert staff(StaffRole.AUDITOR).post(asked).status_code == 403
    assert "1 mail goes out." in finance.post(asked, follow=True).content.decode()
    work_mail()
    assert [message["To"] for message in post.taken] == ["billing@acme.example"]


def test_the_portal_says_who_gets_it_and_whether_it_went(post: Post) -> None:
    (invoice,) = invoices()
    owner = member(invoice, Role.OWNER)
    address = "/portal/acme/invoice-mail/"
    refused = owner.post(address, {**FORM, "addresses": "ap@acme.example\r\nnobody"})
    assert refused.status_code == 422
    assert "nobody is no e-mail address" in refused.content.decode()
    assert owner.post(address, FORM).status_code == 302
    page = owner.get(address).content.decode()
    for each in (BOX, "ap@acme.example", "more@acme.example"):
        assert each in page
    printed(invoice)
    work_mail()
    shown = owner.get(f"/portal/acme/invoices/{invoice.id}/").content.decode()
    assert "Mailed" in shown
    assert "more@acme.example" in shown

    assert owner.post(address, {"addresses": ""}).status_code == 302
    with system_scope(purpose="test"):
        kept = MailPreference.objects.get()
    assert (kept.is_on, kept.to_members, kept.addresses) == (False, False, [])
    assert "Nobody" in owner.get(address).content.decode()


def test_who_only_reads_changes_nothing(post: Post) -> None:
    (invoice,) = invoices()
    viewer = member(invoice, Role.VIEWER)
    assert viewer.get("/portal/acme/invoice-mail/").status_code == 200
    assert viewer.post("/portal/acme/invoice-mail/", FORM).status_code == 403
    assert member(invoice, Role.DEVELOPER).get("/portal/acme/invoice-mail/").status_code == 403
    with system_scope(purpose="test"):
        assert not MailPreference.objects.exists()


def test_where_nothing_is_mailed_the_pages_say_so(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    (invoice,) = invoices()
    monkeypatch.setattr(settings, "MAIL_DOCUMENTS", False)
    finance = staff(StaffRole.FINANCE)
    for address in (f"/console/invoices/{invoice.id}/", "/console/mails/"):
        assert "EMAIL_URL is not set" in finance.get(address).content.decode()
    page = member(invoice, Role.OWNER).get("/portal/acme/invoice-mail/").content.decode()
    assert "Invoices are not mailed here yet." in page
