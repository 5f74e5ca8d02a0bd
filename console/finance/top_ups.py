"""Billing a top-up of a tenant's balance."""

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from billing.invoicing.services.issue_charges import issue_charge
from billing.invoicing.services.request_top_up import request_top_up
from billing.payments.balance_listing import balance_sums
from billing.subscriptions.queries import subscriptions_of
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock, ids
from kernel.errors import DomainError
from kernel.money import Money
from tenants.permissions import StaffAction
from tenants.queries import TenantProfile, tenant_profile
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.top_ups import TopUpForm


@never_cache
@staff_page(action=StaffAction.CHARGES_CHANGE, purpose="bill a top-up")
def top_up(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A form; sent twice it bills once."""
    profile = tenant_profile(key=tenant_key)
    what = f"top-up of {profile.id}"
    form = TopUpForm(request.POST or None, currencies=_currencies(profile))
    if request.method == "POST" and form.is_valid():
        token = once_id(request.POST.get("token", ""), what=what)
        try:
            if token is not None:
                now, actor = clock.now(), f"user:{request.user.pk}"
                charge_id = request_top_up(
                    tenant_id=profile.id,
                    amount=Money.of(form.cleaned_data["amount"], form.cleaned_data["currency"]),
                    reference=f"top-up {token}",
                    now=now,
                    actor=actor,
                )
                issue_charge(tenant_id=profile.id, charge_id=charge_id, now=now, actor=actor)
                return redirect("console:charge", charge_id=charge_id)
        except DomainError as error:
            if error.code == "charge_concluded":  # sent again: it was billed by the first
                return redirect("console:charge", charge_id=charge_id)
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
    return page(
        request,
        "console/top_up.html",
        place="tenants",
        status=422 if form.errors else 200,
        profile=profile,
        form=form,
        token=once_token(ids.new_id(), what=what),
    )


def _currencies(profile: TenantProfile) -> list[str]:
    held = [each.terms.currency for each in subscriptions_of(tenant_id=profile.id)]
    had = [each.currency for each in balance_sums(tenant_id=profile.id, now=clock.now())]
    return list(dict.fromkeys([*held, *had])) or ["CNY"]
