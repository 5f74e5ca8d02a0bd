"""Credit notes and write-offs: asked for on an invoice's page, decided by somebody else."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.crediting import LineCredit
from billing.invoicing.domain import InvoiceRequestState
from billing.invoicing.invoice_requests import (
    LeftLine,
    RequestRow,
    creditable,
    invoice_request,
    preview_credit,
    request_rows,
)
from billing.invoicing.listings import InvoiceDetail, invoice_detail
from billing.invoicing.services.ask_of_invoice import request_credit, request_write_off
from billing.invoicing.services.decide_on_invoice import (
    approve_on_invoice,
    refuse_on_invoice,
    withdraw_on_invoice,
)
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError, Invalid
from kernel.money import Money
from tenants.permissions import StaffAction, staff_may
from tenants.queries import people_of
from tenants.two_people import GOOD_FOR
from ui import formats, words
from ui.cells import Cell, Instant, Link
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"


def _what(row: RequestRow) -> Cell:
    return Link(
        text=words.word("invoice_request_action", row.action),
        url=reverse("console:invoice_request", args=[row.id]),
        note=row.invoice_number,
    )


def _tenant(row: RequestRow) -> Cell:
    return Link(text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key]))


def columns(people: Mapping[str, str]) -> tuple[Column[RequestRow], ...]:
    """Of a list of requests; `people` are the names of those who asked."""
    return (
        Column(key="what", label=_("What"), value=_what),
        Column(key="tenant", label=_("Tenant"), value=_tenant),
        Column(
            key="state",
            label=_("State"),
            value=lambda row: words.status("invoice_request", row.state),
        ),
        Column(key="total", label=_("Total"), value=lambda row: row.total, numeric=True),
        Column(
            key="by",
            label=_("Asked for by"),
            value=lambda row: people.get(row.requested_by, row.requested_by),
            minor=True,
        ),
        Column(
            key="at",
            label=_("Asked for (UTC)"),
            value=lambda row: Instant(at=row.requested_at, zone=_ZONE),
            minor=True,
        ),
        Column(key="reason", label=_("Reason"), value=lambda row: row.reason, minor=True),
    )


class ReasonForm(forms.Form):
    """Why something is asked for."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("It stands on the credit note and in the audit trail."),
        max_length=500,
    )


class CreditForm(ReasonForm):
    """An amount for each line that has something left, and why."""

    def __init__(self, *args: Any, left: Sequence[LeftLine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._left = [line for line in left if line.net]
        for line in self._left:
            self.fields[_field(line.position)] = forms.CharField(
                label=f"{line.position}. {line.description}",
                help_text=gettext("Without tax, up to %(left)s.")
                % {"left": formats.money_text(line.net, language=get_language() or "en")},
                required=False,
                max_length=30,
            )
        self.order_fields([*(_field(line.position) for line in self._left), "reason"])

    @property
    def amounts(self) -> list[forms.BoundField]:
        """The fields of the lines."""
        return [self[_field(line.position)] for line in self._left]

    def wanted(self) -> list[LineCredit]:
        """What the valid form asks for. Raises Invalid as `Money.of`, with the field that is wrong."""
        found = []
        for line in self._left:
            text = self.cleaned_data[_field(line.position)].strip()
            if text:
                try:
                    amount = Money.of(text, line.net.currency)
                except Invalid as wrong:
                    raise Invalid(
                        wrong.code, wrong.message, field=_field(line.position), params=wrong.params
                    ) from wrong
                found.append(LineCredit(position=line.position, amount=amount))
        return found


def _field(position: int) -> str:
    return f"line_{position}"


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="requests on invoices")
def request_list(request: StaffRequest) -> HttpResponse:
    """Newest first; those that wait are a filter."""
    state = ListState.read(request.GET, filters={"state": tuple(InvoiceRequestState)})
    chosen = state.filters.get("state", "")
    found = request_rows(state=chosen, limit=state.limit, offset=state.offset)
    table = Table(
        columns=columns(people_of({row.requested_by for row in found.rows})),
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Credit notes and write-offs asked for"),
        empty_title=_("Nothing was asked for"),
        empty_text=_("A credit note or a write-off is asked for on the invoice's page."),
    )
    return page(
        request,
        "console/invoice_requests.html",
        place="invoice_requests",
        table=table,
        filters=[
            (
                "state",
                _("All states"),
                [
                    (each.value, words.status("invoice_request", each).label, each == chosen)
                    for each in InvoiceRequestState
                ],
            )
        ],
    )


@staff_page(action=StaffAction.INVOICES_CORRECT, purpose="ask for a credit note")
def ask_credit(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """A form; the first POST shows what comes of it, the one with `accepted` asks for it."""
    now = clock.now()
    invoice, left = (
        invoice_detail(invoice_id=invoice_id, now=now),
        creditable(invoice_id=invoice_id),
    )
    form = CreditForm(request.POST or None, left=left)
    preview = None
    if request.method == "POST" and form.is_valid():
        try:
            preview = preview_credit(invoice_id=invoice_id, lines=form.wanted())
            if request.POST.get("accepted") == "yes":
                request_id = request_credit(
                    invoice_id=invoice_id,
                    lines=form.wanted(),
                    reason=form.cleaned_data["reason"],
                    now=now,
                    actor=_actor(request),
                )
                messages.success(request, gettext("Asked for. Somebody else has to approve it."))
                return redirect("console:invoice_request", request_id=request_id)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
    return page(
        request,
        "console/ask_credit.html",
        place="invoices",
        status=422 if form.errors else 200,
        invoice=invoice,
        left=left,
        form=form,
        preview=preview,
    )


@staff_page(action=StaffAction.INVOICES_CORRECT, purpose="ask for a write-off")
def ask_write_off(request: StaffRequest, invoice_id: UUID) -> HttpResponse:
    """A form that restates what is owed; a POST asks that it be given up."""
    now = clock.now()
    invoice: InvoiceDetail = invoice_detail(invoice_id=invoice_id, now=now)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            request_id = request_write_off(
                invoice_id=invoice_id,
                reason=form.cleaned_data["reason"],
                now=now,
                actor=_actor(request),
            )
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
        else:
            messages.success(request, gettext("Asked for. Somebody else has to approve it."))
            return redirect("console:invoice_request", request_id=request_id)
    return page(
        request,
        "console/ask_write_off.html",
        place="invoices",
        status=422 if form.errors else 200,
        invoice=invoice,
        form=form,
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="request on an invoice")
def one_request(request: StaffRequest, request_id: UUID) -> HttpResponse:
    """One request with what comes of it; a POST approves, refuses or takes it back."""
    actor = _actor(request)
    may_decide = staff_may(role=request.user.staff_role, action=StaffAction.INVOICES_CORRECT)
    status, fault = 200, ""
    if request.method == "POST":
        if not may_decide:
            status = 403
        else:
            try:
                messages.success(request, _decided(request, request_id))
            except DomainError as error:
                status, fault = 422 if isinstance(error, Invalid) else 409, message_of(error)
            else:
                return redirect("console:invoice_request", request_id=request_id)
    shown, preview = invoice_request(request_id=request_id)
    people = people_of({shown.requested_by, shown.decided_by})
    return page(
        request,
        "console/invoice_request.html",
        place="invoice_requests",
        status=status,
        fault=fault,
        shown=shown,
        preview=preview,
        asked_by=people.get(shown.requested_by, shown.requested_by),
        decided_by=people.get(shown.decided_by, shown.decided_by),
        good_until=shown.requested_at + GOOD_FOR,
        is_own=shown.requested_by == actor,
        may_decide=may_decide,
    )


def _decided(request: StaffRequest, request_id: UUID) -> str:
    """Do what the form decides; gives what to say. Raises DomainError."""
    now, actor = clock.now(), _actor(request)
    decision = request.POST.get("decision", "")
    if decision == "approve":
        state = approve_on_invoice(request_id=request_id, now=now, actor=actor)
        if state is InvoiceRequestState.EXPIRED:
            return gettext("The invoice has changed since; nothing was done. Ask for it anew.")
        return gettext("Done. It is kept in the invoice's history.")
    if decision == "withdraw":
        withdraw_on_invoice(request_id=request_id, now=now, actor=actor)
        return gettext("Taken back. Nothing changed.")
    refuse_on_invoice(
        request_id=request_id, reason=request.POST.get("reason", ""), now=now, actor=actor
    )
    return gettext("Refused. Nothing changed.")


def _actor(request: StaffRequest) -> str:
    return f"user:{request.user.pk}"
