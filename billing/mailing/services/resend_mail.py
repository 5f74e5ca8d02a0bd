"""Send a mail once more, or a document to those who have none of it yet, because a person says so."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.print_credit_note import KIND as PRINT_CREDIT_NOTE
from billing.mailing.domain import UNDER_WAY, MailState, next_copy
from billing.mailing.gateways.configured import refuse_unless_sent
from billing.mailing.models import DocumentMail
from billing.mailing.services.plan_mails import plan_mails, send_later
from kernel import ids
from kernel.errors import Conflict, NotFound
from tenants import audit
from work.jobs import enqueue


@dataclass(frozen=True, slots=True, kw_only=True)
class MailedDocument:
    """What a mail is of; one of the two."""

    invoice_id: UUID | None
    credit_note_id: UUID | None


def resend_mail(*, mail_id: UUID, now: datetime, actor: str) -> MailedDocument:
    """Let a job send it once more, in the caller's cross-tenant scope; gives its document.

    Raises Unavailable `mail_off`, NotFound `mail_not_found`, Conflict `mail_under_way`.
    """
    refuse_unless_sent()
    row = (
        DocumentMail.objects.select_for_update(of=("self",))
        .select_related("invoice", "credit_note")
        .filter(id=mail_id)
        .first()
    )
    if row is None:
        raise NotFound("mail_not_found", "There is no such mail.", field="mail")
    state = MailState(row.state)
    if state in UNDER_WAY:
        raise Conflict("mail_under_way", "This mail is being sent already.", field="mail")
    row.copy = next_copy(state=state, copy=row.copy)
    row.state, row.batch = MailState.WAITING, ids.new_id()
    row.failure_code = row.failure_detail = ""
    row.sent_at = row.concluded_at = None
    row.save()
    send_later(row.batch, requested_by=actor)
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=actor,
            action="mail.sent_again",
            target=row.document_target,
            before={"mail": str(row.id), "state": state.value},
        ),
        now=now,
    )
    return MailedDocument(invoice_id=row.invoice_id, credit_note_id=row.credit_note_id)


def mail_invoice(*, invoice_id: UUID, now: datetime, actor: str) -> int:
    """Mail an issued invoice to those of its recipients who have none of it, also where the tenant wants
    none by itself; gives to how many. In the caller's cross-tenant scope.

    Raises Unavailable `mail_off`, NotFound `invoice_not_found`, Conflict `invoice_not_issued`,
    `no_mail_recipients`.
    """
    refuse_unless_sent()
    invoice = Invoice.objects.filter(id=invoice_id).first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.number is None:
        raise Conflict(
            "invoice_not_issued",
            "This invoice is a draft; it can be mailed when it is issued.",
            field="invoice",
        )
    planned = plan_mails(invoices=[invoice.id], now=now, requested_by=actor)
    _asked(
        planned,
        tenant_id=invoice.tenant_id,
        target=f"invoice:{invoice.number}",
        now=now,
        actor=actor,
    )
    return planned


def mail_credit_note(*, credit_note_id: UUID, now: datetime, actor: str) -> int:
    """The same of a credit note. One of before credit notes had a paper is printed for it.

    Raises Unavailable `mail_off`, NotFound `credit_note_not_found`, Conflict `no_mail_recipients`.
    """
    refuse_unless_sent()
    note = CreditNote.objects.filter(id=credit_note_id).first()
    if note is None:
        raise NotFound(
            "credit_note_not_found", "There is no such credit note.", field="credit_note"
        )
    planned = plan_mails(credit_notes=[note.id], now=now, requested_by=actor)
    _asked(
        planned,
        tenant_id=note.tenant_id,
        target=f"credit_note:{note.number}",
        now=now,
        actor=actor,
    )
    enqueue(
        kind=PRINT_CREDIT_NOTE,
        key=f"mailed:{note.id}",
        payload={"credit_note_id": str(note.id)},
        tenant_id=note.tenant_id,
        requested_by=actor,
    )
    return planned


def _asked(planned: int, *, tenant_id: UUID, target: str, now: datetime, actor: str) -> None:
    if not planned:
        raise Conflict(
            "no_mail_recipients",
            "There is nobody who hasn't this document yet: the tenant has no further billing address.",
        )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="mail.asked_for",
            target=target,
            after={"mails": planned},
        ),
        now=now,
    )
