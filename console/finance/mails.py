"""Mail with documents: all of it with what became of each, and sending again by hand."""

from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.mailing.gateways.configured import mail_is_sent
from billing.mailing.queries import MailRow, mail_rows
from billing.mailing.services.resend_mail import mail_invoice, resend_mail
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from tenants.permissions import StaffAction
from ui import words
from ui.cells import Instant, Link
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"
_TROUBLED: Final = "troubled"
_COLUMNS: Final[tuple[Column[MailRow], ...]] = (
    Column(
        key="invoice",
        label=_("Invoice"),
        value=lambda row: Link(
            text=row.number, url=reverse("console:invoice", args=[row.invoice_id]), whole=True
        ),
    ),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key])
        ),
    ),
    Column(key="address", label=_("To"), value=lambda row: row.address),
    Column(key="state", label=_("State"), value=lambda row: words.status("mail", row.state)),
    Column(
        key="why",
        label=_("Why"),
        value=lambda row: (
            words.word("mail_failure", row.failure_code) if row.failure_code else None
        ),
    ),
    Column(key="attempts", label=_("Tries"), value=lambda row: row.attempts, numeric=True),
    Column(key="at", label=_("When"), value=lambda row: Instant(at=row.at, zone=_ZONE), minor=True),
)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="mail list")
def mail_list(request: StaffRequest) -> HttpResponse:
    """Newest first; those that want a person can be shown alone."""
    states = (_TROUBLED, *words.codes("mail"))
    state = ListState.read(request.GET, filters={"state": states})
    chosen = state.filters.get("state", "")
    found = mail_rows(state=chosen, limit=state.limit, offset=state.offset)
    options: list[tuple[str, Any, bool]] = [
        (_TROUBLED, _("Wants a person"), chosen == _TROUBLED),
        *((code, words.status("mail", code).label, chosen == code) for code in states[1:]),
    ]
    return page(
        request,
        "console/mails.html",
        place="mails",
        state=state,
        filters=[("state", _("All states"), options)],
        mail_is_sent=mail_is_sent(),
        table=Table(
            columns=_COLUMNS,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Mail"),
            empty_title=_("No mail"),
            empty_text=_("An invoice is mailed when it is issued and printed."),
        ),
    )


@require_POST
@staff_page(action=StaffAction.INVOICES_MAIL, purpose="mail an invoice")
def mail(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """Mail an invoice to those of its recipients who have none of it."""
    try:
        planned = mail_invoice(
            invoice_id=invoice_id, now=clock.now(), actor=f"user:{request.user.pk}"
        )
    except DomainError as error:
        if error.code == "invoice_not_found":
            raise
        messages.error(request, message_of(error))
    else:
        told = ngettext("%(count)s mail goes out.", "%(count)s mails go out.", planned)
        messages.success(request, told % {"count": planned})
    return redirect("console:invoice", invoice_id=invoice_id)


@require_POST
@staff_page(action=StaffAction.INVOICES_MAIL, purpose="send a mail again")
def again(request: StaffRequest, mail_id: UUID) -> HttpResponse:
    """Send one once more."""
    try:
        invoice_id = resend_mail(mail_id=mail_id, now=clock.now(), actor=f"user:{request.user.pk}")
    except DomainError as error:
        if error.code == "mail_not_found":
            raise
        messages.error(request, message_of(error))
        return redirect("console:mails")
    messages.success(request, gettext("It is sent once more."))
    return redirect("console:invoice", invoice_id=invoice_id)
