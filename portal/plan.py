"""The plan: what was agreed, in which period the tenant is, and what happens next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language

from billing.estimates.considering import MOST_OFFERS
from billing.estimates.queries import HeldNow, UsedMonth, held_now, used_months
from billing.invoicing.discounts_taken import discounts_taken
from billing.rating.terms import PlanTerms
from billing.subscriptions.queries import (
    SubscriptionRow,
    newest_changes,
    plans_offered,
    subscriptions_of,
)
from kernel import clock
from kernel.decimals import Exact
from kernel.money import Money
from kernel.period import Period, local_day
from kernel.zones import zone_named
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.discounts import gives_text
from ui.plan_terms import PlanSheet, plan_sheet

_NEWEST_CHANGES: Final = 5
_NOTHING: Final[Mapping[str, Exact]] = {}


@member_page(action=MemberAction.PLAN_VIEW)
def plan(request: HttpRequest, here: Here) -> HttpResponse:
    """Each subscription with the wording that it holds."""
    now = clock.now()
    subscriptions = subscriptions_of(tenant_id=here.tenant_id)
    held = {each.subscription_id: each for each in held_now(tenant_id=here.tenant_id, now=now)}
    here_zone = zone_named(subscriptions[0].timezone if subscriptions else "UTC")
    month = used_months(tenant_ids=[here.tenant_id], now=now)[0] if held else None
    return page(
        request,
        here,
        "portal/plan.html",
        place="plan",
        subscriptions=[
            _shown(here, each, held.get(each.id), month, now=now) for each in subscriptions
        ],
        held=list(held.values()),
        month=month,
        profile=tenant_profile_by_id(tenant_id=here.tenant_id),
        discounts=[
            (each, gives_text(each.held.terms, language=get_language() or "en"))
            for each in discounts_taken(tenant_id=here.tenant_id, today=local_day(now, here_zone))
        ]
        if any(each.discounts for each in subscriptions)
        else [],
        changes=newest_changes(tenant_id=here.tenant_id, limit=_NEWEST_CHANGES),
        zone=subscriptions[0].timezone if subscriptions else "UTC",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSubscription:
    """A subscription with its wording; of one that runs what is held of it and what could be held
    instead."""

    row: SubscriptionRow
    sheet: PlanSheet
    period: Period | None
    held: HeldNow | None
    held_cost: Money | None
    offers: Sequence[Offer]


def _shown(
    here: Here,
    row: SubscriptionRow,
    held: HeldNow | None,
    month: UsedMonth | None,
    *,
    now: datetime,
) -> ShownSubscription:
    document = row.document if held is None else held.applied.document
    held_cost: Money | None = None
    offers: Sequence[Offer] = ()
    if held is not None and month is not None:
        held_cost = _month_cost(month, held.terms, held.version, held=held.quantities)
        offers = _others(here, held, month, held_cost, now=now)
    return ShownSubscription(
        row=row,
        sheet=plan_sheet(document),
        period=row.period_at(now),
        held=held,
        held_cost=held_cost,
        offers=offers,
    )


def _others(
    here: Here, held: HeldNow, month: UsedMonth, held_cost: Money | None, *, now: datetime
) -> tuple[Offer, ...]:
    """The other plans on offer beside the running one, each rated with the last full month."""
    offers = []
    for version in plans_offered(tenant_id=here.tenant_id, day=held.day, limit=MOST_OFFERS):
        is_held = (version.plan_key, version.number) == (held.terms.key, held.version)
        if is_held or version.terms.currency != held.terms.currency:
            continue
        if not held.may_take(version.terms, now=now):
            continue
        cost = _month_cost(month, version.terms, version.number)
        offers.append(
            Offer(
                sheet=plan_sheet(version.document),
                version=version.number,
                cost=cost,
                difference=cost - held_cost if cost is not None and held_cost is not None else None,
            )
        )
    return tuple(offers)


def _month_cost(
    month: UsedMonth, terms: PlanTerms, version: int, *, held: Mapping[str, Exact] = _NOTHING
) -> Money | None:
    cost = month.cost(terms=terms, version=version, held=held)
    return cost.amount if cost is not None else None
