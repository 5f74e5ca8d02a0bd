"""The plan: what was agreed, in which period the tenant is, and what happens next."""

from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest, HttpResponse

from billing.invoicing.wording import AppliedTerms, terms_on
from billing.subscriptions.queries import SubscriptionRow, subscriptions_of
from kernel import clock
from kernel.errors import NotFound
from kernel.period import local_day
from kernel.zones import zone_named
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.plan_terms import plan_sheet


@member_page(action=MemberAction.PLAN_VIEW)
def plan(request: HttpRequest, here: Here) -> HttpResponse:
    """Each subscription with the wording that it holds."""
    now = clock.now()
    subscriptions = subscriptions_of(tenant_id=here.tenant_id)
    applied = _applied(here, subscriptions, now=now)
    return page(
        request,
        here,
        "portal/plan.html",
        place="plan",
        subscriptions=[
            (
                each,
                plan_sheet(
                    applied.document
                    if applied is not None and applied.subscription_id == each.id
                    else each.document
                ),
                each.period_at(now),
            )
            for each in subscriptions
        ],
        agreed=applied.overrides if applied is not None else (),
    )


def _applied(
    here: Here, subscriptions: Sequence[SubscriptionRow], *, now: datetime
) -> AppliedTerms | None:
    """What applies today, with what the contract says of single prices."""
    if not subscriptions:
        return None
    day = local_day(now, zone_named(subscriptions[0].timezone))
    try:
        return terms_on(tenant_id=here.tenant_id, day=day)
    except NotFound:
        return None
