"""Read what a change depends on, and decide it: the same for a preview and for the change itself."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.catalog.queries import StoredVersion, in_force, versions_of
from billing.invoicing.changes import ChargedKey, Decision, Facts, decide
from billing.invoicing.contracts import (
    counting_users,
    held_version,
    load_contracts,
    load_usage,
)
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, draft_document
from billing.invoicing.models import CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.services.draft_due import due_boundaries
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.rating.usage import Usage
from billing.subscriptions.domain import (
    AskedChange,
    Boundary,
    ChangeKind,
    EffectiveWhen,
    ServicePeriod,
    SubscriptionStatus,
)
from billing.subscriptions.models import Subscription
from billing.subscriptions.queries import subscription_not_found, versions_shown_to
from kernel.errors import Conflict, NotFound
from kernel.period import local_day
from metering.queries import Span


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
    """The tenant's running subscription, or the one of that id if it runs.

    Raises NotFound `no_subscription`, and `subscription_not_found` for an id that nobody has.
    """
    found = Subscription.objects.select_related("plan_version", "tenant").filter(
        tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE
    )
    if subscription_id is not None:
        found = found.filter(id=subscription_id)
    row = (found.select_for_update(of=("self",)) if lock else found).first()
    if row is None and subscription_id is not None:
        known = Subscription.objects.filter(tenant_id=tenant_id, id=subscription_id)
        if not known.exists():
            raise subscription_not_found()
    if row is None:
        raise NotFound("no_subscription", "The tenant has no running subscription.", field="tenant")
    return row


def held_subscription(
    *, tenant_id: UUID, now: datetime, subscription_id: UUID | None = None
) -> tuple[Subscription, Contract]:
    """The running subscription, locked, with its contract.

    Raises as `find_subscription`, and Conflict `billing_due`.
    """
    row = find_subscription(tenant_id=tenant_id, subscription_id=subscription_id, lock=True)
    if row.next_boundary_at is not None and row.next_boundary_at <= now:
        raise Conflict(
            "billing_due",
            "A period of the subscription ended and is not billed yet; run the billing first.",
        )
    return row, load_contracts([row], with_taxes=True)[row.id]


def decide_change(
    *, row: Subscription, contract: Contract, asked: AskedChange, now: datetime
) -> Decided:
    """What the change does at `now`, from what is stored; writes nothing.

    A period that has just ended and is not drafted yet counts as if it were. Raises NotFound
    `plan_not_found`, `plan_version_not_found`, and as `billing.invoicing.changes.decide`.
    """
    due = due_boundaries(row, contract, at=now)
    next_boundary_at = row.next_boundary_at
    if due:
        next_boundary_at = contract.cadence.after(due[-1].at)
    day = local_day(now, contract.cadence.zone)
    return counting_users(
        tenant_id=contract.tenant_id,
        usage=_usage_around(contract, day=day),
        rate=lambda usage: _decided(
            row, contract, asked, due, next_boundary_at=next_boundary_at, usage=usage, now=now
        ),
    )


def _decided(
    row: Subscription,
    contract: Contract,
    asked: AskedChange,
    due: Sequence[Boundary],
    *,
    next_boundary_at: datetime | None,
    usage: Usage,
    now: datetime,
) -> Decided:
    day = local_day(now, contract.cadence.zone)
    service = None if day < contract.cadence.starts_on else contract.cadence.period_of(day)
    charged: Mapping[ChargedKey, Decimal] = {}
    is_opening_draft = False
    if service is not None and due and due[-1].at == service.served.starts_at:
        draft = draft_document(contract=contract, boundary=due[-1], usage=usage)
        is_opening_draft = draft is not None
        charged = _charged(
            []
            if draft is None
            else [
                each.line.explanation
                for each in draft.lines
                if each.timing == Timing.IN_ADVANCE.value and each.line.kind is LineKind.RECURRING
            ]
        )
    elif service is not None:
        is_opening_draft = _has_opening_draft(row, service)
        charged = _charged(_billed_ahead(row, service))
    facts = Facts(
        contract=contract,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        next_boundary_at=next_boundary_at,
        charged=charged,
        is_opening_draft=is_opening_draft,
        new=None
        if asked.kind is not ChangeKind.PLAN
        else held_version(
            _asked_version(asked, day=_first_day(asked, next_boundary_at, contract, day)),
            starts_on=day,
        ),
        usage=usage,
    )
    return Decided(
        row=row, facts=facts, decision=decide(facts=facts, asked=asked, now=now), usage=usage
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


def _has_opening_draft(row: Subscription, service: ServicePeriod) -> bool:
    return Invoice.objects.filter(
        tenant_id=row.tenant_id,
        subscription=row,
        kind=InvoiceKind.SUBSCRIPTION,
        status=InvoiceStatus.DRAFT,
        boundary_at=service.served.starts_at,
    ).exists()


def _billed_ahead(row: Subscription, service: ServicePeriod) -> Sequence[Mapping[str, Any]]:
    """The workings of what was billed in advance within the period, on invoices and credit notes."""
    period = service.served
    lines = InvoiceLine.objects.filter(
        tenant_id=row.tenant_id,
        invoice__subscription=row,
        timing=Timing.IN_ADVANCE.value,
        kind=LineKind.RECURRING,
        period_starts_at__gte=period.starts_at,
        period_starts_at__lt=period.ends_at,
    ).exclude(invoice__status=InvoiceStatus.VOID)
    charges = CreditNoteLine.objects.filter(
        tenant_id=row.tenant_id,
        credit_note__subscription=row,
        amount_minor__lt=0,
        period_starts_at__gte=period.starts_at,
        period_starts_at__lt=period.ends_at,
    )
    return [
        *lines.values_list("explanation", flat=True),
        *charges.values_list("explanation", flat=True),
    ]


def _charged(workings: Sequence[Mapping[str, Any]]) -> dict[ChargedKey, Decimal]:
    charged: dict[ChargedKey, Decimal] = defaultdict(Decimal)
    for working in workings:
        if "held" in working and "price" in working:
            key = (str(working["plan"]), int(working["version"]), str(working["price"]))
            charged[key] = max(charged[key], Decimal(str(working["held"])))
    return dict(charged)
