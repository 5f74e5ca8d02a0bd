"""Payments: what came in, and recording what the bank statement shows."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.listings import InvoiceDetail, invoice_detail
from billing.payments.queries import PaymentRow, payment_rows
from billing.payments.services.record_bank_transfer import record_bank_transfer
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from kernel.money import Money
from tenants.permissions import StaffAction
from tenants.scope import staff_scope
from ui import words
from ui.cells import Cell, Link
from ui.errors import message_of
from ui.exports import MAX_ROWS
from ui.tables import Column, ListState, Table, csv_of, wants_csv


def _settled(row: PaymentRow) -> Cell:
    if not row.invoices:
        return None
    first = row.invoices[0]
    return Link(text=first.number, url=reverse("console:invoice", args=[first.id]), whole=True)


PAYMENT_COLUMNS: Final[tuple[Column[PaymentRow], ...]] = (
    Column(key="received", label=_("Received on"), value=lambda row: row.received_on),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key])
        ),
    ),
    Column(key="method", label=_("Method"), value=lambda row: words.word("method", row.method)),
    Column(key="reference", label=_("Reference"), value=lambda row: row.external_id, minor=True),
    Column(key="invoice", label=_("Invoice"), value=_settled),
    Column(key="amount", label=_("Amount"), value=lambda row: row.amount, numeric=True),
    Column(
        key="credited",
        label=_("Kept as credit"),
        value=lambda row: row.credited or None,
        numeric=True,
        minor=True,
    ),
)


class BankTransferForm(forms.Form):
    """One line of the bank statement."""

    # As a statement writes it: "1e3" is a number too, but hardly what somebody meant.
    amount = forms.RegexField(
        r"\A-?[0-9]+(\.[0-9]+)?\Z",
        label=_("Amount"),
        max_length=40,
        strip=True,
        error_messages={
            "invalid": _("Write a number such as 1234.50, without thousands separators.")
        },
    )
    received_on = forms.DateField(
        label=_("Received on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    reference = forms.CharField(
        label=_("Reference of the bank"),
        help_text=_("As on the statement; each is booked once."),
        max_length=200,
    )
    note = forms.CharField(label=_("Note"), required=False, max_length=200)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="payments list")
def payment_list(request: StaffRequest) -> HttpResponse:
    """Newest first; search by tenant, reference or invoice number."""
    state = ListState.read(request.GET)
    export = wants_csv(request)
    found = payment_rows(
        search=state.search,
        limit=MAX_ROWS if export else state.limit,
        offset=0 if export else state.offset,
    )
    if export:
        return csv_of(columns=PAYMENT_COLUMNS, rows=found.rows, name="payments")
    table = Table(
        columns=PAYMENT_COLUMNS,
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Payments"),
        empty_title=_("No payments yet"),
        empty_text=_("Cards arrive by themselves; record a bank transfer on its invoice's page."),
        exportable=found.total <= MAX_ROWS,
    )
    return page(request, "console/payments.html", place="payments", table=table, state=state)


@staff_page(action=StaffAction.PAYMENTS_RECORD, purpose="record a bank transfer", own_scope=True)
def record(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """A form that restates the invoice; what it books can't be taken back, only reversed."""
    with staff_scope(user=request.user, purpose="record a bank transfer: form"):
        invoice = invoice_detail(invoice_id=invoice_id, now=clock.now())
    form = BankTransferForm(request.POST or None, initial=_proposed(invoice))
    if request.method == "POST" and form.is_valid():
        try:
            booked = record_bank_transfer(
                user=request.user,
                invoice_id=invoice_id,
                amount=Money.of(form.cleaned_data["amount"].strip(), invoice.currency),
                received_on=form.cleaned_data["received_on"],
                reference=form.cleaned_data["reference"],
                note=form.cleaned_data["note"],
                now=clock.now(),
            )
        except DomainError as error:
            field = {"bank_reference": "reference"}.get(error.field or "", error.field)
            form.add_error(field if field in form.fields else None, message_of(error))
        else:
            messages.success(
                request,
                gettext("The payment is booked and the invoice is paid.")
                if booked.invoice_is_paid
                else gettext("The payment is booked; the rest stays open."),
            )
            return redirect("console:invoice", invoice_id=invoice_id)
    return page(
        request,
        "console/record_payment.html",
        place="invoices",
        status=422 if form.errors else 200,
        invoice=invoice,
        form=form,
    )


def _proposed(invoice: InvoiceDetail) -> dict[str, Any]:
    return {"amount": f"{invoice.outstanding.amount:f}"}
