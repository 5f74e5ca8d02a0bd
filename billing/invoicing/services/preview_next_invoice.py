"""A tenant's next documents as they stand now: rated like drafts, stored nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.drafting import Contract, draft_document
from billing.invoicing.late_periods import find_late
from billing.invoicing.late_usage import with_adjustments
from billing.invoicing.listings import LineRow, rows_of_draft
from billing.invoicing.services.rate_due import ended_periods, usage_span
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.errors import DomainError
from kernel.money import Money
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class NextInvoice:
    """What a subscription's next document would say if no more were used. It is drafted at `drafted_at`."""

    subscription_id: UUID
    plan_document: Mapping[str, Any]
    drafted_at: datetime
    timezone: str
    period: Period
    total: Money
    tax: Money
    lines: Sequence[LineRow]


def preview_next_invoices(*, tenant_id: UUID, now: datetime) -> Sequence[NextInvoice]:
    """Of each running subscription the document of the first boundary after `now`, from the usage that is
    known, with its tax; the first to be drafted at the front.

    The same drafting and rating as the bill itself, late usage of earlier periods included, in the
    caller's scope. Left out is what will bill nothing there, and what the terms can't rate: then the
    billing run tells why.
    """
    rows = list(
        Subscription.objects.filter(tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE)
        .select_related("plan_version__plan", "tenant")
        .order_by("starts_at", "id")
    )
    contracts = load_contracts(rows)
    found = [_next_invoice(row, contracts[row.id], now=now) for row in rows]
    return tuple(
        sorted((each for each in found if each is not None), key=lambda each: each.drafted_at)
    )


def _next_invoice(row: Subscription, contract: Contract, *, now: datetime) -> NextInvoice | None:
    tenant_id = row.tenant_id
    cadence = contract.cadence
    first = cadence.first_boundary()
    boundary_at = first if now < first else cadence.after(now)
    if boundary_at is None:
        return None
    boundary = cadence.boundary(boundary_at)
    span = usage_span(contract, [boundary])
    usage = load_usage(
        spans=[span] if span else [],
        meters=contract.meters,
        users=users_to_count(contract, ended_periods([boundary])),
    )
    try:
        late = find_late(contracts={row.id: contract}, lock=False).get(row.id)
        draft = with_adjustments(
            draft_document(contract=contract, boundary=boundary, usage=usage.get(tenant_id, {})),
            contract=contract,
            boundary=boundary,
            adjusted=late.for_document(None) if late is not None else (),
        )
    except DomainError:
        return None
    if draft is None or draft.is_empty:
        return None
    return NextInvoice(
        subscription_id=row.id,
        plan_document=row.plan_version.document,
        drafted_at=boundary_at,
        timezone=row.timezone,
        period=draft.period,
        total=draft.total,
        tax=draft.settlement.tax_total,
        lines=rows_of_draft(
            draft,
            plan_key=row.plan_version.plan.key,
            plan_version=row.plan_version.number,
            plan_effective_from=row.plan_version.effective_from,
        ),
    )
