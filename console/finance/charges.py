"""Charges by hand: the list, drafting and changing one, what it comes to, issuing it and taking it away."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.invoicing.charges.domain import BY_HAND, ChargeState
from billing.invoicing.charges.queries import ChargeDetail, ChargeRow, charge_detail, charge_rows
from billing.invoicing.domain import DAYS_TO_PAY, InvoiceKind
from billing.invoicing.proformas import proforma_rows
from billing.invoicing.services.issue_charges import issue_charge
from billing.invoicing.services.make_proforma import USUAL_DAYS
from billing.invoicing.services.write_charge import ask_charge, change_charge, withdraw_charge
from billing.subscriptions.queries import subscriptions_of
from console.access import StaffRequest, staff_page
from console.finance.charge_form import (
    ChargeForm,
    LineForms,
    asked_charge,
    at_its_field,
    line_forms,
    more_rows,
)
from console.frame import page
from kernel import clock, ids
from kernel.errors import DomainError
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.permissions import StaffAction
from tenants.queries import people_of, tenant_profile, trail_of
from ui import words
from ui.cells import Instant, Link
from ui.confirmed import once_token
from ui.errors import message_of
from ui.tables import Column, ListState, Table
from ui.working import shown_line

_TRAIL: Final = 20
_FILTERS: Final = {
    "kind": tuple(kind.value for kind in (*BY_HAND, InvoiceKind.TOP_UP)),
    "state": tuple(ChargeState),
}

COLUMNS: Final[tuple[Column[ChargeRow], ...]] = (
    Column(
        key="reference",
        label=_("Reference"),
        value=lambda row: Link(
            text=row.reference, url=reverse("console:charge", args=[row.id]), whole=True
        ),
    ),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant", args=[row.tenant_key])
        ),
    ),
    Column(key="kind", label=_("Kind"), value=lambda row: words.word("invoice_kind", row.kind)),
    Column(key="state", label=_("State"), value=lambda row: words.status("charge", row.state)),
    Column(
        key="issue",
        label=_("Issue on"),
        value=lambda row: Instant(at=row.issue_at, zone=row.timezone) if row.issue_at else None,
        minor=True,
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
    Column(key="total", label=_("Total"), value=lambda row: row.total, numeric=True),
)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="charges list")
def charge_list(request: StaffRequest) -> HttpResponse:
    """Newest first; by reference or tenant, kind and state."""
    state = ListState.read(request.GET, filters=_FILTERS)
    found = charge_rows(
        now=clock.now(),
        search=state.search,
        kind=state.filters.get("kind", ""),
        state=state.filters.get("state", ""),
        limit=state.limit,
        offset=state.offset,
    )
    kinds = [
        (code, words.word("invoice_kind", code), state.filters.get("kind") == code)
        for code in _FILTERS["kind"]
    ]
    states = [
        (code, words.status("charge", code).label, state.filters.get("state") == code)
        for code in _FILTERS["state"]
    ]
    return page(
        request,
        "console/charges.html",
        place="charges",
        state=state,
        filters=[("kind", _("All kinds"), kinds), ("state", _("All states"), states)],
        table=Table(
            columns=COLUMNS,
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Charges"),
            empty_title=_("No charges yet"),
            empty_text=_("On a tenant's page you draft what is billed beside its plan."),
        ),
    )


@staff_page(action=StaffAction.CHARGES_CHANGE, purpose="draft a charge")
def new_charge(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A form for the kind that `?kind=` names; what it comes to is shown before it is issued."""
    profile = tenant_profile(key=tenant_key)
    kind = _kind(request.GET.get("kind", ""))
    held = [each.terms.currency for each in subscriptions_of(tenant_id=profile.id)]
    form = ChargeForm(
        _sent(request),
        initial={"currency": (held or ["CNY"])[0], "days_to_pay": DAYS_TO_PAY},
    )
    rows = line_forms(_rows_sent(request), kind=kind)
    if _is_whole(request) and form.is_valid() and rows.is_valid():
        try:
            charge_id = ask_charge(
                tenant_id=profile.id,
                asked=asked_charge(form, rows, kind=kind),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
            return redirect("console:charge", charge_id=charge_id)
        except DomainError as error:
            at_its_field(form, rows, error)
    return _form_page(request, form, rows, kind=kind, profile=profile, charge=None)


@staff_page(action=StaffAction.CHARGES_CHANGE, purpose="change a charge")
def edit_charge(request: StaffRequest, charge_id: UUID) -> HttpResponse:
    """The draft in the form."""
    detail = charge_detail(charge_id=charge_id, now=clock.now())
    row = detail.charge
    if row.state is not ChargeState.DRAFT or row.kind not in BY_HAND:
        return redirect("console:charge", charge_id=charge_id)
    profile = tenant_profile(key=row.tenant_key)
    sent = _sent(request)
    if sent is not None:
        sent = {**sent, "reference": row.reference}
    form = ChargeForm(
        sent,
        initial={
            "reference": row.reference,
            "currency": row.currency,
            "issue_on": local_day(row.issue_at, zone_named(row.timezone)) if row.issue_at else None,
            "days_to_pay": row.days_to_pay,
        },
    )
    form.fields["reference"].disabled = True
    rows = line_forms(_rows_sent(request), kind=row.kind, lines=row.lines)
    if _is_whole(request) and form.is_valid() and rows.is_valid():
        try:
            change_charge(
                tenant_id=detail.tenant_id,
                charge_id=charge_id,
                asked=asked_charge(form, rows, kind=row.kind),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
            return redirect("console:charge", charge_id=charge_id)
        except DomainError as error:
            at_its_field(form, rows, error)
    return _form_page(request, form, rows, kind=row.kind, profile=profile, charge=row)


@never_cache
@staff_page(action=StaffAction.INVOICES_VIEW, purpose="charge")
def charge(request: StaffRequest, charge_id: UUID) -> HttpResponse:
    """One charge with the invoice that it would be."""
    detail = charge_detail(charge_id=charge_id, now=clock.now())
    return _charge_page(request, detail)


@staff_page(action=StaffAction.CHARGES_CHANGE, purpose="issue or take away a charge")
def conclude(request: StaffRequest, charge_id: UUID) -> HttpResponse:
    """Issue the draft, if it comes to what was seen, or take it away."""
    now = clock.now()
    detail = charge_detail(charge_id=charge_id, now=now)
    actor = f"user:{request.user.pk}"
    if request.method != "POST":
        return redirect("console:charge", charge_id=charge_id)
    try:
        if request.POST.get("do") == "withdraw":
            withdraw_charge(tenant_id=detail.tenant_id, charge_id=charge_id, now=now, actor=actor)
            messages.success(request, gettext("The draft is gone."))
            return redirect("console:charges")
        if request.POST.get("seen") != _seen(detail):
            return _charge_page(
                request,
                detail,
                fault=gettext("The amounts are not the same any more. Look at them again."),
            )
        invoice_id = issue_charge(
            tenant_id=detail.tenant_id, charge_id=charge_id, now=now, actor=actor
        )
    except DomainError as error:
        return _charge_page(request, detail, fault=message_of(error))
    if invoice_id is None:
        messages.success(request, gettext("Nothing is due: what was committed is billed."))
        return redirect("console:charge", charge_id=charge_id)
    messages.success(request, gettext("The invoice is issued."))
    return redirect("console:invoice", invoice_id=invoice_id)


def _charge_page(request: StaffRequest, detail: ChargeDetail, *, fault: str = "") -> HttpResponse:
    row, preview = detail.charge, detail.preview
    told = proforma_rows(tenant_id=detail.tenant_id, charge_id=row.id, limit=_TRAIL)
    return page(
        request,
        "console/charge.html",
        place="charges",
        status=409 if fault else 200,
        fault=fault,
        charge=row,
        zone=row.timezone,
        drafted_by=people_of({row.created_by}).get(row.created_by, row.created_by),
        is_draft=row.state is ChargeState.DRAFT,
        is_by_hand=row.kind in BY_HAND,
        invoice=preview,
        lines=[shown_line(line) for line in preview.lines] if preview else [],
        seen=_seen(detail),
        proformas=told.rows,
        is_being_made=told.is_being_made,
        valid_until=local_day(clock.now(), zone_named(row.timezone)) + timedelta(days=USUAL_DAYS),
        token=once_token(ids.new_id(), what=f"pro-forma of {row.id}"),
        trail=trail_of(tenant_id=detail.tenant_id, target=f"charge:{row.id}", limit=_TRAIL),
    )


def _form_page(
    request: StaffRequest,
    form: ChargeForm,
    rows: LineForms,
    *,
    kind: InvoiceKind,
    profile: Any,
    charge: ChargeRow | None,
) -> HttpResponse:
    is_faulty = request.method == "POST" and _is_whole(request)
    return page(
        request,
        "console/charge_form.html",
        place="charges",
        status=422 if is_faulty else 200,
        form=form,
        rows=rows,
        kind=kind,
        profile=profile,
        charge=charge,
    )


def _seen(detail: ChargeDetail) -> str:
    """What a person agrees to; amounts that changed meanwhile are shown first."""
    return "" if detail.preview is None else str(detail.preview.total)


def _kind(code: str) -> InvoiceKind:
    return InvoiceKind(code) if code in set(BY_HAND) else InvoiceKind.ONE_OFF


def _sent(request: StaffRequest) -> Mapping[str, Any] | None:
    return request.POST.dict() if request.method == "POST" else None


def _rows_sent(request: StaffRequest) -> Mapping[str, Any] | None:
    sent = _sent(request)
    if sent is None:
        return None
    change = {"more": 1, "less": -1}.get(str(sent.get("rows", "")), 0)
    return more_rows(sent, change=change)


def _is_whole(request: StaffRequest) -> bool:
    """Whether the form was sent to be kept, and not for another row."""
    return request.method == "POST" and not request.POST.get("rows")
