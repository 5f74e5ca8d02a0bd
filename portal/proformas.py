"""Pro-formas of the tenant: the list, one of the next invoice, and their papers."""

from datetime import timedelta
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.proformas import ProformaRow, proforma_file, proforma_rows
from billing.invoicing.services.make_proforma import USUAL_DAYS, make_proforma
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from kernel import clock, ids
from kernel.errors import DomainError
from kernel.period import local_day
from kernel.zones import zone_named
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.exports import pdf_response
from ui.proformas import proforma_columns
from ui.tables import ListState, Table


@member_page(action=MemberAction.INVOICES_VIEW)
def proforma_list(request: HttpRequest, here: Here) -> HttpResponse:
    """Newest first; those who pay may make one of what comes next."""
    now = clock.now()
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    state = ListState.read(request.GET)
    found = proforma_rows(tenant_id=here.tenant_id, limit=state.limit, offset=state.offset)
    may_make = here.may(MemberAction.INVOICES_PAY)

    def address(row: ProformaRow) -> str:
        return reverse("portal:proforma_pdf", args=[here.tenant_key, row.id])

    return page(
        request,
        here,
        "portal/proformas.html",
        place="invoices",
        upcoming=preview_next_invoices(tenant_id=here.tenant_id, now=now) if may_make else (),
        token=once_token(ids.new_id(), what=f"pro-forma of {here.tenant_id}"),
        is_being_made=found.is_being_made,
        table=Table(
            columns=proforma_columns(url=address, zone=zone),
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Pro-formas"),
            empty_title=_("No pro-formas yet"),
            empty_text=_("They tell beforehand what an invoice will ask for."),
        ),
    )


@member_page(action=MemberAction.INVOICES_PAY)
def make(request: HttpRequest, here: Here) -> HttpResponse:
    """One of a subscription's next invoice, valid for a month; sent twice it makes one."""
    if request.method == "POST":
        now = clock.now()
        zone = zone_named(tenant_profile_by_id(tenant_id=here.tenant_id).timezone)
        try:
            make_proforma(
                tenant_id=here.tenant_id,
                subscription_id=UUID(request.POST.get("subscription", "")),
                valid_until=local_day(now, zone) + timedelta(days=USUAL_DAYS),
                now=now,
                actor=here.actor,
                proforma_id=once_id(
                    request.POST.get("token", ""), what=f"pro-forma of {here.tenant_id}"
                ),
            )
        except (DomainError, ValueError) as error:
            told = message_of(error) if isinstance(error, DomainError) else None
            messages.error(request, str(told or gettext("Choose what it is to tell of.")))
    return redirect("portal:proformas", tenant_key=here.tenant_key)


@member_page(action=MemberAction.INVOICES_VIEW)
def pdf(request: HttpRequest, here: Here, proforma_id: UUID) -> HttpResponse:
    """The paper as it was made."""
    found = proforma_file(proforma_id=proforma_id, tenant_id=here.tenant_id)
    return pdf_response(name=found.filename, content=found.content)
