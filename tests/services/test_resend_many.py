"""Mails that failed are sent again together: the chosen ones, or all of a state, each once for one word."""

from datetime import timedelta

import pytest
from django.db import connections
from django.test import Client

from billing.mailing.domain import MailState
from billing.mailing.models import DocumentMail
from billing.mailing.services import resend_many
from billing.mailing.services.resend_many import ask_resend_all, resend_all, resend_chosen
from kernel import clock
from kernel.errors import Invalid
from kernel.ids import new_id
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.services.mail_world import Post, invoices, mails, post, printed, work_mail
from work.connections import OWNER
from work.jobs import run_pending

__all__ = ["post"]  # a fixture

pytestmark = pytest.mark.usefixtures("db")


def some(*states: MailState) -> list[DocumentMail]:
    """A mail of an invoice of its own in each of the states, as sending leaves them."""
    made = invoices(*(f"t{number:02}" for number in range(len(states))), box="box@acme.example")
    printed(*made)
    with system_scope(purpose="test"):
        rows = [
            DocumentMail(
                tenant_id=invoice.tenant_id,
                invoice=invoice,
                address=f"{invoice.tenant.key}@x.example",
                state=state,
                batch=new_id(),
                planned_at=clock.now(),
                sent_at=clock.now() if state in {MailState.SENT, MailState.BOUNCED} else None,
                concluded_at=None if state in {MailState.SENT, MailState.WAITING} else clock.now(),
                failure_code="" if state is MailState.SENT else "smtp_550",
            )
            for invoice, state in zip(made, states, strict=True)
        ]
        DocumentMail.objects.bulk_create(rows)
    with connections[OWNER].cursor() as db:
        # Those are what this is about; no others are planned.
        db.execute("DELETE FROM work_outbox WHERE topic = 'documents.issued'")
    return rows


FAILED, BOUNCED, UNCERTAIN = MailState.FAILED, MailState.BOUNCED, MailState.UNCERTAIN


def test_the_chosen_go_again_and_what_left_is_passed_over(post: Post) -> None:
    rows = some(FAILED, UNCERTAIN, MailState.SENT, BOUNCED)
    with system_scope(purpose="test"):
        again = resend_chosen(
            mail_ids=[row.id for row in rows[:3]], now=clock.now(), actor="user:1"
        )
        assert resend_chosen(mail_ids=[row.id for row in rows[:3]], now=clock.now(), actor="x") == 0
    work_mail()
    assert again == 2
    assert [mail.state for mail in mails()] == ["sent", "sent", "sent", "bounced"]
    # An uncertain one is the same message; what was refused goes as another.
    assert [mail.copy for mail in mails()] == [2, 1, 1, 1]
    assert sorted(post.asked) == ["t00@x.example", "t01@x.example"]
    with system_scope(purpose="test"):
        told = AuditRecord.objects.filter(action="mail.sent_again", actor="user:1")
        assert told.count() == 2


@pytest.mark.parametrize(
    ("wanted", "gone"), [("troubled", 4), ("failed", 2), ("bounced", 1), ("uncertain", 1)]
)
def test_all_of_a_state_go_step_by_step_and_once(
    post: Post, monkeypatch: pytest.MonkeyPatch, wanted: str, gone: int
) -> None:
    monkeypatch.setattr(resend_many, "_AT_A_TIME", 1)
    some(FAILED, FAILED, BOUNCED, UNCERTAIN, MailState.SENT)
    request_id = new_id()
    for _ in range(2):
        with system_scope(purpose="test"):
            ask_resend_all(wanted=wanted, request_id=request_id, now=clock.now(), actor="user:1")
    run_pending(now=clock.now(), kinds=["mailing.resend"])
    run_pending(now=clock.now(), kinds=["mailing.send"])
    assert len(post.taken) == gone
    assert [mail.state for mail in mails()].count("sent") == gone + 1


def test_what_fails_again_is_not_sent_again_by_the_same_word(post: Post) -> None:
    (row,) = some(FAILED)
    until = clock.now()
    post.answers = {row.address: ["550 no such user"]}

    def again() -> int:
        return resend_all(wanted="failed", until=until, actor="user:1", clock=clock.now)

    assert again() == 1
    with clock.moved_to(until + timedelta(minutes=1)):
        run_pending(now=clock.now(), kinds=["mailing.send"])
        assert [mail.state for mail in mails()] == ["failed"]
        assert again() == 0
    assert post.asked == [row.address]


@pytest.mark.parametrize("wanted", ["sent", "waiting", "", "nothing"])
def test_what_did_not_fail_is_never_sent_again_together(post: Post, wanted: str) -> None:
    with system_scope(purpose="test"), pytest.raises(Invalid) as refused:
        ask_resend_all(wanted=wanted, request_id=new_id(), now=clock.now(), actor="x")
    assert refused.value.code == "mail_state_not_resent"


def signed_in(role: StaffRole) -> Client:
    with system_scope(purpose="test"):
        user = User.objects.create_user(f"{role}@summit.test", "x", staff_role=role)
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_in_the_console(post: Post) -> None:
    rows = some(FAILED, FAILED, BOUNCED, MailState.SENT)
    client = signed_in(StaffRole.FINANCE)
    listed = client.get("/console/mails/?state=failed")
    page = listed.content.decode()
    assert page.count('type="checkbox" name="mail"') == 2
    assert "Send all 2 that are found again" in page
    assert "Send all" not in client.get("/console/mails/?state=sent").content.decode()
    assert client.get("/console/mails/").content.decode().count('name="mail"') == 3

    sent = client.post("/console/mails/again", {"do": "chosen", "mail": [str(rows[0].id), "x"]})
    assert sent["Location"] == "/console/mails/"
    assert mails()[0].state == "waiting"
    form = {"do": "all", "state": "troubled", "token": listed.context["token"]}
    for _ in range(2):
        told = client.post("/console/mails/again", form)
        assert told["Location"] == "/console/mails/?state=troubled"
    assert [mail.state for mail in mails()] == ["waiting", "failed", "bounced", "sent"]
    run_pending(now=clock.now(), kinds=["mailing.resend"])
    assert [mail.state for mail in mails()] == ["waiting", "waiting", "waiting", "sent"]
    refused = client.post("/console/mails/again", {"do": "all", "state": "sent"}, follow=True)
    assert "Only mail that failed" in refused.content.decode()
    assert client.get("/console/mails/again").status_code == 405

    looking = signed_in(StaffRole.AUDITOR)
    assert 'name="mail"' not in looking.get("/console/mails/?state=failed").content.decode()
    assert looking.post("/console/mails/again", form).status_code == 403
