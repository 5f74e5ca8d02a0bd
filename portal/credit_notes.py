"""Credit notes of the tenant: the list, and one with its lines and its paper."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.invoicing.credit_note_listing import SORTS, NoteRow, note_of, note_rows
from billing.invoicing.documents.words import printed_languages
from billing.invoicing.services.print_credit_note import credit_note_paper, print_credit_note
from billing.mailing.queries import first_sent, mails_of_credit_note
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.cells import Instant, Link
from ui.exports import MAX_ROWS, pdf_response
from ui.tables import Column, ListState, Table, csv_of, wants_csv


def _columns(tenant_key: str) -> tuple[Column[NoteRow], ...]:
    return (
        Column(
            key="number",
            label=_("Credit note"),
            value=lambda row: Link(
                text=row.number,
                url=reverse("portal:credit_note", args=[tenant_key, row.id]),
                whole=True,
            ),
            sortable=True,
        ),
        Column(
            key="invoice",
            label=_("Invoice"),
            value=lambda row: (
                Link(
                    text=row.invoice_number,
                    url=reverse("portal:invoice", args=[tenant_key, row.invoice_id]),
                )
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
        Column(
            key="total", label=_("Total"), value=lambda row: row.total, sortable=True, numeric=True
        ),
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def credit_note_list(request: HttpRequest, here: Here) -> HttpResponse:
    """All of them, newest first."""
    columns = _columns(here.tenant_key)
    state = ListState.read(request.GET, columns=columns)
    export = wants_csv(request)
    found = note_rows(
        tenant_id=here.tenant_id,
        search=state.search,
        sort=state.sort if state.sort in SORTS else "issued",
        descending=state.descending or not state.sort,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=columns, rows=found.rows, name="credit-notes")
    return page(
        request,
        here,
        "portal/credit_notes.html",
        place="invoices",
        state=state,
        table=Table(
            columns=columns,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Credit notes"),
            empty_title=_("No credit notes yet"),
            empty_text=_("One comes when something that was billed is taken back."),
            exportable=True,
        ),
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def credit_note(request: HttpRequest, here: Here, credit_note_id: UUID) -> HttpResponse:
    """One credit note with its lines, and who has it by mail."""
    note = note_of(note_id=credit_note_id, tenant_id=here.tenant_id)
    mails = mails_of_credit_note(tenant_id=here.tenant_id, credit_note_id=note.id)
    return page(
        request,
        here,
        "portal/credit_note.html",
        place="invoices",
        note=note,
        zone=note.zone.key,
        mails=mails,
        mailed_at=first_sent(mails),
        paper=credit_note_paper(tenant_id=here.tenant_id, credit_note_id=note.id),
    )


@member_page(action=MemberAction.INVOICES_VIEW, own_scope=True)
def credit_note_pdf(request: HttpRequest, here: Here, credit_note_id: UUID) -> HttpResponse:
    """The document as it was issued; `?language=` asks for it in another language."""
    wanted = request.GET.get("language", "")
    printed = print_credit_note(
        tenant_id=here.tenant_id,
        credit_note_id=credit_note_id,
        language=wanted if wanted in printed_languages() else "",
    )
    return pdf_response(name=printed.filename, content=printed.content)
