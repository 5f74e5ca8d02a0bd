"""Usage: a meter by hour, day or month beside the period before, per app and dimension, with export."""

from django.http import HttpRequest, HttpResponse

from kernel import clock
from metering import queries as metering
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.usage import usage_answer
from ui.usage_choice import UsageChoice


@member_page(action=MemberAction.USAGE_VIEW)
def usage(request: HttpRequest, here: Here) -> HttpResponse:
    """The chosen period; without a choice the newest month that has usage."""
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    meters = {key: meter.dimensions for key, meter in metering.known_meters().items()}
    choice = UsageChoice.read(request.GET, meters=meters, default="dau")
    found = metering.explored_usage(
        tenant_id=here.tenant_id,
        zone=zone,
        meter=choice.meter,
        now=clock.now(),
        app=choice.app,
        period=metering.ShownPeriod.read(choice.period),
        by=[choice.by] if choice.by else [],
    )
    return usage_answer(
        request,
        found,
        choice=choice,
        meters=meters,
        offered=metering.offered_periods(found.today),
        name=here.tenant_key,
        whole=lambda parts: page(
            request, here, "portal/usage.html", place="usage", zone=zone, **parts
        ),
    )
