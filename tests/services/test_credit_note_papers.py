"""Papers of credit notes: printed once by their job, the same for everybody, mailed once, gone with retention."""

import hashlib
import io
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
from django.db import DatabaseError, connections
from django.test import Client
from pypdf import PdfReader

from billing.invoicing.crediting import LineCredit
from billing.invoicing.documents.words import printed_languages
from billing.invoicing.models import CreditNote, CreditNoteFile, Invoice
from billing.invoicing.services.credit_invoice import credit_invoice
from billing.invoicing.services.print_credit_note import (
    print_credit_note,
    print_credit_note_for_staff,
    print_unprinted,
)
from billing.invoicing.services.print_invoice import PrintedDocument
from billing.mailing.models import DocumentMail
from billing.mailing.services.plan_mails import plan_mails
from billing.mailing.services.resend_mail import mail_credit_note, resend_mail
from billing.mailing.services.set_recipients import set_recipients
from billing.retention.domain import FileKind
from billing.retention.models import RemovedFile
from billing.retention.services.remove_files import remove_files
from kernel import clock
from kernel.errors import Conflict, NotFound
from kernel.ids import public_id
from kernel.money import Money
from tenants.domain import KeyScope, Role, StaffRole
from tenants.models import AccessRecord, Tenant, User
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tests.catalogues import german
from tests.services.mail_world import BOX, Post, a_member, invoices, mails, post, printed, work_mail
from tests.services.payment_world import at_once
from work.connections import OWNER
from work.jobs import enqueue, run_pending
from work.models import Job

__all__ = ["german", "post"]  # fixtures

pytestmark = pytest.mark.usefixtures("db")


def a_note(
    invoice: Invoice, *, amount: str = "9.00", reason: str = "Outage on 7 March"
) -> CreditNote:
    """A credit note on the invoice's first line."""
    with system_scope(purpose="test"):
        number = credit_invoice(
            invoice_id=invoice.id,
            lines=[LineCredit(position=1, amount=Money.of(amount, "CNY"))],
            reason=reason,
            now=clock.now(),
            actor="test",
        )
        return CreditNote.objects.get(number=number)


def pdf_of(note: CreditNote, language: str = "") -> PrintedDocument:
    return print_credit_note(tenant_id=note.tenant_id, credit_note_id=note.id, language=language)


def text_of(content: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages)


def files() -> list[CreditNoteFile]:
    with system_scope(purpose="test"):
        return list(CreditNoteFile.objects.order_by("language"))


def printing() -> int:
    """Let the jobs that print do what they can."""
    return run_pending(now=clock.now(), kinds=["billing.print_credit_note"]).done


def test_it_is_printed_by_its_job_and_names_the_invoice(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice)
    assert files() == []

    assert printing() == 1

    (file,) = files()
    text = text_of(bytes(file.content))
    assert bytes(file.sha256) == hashlib.sha256(bytes(file.content)).digest()
    for said in (note.number, str(invoice.number), "Mar 1, 2026", "Outage on 7 March", "CNY 9.00"):
        assert said in text
    assert pdf_of(note).content == bytes(file.content)
    assert pdf_of(note).filename == f"{note.number}.pdf"


def test_the_same_bytes_whatever_became_of_its_parties(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice)
    first = pdf_of(note)
    with system_scope(purpose="test"):
        Tenant.objects.filter(id=note.tenant_id).update(name="Another Name")
    chinese = pdf_of(note, "zh-hans")

    assert pdf_of(note).sha256 == first.sha256
    assert "Another Name" not in text_of(chinese.content)
    assert "贷记单" in text_of(chinese.content)
    assert [file.language for file in files()] == ["en", "zh-hans"]


def test_readers_at_once_get_one_file(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice)
    papers = at_once([partial(pdf_of, note)] * 4)
    assert len({each.sha256 for each in papers}) == 1
    assert len(files()) == 1


def test_another_tenants_is_not_there_and_staff_are_recorded(post: Post) -> None:
    mine, theirs = invoices("acme", "beta")
    note = a_note(theirs)
    with pytest.raises(NotFound) as refused:
        print_credit_note(tenant_id=mine.tenant_id, credit_note_id=note.id)
    assert refused.value.code == "credit_note_not_found"
    with system_scope(purpose="test"):
        user = User.objects.create_user("f@summit.test", "x", staff_role=StaffRole.FINANCE)
    assert print_credit_note_for_staff(user=user, credit_note_id=note.id).number == note.number
    with system_scope(purpose="test"):
        assert AccessRecord.objects.filter(purpose="print a credit note").exists()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_creditnotefile SET content = ''",
        "DELETE FROM billing_creditnotefile",
        "TRUNCATE billing_creditnotefile",
    ],
)
def test_a_stored_paper_never_changes(post: Post, statement: str) -> None:
    (invoice,) = invoices()
    pdf_of(a_note(invoice))
    with (
        pytest.raises(DatabaseError, match=r"never changed|refused"),
        connections[OWNER].cursor() as db,
    ):
        db.execute(statement)


def test_notes_of_before_get_theirs_by_due_work_and_once(post: Post) -> None:
    made = invoices("acme", "beta")
    notes = [a_note(each) for each in made]
    with connections[OWNER].cursor() as db:
        # As notes of before there were papers: nobody listened to what they announced.
        db.execute("DELETE FROM work_outbox WHERE topic = 'credit_note.issued'")
    pdf_of(notes[0])
    pdf_of(notes[1], "zh-hans")
    now = clock.now()

    assert print_unprinted(issued_before=now) == 0
    assert print_unprinted(issued_before=now + timedelta(seconds=1)) == 1
    assert print_unprinted(issued_before=now + timedelta(seconds=1)) == 0
    assert printing() == 1

    assert {(file.credit_note_id, file.language) for file in files()} == {
        (notes[0].id, "en"),
        (notes[1].id, "en"),
        (notes[1].id, "zh-hans"),
    }
    assert print_unprinted(issued_before=now + timedelta(days=1)) == 0


def test_the_schedule_asks_for_them(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice)
    with system_scope(purpose="test"):
        Job.objects.filter(kind="billing.print_credit_note").delete()
    with clock.moved_to(clock.now() + timedelta(hours=2)):
        with system_scope(purpose="test"):
            enqueue(kind="billing.print_unprinted", key="slot", payload={})
        run_pending(now=clock.now(), kinds=["billing.print_unprinted"])
        printing()
    assert [file.credit_note_id for file in files()] == [note.id]


def test_it_is_mailed_once_with_its_paper(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    work_mail()
    note = a_note(invoice)
    work_mail()
    assert len(post.taken) == 1, "its mail waits for its paper"
    printing()
    with clock.moved_to(clock.now() + timedelta(minutes=1)):
        run_pending(now=clock.now(), kinds=["mailing.send"])

    _, message = post.taken
    (attachment,) = message.iter_attachments()
    text = message.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
    assert message["To"] == BOX
    assert message["Subject"] == f"Credit note {note.number} from Your company"
    assert f"which corrects invoice {invoice.number}" in text
    assert "CNY 9.00 comes off what is owed on the invoice." in text
    assert f"/portal/acme/credit-notes/{note.id}/" in text
    assert attachment.get_filename() == f"{note.number}.pdf"
    assert attachment.get_content() == pdf_of(note).content
    with system_scope(purpose="test"):
        assert plan_mails(credit_notes=[note.id], now=clock.now()) == 0
        assert DocumentMail.objects.filter(credit_note=note, state="sent").count() == 1


def test_in_chinese_and_without_an_invoice_in_the_words(post: Post) -> None:
    (invoice,) = invoices(language="zh-hans")
    note = a_note(invoice)
    printing()
    work_mail()
    subjects = [message["Subject"].strip() for message in post.taken]
    assert f"Your company 开具的贷记单 {note.number}" in subjects


def test_who_wants_no_mail_gets_it_by_a_persons_word_alone(post: Post) -> None:
    (invoice,) = invoices()
    with tenant_scope(invoice.tenant_id):
        set_recipients(
            tenant_id=invoice.tenant_id,
            is_on=False,
            to_members=False,
            addresses=[],
            now=clock.now(),
            actor="test",
        )
    note = a_note(invoice)
    work_mail()
    assert mails() == []
    with system_scope(purpose="test"):
        Job.objects.filter(kind="billing.print_credit_note").delete()
        assert mail_credit_note(credit_note_id=note.id, now=clock.now(), actor="test") == 1
        with pytest.raises(Conflict) as again:
            mail_credit_note(credit_note_id=note.id, now=clock.now(), actor="test")
        with pytest.raises(NotFound):
            mail_credit_note(credit_note_id=invoice.id, now=clock.now(), actor="test")
    assert again.value.code == "no_mail_recipients"
    # Also one that was never printed.
    printing()
    work_mail()
    assert [mail.state for mail in mails()] == ["sent"]
    (mail,) = mails()
    with system_scope(purpose="test"):
        document = resend_mail(mail_id=mail.id, now=clock.now(), actor="test")
    assert (document.invoice_id, document.credit_note_id) == (None, note.id)


def test_it_goes_with_retention_and_is_not_made_again(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice)
    pdf_of(note)
    assert remove_files(now=datetime(2036, 12, 31, tzinfo=UTC))[FileKind.CREDIT_NOTE] == 0
    assert remove_files(now=datetime(2037, 1, 3, tzinfo=UTC))[FileKind.CREDIT_NOTE] == 1
    with system_scope(purpose="test"):
        gone = RemovedFile.objects.get(kind="credit_note")
    assert (gone.document, gone.name) == (note.id, f"{note.number}.pdf")
    with pytest.raises(Conflict) as refused:
        pdf_of(note)
    assert refused.value.code == "file_removed"
    assert print_unprinted(issued_before=datetime(2037, 1, 4, tzinfo=UTC)) == 0


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_in_the_portal(post: Post) -> None:
    mine, theirs = invoices("acme", "beta")
    note, other = a_note(mine), a_note(theirs)
    client = signed_in(a_member(mine.tenant_id, "v@acme.example", Role.VIEWER))
    place = f"/portal/acme/credit-notes/{note.id}/"

    assert note.number in client.get("/portal/acme/credit-notes/").content.decode()
    assert other.number not in client.get("/portal/acme/credit-notes/").content.decode()
    assert note.number not in client.get("/portal/acme/credit-notes/?q=x").content.decode()
    page = client.get(place).content.decode()
    for said in (note.number, str(mine.number), "Outage on 7 March", "9.00", "Credited to"):
        assert said in page
    assert place in client.get(f"/portal/acme/invoices/{mine.id}/").content.decode()
    answer = client.get(f"{place}pdf?language=zh-hans")
    assert (answer["Content-Type"], answer.content[:5]) == ("application/pdf", b"%PDF-")
    assert answer.content == pdf_of(note, "zh-hans").content
    assert client.get(f"{place}pdf?language=xx").content == pdf_of(note).content
    for part in ("", "pdf", "ubl"):
        assert client.get(f"/portal/acme/credit-notes/{other.id}/{part}").status_code == 404


def test_in_the_console(post: Post) -> None:
    (invoice,) = invoices()
    note = a_note(invoice, reason="Twice billed")
    with system_scope(purpose="test"):
        finance = User.objects.create_user("f@summit.test", "x", staff_role=StaffRole.FINANCE)
        auditor = User.objects.create_user("a@summit.test", "x", staff_role=StaffRole.AUDITOR)
    client, place = signed_in(finance), f"/console/credit-notes/{note.id}/"

    listed = client.get("/console/credit-notes/?q=acme").content.decode()
    assert note.number in listed
    assert str(invoice.number) in listed
    assert "Twice billed" in client.get(place).content.decode()
    assert client.get(f"{place}pdf").content == pdf_of(note).content
    assert client.post(f"{place}mail").status_code == 302
    assert [mail.credit_note_id for mail in mails() if mail.credit_note_id] == [note.id]
    work_mail()
    shown = client.get("/console/mails/").content.decode()
    assert place in shown
    assert BOX in client.get(place).content.decode()
    assert "Mailed" in client.get(place).content.decode()
    assert signed_in(auditor).post(f"{place}mail").status_code == 403
    assert client.get(f"/console/credit-notes/{UUID(int=1)}/").status_code == 404


@pytest.mark.usefixtures("german")
def test_any_installed_language_may_be_asked_for(post: Post) -> None:
    assert printed_languages() == ["de", "en", "zh-hans"]
    (invoice,) = invoices()
    note = a_note(invoice)
    client = signed_in(a_member(invoice.tenant_id, "v@acme.example", Role.VIEWER))
    with tenant_scope(invoice.tenant_id):
        key = create_api_key(
            tenant_id=invoice.tenant_id,
            scope=KeyScope.READ,
            label="",
            now=clock.now(),
            actor="test",
        ).text
    for kind, prefix, row in (("invoices", "inv", invoice), ("credit-notes", "crn", note)):
        word = {"invoices": "Rechnung", "credit-notes": "Gutschrift"}[kind]
        shown = client.get(f"/portal/acme/{kind}/{row.id}/pdf?language=de")
        assert word in text_of(shown.content)
        place = f"/api/v1/{kind}/{public_id(prefix, row.id)}/pdf"
        told = Client(headers={"authorization": f"Bearer {key}"})
        assert told.get(f"{place}?language=de").content == shown.content
        assert told.get(f"{place}?language=fr").status_code == 400
