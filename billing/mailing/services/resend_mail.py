"""Send a mail once more, or an invoice to those who have none of it yet, because a person says so."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.models import Invoice
from billing.mailing.domain import UNDER_WAY, MailState, next_copy
from billing.mailing.gateways.configured import refuse_unless_sent
from billing.mailing.models import DocumentMail
from billing.mailing.services.plan_mails import plan_mails, send_later
from kernel import ids
from kernel.errors import Conflict, NotFound
from tenants import audit


def resend_mail(*, mail_id: UUID, now: datetime, actor: str) -> UUID:
    """Let a job send it once more, in the caller's cross-tenant scope; gives the id of its invoice.

    Raises Unavailable `mail_off`, NotFound `mail_not_found`, Conflict `mail_under_way`.
    """
    refuse_unless_sent()
    row = (
        DocumentMail.objects.select_for_update(of=("self",))
        .select_related("invoice")
        .filter(id=mail_id)
        .first()
    )
    if row is None or row.invoice is None:
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
            target=f"invoice:{row.invoice.number}",
            before={"mail": str(row.id), "state": state.value},
        ),
        now=now,
    )
    return row.invoice.id


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
    if not planned:
        raise Conflict(
            "no_mail_recipients",
            "There is nobody who hasn't this invoice yet: the tenant has no further billing address.",
            field="invoice",
        )
    audit.record(
        audit.Entry(
            tenant_id=invoice.tenant_id,
            actor=actor,
            action="mail.asked_for",
            target=f"invoice:{invoice.number}",
            after={"mails": planned},
        ),
        now=now,
    )
    return planned
