"""Invoices of the tenant: the list, and one with every line explained."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from billing.fapiao.gateways.configured import fapiao_are_issued
from billing.fapiao.queries import fapiao_may_be_asked, fapiao_rows
from billing.invoicing.credit_note_listing import notes_of_invoice
from billing.invoicing.documents.words import printed_languages
from billing.invoicing.listings import OVERDUE, STATES, InvoiceRow, invoice_detail, invoice_rows
from billing.invoicing.receivables import receivables
from billing.invoicing.services.print_invoice import paper_of, print_invoice
from billing.mailing.queries import first_sent, mails_of_invoice
from billing.payments.queries import attempts_of_invoice, payments_of_invoice
from kernel import clock
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui import words
from ui.cells import Days, Link
from ui.exports import MAX_ROWS, pdf_response
from ui.sections import shown_sections
from ui.tables import Column, ListState, Table, csv_of, wants_csv


def _columns(tenant_key: str) -> tuple[Column[InvoiceRow], ...]:
    return (
        Column(
            key="number",
            label=_("Invoice"),
            value=lambda row: Link(
                text=row.number,
                url=reverse("portal:invoice", args=[tenant_key, row.id]),
                whole=True,
            ),
            sortable=True,
        ),
        Column(
            key="period",
            label=_("Period"),
            value=lambda row: Days(
                period=row.period,
                zone=row.timezone,
                note=words.billed_for(is_opening=row.is_opening),
            ),
        ),
        Column(
            key="kind",
            label=_("Kind"),
            value=lambda row: words.word("invoice_kind", row.kind),
            minor=True,
        ),
        Column(key="state", label=_("State"), value=lambda row: words.status("invoice", row.state)),
        Column(
            key="due", label=_("Due on"), value=lambda row: row.due_on, sortable=True, minor=True
        ),
        Column(
            key="total", label=_("Total"), value=lambda row: row.total, sortable=True, numeric=True
        ),
        Column(
            key="outstanding",
            label=_("Outstanding"),
            value=lambda row: row.outstanding,
            numeric=True,
            minor=True,
        ),
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def invoice_list(request: HttpRequest, here: Here) -> HttpResponse:
    """All issued invoices."""
    now = clock.now()
    columns = _columns(here.tenant_key)
    state = ListState.read(request.GET, columns=columns, filters={"state": STATES})
    export = wants_csv(request)
    found = invoice_rows(
        now=now,
        tenant_id=here.tenant_id,
        search=state.search,
        state=state.filters.get("state", ""),
        issued_only=True,
        sort=state.sort or "issued",
        descending=state.descending or not state.sort,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=columns, rows=found.rows, name="invoices")
    return page(
        request,
        here,
        "portal/invoices.html",
        place="invoices",
        receivables=receivables(now=now, tenant_id=here.tenant_id),
        state=state,
        filters=[
            (
                "state",
                _("All states"),
                [
                    (code, words.status("invoice", code).label, state.filters.get("state") == code)
                    for code in ("open", OVERDUE, "paid", "void")
                ],
            )
        ],
        table=Table(
            columns=columns,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Invoices"),
            empty_title=_("No invoices yet"),
            empty_text=_("The first one comes when your billing period ends."),
            exportable=True,
        ),
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def invoice(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """One issued invoice; every line opens into its working."""
    detail = invoice_detail(
        invoice_id=invoice_id, now=clock.now(), tenant_id=here.tenant_id, issued_only=True
    )
    mails = mails_of_invoice(tenant_id=here.tenant_id, invoice_id=invoice_id)
    asked = fapiao_rows(tenant_id=here.tenant_id, invoice_id=invoice_id, limit=20).rows
    return page(
        request,
        here,
        "portal/invoice.html",
        place="invoices",
        invoice=detail,
        zone=detail.timezone,
        sections=shown_sections(detail.sections, language=get_language() or "en"),
        payments=payments_of_invoice(tenant_id=here.tenant_id, invoice_id=invoice_id),
        attempts=attempts_of_invoice(tenant_id=here.tenant_id, invoice_id=invoice_id),
        mails=mails,
        mailed_at=first_sent(mails),
        credit_notes=notes_of_invoice(tenant_id=here.tenant_id, invoice_id=invoice_id),
        paper=paper_of(tenant_id=here.tenant_id, invoice_id=invoice_id),
        fapiao=asked,
        fapiao_can_be_asked=here.may(MemberAction.INVOICES_PAY)
        and fapiao_are_issued()
        and fapiao_may_be_asked(
            invoice_state=detail.state, currency=detail.total.currency, requests=asked
        ),
    )


@member_page(action=MemberAction.INVOICES_VIEW, own_scope=True)
def invoice_pdf(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """The document as it was issued; `?language=` asks for it in another language."""
    wanted = request.GET.get("language", "")
    printed = print_invoice(
        tenant_id=here.tenant_id,
        invoice_id=invoice_id,
        language=wanted if wanted in printed_languages() else "",
    )
    return pdf_response(name=printed.filename, content=printed.content)
