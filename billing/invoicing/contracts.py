"""Loading, set-based, what drafting needs of many subscriptions: terms, apps, usage."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.domain import PriceOverride
from billing.catalog.models import PlanVersion
from billing.catalog.queries import terms_of
from billing.invoicing.drafting import Contract, HeldVersion
from billing.invoicing.overrides import with_overrides
from billing.rating.usage import Usage, UsageKey
from billing.subscriptions.domain import Anchor, Cadence, Pace
from billing.subscriptions.models import Subscription, SubscriptionPhase
from billing.subscriptions.queries import overrides_of
from kernel.period import local_day
from metering import queries as metering
from metering.queries import Span
from tenants.models import App


def load_contracts(subscriptions: Iterable[Subscription]) -> dict[UUID, Contract]:
    """Contracts by subscription id; `plan_version` and `tenant` must be loaded with each. Three
    queries."""
    rows = list(subscriptions)
    apps: dict[UUID, list[str]] = defaultdict(list)
    tenant_ids = {row.tenant_id for row in rows}
    for tenant_id, key in (
        App.objects.filter(tenant_id__in=tenant_ids).order_by("key").values_list("tenant_id", "key")
    ):
        apps[tenant_id].append(key)
    phases: dict[UUID, list[SubscriptionPhase]] = defaultdict(list)
    for phase in (
        SubscriptionPhase.objects.filter(tenant_id__in=tenant_ids, subscription__in=rows)
        .select_related("plan_version")
        .order_by("subscription_id", "starts_on")
    ):
        phases[phase.subscription_id].append(phase)
    overrides = overrides_of(subscriptions=rows)
    return {
        row.id: _contract(row, apps[row.tenant_id], phases[row.id], overrides.get(row.id, ()))
        for row in rows
    }


def load_usage(*, spans: Sequence[Span], meters: Iterable[str]) -> dict[UUID, Usage]:
    """Daily usage of many tenants, each over its own span, by tenant id. Two queries."""
    usage: dict[UUID, dict[UsageKey, dict[date, Decimal]]] = defaultdict(dict)
    wanted = sorted(set(meters))
    rows = metering.usage_of_spans(spans=spans, meters=wanted) if spans and wanted else []
    if rows:
        keys = app_keys([span.tenant_id for span in spans])
        for row in rows:
            by_day = usage[row.tenant_id].setdefault(
                UsageKey(app=keys[row.app_id], meter=row.meter, kind=row.kind), {}
            )
            by_day[row.day] = row.value
    return dict(usage)


def app_keys(tenant_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """App keys by app id."""
    return dict(App.objects.filter(tenant_id__in=set(tenant_ids)).values_list("id", "key"))


def _contract(
    row: Subscription,
    apps: Sequence[str],
    phases: Sequence[SubscriptionPhase],
    overrides: Sequence[PriceOverride],
) -> Contract:
    zone = ZoneInfo(row.timezone)
    if phases:
        versions = [_held(phase.plan_version, phase.starts_on) for phase in phases]
    else:
        versions = [_held(row.plan_version, row.starts_on)]
    first = versions[0].terms
    return Contract(
        subscription_id=row.id,
        tenant_id=row.tenant_id,
        tenant_key=row.tenant.key,
        language=row.tenant.language,
        versions=with_overrides(versions, overrides),
        overrides=tuple(overrides),
        cadence=Cadence(
            starts_on=row.starts_on,
            ends_on=local_day(row.ends_at, zone) if row.ends_at else None,
            anchor=Anchor(row.anchor),
            interval=first.interval,
            interval_count=first.interval_count,
            zone=zone,
            paces=tuple(
                Pace(
                    starts_on=held.starts_on,
                    interval=held.terms.interval,
                    interval_count=held.terms.interval_count,
                )
                for held in versions[1:]
            ),
        ),
        apps=tuple(apps),
    )


def _held(version: PlanVersion, starts_on: date) -> HeldVersion:
    return HeldVersion(
        starts_on=starts_on,
        plan_version_id=version.id,
        number=version.number,
        terms=terms_of(version_id=version.id, document=version.document),
    )
