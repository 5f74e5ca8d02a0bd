"""Putting a tenant on a plan: its first one, one more, or the next after one that ended."""

from datetime import date
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.catalog.queries import StoredVersion
from billing.subscriptions.domain import Anchor, SubscriptionStatus
from billing.subscriptions.queries import plans_offered, subscriptions_of
from billing.subscriptions.services import NewSubscription, subscribe
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from kernel.period import local_day, local_midnight
from kernel.zones import zone_named
from tenants.permissions import StaffAction
from tenants.queries import TenantProfile, tenant_profile
from tenants.scope import staff_scope
from ui.errors import message_of

MOST_PLANS: Final = 500
_FIELD_OF: Final = {
    "plan_not_found": "plan",
    "already_subscribed": "plan",
    "meter_priced_twice": "plan",
    "subscriptions_overlap": "starts_on",
}


class FirstPlanForm(forms.Form):
    """Which plan, from which day, and where its periods are cut."""

    plan = forms.ChoiceField(label=_("Plan"))
    starts_on = forms.DateField(
        label=_("From"),
        help_text=_(
            "The first day, in the tenant's zone. From a day in the past on, the next billing run bills "
            "each period in order."
        ),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    anchor = forms.ChoiceField(
        label=_("Billing periods"),
        choices=[
            (Anchor.CALENDAR.value, _("from the first of the calendar's period")),
            (Anchor.ANNIVERSARY.value, _("from the day on which it starts")),
        ],
    )

    def __init__(self, *args: Any, offers: list[StoredVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        language = get_language() or "en"
        self.fields["plan"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (each.plan_key, f"{each.terms.name(language)} · {each.terms.currency}")
            for each in offers
        ]


@never_cache
@staff_page(
    action=StaffAction.SUBSCRIPTIONS_CHANGE, purpose="put a tenant on a plan", own_scope=True
)
def first_plan(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A form for the plan; by POST the subscription starts. Raises NotFound `tenant_not_found`."""
    now = clock.now()
    with staff_scope(user=request.user, purpose="put a tenant on a plan"):
        profile = tenant_profile(key=tenant_key)
        today = local_day(now, zone_named(profile.timezone))
        offers = plans_offered(tenant_id=profile.id, day=today, limit=MOST_PLANS, for_staff=True)
        held = [
            row
            for row in subscriptions_of(tenant_id=profile.id)
            if row.status is SubscriptionStatus.ACTIVE
        ]
    form = FirstPlanForm(request.POST or None, offers=offers, initial={"starts_on": today})
    is_asked = request.method == "POST" and form.is_valid()
    if is_asked and _is_started(request, profile, form):
        messages.success(request, gettext("The subscription has started."))
        return redirect("console:tenant", tenant_key=tenant_key)
    return page(
        request,
        "console/first_plan.html",
        place="tenants",
        status=422 if form.errors else 200,
        profile=profile,
        held=held,
        has_offers=bool(offers),
        form=form,
    )


def _is_started(request: StaffRequest, profile: TenantProfile, form: FirstPlanForm) -> bool:
    """Start it; what is refused stands at its field."""
    given = form.cleaned_data
    starts_on: date = given["starts_on"]
    now = clock.now()
    zone = zone_named(profile.timezone)
    # Today's begins now, so that a trial lasts its whole days.
    starts_at = now if starts_on == local_day(now, zone) else local_midnight(starts_on, zone)
    try:
        with staff_scope(user=request.user, purpose="put a tenant on a plan"):
            subscribe(
                plan_key=given["plan"],
                subscription=NewSubscription(
                    tenant_id=profile.id,
                    timezone=profile.timezone,
                    starts_at=starts_at,
                    anchor=Anchor(given["anchor"]),
                ),
                now=now,
                actor=f"user:{request.user.pk}",
            )
    except DomainError as error:
        form.add_error(_FIELD_OF.get(error.code), message_of(error))
        return False
    return True
