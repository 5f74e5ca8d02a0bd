"""Real usage to rate plans with: ten tenants of the last month, and a tenant's own last month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef

from billing.estimates.domain.costs import Cost, period_cost
from billing.invoicing.contracts import counting_users, load_contracts, load_usage
from billing.invoicing.drafting import Contract
from billing.invoicing.wording import AppliedTerms, applied_terms
from billing.rating.terms import PlanTerms
from billing.rating.usage import Usage
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.models import Subscription
from billing.subscriptions.overlap import Priced, refuse_overlap, stretches_of
from billing.subscriptions.queries import others_of
from kernel.decimals import Exact
from kernel.errors import Conflict
from kernel.period import Interval, Period, local_day
from metering import queries as metering
from metering.queries import Span, known_meters
from tenants.models import App, Tenant

SAMPLE_TENANTS: Final = 10
_NOTHING_HELD: Final[Mapping[str, Exact]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedMonth:
    """What a tenant used in one calendar month of its zone, and its apps."""

    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    zone: ZoneInfo
    period: Period
    apps: Sequence[str]
    usage: Usage

    @property
    def days_with_usage(self) -> int:
        return len({day for values in self.usage.values() for day in values})

    def cost(
        self, *, terms: PlanTerms, version: int = 0, held: Mapping[str, Exact] = _NOTHING_HELD
    ) -> Cost | None:
        """What the month would have cost under the terms; None for a plan that isn't billed by the
        month, whose period this month doesn't fill. In the caller's scope, where it reads the users
        of plans that price them."""
        if (terms.interval, terms.interval_count) != (Interval.MONTH, 1):
            return None
        return counting_users(
            tenant_id=self.tenant_id,
            usage=self.usage,
            rate=lambda usage: period_cost(
                terms=terms,
                version=version,
                period=self.period,
                zone=self.zone,
                usage=usage,
                apps=self.apps,
                held=held,
                counts_users=True,
            ),
        )


def last_month(*, now: datetime, zone: ZoneInfo) -> tuple[date, date]:
    """First day of the last calendar month that is over in the zone, and of the month after it."""
    first_of_this = local_day(now, zone).replace(day=1)
    return (first_of_this - timedelta(days=1)).replace(day=1), first_of_this


def sample_tenants(*, now: datetime) -> list[UUID]:
    """Ten real tenants at the tenths of last month's users, the smallest first.

    In the caller's cross-tenant scope; one query, over the month's daily values.
    """
    first, end = last_month(now=now, zone=ZoneInfo("UTC"))
    return metering.tenants_by_usage(meter="dau", from_day=first, to_day=end, parts=SAMPLE_TENANTS)


def used_months(*, tenant_ids: Sequence[UUID], now: datetime) -> list[UsedMonth]:
    """Last month's usage of the tenants, in their order; those that aren't seen are left out.

    Three queries in the caller's scope.
    """
    apps = App.objects.filter(tenant_id=OuterRef("pk")).order_by("key").values("key")
    tenants = Tenant.objects.annotate(app_keys=ArraySubquery(apps)).in_bulk(list(tenant_ids))
    months = {}
    for tenant in tenants.values():
        zone = ZoneInfo(tenant.timezone)
        months[tenant.id] = (zone, *last_month(now=now, zone=zone))
    usage = load_usage(
        spans=[
            Span(tenant_id=tenant_id, from_day=first, to_day=end)
            for tenant_id, (_, first, end) in months.items()
        ],
        meters=known_meters(),
    )
    return [
        UsedMonth(
            tenant_id=tenant_id,
            tenant_key=tenants[tenant_id].key,
            tenant_name=tenants[tenant_id].name,
            zone=months[tenant_id][0],
            period=Period.of_days(months[tenant_id][1], months[tenant_id][2], months[tenant_id][0]),
            apps=tuple(tenants[tenant_id].app_keys),
            usage=usage.get(tenant_id, {}),
        )
        for tenant_id in tenant_ids
        if tenant_id in months
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldNow:
    """What one of the tenant's running subscriptions holds today, its contract's own prices included.

    `others` is what the tenant's other ones price. `applied` is the text of today; `next_plan` is the plan that it is going to hold, and from when; `is_on_trial` while nothing is
    billed yet.
    """

    subscription_id: UUID
    terms: PlanTerms
    version: int
    quantities: Mapping[str, Decimal]
    timezone: str
    day: date
    is_paused: bool
    is_on_trial: bool
    ends_at: datetime | None
    next_boundary_at: datetime | None
    next_plan: tuple[date, PlanTerms] | None
    applied: AppliedTerms
    others: Sequence[Priced]

    def may_take(self, terms: PlanTerms, *, now: datetime) -> bool:
        """Whether the plan could be held from `now` on beside the tenant's other subscriptions."""
        own = stretches_of(
            phases=[(self.day, terms)], starts_at=now, ends_at=None, zone=ZoneInfo(self.timezone)
        )
        try:
            refuse_overlap(own, self.others)
        except Conflict:
            return False
        return True


def held_now(*, tenant_id: UUID, now: datetime) -> Sequence[HeldNow]:
    """Each of the tenant's running subscriptions, the one that started first at the front; empty where none
    runs. In the caller's scope."""
    rows = list(
        Subscription.objects.filter(tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE)
        .select_related("plan_version", "tenant")
        .order_by("starts_at", "id")
    )
    contracts = load_contracts(rows)
    others = others_of(rows) if len(rows) > 1 else {}
    return tuple(
        _held_now(row, contracts[row.id], now=now, others=others.get(row.id, ())) for row in rows
    )


def _held_now(
    row: Subscription, contract: Contract, *, now: datetime, others: Sequence[Priced]
) -> HeldNow:
    zone = contract.cadence.zone
    day = local_day(now, zone)
    state = contract.state_on(day)
    following = next((each for each in contract.versions if each.starts_on > day), None)
    if following is not None and following.plan_version_id == state.version.plan_version_id:
        following = None
    return HeldNow(
        subscription_id=row.id,
        terms=state.version.terms,
        version=state.version.number,
        quantities=state.quantities,
        timezone=zone.key,
        day=day,
        is_paused=state.is_paused,
        is_on_trial=day < contract.cadence.starts_on,
        ends_at=row.ends_at,
        next_boundary_at=row.next_boundary_at,
        next_plan=(following.starts_on, following.terms) if following is not None else None,
        applied=applied_terms(
            row,
            contract=contract,
            day=day,
            ends_on=local_day(row.ends_at, zone) if row.ends_at is not None else None,
        ),
        others=others,
    )
