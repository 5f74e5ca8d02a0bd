"""What subscriptions held, day by day: plan versions, quantities, pauses, discounts. Read in one
statement."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast, Coalesce, JSONObject

from billing.catalog.models import PlanVersion
from billing.catalog.queries import terms_of
from billing.discounts.domain import DiscountTerms, HeldDiscount
from billing.rating.adjustments.discounts import Discount, DiscountType
from billing.rating.terms import PlanTerms
from billing.subscriptions.domain import Holding, Pause
from billing.subscriptions.models import (
    Subscription,
    SubscriptionDiscount,
    SubscriptionHolding,
    SubscriptionPause,
    SubscriptionPhase,
)
from billing.subscriptions.overlap import meters_of
from kernel.period import local_day, local_midnight
from kernel.zones import zone_named


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPhase:
    """From `starts_on` the subscription holds this version; with `cuts` a period was cut there."""

    starts_on: date
    plan_version_id: UUID
    number: int
    terms: PlanTerms
    cuts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """By ascending days; there is at least one phase.

    `passes_last_day`: the subscription ended in the middle of a day on which one of the tenant's starts
    that prices the same (one plan, or a meter), whose day it is then.
    """

    phases: tuple[HeldPhase, ...]
    holdings: tuple[Holding, ...]
    pauses: tuple[Pause, ...]
    discounts: tuple[HeldDiscount, ...] = ()
    passes_last_day: bool = False


def with_history(found: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """The query with what `history_of` needs; `plan_version` must be selected too."""

    def of(rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(tenant_id=OuterRef("tenant_id"), subscription=OuterRef("pk"))

    first_phase = of(SubscriptionPhase.objects.order_by("starts_on")).values("plan_version_id")[:1]
    return found.annotate(
        told_next=ArraySubquery(
            Subscription.objects.filter(
                tenant_id=OuterRef("tenant_id"),
                starts_at__gte=OuterRef("ends_at"),
                starts_at__lt=OuterRef("ends_at") + timedelta(days=1),
            )
            .annotate(first_version=Coalesce(Subquery(first_phase), F("plan_version_id")))
            .order_by("starts_on")
            .values(
                told=JSONObject(
                    starts_on="starts_on",
                    version="first_version",
                    document=Subquery(
                        PlanVersion.objects.filter(id=OuterRef("first_version")).values("document")
                    ),
                )
            )
        ),
        told_phases=ArraySubquery(
            of(SubscriptionPhase.objects.order_by("starts_on")).values(
                told=JSONObject(
                    starts_on="starts_on",
                    version="plan_version_id",
                    number="plan_version__number",
                    document="plan_version__document",
                    cuts="cuts",
                )
            )
        ),
        told_holdings=ArraySubquery(
            of(SubscriptionHolding.objects.order_by("starts_on", "changed_at", "id")).values(
                told=JSONObject(
                    price="price_key",
                    starts_on="starts_on",
                    # A number of JSON would come back as a float.
                    quantity=Cast(F("quantity"), TextField()),
                )
            )
        ),
        told_pauses=ArraySubquery(
            of(SubscriptionPause.objects.order_by("starts_on")).values(
                told=JSONObject(starts_on="starts_on", ends_on="ends_on")
            )
        ),
        told_discounts=ArraySubquery(
            of(SubscriptionDiscount.objects.order_by("number")).values(
                told=JSONObject(
                    id="id",
                    number="number",
                    coupon="coupon__code",
                    name="name",
                    type="type",
                    value=Cast(F("value"), TextField()),
                    currency="currency",
                    prices="price_keys",
                    plans="plan_keys",
                    periods="periods",
                    starts_on="starts_on",
                    ends_on="ends_on",
                    is_advance_billed="is_advance_billed",
                )
            )
        ),
    )


def history_of(row: Subscription) -> History:
    """The history of a row of `with_history`."""
    told: Mapping[str, Any] = vars(row)
    phases = tuple(
        HeldPhase(
            starts_on=date.fromisoformat(each["starts_on"]),
            plan_version_id=UUID(each["version"]),
            number=each["number"],
            terms=terms_of(version_id=UUID(each["version"]), document=each["document"]),
            cuts=each["cuts"],
        )
        for each in told["told_phases"]
    )
    version = row.plan_version
    phases = phases or (
        HeldPhase(
            starts_on=row.starts_on,
            plan_version_id=version.id,
            number=version.number,
            terms=terms_of(version_id=version.id, document=version.document),
            cuts=False,
        ),
    )
    return History(
        phases=phases,
        holdings=tuple(
            Holding(
                price_key=each["price"],
                starts_on=date.fromisoformat(each["starts_on"]),
                quantity=None if each["quantity"] is None else Decimal(each["quantity"]),
            )
            for each in told["told_holdings"]
        ),
        pauses=tuple(
            Pause(
                starts_on=date.fromisoformat(each["starts_on"]),
                ends_on=date.fromisoformat(each["ends_on"]) if each["ends_on"] else None,
            )
            for each in told["told_pauses"]
        ),
        discounts=tuple(map(_discount, told["told_discounts"])),
        passes_last_day=_passes_last_day(row, phases, told["told_next"]),
    )


def _passes_last_day(
    row: Subscription, phases: Sequence[HeldPhase], following: Sequence[Mapping[str, Any]]
) -> bool:
    if row.ends_at is None or not following:
        return False
    zone = zone_named(row.timezone)
    last = local_day(row.ends_at, zone)
    if row.ends_at == local_midnight(last, zone):
        return False
    own = ([each.terms for each in phases if each.starts_on <= last] or [phases[0].terms])[-1]
    for each in following:
        version = UUID(each["version"])
        terms = terms_of(version_id=version, document=each["document"])
        if date.fromisoformat(each["starts_on"]) == last and (
            terms.key == own.key or not meters_of(terms).isdisjoint(meters_of(own))
        ):
            return True
    return False


def _discount(told: Mapping[str, Any]) -> HeldDiscount:
    return HeldDiscount(
        id=UUID(told["id"]),
        number=told["number"],
        terms=DiscountTerms(
            name=told["name"],
            discount=Discount(
                type=DiscountType(told["type"]),
                value=Decimal(told["value"]),
                keys=frozenset(told["prices"]) or None,
            ),
            currency=told["currency"],
            plans=frozenset(told["plans"]),
            periods=told["periods"],
            coupon=told["coupon"] or "",
        ),
        starts_on=date.fromisoformat(told["starts_on"]),
        ends_on=date.fromisoformat(told["ends_on"]) if told["ends_on"] else None,
        is_advance_billed=told["is_advance_billed"],
    )


def histories_of(subscriptions: Iterable[Subscription]) -> dict[UUID, History]:
    """By subscription id; `plan_version` must be loaded with each. One query."""
    rows = {row.id: row for row in subscriptions}
    found = with_history(
        Subscription.objects.filter(
            tenant_id__in={row.tenant_id for row in rows.values()}, id__in=list(rows)
        ).only("tenant_id", "plan_version_id", "timezone", "starts_on", "ends_at")
    )
    histories = {}
    for row in found:
        # It tells of the history only where that holds no other, so that it is the same still.
        row.plan_version = rows[row.id].plan_version
        histories[row.id] = history_of(row)
    return histories
