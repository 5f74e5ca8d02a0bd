"""Credit notes: the list, the page of one with its mails, and its paper."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.invoicing.credit_note_listing import SORTS, NoteRow, note_of, note_rows
from billing.invoicing.services.print_credit_note import (
    credit_note_paper,
    print_credit_note_for_staff,
)
from billing.ledger.queries import entries_of
from billing.mailing.gateways.configured import mail_is_sent
from billing.mailing.queries import first_sent, mails_of_credit_note
from console.access import StaffRequest, staff_page
from console.frame import page
from tenants.permissions import StaffAction, staff_may
from tenants.queries import trail_of
from ui.cells import Instant, Link
from ui.exports import MAX_ROWS, pdf_response
from ui.tables import Column, ListState, Table, csv_of, wants_csv

_COLUMNS: Final[tuple[Column[NoteRow], ...]] = (
    Column(
        key="number",
        label=_("Credit note"),
        value=lambda row: Link(
            text=row.number, url=reverse("console:credit_note", args=[row.id]), whole=True
        ),
        sortable=True,
    ),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key])
        ),
        sortable=True,
    ),
    Column(
        key="invoice",
        label=_("Invoice"),
        value=lambda row: (
            Link(text=row.invoice_number, url=reverse("console:invoice", args=[row.invoice_id]))
            if row.invoice_id
            else None
        ),
        minor=True,
    ),
    Column(
        key="issued",
        label=_("Issued"),
        value=lambda row: Instant(at=row.issued_at, zone=row.zone.key),
        sortable=True,
    ),
    Column(key="reason", label=_("Reason"), value=lambda row: row.reason, minor=True),
    Column(key="total", label=_("Total"), value=lambda row: row.total, sortable=True, numeric=True),
)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="credit notes list")
def credit_note_list(request: StaffRequest) -> HttpResponse:
    """Newest first; search by number, by that of the invoice, by tenant."""
    state = ListState.read(request.GET, columns=_COLUMNS)
    export = wants_csv(request)
    found = note_rows(
        search=state.search,
        sort=state.sort if state.sort in SORTS else "issued",
        descending=state.descending or not state.sort,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=_COLUMNS, rows=found.rows, name="credit-notes")
    return page(
        request,
        "console/credit_notes.html",
        place="invoices",
        state=state,
        table=Table(
            columns=_COLUMNS,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Credit notes"),
            empty_title=_("No credit notes yet"),
            empty_text=_("They are asked for at an issued invoice, or come with a change of plan."),
            exportable=found.total <= MAX_ROWS,
        ),
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="credit note page")
def credit_note(request: StaffRequest, credit_note_id: UUID) -> HttpResponse:
    """One credit note: its lines, who has it by mail, what it posted and who did what."""
    note = note_of(note_id=credit_note_id)
    mails = mails_of_credit_note(tenant_id=note.tenant_id, credit_note_id=note.id)
    return page(
        request,
        "console/credit_note.html",
        place="invoices",
        note=note,
        zone=note.zone.key,
        mails=mails,
        mailed_at=first_sent(mails),
        mail_is_sent=mail_is_sent(),
        paper=credit_note_paper(tenant_id=note.tenant_id, credit_note_id=note.id),
        entries=entries_of(tenant_id=note.tenant_id, references=[f"credit_note:{note.id}"])
        if staff_may(role=request.user.staff_role, action=StaffAction.LEDGER_VIEW)
        else None,
        trail=trail_of(tenant_id=note.tenant_id, target=f"credit_note:{note.number}", limit=20),
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="print a credit note", own_scope=True)
def credit_note_pdf(request: StaffRequest, credit_note_id: UUID) -> HttpResponse:
    """The document as it was issued, in its language."""
    printed = print_credit_note_for_staff(user=request.user, credit_note_id=credit_note_id)
    return pdf_response(name=printed.filename, content=printed.content)
