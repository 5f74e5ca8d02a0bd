"""Whether a tenant wants one invoice for all its subscriptions, said for it by the staff."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from console.access import StaffRequest, staff_page
from kernel import clock
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile
from tenants.services.set_consolidation import set_consolidation


@require_POST
@staff_page(action=StaffAction.SUBSCRIPTIONS_CHANGE, purpose="consolidate a tenant's invoices")
def consolidation(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """What is issued from here on goes by it. Raises NotFound `tenant_not_found`."""
    profile = tenant_profile(key=tenant_key)
    consolidates = request.POST.get("consolidates") == "yes"
    set_consolidation(
        tenant_id=profile.id,
        consolidates=consolidates,
        now=clock.now(),
        actor=f"user:{request.user.pk}",
    )
    messages.success(request, gettext("Invoices are issued that way from now on."))
    return redirect("console:tenant", tenant_key=tenant_key)
