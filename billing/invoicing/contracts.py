"""Loading, set-based, what drafting needs of many subscriptions: terms, apps, usage."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.catalog.domain import PriceOverride
from billing.catalog.queries import StoredVersion
from billing.invoicing.drafting import Contract, HeldVersion
from billing.invoicing.overrides import with_overrides
from billing.rating.usage import Usage, UsageKey
from billing.subscriptions.histories import History, histories_of
from billing.subscriptions.models import (
    Subscription,
)
from billing.subscriptions.queries import cadence_of, overrides_of
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
    histories = histories_of(rows)
    overrides = overrides_of(subscriptions=rows)
    return {
        row.id: _contract(
            row,
            apps[row.tenant_id],
            histories[row.id],
            overrides.get(row.id, ()),
        )
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


def held_version(version: StoredVersion, *, starts_on: date, cuts: bool = False) -> HeldVersion:
    """A version of the catalogue as a subscription holds it from a day on."""
    return HeldVersion(
        starts_on=starts_on,
        plan_version_id=version.id,
        number=version.number,
        terms=version.terms,
        cuts=cuts,
    )


def _contract(
    row: Subscription,
    apps: Sequence[str],
    history: History,
    overrides: Sequence[PriceOverride],
) -> Contract:
    versions = [
        HeldVersion(
            starts_on=phase.starts_on,
            plan_version_id=phase.plan_version_id,
            number=phase.number,
            terms=phase.terms,
            cuts=phase.cuts,
        )
        for phase in history.phases
    ]
    return Contract(
        subscription_id=row.id,
        tenant_id=row.tenant_id,
        tenant_key=row.tenant.key,
        language=row.tenant.language,
        phases=tuple(versions),
        versions=tuple(with_overrides(versions, overrides)),
        overrides=tuple(overrides),
        cadence=cadence_of(row, history),
        apps=tuple(apps),
        holdings=history.holdings,
        pauses=history.pauses,
    )
