"""The plan: what was agreed, in which period the tenant is, and what happens next."""

from django.http import HttpRequest, HttpResponse

from billing.subscriptions.queries import subscriptions_of
from kernel import clock
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.plan_terms import plan_sheet


@member_page(action=MemberAction.PLAN_VIEW)
def plan(request: HttpRequest, here: Here) -> HttpResponse:
    """Each subscription with the wording that it holds."""
    now = clock.now()
    return page(
        request,
        here,
        "portal/plan.html",
        place="plan",
        subscriptions=[
            (each, plan_sheet(each.document), each.period_at(now))
            for each in subscriptions_of(tenant_id=here.tenant_id)
        ],
    )
