"""Start subscriptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.queries import StoredVersion, in_force, versions_of
from billing.subscriptions.domain import Anchor, SubscriptionStatus, check_holding
from billing.subscriptions.models import Subscription, SubscriptionHolding
from billing.subscriptions.overlap import Priced, refuse_overlap, stretches_of
from billing.subscriptions.queries import lock_tenants, priced_by
from kernel import ids
from kernel.errors import Invalid, NotFound
from kernel.period import local_day, local_midnight
from tenants import audit
from tenants.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """A tenant, its contract's zone, when it starts, and what is held of the plan from there.

    `quantities` tell how much is held of a price without a meter, `addons` how many of an add-on.
    """

    tenant_id: UUID
    timezone: str
    starts_at: datetime
    anchor: Anchor = Anchor.CALENDAR
    quantities: Mapping[str, Decimal] = field(default_factory=dict)
    addons: Mapping[str, Decimal] = field(default_factory=dict)


def subscribe(*, plan_key: str, subscription: NewSubscription, now: datetime, actor: str) -> UUID:
    """Start one subscription in the caller's scope; see `subscribe_many`."""
    return subscribe_many(plan_key=plan_key, subscriptions=[subscription], now=now, actor=actor)[0]


def subscribe_many(
    *, plan_key: str, subscriptions: Sequence[NewSubscription], now: datetime, actor: str
) -> list[UUID]:
    """Start subscriptions of one plan, all or none, in the caller's scope.

    Each holds the plan version that is in force on its first day. A trial of N days lasts N times
    24 hours from the start; the day on which it ends is the first that is billed. One that starts in
    the past is billed by the next run, period by period in order.

    A tenant may hold several, but none that prices what another prices at the same time. Raises
    NotFound `plan_not_found`; Conflict as `refuse_overlap`; Invalid
    `naive_instant`, `unknown_price`, `price_is_metered`, `not_an_addon`, `addon_counts_once`,
    `quantity_out_of_range`.
    """
    versions = versions_of(plan_key=plan_key)
    if not versions:
        raise _no_plan(plan_key)
    lock_tenants(tenant_ids=[each.tenant_id for each in subscriptions])
    others = priced_by(tenant_ids=[each.tenant_id for each in subscriptions])
    rows, holdings = [], []
    for each in subscriptions:
        if each.starts_at.tzinfo is None:
            raise Invalid(
                "naive_instant", "starts_at has no offset; give it one.", field="starts_at"
            )
        day = local_day(each.starts_at, ZoneInfo(each.timezone))
        version = in_force(versions, day=day)
        row = _row(subscription=each, version=version, now=now)
        own = stretches_of(
            phases=[(row.starts_on, version.terms)],
            starts_at=row.starts_at,
            ends_at=None,
            zone=ZoneInfo(row.timezone),
        )
        refuse_overlap(own, others[row.tenant_id])
        others[row.tenant_id].append(
            Priced(subscription_id=row.id, is_active=True, ends_at=None, stretches=own)
        )
        rows.append(row)
        holdings.extend(_holdings(row, each, version, now=now))
    Subscription.objects.bulk_create(rows, batch_size=1000)
    SubscriptionHolding.objects.bulk_create(holdings, batch_size=1000)
    held: dict[UUID, dict[str, dict[str, str]]] = {}
    for holding in holdings:
        shown = held.setdefault(holding.subscription_id, {"quantities": {}})["quantities"]
        shown[holding.price_key] = f"{holding.quantity:f}"
    audit.record_many(
        [
            audit.Entry(
                tenant_id=row.tenant_id,
                actor=actor,
                action="subscription.started",
                target=f"subscription:{row.id}",
                after={
                    "plan": plan_key,
                    "starts_at": row.starts_at.isoformat(),
                    "anchor": row.anchor,
                    **held.get(row.id, {}),
                },
            )
            for row in rows
        ],
        now=now,
    )
    return [row.id for row in rows]


def subscribe_imported(*, plan_key: str, first_days: Mapping[UUID, date], now: datetime) -> None:
    """Subscribe the tenants that an import made, each from its local day in `first_days`.

    Tenants that hold a subscription keep it and get none. Raises as `subscribe_many`, also when there is no
    tenant to subscribe, so that an import can be refused before it begins.
    """
    if not versions_of(plan_key=plan_key):
        raise _no_plan(plan_key)
    subscribed = Subscription.objects.filter(
        tenant_id__in=list(first_days), status=SubscriptionStatus.ACTIVE
    ).values_list("tenant_id", flat=True)
    wanted = set(first_days) - set(subscribed)
    zones = dict(Tenant.objects.filter(id__in=wanted).values_list("id", "timezone"))
    new = [
        NewSubscription(
            tenant_id=tenant_id,
            timezone=zone,
            starts_at=local_midnight(first_days[tenant_id], ZoneInfo(zone)),
        )
        for tenant_id, zone in zones.items()
    ]
    if new:
        subscribe_many(plan_key=plan_key, subscriptions=new, now=now, actor="import")


def _holdings(
    row: Subscription, subscription: NewSubscription, version: StoredVersion, *, now: datetime
) -> list[SubscriptionHolding]:
    prices = {price.key: price for price in version.terms.prices}
    wanted = [
        *((key, quantity, False) for key, quantity in subscription.quantities.items()),
        *((key, quantity, True) for key, quantity in subscription.addons.items()),
    ]
    for key, quantity, is_addon in wanted:
        check_holding(prices.get(key), key=key, quantity=quantity, is_addon=is_addon)
    return [
        SubscriptionHolding(
            id=ids.new_id(),
            tenant_id=row.tenant_id,
            subscription_id=row.id,
            price_key=key,
            starts_on=row.starts_on,
            quantity=quantity,
            changed_at=now,
        )
        for key, quantity, _ in wanted
    ]


def _no_plan(plan_key: str) -> NotFound:
    return NotFound(
        "plan_not_found", f"There is no plan {plan_key!r}; load it first.", field="plan"
    )


def _row(*, subscription: NewSubscription, version: StoredVersion, now: datetime) -> Subscription:
    zone = ZoneInfo(subscription.timezone)
    billed_from = subscription.starts_at + timedelta(days=version.terms.trial_days)
    starts_on = local_day(billed_from, zone)
    return Subscription(
        id=ids.new_id(),
        tenant_id=subscription.tenant_id,
        plan_version_id=version.id,
        anchor=subscription.anchor,
        timezone=subscription.timezone,
        starts_on=starts_on,
        starts_at=subscription.starts_at,
        next_boundary_at=local_midnight(starts_on, zone),
        created_at=now,
    )
