"""What the tenant's invoices say of it."""

from dataclasses import asdict

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache

from billing.parties.domain.validation import ProfileFaults
from billing.parties.queries import profile_of
from billing.parties.services.set_billing_profile import set_billing_profile
from kernel import clock
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.billing_details import BillingDetailsForm, add_faults


@never_cache
@member_page(action=MemberAction.INVOICES_VIEW)
def billing_details(request: HttpRequest, here: Here) -> HttpResponse:
    """What stands on its invoices from now on. A POST of one who pays them changes it."""
    held = asdict(profile_of(tenant_id=here.tenant_id))
    if request.method != "POST":
        return _page(request, here, form=BillingDetailsForm(initial=held))
    if not here.may(MemberAction.INVOICES_PAY):
        return _page(request, here, form=BillingDetailsForm(initial=held), status=403)
    form = BillingDetailsForm(request.POST)
    if form.is_valid():
        try:
            set_billing_profile(
                tenant_id=here.tenant_id,
                changes=form.cleaned_data,
                by_staff=False,
                now=clock.now(),
                actor=here.actor,
            )
        except ProfileFaults as refused:
            add_faults(form, refused.faults)
        else:
            messages.success(request, gettext("Kept for your next invoices."))
            return redirect("portal:billing_details", tenant_key=here.tenant_key)
    return _page(request, here, form=form, status=422)


def _page(
    request: HttpRequest, here: Here, *, form: BillingDetailsForm, status: int = 200
) -> HttpResponse:
    return page(
        request,
        here,
        "portal/billing_details.html",
        place="invoices",
        status=status,
        form=form,
        profile=tenant_profile_by_id(tenant_id=here.tenant_id),
    )
