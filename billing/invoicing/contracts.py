"""Loading, set-based, what drafting needs of many subscriptions: terms, apps, usage."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.queries import terms_of
from billing.invoicing.drafting import Contract
from billing.rating.usage import Usage, UsageKey
from billing.subscriptions.domain import Anchor, Cadence
from billing.subscriptions.models import Subscription
from kernel.period import local_day
from metering import queries as metering
from metering.queries import Span
from tenants.models import App


def load_contracts(subscriptions: Iterable[Subscription]) -> dict[UUID, Contract]:
    """Contracts by subscription id; `plan_version` and `tenant` must be loaded with each. One query."""
    rows = list(subscriptions)
    apps: dict[UUID, list[str]] = defaultdict(list)
    tenant_ids = {row.tenant_id for row in rows}
    for tenant_id, key in (
        App.objects.filter(tenant_id__in=tenant_ids).order_by("key").values_list("tenant_id", "key")
    ):
        apps[tenant_id].append(key)
    return {row.id: _contract(row, apps[row.tenant_id]) for row in rows}


def load_usage(*, spans: Sequence[Span], meters: Iterable[str]) -> dict[UUID, Usage]:
    """Daily usage of many tenants, each over its own span, by tenant id. One query."""
    usage: dict[UUID, dict[UsageKey, dict[date, Decimal]]] = defaultdict(dict)
    wanted = sorted(set(meters))
    if spans and wanted:
        keys = app_keys([span.tenant_id for span in spans])
        for row in metering.usage_of_spans(spans=spans, meters=wanted):
            by_day = usage[row.tenant_id].setdefault(
                UsageKey(app=keys[row.app_id], meter=row.meter, kind=row.kind), {}
            )
            by_day[row.day] = row.value
    return dict(usage)


def app_keys(tenant_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """App keys by app id."""
    return dict(App.objects.filter(tenant_id__in=set(tenant_ids)).values_list("id", "key"))


def _contract(row: Subscription, apps: Sequence[str]) -> Contract:
    version = row.plan_version
    terms = terms_of(version_id=version.id, document=version.document)
    zone = ZoneInfo(row.timezone)
    return Contract(
        subscription_id=row.id,
        tenant_id=row.tenant_id,
        tenant_key=row.tenant.key,
        language=row.tenant.language,
        plan_version_id=version.id,
        plan_version=version.number,
        terms=terms,
        cadence=Cadence(
            starts_on=row.starts_on,
            ends_on=local_day(row.ends_at, zone) if row.ends_at else None,
            anchor=Anchor(row.anchor),
            interval=terms.interval,
            interval_count=terms.interval_count,
            zone=zone,
        ),
        apps=tuple(apps),
    )
