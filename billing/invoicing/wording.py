"""Which text applied to a tenant on a day: the version, and what its contract words differently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.domain import PriceOverride, override_on
from billing.catalog.models import PlanVersion
from billing.invoicing.contracts import load_contracts
from billing.invoicing.drafting import Contract
from billing.subscriptions.models import Subscription
from billing.subscriptions.queries import overrides_of
from kernel.errors import NotFound
from kernel.period import local_day

_ONE_DAY: Final = timedelta(days=1)
_MOST: Final = 50
"""Subscriptions of a tenant that are looked at: those that began last before the day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedTerms:
    """What applied on `day`: from `starts_on` to the day before `ends_on` (None: until further
    notice) the subscription holds exactly this.

    `document` is the plan as it applies, with the overridden prices in the place of its own;
    `effective_from` is the version's own date.
    """

    subscription_id: UUID
    day: date
    timezone: str
    plan_key: str
    version: int
    effective_from: date | None
    starts_on: date
    ends_on: date | None
    document: Mapping[str, Any]
    overrides: Sequence[PriceOverride]


def terms_on(*, tenant_id: UUID, day: date, subscription_id: UUID | None = None) -> AppliedTerms:
    """The text that applied to the tenant on a local day of its subscription, in the caller's scope.

    Of several that served on the day the named one, else the one that started first. What is planned or
    agreed for a day to come is told for that day. Raises NotFound `no_terms`.
    """
    for row, ends_on in _serving(tenant_id=tenant_id, day=day):
        if subscription_id in {None, row.id}:
            contract = load_contracts([row])[row.id]
            return applied_terms(row, contract=contract, day=day, ends_on=ends_on)
    raise NotFound("no_terms", f"The tenant held no plan on {day}.", field="on")


def subscriptions_on(*, tenant_id: UUID, day: date) -> Sequence[tuple[UUID, str]]:
    """The subscriptions that served on a local day of theirs, the one that started first at the front, with
    the key of the plan that each holds now."""
    return tuple(
        (row.id, row.plan_version.plan.key) for row, _ in _serving(tenant_id=tenant_id, day=day)
    )


def _serving(*, tenant_id: UUID, day: date) -> list[tuple[Subscription, date | None]]:
    """With the first day on which each no longer serves."""
    found = []
    for row in (
        Subscription.objects.select_related("plan_version__plan", "tenant")
        .filter(tenant_id=tenant_id, starts_at__date__lte=min(day, date.max - _ONE_DAY) + _ONE_DAY)
        .order_by("-starts_at", "-id")[:_MOST]
    ):
        zone = ZoneInfo(row.timezone)
        ends_on = local_day(row.ends_at, zone) if row.ends_at else None
        if local_day(row.starts_at, zone) <= day and (ends_on is None or day < ends_on):
            found.append((row, ends_on))
    return found[::-1]


def agreed_prices(*, tenant_id: UUID, subscription_id: UUID) -> Sequence[PriceOverride]:
    """All that was ever agreed on single prices of the subscription, in the order of recording."""
    rows = Subscription.objects.filter(tenant_id=tenant_id, id=subscription_id)
    return tuple(overrides_of(subscriptions=rows).get(subscription_id, ()))


def applied_terms(
    row: Subscription, *, contract: Contract, day: date, ends_on: date | None
) -> AppliedTerms:
    """The text that a subscription of that contract has on a day on which it is held."""
    held = contract.version_on(day)
    following = [each.starts_on for each in contract.versions if each.starts_on > day]
    version = PlanVersion.objects.select_related("plan").get(id=held.plan_version_id)
    overrides = {
        key: each
        for key, each in override_on(
            contract.overrides,
            plan_key=version.plan.key,
            day=max(day, contract.versions[0].starts_on),
        ).items()
        if key in held.clauses
    }
    return AppliedTerms(
        subscription_id=row.id,
        day=day,
        timezone=row.timezone,
        plan_key=version.plan.key,
        version=version.number,
        effective_from=version.effective_from,
        starts_on=min(held.starts_on, local_day(row.starts_at, ZoneInfo(row.timezone)))
        if held is contract.versions[0]
        else held.starts_on,
        ends_on=min(following) if following else ends_on,
        document={
            **version.document,
            "prices": [
                dict(override.price.document)
                if (override := overrides.get(price["key"])) is not None
                and override.price is not None
                else price
                for price in version.document["prices"]
            ],
        },
        overrides=tuple(overrides.values()),
    )
