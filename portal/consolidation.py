"""Whether the tenant wants one invoice for all its subscriptions."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from kernel import clock
from portal.access import Here, member_page
from tenants.permissions import MemberAction
from tenants.services.set_consolidation import set_consolidation


@require_POST
@member_page(action=MemberAction.PLAN_CHANGE)
def consolidation(request: HttpRequest, here: Here) -> HttpResponse:
    """What is issued from here on goes by it."""
    set_consolidation(
        tenant_id=here.tenant_id,
        consolidates=request.POST.get("consolidates") == "yes",
        now=clock.now(),
        actor=here.actor,
    )
    messages.success(request, gettext("Invoices are issued that way from now on."))
    return redirect("portal:plan", tenant_key=here.tenant_key)
