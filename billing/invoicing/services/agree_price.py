"""Agree with one tenant on other terms for a single price of its plan."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from billing.catalog.domain import parse_plan_price
from billing.catalog.models import Plan
from billing.invoicing.drafting import Contract, HeldVersion
from billing.invoicing.services.decide_change import held_subscription
from billing.rating.terms import PriceTerms, Timing
from billing.subscriptions.models import Subscription, SubscriptionPrice
from billing.subscriptions.overlap import meters_of, refuse_overlap, stretches_of
from billing.subscriptions.queries import others_of
from kernel import ids
from kernel.errors import Conflict, Invalid
from kernel.period import local_day
from kernel.zones import zone_named
from metering.queries import known_meters
from tenants import audit

_ONE_DAY: Final = timedelta(days=1)
_LONGEST_CLAUSE: Final = 4000
_STANDING: Final = ("timing", "addon", "stacking", "group")
_LAST_YEAR: Final = 9000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedPrice:
    """What a contract says of one price, from `starts_on` to the day before `ends_on` (None: until
    further notice).

    `document` is the price in the words of the plan document (contract section 5), its key may be left
    out; None gives the plan's own price back. `clause` is the contract's text, `reference` names the
    contract.
    """

    price_key: str
    starts_on: date
    ends_on: date | None = None
    document: Mapping[str, Any] | None
    clause: str
    reference: str


def agree_price(
    *,
    tenant_id: UUID,
    agreed: AgreedPrice,
    now: datetime,
    actor: str,
    subscription_id: UUID | None = None,
) -> int:
    """Record it for the tenant's running subscription (the named one, if it has several), in the caller's cross-tenant scope; returns
    the agreement's number.

    It is for the plan that the subscription holds on `starts_on`, and stays while it holds any
    version of that plan. It begins and ends with a billing period, since a period whose price changed
    within would count its peaks and what is included twice; and only with one that is not billed yet.

    Raises NotFound `no_subscription`; Conflict `several_subscriptions`, `meter_priced_twice`; Invalid
    `unknown_price`, `price_key_differs`, `timing_differs`,
    `addon_differs`, `missing`, `too_long`, `end_before_start`, `within_period`,
    `date_out_of_range`; PlanFaults; Conflict
    `subscription_ends`, `already_billed`, `billing_due`, `not_agreed`.
    """
    clause, reference = _text("clause", agreed.clause), _text("reference", agreed.reference, 200)
    row, contract = held_subscription(tenant_id=tenant_id, subscription_id=subscription_id, now=now)
    if row.next_boundary_at is None:
        raise Conflict("subscription_ends", "The subscription ends with its period.")
    held = contract.version_on(agreed.starts_on)
    own = _own_price(row, held, agreed.price_key)
    replacement = _replacement(agreed, own) if agreed.document is not None else None
    standing = next((p for p in held.terms.prices if p.key == own.key), own)
    if replacement is None and agreed.price_key not in held.clauses:
        raise Conflict(
            "not_agreed",
            f"{agreed.price_key} has the plan's own price on {agreed.starts_on}; there is nothing to end.",
            field="starts_on",
        )
    _check_days(row, contract, agreed, timing=standing.timing)
    if replacement is not None and replacement.metering is not None:
        _refuse_meter_of_another(row, held, replacement)
    latest = (
        SubscriptionPrice.objects.filter(tenant_id=tenant_id, subscription=row)
        .order_by("-number")
        .values_list("number", flat=True)
        .first()
    )
    number = (latest or 0) + 1
    SubscriptionPrice.objects.create(
        id=ids.new_id(),
        tenant_id=tenant_id,
        subscription=row,
        plan=Plan.objects.get(key=held.terms.key),
        number=number,
        price_key=agreed.price_key,
        starts_on=agreed.starts_on,
        ends_on=agreed.ends_on,
        document=None if replacement is None else dict(replacement.document),
        clause=clause,
        reference=reference,
        recorded_by=actor,
        recorded_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.price_agreed",
            target=f"subscription:{row.id}",
            before={"price": dict(standing.document)},
            after={
                "number": number,
                "price": None if replacement is None else dict(replacement.document),
                "starts_on": agreed.starts_on.isoformat(),
                "ends_on": agreed.ends_on.isoformat() if agreed.ends_on else None,
                "reference": reference,
            },
        ),
        now=now,
    )
    return number


def _text(name: str, text: str, longest: int = _LONGEST_CLAUSE) -> str:
    text = text.strip()
    if not text:
        raise Invalid(
            "missing", f"{name} is empty; an invoice's working will quote it.", field=name
        )
    if len(text) > longest or "\x00" in text:
        raise Invalid(
            "too_long", f"{name} is not a text of at most {longest} characters.", field=name
        )
    return text


def _own_price(row: Subscription, held: HeldVersion, key: str) -> PriceTerms:
    """The plan's own wording, without what was agreed before."""
    own = held.own_terms or held.terms
    for price in own.prices:
        if price.key == key:
            return price
    keys = ", ".join(price.key for price in own.prices)
    raise Invalid(
        "unknown_price",
        f"{own.key} has no price {key[:64]!r}; name one of {keys}.",
        field="price_key",
    )


def _replacement(agreed: AgreedPrice, own: PriceTerms) -> PriceTerms:
    assert agreed.document is not None  # noqa: S101  # the caller looked
    # How the price stands in its plan stays, unless the contract says it again.
    kept = {name: own.document[name] for name in _STANDING if name in own.document}
    document = {"key": own.key, **kept, **agreed.document}
    price = parse_plan_price(document, known_meters=known_meters())
    if price.key != own.key:
        raise Invalid(
            "price_key_differs",
            f"price.key is {price.key}; leave it out or write {own.key}.",
            field="price.key",
        )
    if price.timing is not own.timing:
        raise Invalid(
            "timing_differs",
            f"price.timing is {price.timing}, the plan bills {own.key} {own.timing}; write that.",
            field="price.timing",
        )
    for name in _STANDING[1:]:
        if getattr(price, name) != getattr(own, name):
            raise Invalid(
                "addon_differs",
                f"price.{name} differs from the plan's; leave it out.",
                field=f"price.{name}",
            )
    return price


def _refuse_meter_of_another(row: Subscription, held: HeldVersion, replacement: PriceTerms) -> None:
    """A meter that the plan itself doesn't have counts for as long as the plan is held, since what is
    agreed may be agreed again for other days."""
    if meters_of(replace(held.terms, prices=(replacement,))) <= meters_of(held.terms):
        return
    terms = replace(held.terms, prices=(*held.terms.prices, replacement))
    own = stretches_of(
        phases=[(row.starts_on, terms)],
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        zone=zone_named(row.timezone),
    )
    refuse_overlap(own, others_of([row])[row.id])


def _check_days(
    row: Subscription, contract: Contract, agreed: AgreedPrice, *, timing: Timing
) -> None:
    """Both days begin a period, the first one of which is not billed yet."""
    assert row.next_boundary_at is not None  # noqa: S101  # the caller looked
    cadence = contract.cadence
    if agreed.ends_on is not None and agreed.ends_on <= agreed.starts_on:
        raise Invalid(
            "end_before_start", "ends_on is not after starts_on; mend one of them.", field="ends_on"
        )
    boundary = local_day(row.next_boundary_at, cadence.zone)
    first = boundary
    if timing is Timing.IN_ARREARS and boundary > row.starts_on:
        first = cadence.period_of(boundary - _ONE_DAY).served.first_day(cadence.zone)
    if agreed.starts_on < first:
        raise Conflict(
            "already_billed",
            f"{agreed.price_key} is billed up to {first}; let it start then or later.",
            field="starts_on",
            params={"day": first.isoformat()},
        )
    for name, day in (("starts_on", agreed.starts_on), ("ends_on", agreed.ends_on)):
        if day is None or (cadence.ends_on is not None and day >= cadence.ends_on):
            continue
        if day.year > _LAST_YEAR:
            raise Invalid(
                "date_out_of_range",
                f"{name} is after the year {_LAST_YEAR}; leave it out or mend it.",
                field=name,
            )
        period = cadence.period_of(day).served
        begins_on, next_on = period.first_day(cadence.zone), period.end_day(cadence.zone)
        if day != begins_on:
            raise Invalid(
                "within_period",
                f"{name} lies within a billing period; write {begins_on} or {next_on}.",
                field=name,
                params={"before": begins_on.isoformat(), "after": next_on.isoformat()},
            )
