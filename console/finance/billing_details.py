"""What invoices say of a tenant, as staff see and change it."""

from dataclasses import asdict

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache

from billing.parties.domain.validation import ProfileFaults
from billing.parties.queries import profile_of
from billing.parties.services.set_billing_profile import set_billing_profile
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile
from ui.billing_details import StaffBillingDetailsForm, add_faults


@never_cache
@staff_page(action=StaffAction.PARTIES_CHANGE, purpose="billing details of a tenant")
def billing_details(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """What stands on its invoices from now on. A POST changes it."""
    profile = tenant_profile(key=tenant_key)
    form = StaffBillingDetailsForm(
        request.POST or None, initial=asdict(profile_of(tenant_id=profile.id))
    )
    if request.method == "POST" and form.is_valid():
        try:
            set_billing_profile(
                tenant_id=profile.id,
                changes=form.cleaned_data,
                by_staff=True,
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
        except ProfileFaults as refused:
            add_faults(form, refused.faults)
        else:
            messages.success(request, gettext("Kept for the next invoices."))
            return redirect("console:tenant", tenant_key=tenant_key)
    return page(
        request,
        "console/billing_details.html",
        place="tenants",
        status=422 if form.errors else 200,
        profile=profile,
        form=form,
    )
