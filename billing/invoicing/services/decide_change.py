"""Read what a change depends on, and decide it: the same for a preview and for the change itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from billing.catalog.queries import StoredVersion, in_force, versions_of
from billing.discounts.queries import redeemable, terms_of_coupon
from billing.invoicing.billed_ahead import Billed, PeriodBilled, billed_ahead
from billing.invoicing.change_facts import Facts, NewDiscount
from billing.invoicing.changes import Decision, decide
from billing.invoicing.contracts import (
    counting_users,
    held_version,
    load_contracts,
    load_usage,
)
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, HeldVersion, draft_document
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.services.rate_due import due_boundaries
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.rating.usage import Usage
from billing.subscriptions.domain import (
    AskedChange,
    Boundary,
    ChangeKind,
    EffectiveWhen,
    SubscriptionStatus,
)
from billing.subscriptions.models import Subscription
from billing.subscriptions.overlap import Priced, refuse_overlap, stretches_of
from billing.subscriptions.queries import (
    lock_tenants,
    others_of,
    subscription_not_found,
    versions_shown_to,
)
from kernel import ids
from kernel.errors import Conflict, NotFound
from kernel.period import local_day
from metering.queries import Span

_NO_USAGE: Usage = {}
_WIDENING: Final = frozenset({ChangeKind.PLAN, ChangeKind.UNDO_CHANGE, ChangeKind.UNDO_CANCEL})
"""What may let a subscription price more than it did, or longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision, and the subscription and facts that it rests on."""

    row: Subscription
    facts: Facts
    decision: Decision
    usage: Usage

    @property
    def before(self) -> Contract:
        return self.facts.contract


def find_subscription(*, tenant_id: UUID, subscription_id: UUID | None, lock: bool) -> Subscription:
    """The tenant's only running subscription, or the one of that id if it runs.

    Raises NotFound `no_subscription`, Conflict `several_subscriptions` where none is named and the tenant
    has more than one, and `subscription_not_found` for an id that nobody has.
    """
    found = Subscription.objects.select_related("plan_version__plan", "tenant").filter(
        tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE
    )
    if subscription_id is not None:
        found = found.filter(id=subscription_id)
    found = found.order_by("starts_at", "id")
    rows = list(found.select_for_update(of=("self",)) if lock else found)
    if not rows and subscription_id is not None:
        known = Subscription.objects.filter(tenant_id=tenant_id, id=subscription_id)
        if not known.exists():
            raise subscription_not_found()
    if not rows:
        raise NotFound("no_subscription", "The tenant has no running subscription.", field="tenant")
    if len(rows) > 1:
        plans = ", ".join(row.plan_version.plan.key for row in rows)
        raise Conflict(
            "several_subscriptions",
            f"The tenant has several running subscriptions, to {plans}; say which one is meant.",
            field="subscription",
            params={"plans": plans},
        )
    return rows[0]


def lock_drafts(*, tenant_ids: Iterable[UUID]) -> None:
    """Keep the drafts of subscriptions from being issued until the transaction ends.

    To be called before the subscriptions are locked, as finalising locks them: a change counts on the
    draft that opens a period being rated again, by what is held then.
    """
    list(
        Invoice.objects.select_for_update()
        .filter(
            tenant_id__in=set(tenant_ids),
            kind=InvoiceKind.SUBSCRIPTION,
            status=InvoiceStatus.DRAFT,
        )
        .order_by("tenant_id", "finalize_at", "id")  # as finalising takes them
        .values_list("id")
    )


def lock_advance(subscriptions: Sequence[Subscription], *, now: datetime) -> None:
    """Keep what was billed ahead of `now` from being credited until the transaction ends, so that a
    credit note and a change that gives back count on one another.

    To be called after the subscriptions are locked, as drafting locks both.
    """
    ahead = InvoiceLine.objects.filter(
        tenant_id=OuterRef("tenant_id"),
        invoice=OuterRef("pk"),
        timing=Timing.IN_ADVANCE.value,
        period_ends_at__gt=now,
    )
    list(
        Invoice.objects.select_for_update()
        .filter(
            Q(Exists(ahead), subscription__in=subscriptions)
            # An invoice that consolidates several is of none; its lines are.
            | Q(
                Exists(ahead.filter(subscription__in=subscriptions)),
                kind=InvoiceKind.CONSOLIDATED,
            ),
            tenant_id__in={row.tenant_id for row in subscriptions},
        )
        .order_by("id")
        .values_list("id")
    )


def held_subscription(
    *,
    tenant_id: UUID,
    now: datetime,
    subscription_id: UUID | None = None,
    may_be_due: bool = False,
) -> tuple[Subscription, Contract]:
    """The running subscription, locked with its drafts, with its contract. Nobody starts or changes
    another one of the tenant until the transaction ends.

    Raises as `find_subscription`, and Conflict `billing_due` unless it `may_be_due`.
    """
    lock_drafts(tenant_ids=[tenant_id])
    row = find_subscription(tenant_id=tenant_id, subscription_id=subscription_id, lock=True)
    lock_advance([row], now=now)
    lock_tenants(tenant_ids=[tenant_id])
    if not may_be_due and row.next_boundary_at is not None and row.next_boundary_at <= now:
        raise Conflict(
            "billing_due",
            "A period of the subscription ended and is not billed yet; run the billing first.",
        )
    return row, load_contracts([row], with_taxes=True)[row.id]


def decide_change(
    *,
    row: Subscription,
    contract: Contract,
    asked: AskedChange,
    now: datetime,
    discount: NewDiscount | None = None,
) -> Decided:
    """What the change does at `now`, from what is stored; writes nothing. A `discount` is taken in the
    place of a coupon's.

    A period that has just ended and is not drafted yet counts as if it were. Raises Conflict as
    `refuse_priced_twice`, NotFound `plan_not_found`, `plan_version_not_found`, as `billing.discounts.queries.redeemable`, and as
    `billing.invoicing.changes.decide`.
    """
    due = due_boundaries(row, contract, at=now)
    next_boundary_at = row.next_boundary_at
    if due:
        next_boundary_at = contract.cadence.after(due[-1].at)
    day = local_day(now, contract.cadence.zone)
    if asked.kind is ChangeKind.COUPON and discount is None:
        found = redeemable(code=asked.coupon, day=day)
        discount = NewDiscount(id=ids.new_id(), terms=terms_of_coupon(found))
    decided = counting_users(
        tenant_id=contract.tenant_id,
        usage=_usage_around(contract, day=day),
        rate=lambda usage: _decided(
            row,
            contract,
            asked,
            due,
            next_boundary_at=next_boundary_at,
            discount=discount,
            usage=usage,
            now=now,
        ),
    )
    if asked.kind in _WIDENING:
        others = others_of([row])[row.id]
        refuse_priced_twice(
            decided.decision.after,
            starts_at=row.starts_at,
            ends_at=decided.decision.ends_at,
            others=others,
        )
    return decided


def refuse_priced_twice(
    contract: Contract, *, starts_at: datetime, ends_at: datetime | None, others: Iterable[Priced]
) -> None:
    """Raises Conflict where the contract would price what another subscription of the tenant prices at
    the same time; see `billing.subscriptions.overlap.refuse_overlap`."""
    own = stretches_of(
        phases=[(each.starts_on, each.terms) for each in contract.versions],
        starts_at=starts_at,
        ends_at=ends_at,
        zone=contract.cadence.zone,
    )
    refuse_overlap(own, others)


def _decided(
    row: Subscription,
    contract: Contract,
    asked: AskedChange,
    due: Sequence[Boundary],
    *,
    next_boundary_at: datetime | None,
    discount: NewDiscount | None,
    usage: Usage,
    now: datetime,
) -> Decided:
    day = local_day(now, contract.cadence.zone)
    service = None if day < contract.cadence.starts_on else contract.cadence.period_of(day)
    billed = PeriodBilled()
    if service is not None and due and due[-1].at == service.served.starts_at:
        draft = draft_document(contract=contract, boundary=due[-1], usage=usage)
        billed = PeriodBilled(
            lines=[
                Billed(document=None, net=each.line.net, working=each.working)
                for each in (() if draft is None else draft.lines)
                if each.timing == Timing.IN_ADVANCE.value and each.line.kind is LineKind.RECURRING
            ],
            is_opening_draft=draft is not None,
        )
    elif service is not None:
        billed = billed_ahead(
            [(row, service.served)], currencies={row.id: contract.versions[0].terms.currency}
        )[row.id]
    new = None
    if asked.kind is ChangeKind.PLAN:
        first = _first_day(asked, next_boundary_at, contract, day)
        new = held_version(_asked_version(asked, day=first), starts_on=day)
    facts = facts_of(
        row,
        contract,
        billed,
        next_boundary_at=next_boundary_at,
        is_running=service is not None,
        discount=discount,
        new=new,
        usage=usage,
    )
    return Decided(
        row=row, facts=facts, decision=decide(facts=facts, asked=asked, now=now), usage=usage
    )


def facts_of(
    row: Subscription,
    contract: Contract,
    billed: PeriodBilled,
    *,
    next_boundary_at: datetime | None,
    is_running: bool,
    discount: NewDiscount | None = None,
    new: HeldVersion | None = None,
    usage: Usage = _NO_USAGE,
) -> Facts:
    """What a decision rests on. `is_running`: the first period has begun."""
    return Facts(
        contract=contract,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        next_boundary_at=next_boundary_at,
        charged=billed.charged,
        ahead=billed.ahead,
        left=billed.left,
        is_opening_draft=billed.is_opening_draft,
        is_advance_billed=is_running and not billed.is_opening_draft,
        discount=discount,
        new=new,
        usage=usage,
    )


def refuse_hidden_plan(*, tenant_id: UUID, asked: AskedChange) -> None:
    """Raises NotFound `plan_not_found` for a private plan that the tenant may not know of."""
    if asked.kind is ChangeKind.PLAN:
        versions_shown_to(tenant_id=tenant_id, plan_key=asked.plan)


def _no_plan(key: str) -> NotFound:
    return NotFound("plan_not_found", f"There is no plan {key!r}; load it first.", field="plan")


def _first_day(
    asked: AskedChange, next_boundary_at: datetime | None, contract: Contract, day: date
) -> date:
    """The day whose wording of the plan counts."""
    if asked.when is EffectiveWhen.NOW or next_boundary_at is None:
        return day
    return local_day(next_boundary_at, contract.cadence.zone)


def _asked_version(asked: AskedChange, *, day: date) -> StoredVersion:
    versions = versions_of(plan_key=asked.plan)
    if not versions:
        raise _no_plan(asked.plan)
    if asked.version is None:
        return in_force(versions, day=day)
    found = next((each for each in versions if each.number == asked.version), None)
    if found is None:
        raise NotFound(
            "plan_version_not_found",
            f"The plan {asked.plan!r} has no version {asked.version}.",
            field="version",
        )
    return found


def _usage_around(contract: Contract, *, day: date) -> Usage:
    """Usage of the present period and, where one is not billed yet, of the one before."""
    cadence = contract.cadence
    zone = cadence.zone
    if day < cadence.starts_on or not contract.meters:
        return {}
    service = cadence.period_of(day).served
    boundary = cadence.boundary(service.starts_at)
    first = service if boundary.ended is None else boundary.ended.served
    span = Span(
        tenant_id=contract.tenant_id,
        from_day=first.first_day(zone),
        to_day=service.end_day(zone),
    )
    return load_usage(spans=[span], meters=contract.meters).get(contract.tenant_id, {})
