"""Topping up the balance: how much, then the invoice that asks for it."""

from datetime import timedelta
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.charges.queries import charge_detail
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.proformas import proforma_rows
from billing.invoicing.services.make_proforma import USUAL_DAYS, make_proforma
from billing.invoicing.services.request_top_up import request_top_up
from billing.invoicing.services.write_charge import charge_not_found
from billing.payments.balance_listing import balance_sums
from billing.subscriptions.queries import subscriptions_of
from kernel import clock, ids
from kernel.errors import DomainError
from kernel.money import Money
from kernel.period import local_day
from kernel.zones import zone_named
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.top_ups import TopUpForm


@never_cache
@member_page(action=MemberAction.INVOICES_PAY)
def top_up(request: HttpRequest, here: Here) -> HttpResponse:
    """A form; sent twice it asks once."""
    form = TopUpForm(request.POST or None, currencies=_currencies(here.tenant_id))
    what = f"top-up of {here.tenant_id}"
    if request.method == "POST" and form.is_valid():
        token = once_id(request.POST.get("token", ""), what=what)
        try:
            if token is not None:
                charge_id = request_top_up(
                    tenant_id=here.tenant_id,
                    amount=Money.of(form.cleaned_data["amount"], form.cleaned_data["currency"]),
                    reference=f"top-up {token}",
                    now=clock.now(),
                    actor=here.actor,
                    issue=request.POST.get("do") != "proforma",
                )
                return redirect("portal:topped_up", tenant_key=here.tenant_key, top_up_id=charge_id)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
    return page(
        request,
        here,
        "portal/top_up.html",
        place="balance",
        status=422 if form.errors else 200,
        form=form,
        token=once_token(ids.new_id(), what=what),
    )


@never_cache
@member_page(action=MemberAction.INVOICES_PAY)
def topped_up(request: HttpRequest, here: Here, top_up_id: UUID) -> HttpResponse:
    """To the invoice, as soon as it is there; until then the page asks again. One that was asked for as a
    pro-forma waits for its invoice to be asked for.

    Raises NotFound `charge_not_found`.
    """
    now, charge_id = clock.now(), top_up_id
    charge = charge_detail(charge_id=charge_id, now=now, tenant_id=here.tenant_id).charge
    if charge.kind is not InvoiceKind.TOP_UP:
        raise charge_not_found()
    waits = charge.state is ChargeState.DRAFT and charge.issue_at is None
    if request.method == "POST" and waits:
        if request.POST.get("do") == "proforma":
            make_proforma(
                tenant_id=here.tenant_id,
                charge_id=charge_id,
                valid_until=local_day(now, zone_named(charge.timezone))
                + timedelta(days=USUAL_DAYS),
                now=now,
                actor=here.actor,
                proforma_id=once_id(
                    request.POST.get("token", ""), what=f"pro-forma of {charge_id}"
                ),
            )
        elif charge.total is not None:
            request_top_up(
                tenant_id=here.tenant_id,
                amount=charge.total,
                reference=charge.reference,
                now=now,
                actor=here.actor,
            )
        return redirect("portal:topped_up", tenant_key=here.tenant_key, top_up_id=charge_id)
    told = proforma_rows(tenant_id=here.tenant_id, charge_id=charge_id, limit=20)
    return page(
        request,
        here,
        "portal/topped_up.html",
        place="balance",
        charge=charge,
        waits=waits,
        proformas=told.rows,
        is_being_made=told.is_being_made,
        token=once_token(ids.new_id(), what=f"pro-forma of {charge_id}"),
    )


def _currencies(tenant_id: UUID) -> list[str]:
    """Those in which the tenant is billed or has a balance, what it holds now first."""
    held = [each.terms.currency for each in subscriptions_of(tenant_id=tenant_id)]
    had = [each.currency for each in balance_sums(tenant_id=tenant_id, now=clock.now())]
    return list(dict.fromkeys([*held, *had])) or ["CNY"]
