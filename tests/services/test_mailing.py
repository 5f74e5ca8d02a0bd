"""Mail of issued documents: to whom, what it says, and that nobody ever gets one twice by itself."""

import io
import os
import subprocess
import sys
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pytest
from django.conf import settings
from django.db import DatabaseError, connections
from pypdf import PdfReader

from billing.invoicing.models import Invoice
from billing.mailing.domain import MailState
from billing.mailing.gateways.port import MailServerUnavailable
from billing.mailing.models import DocumentMail
from billing.mailing.queries import recipients_of
from billing.mailing.services.plan_mails import plan_mails
from billing.mailing.services.record_delivery import record_delivery
from billing.mailing.services.resend_mail import mail_invoice, resend_mail
from billing.mailing.services.send_mails import Sending, send_mails
from billing.mailing.services.set_recipients import set_recipients
from kernel import clock
from kernel.errors import Conflict, Invalid, NotFound, Unavailable
from tenants.domain import Role
from tenants.scope import system_scope, tenant_scope
from tests.services.mail_world import (
    BOX,
    Post,
    a_member,
    invoices,
    mails,
    post,
    printed,
    work_mail,
)
from work.connections import JOBS
from work.jobs import run_pending
from work.models import Job

__all__ = ["post"]  # a fixture

pytestmark = pytest.mark.usefixtures("db")


def parts(message: EmailMessage) -> tuple[str, str, EmailMessage]:
    """Plain text, HTML, and the attachment."""
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    (attachment,) = message.iter_attachments()
    assert isinstance(attachment, EmailMessage)
    return text.get_content(), html.get_content(), attachment


def planned(*made: Invoice) -> UUID:
    """Their mails, all in one batch whose job was not begun."""
    with system_scope(purpose="test"):
        plan_mails(invoices=[each.id for each in made], now=clock.now())
        return DocumentMail.objects.values_list("batch", flat=True)[0]


def sent(batch: UUID, *, last_try: bool = False) -> Sending:
    return send_mails(batch=batch, clock=clock.now, last_try=last_try)


def states() -> list[str]:
    return [each.state for each in mails()]


def test_an_issued_invoice_is_mailed_with_its_paper(post: Post) -> None:
    (invoice,) = invoices()
    run_pending(now=clock.now(), kinds=["billing.print_invoice"])
    work_mail()

    (message,) = post.taken
    text, html, attachment = parts(message)
    (mail,) = mails()
    assert message["To"] == BOX
    assert message["From"] == "Your company <billing@summit.example>"
    assert message["Subject"] == f"Invoice {invoice.number} from Your company"
    assert message["Message-ID"] == f"<{mail.id.hex}.1@summit.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    for said in (text, html):
        assert f"Invoice {invoice.number} of CNY 199.00 for Mar 1 to Mar 31, 2026" in said
        assert f"{settings.PUBLIC_URL}/portal/acme/invoices/{invoice.id}/" in said
        assert "Please pay CNY 199.00 by" in said
    assert attachment.get_filename() == f"{invoice.number}.pdf"
    paper = PdfReader(io.BytesIO(attachment.get_content()))
    assert str(invoice.number) in paper.pages[0].extract_text()
    assert (mail.state, mail.attempts, mail.failure_code) == ("sent", 1, "")
    assert mail.sent_at is not None


def test_it_is_in_the_documents_language(post: Post) -> None:
    (invoice,) = invoices(language="zh-hans")
    printed(invoice)
    work_mail()

    (message,) = post.taken
    text, html, _ = parts(message)
    assert message["Subject"].strip() == f"Your company 开具的账单 {invoice.number}"
    assert "2026年3月1日至3月31日" in text
    assert '<html lang="zh-hans">' in html


def test_names_of_tenants_are_text_and_no_headers(post: Post) -> None:
    (invoice,) = invoices()
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SET session_replication_role = replica;"
            """UPDATE billing_invoice SET buyer = '{"name": "<b>Acme</b>\\nBcc: x@y.example"}',"""
            """ issuer = issuer || '{"name": "Seller\\nBcc: x@y.example"}';"""
            "SET session_replication_role = DEFAULT"
        )
    printed(invoice)
    work_mail()

    (message,) = post.taken
    assert "Bcc" not in message
    assert post.asked == [BOX]
    assert "&lt;b&gt;Acme&lt;/b&gt; Bcc: x@y.example" in parts(message)[1]


def test_recipients_are_the_billing_address_those_named_and_billing_members(post: Post) -> None:
    (invoice,) = invoices()
    a_member(invoice.tenant_id, "billing@acme.example")
    a_member(invoice.tenant_id, "owner@acme.example", Role.OWNER)
    a_member(invoice.tenant_id, "gone@acme.example", active=False)
    with tenant_scope(invoice.tenant_id):
        set_recipients(
            tenant_id=invoice.tenant_id,
            is_on=True,
            to_members=True,
            addresses=["AP@acme.example", " ap@acme.example ", "Billing@acme.example", ""],
            now=clock.now(),
            actor="user:1",
        )
        told = recipients_of(tenant_id=invoice.tenant_id)
    planned(invoice)

    wanted = [BOX, "ap@acme.example", "billing@acme.example"]
    assert [mail.address for mail in mails()] == wanted
    assert sorted(each.lower() for each in told.all) == wanted


def test_a_tenant_that_wants_none_gets_none_by_itself(post: Post) -> None:
    (invoice,) = invoices()
    with tenant_scope(invoice.tenant_id):
        set_recipients(
            tenant_id=invoice.tenant_id,
            is_on=False,
            to_members=False,
            addresses=[],
            now=clock.now(),
            actor="user:1",
        )
    printed(invoice)
    work_mail()
    assert mails() == []

    with system_scope(purpose="test"):
        assert mail_invoice(invoice_id=invoice.id, now=clock.now(), actor="user:1") == 1
    work_mail()
    assert states() == ["sent"]


@pytest.mark.parametrize(
    "address", ["acme", "a@b", "a b@c.example", "a@b.example\nBcc: c@d.example", "x@" + "y" * 260]
)
def test_what_is_no_address_is_refused(post: Post, address: str) -> None:
    (invoice,) = invoices()
    with tenant_scope(invoice.tenant_id), pytest.raises(Invalid) as refused:
        set_recipients(
            tenant_id=invoice.tenant_id,
            is_on=True,
            to_members=True,
            addresses=[address],
            now=clock.now(),
            actor="user:1",
        )
    assert refused.value.code == "invalid_mail_address"


def test_nothing_is_mailed_where_nobody_set_it_up(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "MAIL_DOCUMENTS", False)
    (invoice,) = invoices()
    printed(invoice)
    work_mail()

    assert mails() == []
    with system_scope(purpose="test"), pytest.raises(Unavailable) as refused:
        mail_invoice(invoice_id=invoice.id, now=clock.now(), actor="user:1")
    assert refused.value.code == "mail_off"
    assert post.connections == 0


def test_a_document_of_long_ago_is_nobodys_news(post: Post) -> None:
    (invoice,) = invoices()
    with system_scope(purpose="test"):
        late = clock.now() + timedelta(days=8)
        assert plan_mails(invoices=[invoice.id], now=late) == 0
        assert plan_mails(invoices=[invoice.id], now=late, requested_by="user:1") == 1


def test_planning_and_sending_twice_mails_once(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    batch = planned(invoice)
    with system_scope(purpose="test"):
        assert plan_mails(invoices=[invoice.id], now=clock.now()) == 0
    sent(batch)
    assert sent(batch).outcomes == {}
    assert len(post.taken) == 1


def test_it_waits_for_its_paper(post: Post) -> None:
    first, second = invoices("acme", "beta")
    printed(second)
    batch = planned(first, second)

    result = sent(batch)
    assert result.outcomes == {MailState.SENT: 1}
    assert result.unprinted_since == mails()[0].planned_at
    assert states() == ["waiting", "sent"]

    printed(first)
    assert sent(batch).unprinted_since is None
    assert states() == ["sent", "sent"]


def test_many_go_over_one_connection_and_one_refusal_stops_none(post: Post) -> None:
    made = invoices(*(f"t{number:02}" for number in range(12)), box="box@acme.example")
    printed(*made)
    made_for = [each.tenant.key for each in made]
    with system_scope(purpose="test"):
        Invoice.objects.first()
        for key in made_for:
            made[0].tenant.__class__.objects.filter(key=key).update(
                billing_email=f"{key}@x.example"
            )
    post.answers = {"t03@x.example": ["550 5.1.1 no such user"]}

    result = sent(planned(*made))
    assert result.outcomes == {MailState.SENT: 11, MailState.FAILED: 1}
    assert post.connections == 1
    (failed,) = [mail for mail in mails() if mail.state == "failed"]
    assert (failed.failure_code, failed.failure_detail) == ("smtp_550", "5.1.1 no such user")


def test_what_should_come_later_is_tried_again_by_the_job(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    batch = planned(invoice)
    post.answers = {BOX: ["451 greylisted", "451 greylisted"]}

    with pytest.raises(MailServerUnavailable) as told:
        sent(batch)
    assert told.value.code == "mail_not_taken"
    assert states() == ["waiting"]
    with pytest.raises(MailServerUnavailable):
        sent(batch)
    assert sent(batch).outcomes == {MailState.SENT: 1}
    (mail,) = mails()
    assert (mail.attempts, mail.failure_code) == (3, "")


def test_at_the_last_try_it_fails_and_says_why(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    post.answers = {BOX: ["451 greylisted"]}

    assert sent(planned(invoice), last_try=True).outcomes == {MailState.FAILED: 1}
    assert mails()[0].failure_code == "smtp_451"


def test_without_a_server_nothing_is_lost(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    (invoice,) = invoices()
    printed(invoice)
    batch = planned(invoice)
    monkeypatch.setattr(settings, "EMAIL_PORT", 1)
    with pytest.raises(MailServerUnavailable) as told:
        sent(batch)
    assert BOX not in str(told.value)
    assert states() == ["waiting"]
    assert sent(batch, last_try=True).outcomes == {MailState.FAILED: 1}
    assert mails()[0].failure_code == "mail_server_unavailable"


def test_a_server_that_falls_silent_leaves_it_uncertain_and_the_rest_goes_on(post: Post) -> None:
    made = invoices("acme", "beta", "ceta")
    printed(*made)
    post.answers = {"accounts@beta.example": ["hang up"]}

    result = sent(planned(*made))
    assert result.outcomes == {MailState.SENT: 2, MailState.UNCERTAIN: 1}
    assert states() == ["sent", "uncertain", "sent"]
    # The ids decide who is next; only after the last there is no need for another.
    assert post.connections in {1, 2}


_KILLED = """
import django; django.setup()
from uuid import UUID
from billing.mailing.services.send_mails import send_mails
from kernel import clock
send_mails(batch=UUID({batch!r}), clock=clock.now)
"""


def test_killed_between_call_and_record_it_is_uncertain_and_goes_again_by_hand_only(
    post: Post,
) -> None:
    (invoice,) = invoices()
    printed(invoice)
    batch = planned(invoice)
    post.holds = True
    process = subprocess.Popen(
        [sys.executable, "-c", _KILLED.format(batch=str(batch))],
        cwd=Path(__file__).resolve().parents[2],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "EMAIL_URL": post.url,
            "MAIL_FROM": "Summit <billing@summit.example>",
        },
    )
    assert post.held.wait(60)
    process.kill()
    process.wait()
    post.holds = False
    post.hold.set()
    assert states() == ["sending"]

    assert sent(batch).outcomes == {MailState.UNCERTAIN: 1}
    assert sent(batch).outcomes == {}
    assert len(post.taken) == 1
    (mail,) = mails()
    assert mail.failure_code == "ended_unexpectedly"

    with system_scope(purpose="test"):
        resend_mail(mail_id=mail.id, now=clock.now(), actor="user:1")
    work_mail()
    first, second = post.taken
    # A mailbox that has the first sees by its name that the second is the same.
    assert first["Message-ID"] == second["Message-ID"]
    assert states() == ["sent"]


def test_sent_again_it_is_another_message(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    work_mail()
    (mail,) = mails()
    with system_scope(purpose="test"):
        resend_mail(mail_id=mail.id, now=clock.now(), actor="user:1")
        with pytest.raises(Conflict) as refused:
            resend_mail(mail_id=mail.id, now=clock.now(), actor="user:1")
        with pytest.raises(NotFound):
            resend_mail(mail_id=invoice.id, now=clock.now(), actor="user:1")
        with pytest.raises(Conflict) as nobody:
            mail_invoice(invoice_id=invoice.id, now=clock.now(), actor="user:1")
    work_mail()
    assert refused.value.code == "mail_under_way"
    assert nobody.value.code == "no_mail_recipients"
    assert [each["Message-ID"] for each in post.taken] == [
        f"<{mail.id.hex}.{copy}@summit.example>" for copy in (1, 2)
    ]


def test_a_providers_word_counts_for_the_copy_it_is_of(post: Post) -> None:
    (invoice,) = invoices()
    printed(invoice)
    work_mail()
    (mail,) = mails()

    def told(*, delivered: bool, copy: int = 1) -> bool:
        return record_delivery(
            tenant_id=mail.tenant_id,
            mail_id=mail.id,
            copy=copy,
            delivered=delivered,
            detail="mailbox full",
            at=clock.now(),
        )

    assert not told(delivered=True, copy=2)
    assert told(delivered=True)
    assert not told(delivered=True)
    assert told(delivered=False)
    (mail,) = mails()
    assert (mail.state, mail.failure_detail) == ("bounced", "mailbox full")
    with system_scope(purpose="test"):
        resend_mail(mail_id=mail.id, now=clock.now(), actor="user:1")
    assert not told(delivered=False)
    assert states() == ["waiting"]


def test_the_database_refuses_another_address_and_a_state_out_of_turn(post: Post) -> None:
    (invoice,) = invoices()
    planned(invoice)
    for change in ({"address": "x@y.example"}, {"state": "delivered", "sent_at": clock.now()}):
        with pytest.raises(DatabaseError), system_scope(purpose="test"):
            DocumentMail.objects.update(**change)


def test_no_address_comes_into_logs_or_jobs(post: Post, caplog: pytest.LogCaptureFixture) -> None:
    (invoice,) = invoices()
    printed(invoice)
    post.answers = {BOX: ["451 not now", "550 no such user"]}
    work_mail()
    assert states() == ["failed"]
    own = [each.getMessage() for each in caplog.records if each.name != "mail.log"]
    assert own
    assert BOX not in "\n".join(own)
    for job in Job.objects.using(JOBS).all():
        assert BOX not in f"{job.key} {job.payload} {job.result} {job.error_detail}"
