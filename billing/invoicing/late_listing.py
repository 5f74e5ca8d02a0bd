"""Late usage that is not settled yet, as it would be settled now: the preview of its effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from billing.invoicing.contracts import load_contracts
from billing.invoicing.domain import LateUsageOutcome
from billing.invoicing.late_periods import Late, find_late
from billing.invoicing.late_usage import Adjusted, recorded_lines
from billing.invoicing.models import CreditNote, Invoice, LateUsage
from billing.subscriptions.domain import LateUsagePolicy, SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.errors import NotFound
from kernel.money import Money, total
from kernel.period import Period
from metering import queries as metering

_CHUNK: Final = 500
_CHUNKS: Final = 10
"""A page looks through so many chunks of subscriptions at most; the next goes on from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPeriod:
    """A closed period that late usage touches: what was billed, and what would be billed of it now.

    `billed` and `rated` are the sums of the lines that change, `amount` is the difference, zero where the
    usage changes nothing. `lines` tell it price by
    price, as `recorded_lines` gives them.
    """

    period: Period
    invoice: str
    billed: Money
    rated: Money
    amount: Money
    lines: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledPeriod:
    """How late usage of a period was settled. `document` is the number of what bills it or gives it
    back, empty for a waiver."""

    tenant_key: str
    tenant_name: str
    timezone: str
    period: Period
    amount: Money
    outcome: str
    document: str
    reason: str
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingLate:
    """The late usage of one subscription, and what will become of it.

    `error_code` and `error_detail` are set where the terms can't rate the usage.
    """

    subscription_id: UUID
    tenant_key: str
    tenant_name: str
    timezone: str
    policy: LateUsagePolicy
    has_ended: bool
    amount: Money
    periods: Sequence[PendingPeriod]
    error_code: str = ""
    error_detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingPage:
    """Some subscriptions with late usage; `next` is where the following page goes on, None at the end."""

    rows: Sequence[PendingLate]
    next: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePolicy:
    """What becomes of a subscription's late usage, and why."""

    subscription_id: UUID
    tenant_key: str
    tenant_name: str
    policy: LateUsagePolicy
    reason: str


def pending_late_usage(
    *, tenant_id: UUID | None = None, after: UUID | None = None, limit: int
) -> PendingPage:
    """Up to `limit` subscriptions with late usage, oldest first, rated as a billing run would now.

    In the caller's scope; nothing is locked or written. A page may hold fewer rows than `limit` and
    still have a next one, since it looks through a bounded number of subscriptions.
    """
    rows: list[PendingLate] = []
    for _ in range(_CHUNKS):
        found = Subscription.objects.select_related("plan_version", "tenant").order_by("id")
        if tenant_id is not None:
            found = found.filter(tenant_id=tenant_id)
        if after is not None:
            found = found.filter(id__gt=after)
        chunk = list(found[:_CHUNK])
        tenants = metering.tenants_with_corrections(tenant_ids=[row.tenant_id for row in chunk])
        late = find_late(
            contracts=load_contracts([row for row in chunk if row.tenant_id in tenants]),
            lock=False,
        )
        for row in chunk:
            after = row.id
            if row.id in late:
                rows.append(_pending(row, late[row.id]))
                if len(rows) == limit:
                    return PendingPage(rows=tuple(rows), next=after)
        if len(chunk) < _CHUNK:
            return PendingPage(rows=tuple(rows), next=None)
    return PendingPage(rows=tuple(rows), next=after)


def late_usage_policy(*, subscription_id: UUID) -> LatePolicy:
    """The policy of one subscription. Raises NotFound `subscription_not_found`."""
    row = Subscription.objects.select_related("tenant").filter(id=subscription_id).first()
    if row is None:
        raise NotFound(
            "subscription_not_found", "There is no such subscription.", field="subscription"
        )
    return LatePolicy(
        subscription_id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        policy=LateUsagePolicy(row.late_usage),
        reason=row.late_usage_reason,
    )


def settled_late_usage(*, limit: int) -> Sequence[SettledPeriod]:
    """How late usage was settled lately, newest first; without what changed no amount."""
    rows = list(
        LateUsage.objects.exclude(outcome=LateUsageOutcome.UNCHANGED)
        .select_related("tenant", "document", "subscription")
        .order_by("-settled_at", "-id")[:limit]
    )
    notes = dict(
        CreditNote.objects.filter(document__in=[row.document_id for row in rows]).values_list(
            "document_id", "number"
        )
    )
    return tuple(
        SettledPeriod(
            tenant_key=row.tenant.key,
            tenant_name=row.tenant.name,
            timezone=row.subscription.timezone,
            period=Period(row.period_starts_at, row.period_ends_at),
            amount=Money(row.amount_minor, row.currency),
            outcome=row.outcome,
            document=_number(row.document, notes),
            reason=row.reason,
            settled_at=row.settled_at,
        )
        for row in rows
    )


def _number(document: Invoice | None, notes: Mapping[UUID, str]) -> str:
    """The invoice's number, or that of the credit note as which it was issued."""
    if document is None:
        return ""
    return document.number or notes.get(document.id, "")


def _pending(row: Subscription, late: Late) -> PendingLate:
    currency = late.contract.versions[0].terms.currency
    return PendingLate(
        subscription_id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        timezone=row.timezone,
        policy=late.policy,
        has_ended=row.status == SubscriptionStatus.ENDED,
        amount=late.amount,
        periods=tuple(
            PendingPeriod(
                period=each.billed.period,
                invoice=each.billed.invoice,
                billed=_sum_of(each, "billed", currency=currency),
                rated=_sum_of(each, "rated", currency=currency),
                amount=each.amount(currency),
                lines=recorded_lines(each),
            )
            for each in late.adjusted
        ),
        error_code=late.error.code if late.error else "",
        error_detail=late.error.message if late.error else "",
    )


def _sum_of(adjusted: Adjusted, name: str, *, currency: str) -> Money:
    return total(
        (Money.of(line[name], currency) for line in recorded_lines(adjusted)), currency=currency
    )
