"""Loading, set-based, what drafting needs of many subscriptions: terms, apps, usage."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from billing.catalog.domain import PriceOverride
from billing.catalog.queries import StoredVersion
from billing.invoicing.drafting import Contract, HeldVersion
from billing.invoicing.models import Seller
from billing.invoicing.overrides import with_overrides
from billing.rating.adjustments.tax import TaxRounding
from billing.rating.usage import CountedUsage, Usage, UsageKey, UsersKey, UsersNotCounted
from billing.subscriptions.histories import History, histories_of
from billing.subscriptions.models import (
    Subscription,
)
from billing.subscriptions.queries import cadence_of, overrides_of
from billing.taxes.domain.rules import Buyer, Rate, Taxing
from billing.taxes.queries import rates_of
from kernel.period import Period
from metering import queries as metering
from metering.queries import Span, UserDays
from tenants.domain import TaxTreatment
from tenants.models import App, Tenant

SELLER = "default"

T = TypeVar("T")


def load_contracts(
    subscriptions: Iterable[Subscription], *, seller: str = SELLER, with_taxes: bool | None = False
) -> dict[UUID, Contract]:
    """Contracts by subscription id; `plan_version` and `tenant` must be loaded with each. Five
    queries at most.

    What decides taxes comes along where anything held says that there is tax, or with `with_taxes`: for
    one who will rate by terms that are not held yet. None leaves it out for one who rates nothing.
    """
    rows = list(subscriptions)
    apps: dict[UUID, list[str]] = defaultdict(list)
    tenant_ids = {row.tenant_id for row in rows}
    for tenant_id, key in (
        App.objects.filter(tenant_id__in=tenant_ids).order_by("key").values_list("tenant_id", "key")
    ):
        apps[tenant_id].append(key)
    histories = histories_of(rows)
    overrides = overrides_of(subscriptions=rows)
    contracts = {
        row.id: _contract(row, apps[row.tenant_id], histories[row.id], overrides.get(row.id, ()))
        for row in rows
    }
    says_tax = with_taxes is not None and (
        with_taxes
        or any(
            row.tenant.tax_treatment
            or row.tenant.tax_percent is not None
            or any(held.terms.says_tax for held in contracts[row.id].versions)
            for row in rows
        )
    )
    if not says_tax:
        return contracts
    taxing = load_taxing([row.tenant for row in rows], seller=seller)
    return {row.id: replace(contracts[row.id], taxing=taxing[row.tenant_id]) for row in rows}


def load_taxing(tenants: Sequence[Tenant], *, seller: str) -> dict[UUID, Taxing]:
    """What decides each tenant's taxes, by tenant id. Two queries."""
    issuer = Seller.objects.get(code=seller)
    countries = {issuer.country, *(tenant.country for tenant in tenants)} - {""}
    rates: dict[str, list[Rate]] = defaultdict(list)
    for rate in rates_of(jurisdictions=countries):
        rates[rate.jurisdiction].append(rate)
    # Tenants of one country share one list.
    seen: dict[str, tuple[Rate, ...]] = {}
    for country in {tenant.country for tenant in tenants}:
        abroad = rates[country] if country not in {"", issuer.country} else []
        seen[country] = (*rates[issuer.country], *abroad)
    return {
        tenant.id: Taxing(
            seller_country=issuer.country,
            seller_category=issuer.tax_category,
            rounding=TaxRounding(issuer.tax_rounding),
            buyer=Buyer(
                country=tenant.country,
                tax_id=tenant.tax_id,
                treatment=TaxTreatment(tenant.tax_treatment),
                percent=tenant.tax_percent,
            ),
            rates=seen[tenant.country],
        )
        for tenant in tenants
    }


def users_to_count(contract: Contract, periods: Iterable[Period]) -> list[UserDays]:
    """The days whose different users the contract bills, for `load_usage`."""
    return [
        UserDays(tenant_id=contract.tenant_id, meter=meter, stretches=stretches)
        for period in periods
        for meter, stretches in sorted(contract.counted_users(period))
    ]


def load_usage(
    *, spans: Sequence[Span], meters: Iterable[str], users: Sequence[UserDays] = ()
) -> dict[UUID, Usage]:
    """Daily usage of many tenants, each over its own span, by tenant id; with the different `users`
    of days, where prices on them are rated. Two queries, three with such prices."""
    usage: dict[UUID, dict[UsageKey, Mapping[date, Decimal]]] = defaultdict(dict)
    wanted = sorted(set(meters))
    found = metering.usage_series(spans=spans, meters=wanted) if spans and wanted else []
    if found:
        keys = app_keys([span.tenant_id for span in spans])
        for series in found:
            key = UsageKey(app=keys[series.app_id], meter=series.meter, kind=series.kind)
            usage[series.tenant_id][key] = series.values
        if users:
            return _with_users(usage, asked=users, apps=keys)
    return dict(usage)


def counting_users(*, tenant_id: UUID, usage: Usage, rate: Callable[[Usage], T]) -> T:
    """What `rate` makes of a tenant's usage, whatever users it turns out to need: for one tenant at a
    time, whose days are not known before it is rated. A query for each of its distinct meters and
    days. Raises as `rate` does.
    """
    while True:
        try:
            return rate(usage)
        except UsersNotCounted as missing:
            key = missing.key
            asked = UserDays(tenant_id=tenant_id, meter=key.meter, stretches=key.stretches)
            known = usage.users if isinstance(usage, CountedUsage) else {}
            # An app without users is there too, so that it isn't asked for again.
            found = {key: 0, **_users(asked=[asked], apps=app_keys([tenant_id]))[tenant_id]}
            usage = CountedUsage(usage, users={**known, **found})


def _with_users(
    usage: Mapping[UUID, Usage], *, asked: Sequence[UserDays], apps: Mapping[UUID, str]
) -> dict[UUID, Usage]:
    users = _users(asked=asked, apps=apps)
    return {
        tenant_id: CountedUsage(own, users=users[tenant_id]) for tenant_id, own in usage.items()
    }


def _users(
    *, asked: Sequence[UserDays], apps: Mapping[UUID, str]
) -> Mapping[UUID, dict[UsersKey, int | None]]:
    users: dict[UUID, dict[UsersKey, int | None]] = defaultdict(dict)
    for counted in metering.different_users(asked=asked):
        key = UsersKey(
            app=None if counted.app_id is None else apps[counted.app_id],
            meter=counted.days.meter,
            stretches=counted.days.stretches,
        )
        users[counted.days.tenant_id][key] = counted.users
    return users


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
        discounts=history.discounts,
        passes_last_day=history.passes_last_day,
    )
