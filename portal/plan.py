"""The plan: what was agreed, in which period the tenant is, and what happens next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpRequest, HttpResponse

from billing.catalog.domain import parse_plan
from billing.estimates.queries import UsedMonth, used_months
from billing.invoicing.wording import AppliedTerms, terms_on
from billing.rating.terms import PlanTerms
from billing.subscriptions.queries import SubscriptionRow, plans_offered, subscriptions_of
from kernel import clock
from kernel.errors import NotFound
from kernel.money import Money
from kernel.period import local_day
from kernel.zones import zone_named
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from ui.plan_terms import PlanSheet, plan_sheet

MOST_OFFERS: Final = 50
"""Plans that are rated on one page; price lists have a handful."""


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
        **_others(here, subscriptions, applied, now=now),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A plan that could be held instead, and what the tenant's last month would have cost under it.

    `cost` is None where no month can be told: the plan has another rhythm, or its terms can't rate it.
    """

    sheet: PlanSheet
    version: int
    cost: Money | None
    difference: Money | None


def _others(
    here: Here,
    subscriptions: Sequence[SubscriptionRow],
    applied: AppliedTerms | None,
    *,
    now: datetime,
) -> dict[str, Any]:
    """The other plans on offer beside the running one, each rated with the last full month."""
    running = next((each for each in subscriptions if each.status == "active"), None)
    if running is None:
        return {}
    day = local_day(now, zone_named(running.timezone))
    [month] = used_months(tenant_ids=[here.tenant_id], now=now)
    held_terms = running.terms
    if applied is not None and applied.subscription_id == running.id:
        held_terms = parse_plan(applied.document, known_meters=None)
    held = _month_cost(month, held_terms, running.plan_version)
    offers = []
    for version in plans_offered(tenant_id=here.tenant_id, day=day, limit=MOST_OFFERS):
        if version.plan_key == running.plan_key or version.terms.currency != running.terms.currency:
            continue
        cost = _month_cost(month, version.terms, version.number)
        offers.append(
            Offer(
                sheet=plan_sheet(version.document),
                version=version.number,
                cost=cost,
                difference=cost - held if cost is not None and held is not None else None,
            )
        )
    return {
        "offers": offers,
        "held_cost": held,
        "month": month.period,
        "month_zone": month.zone.key,
        "month_days": month.days_with_usage,
    }


def _month_cost(month: UsedMonth, terms: PlanTerms, version: int) -> Money | None:
    cost = month.cost(terms=terms, version=version)
    return cost.amount if cost is not None else None


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
