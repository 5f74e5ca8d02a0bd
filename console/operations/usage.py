"""Usage explorer: any meter of one tenant by hour, day or month, per app and dimension."""

from django.http import HttpResponse

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from metering import queries as metering
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile
from ui.usage import usage_answer
from ui.usage_choice import UsageChoice


@staff_page(action=StaffAction.USAGE_VIEW, purpose="usage of a tenant")
def usage(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """The chosen period; without a choice the newest month that has usage."""
    profile = tenant_profile(key=tenant_key)
    meters = {key: meter.dimensions for key, meter in metering.known_meters().items()}
    choice = UsageChoice.read(request.GET, meters=meters, default="dau")
    found = metering.explored_usage(
        tenant_id=profile.id,
        zone=profile.timezone,
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
        name=profile.key,
        whole=lambda parts: page(
            request, "console/usage.html", place="days", profile=profile, **parts
        ),
    )
