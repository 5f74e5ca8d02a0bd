"""Invoices: the list with its sums, and the page of one with all its working."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.invoicing.credit_note_listing import notes_of_invoice
from billing.invoicing.invoice_requests import requests_of_invoice
from billing.invoicing.listings import OVERDUE, STATES, InvoiceRow, invoice_detail, invoice_rows
from billing.invoicing.services.preview_draft import preview_draft
from billing.invoicing.services.print_invoice import paper_of, print_invoice_for_staff
from billing.ledger.domain import recovery_reference
from billing.ledger.queries import entries_of
from billing.mailing.gateways.configured import mail_is_sent
from billing.mailing.queries import first_sent, mails_of_invoice
from billing.payments.queries import attempts_of_invoice, payments_of_invoice
from billing.retention.queries import retention_of_invoice
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from tenants.permissions import StaffAction, staff_may
from tenants.queries import trail_of
from ui import words
from ui.cells import Days, Link
from ui.exports import MAX_ROWS, pdf_response
from ui.sections import shown_sections
from ui.tables import Column, ListState, Table, csv_of, wants_csv

INVOICE_COLUMNS: Final[tuple[Column[InvoiceRow], ...]] = (
    Column(
        key="number",
        label=_("Invoice"),
        value=lambda row: Link(
            text=row.number or _("Draft"), url=reverse("console:invoice", args=[row.id]), whole=True
        ),
        sortable=True,
    ),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name,
            url=reverse("console:tenant", args=[row.tenant_key]),
            note=row.tenant_key if row.tenant_key != row.tenant_name else "",
        ),
        sortable=True,
    ),
    Column(
        key="kind",
        label=_("Kind"),
        value=lambda row: words.word("invoice_kind", row.kind),
        minor=True,
    ),
    Column(key="state", label=_("State"), value=lambda row: words.status("invoice", row.state)),
    Column(
        key="period",
        label=_("Period"),
        value=lambda row: Days(
            period=row.period,
            zone=row.timezone,
            note=words.billed_for(is_opening=row.is_opening),
        ),
        minor=True,
    ),
    Column(key="due", label=_("Due on"), value=lambda row: row.due_on, sortable=True, minor=True),
    Column(key="total", label=_("Total"), value=lambda row: row.total, sortable=True, numeric=True),
    Column(
        key="outstanding",
        label=_("Outstanding"),
        value=lambda row: row.outstanding,
        numeric=True,
        minor=True,
    ),
)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="invoices list")
def invoice_list(request: StaffRequest) -> HttpResponse:
    """Search by number, tenant name or key; the sums are those of the whole filter."""
    state = ListState.read(
        request.GET, columns=INVOICE_COLUMNS, default_sort="", filters={"state": STATES}
    )
    export = wants_csv(request)
    found = invoice_rows(
        now=clock.now(),
        search=state.search,
        state=state.filters.get("state", ""),
        sort=state.sort or "issued",
        descending=state.descending or not state.sort,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=INVOICE_COLUMNS, rows=found.rows, name="invoices")
    table = Table(
        columns=INVOICE_COLUMNS,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Invoices"),
        empty_title=_("No invoices yet"),
        empty_text=_("Start a billing run to draft what is due."),
        totals=[
            entry
            for sums in found.sums
            for entry in ((_("Total"), sums.total), (_("Outstanding"), sums.outstanding))
        ],
        exportable=found.total <= MAX_ROWS,
    )
    states = [
        (code, words.status("invoice", code).label, state.filters.get("state") == code)
        for code in ("draft", "open", OVERDUE, "paid", "void", "uncollectible")
    ]
    return page(
        request,
        "console/invoices.html",
        place="invoices",
        table=table,
        state=state,
        filters=[("state", _("All states"), states)],
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="invoice page")
def invoice(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """One invoice: every line opens into its working; what it posted and who did what."""
    now = clock.now()
    detail = invoice_detail(invoice_id=invoice_id, now=now)
    role = request.user.staff_role
    payments = payments_of_invoice(tenant_id=detail.tenant_id, invoice_id=detail.id)
    mails = mails_of_invoice(tenant_id=detail.tenant_id, invoice_id=detail.id)
    notes = notes_of_invoice(tenant_id=detail.tenant_id, invoice_id=detail.id)
    entries = (
        entries_of(
            tenant_id=detail.tenant_id,
            references=[
                f"invoice:{detail.id}",
                *(f"payment:{payment.id}" for payment in payments),
                *(f"credit_note:{note.id}" for note in notes),
                *(
                    recovery_reference(invoice_id=detail.id, settled_by=settled_by)
                    for settled_by in (
                        "balance",
                        *(payment.id for payment in payments),
                        *(note.id for note in notes),
                    )
                ),
            ],
        )
        if staff_may(role=role, action=StaffAction.LEDGER_VIEW)
        else None
    )
    return page(
        request,
        "console/invoice.html",
        place="invoices",
        invoice=detail,
        zone=detail.timezone,
        sections=shown_sections(detail.sections, language=get_language() or "en"),
        anew=None if detail.number else preview_draft(invoice_id=detail.id),
        retention=retention_of_invoice(invoice_id=detail.id),
        entries=entries,
        payments=payments,
        credit_notes=notes,
        requests=requests_of_invoice(tenant_id=detail.tenant_id, invoice_id=detail.id)
        if detail.number
        else (),
        attempts=attempts_of_invoice(tenant_id=detail.tenant_id, invoice_id=detail.id),
        mails=mails,
        mailed_at=first_sent(mails),
        paper=paper_of(tenant_id=detail.tenant_id, invoice_id=detail.id) if detail.number else None,
        mail_is_sent=mail_is_sent(),
        trail=trail_of(
            tenant_id=detail.tenant_id, target=f"invoice:{detail.number or detail.id}", limit=20
        ),
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="print an invoice", own_scope=True)
def invoice_pdf(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """The document as it was issued, in the invoice's language."""
    printed = print_invoice_for_staff(user=request.user, invoice_id=invoice_id)
    return pdf_response(name=printed.filename, content=printed.content)
