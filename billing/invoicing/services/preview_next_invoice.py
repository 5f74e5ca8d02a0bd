"""The tenant's next document as it stands now: rated like a draft, stored nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.drafting import draft_document
from billing.invoicing.late_periods import find_late
from billing.invoicing.late_usage import with_adjustments
from billing.invoicing.listings import LineRow
from billing.invoicing.services.draft_due import ended_periods, usage_span
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.errors import DomainError
from kernel.money import Money
from kernel.period import Period


@dataclass(frozen=True, slots=True, kw_only=True)
class NextInvoice:
    """What the next document would say if no more were used. It is drafted at `drafted_at`."""

    drafted_at: datetime
    timezone: str
    period: Period
    total: Money
    tax: Money
    lines: Sequence[LineRow]


def preview_next_invoice(*, tenant_id: UUID, now: datetime) -> NextInvoice | None:
    """The document of the first boundary after `now`, from the usage that is known, with its tax.

    The same drafting and rating as the bill itself, late usage of earlier periods included, in the
    caller's scope. None when nothing will be
    billed there, or when the terms can't rate the usage: then the billing run tells why.
    """
    row = (
        Subscription.objects.filter(tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE)
        .select_related("plan_version__plan", "tenant")
        .order_by("starts_at", "id")
        .first()
    )
    if row is None:
        return None
    contract = load_contracts([row])[row.id]
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
        drafted_at=boundary_at,
        timezone=row.timezone,
        period=draft.period,
        total=draft.total,
        tax=draft.settlement.tax_total,
        lines=tuple(
            LineRow(
                position=position,
                key=each.line.key,
                kind=each.line.kind.value,
                timing=each.timing,
                app_key=each.line.app_key or "",
                description=each.line.description,
                quantity=each.line.quantity,
                unit_price=each.line.unit_price,
                amount=each.line.amount,
                discount=settled.discount,
                tax_terms=each.tax,
                tax=settled.tax,
                period=each.line.period,
                plan_key=row.plan_version.plan.key,
                plan_version=row.plan_version.number,
                plan_effective_from=row.plan_version.effective_from,
                explanation=each.working,
            )
            for position, (each, settled) in enumerate(
                zip(draft.lines, draft.settlement.lines, strict=True), start=1
            )
        ),
    )
