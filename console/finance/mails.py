"""Mail with documents: all of it with what became of each, and sending again by hand."""

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.mailing.domain import TROUBLED
from billing.mailing.gateways.configured import mail_is_sent
from billing.mailing.queries import MailRow, mail_rows
from billing.mailing.services.resend_mail import (
    MailedDocument,
    mail_credit_note,
    mail_invoice,
    resend_mail,
)
from billing.mailing.services.resend_many import ask_resend_all, resend_chosen
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock, ids
from kernel.errors import DomainError
from tenants.permissions import StaffAction, staff_may
from ui import words
from ui.cells import Choice, Instant, Link
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.pages import PAGE_SIZE
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"
_TROUBLED: Final = "troubled"
_FORM: Final = "send-again"
_RESENT: Final = "mails sent again"
_COLUMNS: Final[tuple[Column[MailRow], ...]] = (
    Column(
        key="document",
        label=_("Document"),
        value=lambda row: Link(text=row.number, url=_address(row), whole=True),
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


_CHOICE: Final[Column[MailRow]] = Column(
    key="chosen",
    label=_("Chosen"),
    value=lambda row: (
        Choice(
            name="mail",
            value=str(row.id),
            label=_("Choose %(number)s to %(address)s")
            % {"number": row.number, "address": row.address},
            form=_FORM,
        )
        if row.wants_a_person
        else None
    ),
)


def _address(row: MailRow | MailedDocument) -> str:
    """The page of the mail's document."""
    if row.credit_note_id is not None:
        return reverse("console:credit_note", args=[row.credit_note_id])
    return reverse("console:invoice", args=[row.invoice_id])


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
    may_send = mail_is_sent() and staff_may(
        role=request.user.staff_role, action=StaffAction.INVOICES_MAIL
    )
    return page(
        request,
        "console/mails.html",
        place="mails",
        state=state,
        form_id=_FORM,
        may_choose=may_send and any(row.wants_a_person for row in found.rows),
        chosen_state=chosen if chosen in (_TROUBLED, *TROUBLED) else "",
        token=once_token(ids.new_id(), what=_RESENT),
        filters=[("state", _("All states"), options)],
        mail_is_sent=mail_is_sent(),
        table=Table(
            columns=(_CHOICE, *_COLUMNS) if may_send else _COLUMNS,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Mail"),
            empty_title=_("No mail"),
            empty_text=_("A document is mailed when it is issued and printed."),
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
@staff_page(action=StaffAction.INVOICES_MAIL, purpose="mail a credit note")
def mail_note(request: StaffRequest, credit_note_id: UUID) -> HttpResponse:
    """The same of a credit note."""
    try:
        planned = mail_credit_note(
            credit_note_id=credit_note_id, now=clock.now(), actor=f"user:{request.user.pk}"
        )
    except DomainError as error:
        if error.code == "credit_note_not_found":
            raise
        messages.error(request, message_of(error))
    else:
        told = ngettext("%(count)s mail goes out.", "%(count)s mails go out.", planned)
        messages.success(request, told % {"count": planned})
    return redirect("console:credit_note", credit_note_id=credit_note_id)


@require_POST
@staff_page(action=StaffAction.INVOICES_MAIL, purpose="send mails again")
def again_many(request: StaffRequest) -> HttpResponse:
    """Send the chosen ones once more, or all that are in a state, which a job does."""
    actor, now, state = f"user:{request.user.pk}", clock.now(), request.POST.get("state", "")
    try:
        if request.POST.get("do") == "all":
            asked = once_id(request.POST.get("token", ""), what=_RESENT) or ids.new_id()
            ask_resend_all(wanted=state, request_id=asked, now=now, actor=actor)
            messages.success(request, gettext("They are sent once more, a few hundred at a time."))
        else:
            again = resend_chosen(mail_ids=_chosen(request), now=now, actor=actor)
            told = ngettext(
                "%(count)s mail is sent once more.", "%(count)s mails are sent once more.", again
            )
            messages.success(request, told % {"count": again})
    except DomainError as error:
        messages.error(request, message_of(error))
    query = urlencode({"state": state}) if state else ""
    return redirect(f"{reverse('console:mails')}{'?' if query else ''}{query}")


def _chosen(request: StaffRequest) -> list[UUID]:
    """The ids that are some, no more than a page shows."""
    found = []
    for each in request.POST.getlist("mail")[:PAGE_SIZE]:
        try:
            found.append(UUID(each))
        except ValueError:
            continue
    return found


@require_POST
@staff_page(action=StaffAction.INVOICES_MAIL, purpose="send a mail again")
def again(request: StaffRequest, mail_id: UUID) -> HttpResponse:
    """Send one once more."""
    try:
        document = resend_mail(mail_id=mail_id, now=clock.now(), actor=f"user:{request.user.pk}")
    except DomainError as error:
        if error.code == "mail_not_found":
            raise
        messages.error(request, message_of(error))
        return redirect("console:mails")
    messages.success(request, gettext("It is sent once more."))
    return redirect(_address(document))
