"""Reading subscriptions: what a tenant agreed to, and when its next document falls due."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from billing.catalog.domain import PriceOverride
from billing.catalog.models import Plan, PlanOffer, PlanVersion
from billing.catalog.queries import (
    StoredVersion,
    effective_dates,
    latest_versions,
    price_of,
    stored_version,
    terms_of,
    versions_of,
)
from billing.discounts.domain import HeldDiscount
from billing.rating.terms import PlanTerms
from billing.subscriptions.domain import (
    Anchor,
    AskedChange,
    Cadence,
    ChangeKind,
    ChangeState,
    EffectiveWhen,
    Pace,
    Pause,
    SubscriptionStatus,
)
from billing.subscriptions.histories import History, history_of, with_history
from billing.subscriptions.models import (
    Subscription,
    SubscriptionChange,
    SubscriptionPhase,
    SubscriptionPrice,
)
from billing.subscriptions.overlap import Priced, stretches_of
from kernel.errors import NotFound
from kernel.period import Period, local_day
from tenants.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription with the plan version that it holds."""

    id: UUID
    plan_key: str
    plan_version: int
    document: dict[str, Any]
    terms: PlanTerms
    anchor: Anchor
    timezone: str
    starts_on: date
    starts_at: datetime
    ends_at: datetime | None
    status: SubscriptionStatus
    next_boundary_at: datetime | None
    parked_code: str
    parked_detail: str
    cadence: Cadence
    pauses: Sequence[Pause]
    discounts: Sequence[HeldDiscount]

    def is_paused_at(self, now: datetime) -> bool:
        """Whether it rests on the local day of `now`."""
        day = local_day(now, self.cadence.zone)
        return any(pause.covers(day) for pause in self.pauses)

    def period_at(self, now: datetime) -> Period | None:
        """The billing period in which `now` falls, as far as it is served; None outside."""
        day = local_day(now, self.cadence.zone)
        ends_on = self.cadence.ends_on
        if day < self.starts_on or (ends_on is not None and day >= ends_on):
            return None
        return self.cadence.period_of(day).served


def cadence_of(row: Subscription, history: History) -> Cadence:
    """When the periods of a subscription are cut."""
    zone = ZoneInfo(row.timezone)
    first = history.phases[0].terms
    return Cadence(
        starts_on=row.starts_on,
        ends_on=local_day(row.ends_at, zone) if row.ends_at else None,
        anchor=Anchor(row.anchor),
        interval=first.interval,
        interval_count=first.interval_count,
        zone=zone,
        paces=tuple(
            Pace(
                starts_on=phase.starts_on,
                interval=phase.terms.interval,
                interval_count=phase.terms.interval_count,
                cuts=phase.cuts,
            )
            for phase in history.phases[1:]
        ),
    )


def subscriptions_of(*, tenant_id: UUID) -> Sequence[SubscriptionRow]:
    """The tenant's subscriptions, those that run first, each newest first."""
    return tuple(map(_row, _of_tenant(tenant_id).order_by("status", "-starts_at", "id")))


def subscription_page(
    *, tenant_id: UUID, after: UUID | None, limit: int
) -> Sequence[SubscriptionRow]:
    """Up to `limit` of the tenant's subscriptions, newest first, those after `after`."""
    found = _of_tenant(tenant_id).order_by("-id")
    if after is not None:
        found = found.filter(id__lt=after)
    return tuple(map(_row, found[:limit]))


def _of_tenant(tenant_id: UUID) -> QuerySet[Subscription]:
    return with_history(
        Subscription.objects.filter(tenant_id=tenant_id).select_related("plan_version__plan")
    )


def _row(row: Subscription) -> SubscriptionRow:
    version = row.plan_version
    terms = terms_of(version_id=version.id, document=version.document)
    history = history_of(row)
    return SubscriptionRow(
        id=row.id,
        plan_key=version.plan.key,
        plan_version=version.number,
        document=version.document,
        terms=terms,
        anchor=Anchor(row.anchor),
        timezone=row.timezone,
        starts_on=row.starts_on,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        status=SubscriptionStatus(row.status),
        next_boundary_at=row.next_boundary_at,
        parked_code=row.parked_code,
        parked_detail=row.parked_detail,
        cadence=cadence_of(row, history),
        pauses=history.pauses,
        discounts=history.discounts,
    )


def plans_of_tenants(*, tenant_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[str]]:
    """The plan keys of each tenant's running subscriptions, the one that started first at the front."""
    found: dict[UUID, list[str]] = defaultdict(list)
    for tenant_id, key in (
        Subscription.objects.filter(tenant_id__in=tenant_ids, status=SubscriptionStatus.ACTIVE)
        .order_by("starts_at", "id")
        .values_list("tenant_id", "plan_version__plan__key")
    ):
        found[tenant_id].append(key)
    return found


def subscribers() -> dict[tuple[str, int], int]:
    """How many running subscriptions each (plan key, version) has."""
    return {
        (row["key"], row["number"]): row["subscriptions"]
        for row in Subscription.objects.filter(status=SubscriptionStatus.ACTIVE)
        .values(key=F("plan_version__plan__key"), number=F("plan_version__number"))
        .annotate(subscriptions=Count("id"))
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRow:
    """A change that was asked for over the web, and what became of it."""

    id: UUID
    subscription_id: UUID
    asked: AskedChange
    state: ChangeState
    error_code: str
    error_detail: str
    documents: Sequence[Mapping[str, str]]
    requested_by: str
    requested_at: datetime
    concluded_at: datetime | None


def change_page(
    *, tenant_id: UUID, subscription_id: UUID, after: UUID | None, limit: int
) -> Sequence[ChangeRow]:
    """Up to `limit` of the changes of a subscription, newest first, those after `after`.

    Raises NotFound `subscription_not_found`.
    """
    require_subscription(tenant_id=tenant_id, subscription_id=subscription_id)
    found = SubscriptionChange.objects.filter(
        tenant_id=tenant_id, subscription_id=subscription_id
    ).order_by("-id")
    if after is not None:
        found = found.filter(id__lt=after)
    return tuple(map(_change, found[:limit]))


def newest_changes(*, tenant_id: UUID, limit: int) -> Sequence[ChangeRow]:
    """The newest changes of the tenant's subscriptions, those that ended included."""
    found = SubscriptionChange.objects.filter(tenant_id=tenant_id).order_by("-id")
    return tuple(map(_change, found[:limit]))


def change_of(
    *, tenant_id: UUID, change_id: UUID, subscription_id: UUID | None = None
) -> ChangeRow:
    """One change, of that subscription if one is named. Raises NotFound `change_not_found`."""
    rows = SubscriptionChange.objects.filter(tenant_id=tenant_id, id=change_id)
    if subscription_id is not None:
        rows = rows.filter(subscription_id=subscription_id)
    found = rows.first()
    if found is None:
        raise change_not_found()
    return _change(found)


def require_subscription(*, tenant_id: UUID, subscription_id: UUID) -> None:
    """Raises NotFound `subscription_not_found` unless the tenant has the subscription."""
    if not Subscription.objects.filter(tenant_id=tenant_id, id=subscription_id).exists():
        raise subscription_not_found()


def subscription_not_found() -> NotFound:
    return NotFound(
        "subscription_not_found", "There is no such subscription.", field="subscription"
    )


def change_not_found() -> NotFound:
    return NotFound("change_not_found", "There is no such change.", field="change")


def _change(row: SubscriptionChange) -> ChangeRow:
    return ChangeRow(
        id=row.id,
        subscription_id=row.subscription_id,
        asked=AskedChange(
            kind=ChangeKind(row.kind),
            when=EffectiveWhen(row.effective),
            plan=row.plan_key,
            version=row.plan_number,
            price=row.price_key,
            quantity=row.quantity,
            coupon=row.coupon_code,
        ),
        state=ChangeState(row.state),
        error_code=row.error_code,
        error_detail=row.error_detail,
        documents=row.documents,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        concluded_at=row.concluded_at,
    )


def priced_by(*, tenant_ids: Iterable[UUID]) -> dict[UUID, list[Priced]]:
    """What the tenants' subscriptions price from when to when, those that ended included, by tenant.
    Two queries, one for tenants without any."""
    return _priced(Subscription.objects.filter(tenant_id__in=set(tenant_ids)))


def others_of(subscriptions: Iterable[Subscription]) -> dict[UUID, list[Priced]]:
    """What the other subscriptions of the same tenants price, by the subscription that they are beside.
    Two queries, one where each is the only one of its tenant."""
    rows = list(subscriptions)
    asked = Subscription.objects.filter(
        tenant_id=OuterRef("tenant_id"), id__in=[row.id for row in rows]
    ).exclude(id=OuterRef("pk"))
    found = _priced(
        Subscription.objects.filter(Exists(asked), tenant_id__in={row.tenant_id for row in rows})
    )
    return {
        row.id: [each for each in found[row.tenant_id] if each.subscription_id != row.id]
        for row in rows
    }


def _priced(subscriptions: QuerySet[Subscription]) -> dict[UUID, list[Priced]]:
    rows = list(
        with_history(
            subscriptions.select_related("plan_version").order_by("tenant_id", "starts_at", "id")
        )
    )
    found: dict[UUID, list[Priced]] = defaultdict(list)
    overrides = overrides_of(subscriptions=rows) if rows else {}
    for row in rows:
        agreed: dict[str, frozenset[str]] = {}
        for each in overrides.get(row.id, ()):
            if each.price is not None and each.price.metering is not None:
                meters = agreed.get(each.plan_key, frozenset())
                agreed[each.plan_key] = meters | {each.price.metering.meter}
        found[row.tenant_id].append(
            Priced(
                subscription_id=row.id,
                is_active=row.status == SubscriptionStatus.ACTIVE,
                ends_at=row.ends_at,
                stretches=stretches_of(
                    phases=[(each.starts_on, each.terms) for each in history_of(row).phases],
                    starts_at=row.starts_at,
                    ends_at=row.ends_at,
                    zone=ZoneInfo(row.timezone),
                    agreed=agreed,
                ),
            )
        )
    return found


def lock_tenants(*, tenant_ids: Iterable[UUID]) -> None:
    """Keep others from starting or changing subscriptions of the tenants until the transaction ends, so
    that of two that would price the same one is refused. In the caller's cross-tenant scope."""
    list(
        Tenant.objects.select_for_update(no_key=True)
        .filter(id__in=set(tenant_ids))
        .order_by("id")
        .values_list("id")
    )


def overrides_of(
    *, subscriptions: Iterable[Subscription]
) -> Mapping[UUID, Sequence[PriceOverride]]:
    """What contracts word differently, by subscription, in the order of recording. One query."""
    rows = list(subscriptions)
    found: dict[UUID, list[PriceOverride]] = defaultdict(list)
    for row in (
        SubscriptionPrice.objects.filter(
            tenant_id__in={row.tenant_id for row in rows}, subscription__in=rows
        )
        .select_related("plan")
        .order_by("subscription_id", "number")
    ):
        found[row.subscription_id].append(_override(row))
    return found


def _override(row: SubscriptionPrice) -> PriceOverride:
    return PriceOverride(
        number=row.number,
        plan_key=row.plan.key,
        price_key=row.price_key,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        price=None if row.document is None else price_of(price_id=row.id, document=row.document),
        clause=row.clause,
        reference=row.reference,
    )


def plans_shown_to(*, tenant_id: UUID, limit: int, after_key: str = "") -> list[StoredVersion]:
    """The newest version of each plan that the tenant may know of, by plan key, a page at a time."""
    return latest_versions(limit=limit, after_key=after_key, plans=_shown_to(tenant_id))


def plans_offered(
    *, tenant_id: UUID, day: date, limit: int, for_staff: bool = False
) -> list[StoredVersion]:
    """Of each plan that the tenant may know of (for staff, of every plan), the version that a
    subscription of that day gets; plans that are not in force yet are left out. Two queries."""
    plans = Plan.objects.all() if for_staff else _shown_to(tenant_id)
    known = (
        PlanVersion.objects.filter(plan__in=plans)
        .order_by("plan__key", "number")
        .only("id", "plan_id", "number", "effective_from", "created_at")
    )
    wanted: list[UUID] = []
    for _, versions in groupby(known, key=lambda row: row.plan_id):
        dated = [each for starts_on, each in effective_dates(list(versions)) if starts_on <= day]
        wanted.extend(each.id for each in dated[-1:])
    rows = PlanVersion.objects.filter(id__in=wanted[:limit]).select_related("plan")
    return [stored_version(row) for row in rows.order_by("plan__key")]


def versions_shown_to(*, tenant_id: UUID, plan_key: str) -> list[StoredVersion]:
    """All versions of a plan that the tenant may know of, oldest first. Raises NotFound
    `plan_not_found`, for a private plan of others as for one that doesn't exist."""
    is_shown = "\x00" not in plan_key and _shown_to(tenant_id).filter(key=plan_key).exists()
    versions = versions_of(plan_key=plan_key) if is_shown else []
    if not versions:
        raise NotFound("plan_not_found", "There is no such plan.", field="plan")
    return versions


def _shown_to(tenant_id: UUID) -> QuerySet[Plan]:
    """Public plans, and private ones that were offered to the tenant or that it holds or held."""
    offers = PlanOffer.objects.filter(tenant_id=tenant_id, plan=OuterRef("pk"))
    subscriptions = Subscription.objects.filter(
        tenant_id=tenant_id, plan_version__plan=OuterRef("pk")
    )
    phases = SubscriptionPhase.objects.filter(
        tenant_id=tenant_id, plan_version__plan=OuterRef("pk")
    )
    return Plan.objects.filter(
        Q(is_private=False) | Exists(offers) | Exists(subscriptions) | Exists(phases)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A tenant that holds a version of a plan, and how many of its prices its contract has changed."""

    subscription_id: UUID
    tenant_key: str
    tenant_name: str
    starts_on: date
    timezone: str
    overrides: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holders:
    """Some holders, and how many there are in all."""

    rows: Sequence[Holder]
    total: int


def holders_of(
    *, plan_key: str, version: int, search: str = "", limit: int, offset: int = 0
) -> Holders:
    """The cohort of a version: the tenants whose running subscription holds it, by name."""
    found = Subscription.objects.filter(
        status=SubscriptionStatus.ACTIVE,
        plan_version__plan__key=plan_key,
        plan_version__number=version,
    )
    if search:
        found = found.filter(Q(tenant__name__icontains=search) | Q(tenant__key__icontains=search))
    rows = (
        found.select_related("tenant")
        .annotate(overrides=Count("prices__price_key", distinct=True))
        .order_by("tenant__name", "tenant__key")[offset : offset + limit]
    )
    return Holders(
        rows=tuple(
            Holder(
                subscription_id=row.id,
                tenant_key=row.tenant.key,
                tenant_name=row.tenant.name,
                starts_on=row.starts_on,
                timezone=row.timezone,
                overrides=row.overrides,
            )
            for row in rows
        ),
        total=found.count(),
    )
