"""Pro-formas: of a draft charge, of a subscription's next invoice, and their papers."""

from datetime import date, timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.charges.queries import charge_detail
from billing.invoicing.proformas import ProformaRow, proforma_file, proforma_rows
from billing.invoicing.services.make_proforma import USUAL_DAYS, make_proforma
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock, ids
from kernel.errors import DomainError
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.permissions import StaffAction, staff_may
from tenants.queries import tenant_profile
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.exports import pdf_response
from ui.proformas import proforma_columns
from ui.tables import ListState, Table


@staff_page(action=StaffAction.CHARGES_CHANGE, purpose="make a pro-forma of a charge")
def of_charge(request: StaffRequest, charge_id: UUID) -> HttpResponse:
    """Print what the draft comes to, once a form."""
    now = clock.now()
    if request.method == "POST":
        detail = charge_detail(charge_id=charge_id, now=now)
        try:
            make_proforma(
                tenant_id=detail.tenant_id,
                charge_id=charge_id,
                valid_until=_day(request),
                now=now,
                actor=f"user:{request.user.pk}",
                proforma_id=once_id(
                    request.POST.get("token", ""), what=f"pro-forma of {charge_id}"
                ),
            )
        except DomainError as error:
            messages.error(request, str(message_of(error)))
    return redirect("console:charge", charge_id=charge_id)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="pro-formas of a tenant")
def of_tenant(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """All of a tenant's; by POST one of a subscription's next invoice."""
    profile = tenant_profile(key=tenant_key)
    now, what = clock.now(), f"pro-forma of {profile.id}"
    may_make = staff_may(role=request.user.staff_role, action=StaffAction.CHARGES_CHANGE)
    if request.method == "POST" and may_make:
        try:
            make_proforma(
                tenant_id=profile.id,
                subscription_id=UUID(request.POST.get("subscription", "")),
                valid_until=_day(request),
                now=now,
                actor=f"user:{request.user.pk}",
                proforma_id=once_id(request.POST.get("token", ""), what=what),
            )
        except (DomainError, ValueError) as error:
            told = message_of(error) if isinstance(error, DomainError) else None
            messages.error(request, str(told or gettext("Choose what it is to tell of.")))
        return redirect("console:proformas", tenant_key=tenant_key)
    state = ListState.read(request.GET)
    found = proforma_rows(tenant_id=profile.id, limit=state.limit, offset=state.offset)

    def address(row: ProformaRow) -> str:
        return reverse("console:proforma_pdf", args=[row.id])

    return page(
        request,
        "console/proformas.html",
        place="tenants",
        profile=profile,
        upcoming=preview_next_invoices(tenant_id=profile.id, now=now) if may_make else (),
        valid_until=local_day(now, zone_named(profile.timezone)) + timedelta(days=USUAL_DAYS),
        token=once_token(ids.new_id(), what=what),
        is_being_made=found.is_being_made,
        table=Table(
            columns=proforma_columns(url=address, zone=profile.timezone),
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Pro-formas"),
            empty_title=_("No pro-formas yet"),
            empty_text=_("They tell beforehand what an invoice will ask for."),
        ),
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="print a pro-forma")
def pdf(request: StaffRequest, proforma_id: UUID) -> HttpResponse:
    """The paper as it was made."""
    found = proforma_file(proforma_id=proforma_id)
    return pdf_response(name=found.filename, content=found.content)


def _day(request: StaffRequest) -> date:
    try:
        return date.fromisoformat(request.POST.get("valid_until", ""))
    except ValueError:
        return date.min
