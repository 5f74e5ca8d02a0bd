"""Draft what is due: one chunk of subscriptions a transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Contract, Draft, draft_document
from billing.invoicing.late_periods import Late, find_late
from billing.invoicing.late_usage import with_adjustments
from billing.invoicing.lines import content_hash, line_rows
from billing.invoicing.models import Invoice, InvoiceLine
from billing.rating.usage import Usage
from billing.subscriptions.domain import Boundary, SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel import ids
from kernel.errors import Conflict, DomainError
from kernel.period import Period, local_day
from metering.queries import Span
from tenants.scope import system_scope
from work.connections import cursor

CHUNK = 200
BOUNDARIES = 36
"""How many documents of one subscription a chunk drafts at most; the next chunk goes on. It bounds
memory when years are caught up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A tenant whose data contradict: it is left out, with the reason, and the others go on."""

    tenant: str
    code: str
    detail: str


@dataclass(slots=True, kw_only=True)
class Drafted:
    """What one chunk did; `subscriptions` 0 means that nothing was left to do."""

    subscriptions: int = 0
    drafted: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def draft_due(*, at: datetime, tenant_key: str = "", seller: str = "default") -> Drafted:
    """Draft the documents of up to `CHUNK` subscriptions that have boundaries at or before `at`.

    A few statements whatever the number of tenants. The cursor of each subscription moves in the
    same transaction, and (subscription, boundary) is unique: killed anywhere and run again, no
    period is drafted twice or left out.
    """
    with system_scope(purpose="draft due invoices"):
        rows = list(
            Subscription.objects.select_for_update(of=("self",))
            .select_related("plan_version", "tenant")
            .filter(next_boundary_at__lte=at, parked_code="")
            .filter(**({"tenant__key": tenant_key} if tenant_key else {}))
            .order_by("next_boundary_at", "id")[:CHUNK]
        )
        outcome = Drafted(subscriptions=len(rows))
        if not rows:
            return outcome
        contracts = load_contracts(rows, seller=seller)
        due = {row.id: due_boundaries(row, contracts[row.id], at=at) for row in rows}
        billed = _already_billed(rows, due)
        late = find_late(contracts=contracts, lock=True)
        usage = load_usage(
            spans=[span for row in rows if (span := usage_span(contracts[row.id], due[row.id]))],
            meters={meter for contract in contracts.values() for meter in contract.meters},
            users=[
                each
                for row in rows
                for each in users_to_count(contracts[row.id], ended_periods(due[row.id]))
            ],
        )
        invoices: list[Invoice] = []
        lines: list[InvoiceLine] = []
        for row in rows:
            contract = contracts[row.id]
            try:
                if row.id in billed:
                    raise Conflict(
                        "period_already_billed",
                        f"The period at {billed[row.id].isoformat()} has a document already, though "
                        "the subscription says that it is due.",
                    )
                drafts = _drafts(
                    contract, due[row.id], usage.get(row.tenant_id, {}), late.get(row.id)
                )
            except DomainError as error:
                row.parked_code, row.parked_detail = error.code, error.message
                outcome.parked.append(
                    Parked(tenant=contract.tenant_key, code=error.code, detail=error.message)
                )
                continue
            for draft in drafts:
                invoice = invoice_row(contract, draft, seller=seller, at=at)
                invoices.append(invoice)
                lines.extend(line_rows(invoice_id=invoice.id, contract=contract, draft=draft))
                outcome.totals[draft.currency] += draft.total.minor
            _move_on(row, contract, passed=due[row.id][-1].at)
        Invoice.objects.bulk_create(invoices, batch_size=1000)
        InvoiceLine.objects.bulk_create(lines, batch_size=1000)
        _store(rows)
        outcome.drafted = len(invoices)
        return outcome


def _move_on(row: Subscription, contract: Contract, *, passed: datetime) -> None:
    """The cursor moves; a plan that was to change there has changed, a cancelled one has ended."""
    row.next_boundary_at = contract.cadence.after(passed)
    row.plan_version_id = contract.version_on(
        local_day(passed, contract.cadence.zone)
    ).plan_version_id
    if row.next_boundary_at is None:
        row.status = SubscriptionStatus.ENDED


def _store(rows: Sequence[Subscription]) -> None:
    """The subscriptions as they are now, in one statement."""
    with cursor() as db:
        db.execute(
            """
            UPDATE billing_subscription AS s
               SET next_boundary_at = n.next_boundary_at, plan_version_id = n.plan_version_id,
                   status = n.status, parked_code = n.parked_code, parked_detail = n.parked_detail
              FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::uuid[], %s::text[],
                          %s::text[], %s::text[])
                   AS n(tenant_id, id, next_boundary_at, plan_version_id, status, parked_code,
                        parked_detail)
             WHERE s.tenant_id = n.tenant_id AND s.id = n.id
            """,
            [
                [row.tenant_id for row in rows],
                [row.id for row in rows],
                [row.next_boundary_at for row in rows],
                [row.plan_version_id for row in rows],
                [str(row.status) for row in rows],
                [row.parked_code for row in rows],
                [row.parked_detail for row in rows],
            ],
        )


def due_boundaries(row: Subscription, contract: Contract, *, at: datetime) -> list[Boundary]:
    """The boundaries of a subscription from its cursor to `at`, at most `BOUNDARIES`."""
    due: list[Boundary] = []
    boundary_at = row.next_boundary_at
    while boundary_at is not None and boundary_at <= at and len(due) < BOUNDARIES:
        due.append(contract.cadence.boundary(boundary_at))
        boundary_at = contract.cadence.after(boundary_at)
    return due


def ended_periods(boundaries: Sequence[Boundary]) -> list[Period]:
    """The served periods that end at these boundaries."""
    return [each.ended.served for each in boundaries if each.ended is not None]


def usage_span(contract: Contract, boundaries: Sequence[Boundary]) -> Span | None:
    """The local days whose usage these boundaries bill; None when they bill none."""
    served = ended_periods(boundaries)
    if not served or not contract.meters:
        return None
    zone = contract.cadence.zone
    return Span(
        tenant_id=contract.tenant_id,
        from_day=min(period.first_day(zone) for period in served),
        to_day=max(period.end_day(zone) for period in served),
    )


def _already_billed(
    rows: Sequence[Subscription], due: dict[UUID, list[Boundary]]
) -> dict[UUID, datetime]:
    """Subscriptions that have a document at a boundary that is said to be due (item 11)."""
    earliest = min(each.at for boundaries in due.values() for each in boundaries)
    documents = Invoice.objects.filter(
        tenant_id__in=[row.tenant_id for row in rows],
        subscription_id__in=[row.id for row in rows],
        kind=InvoiceKind.SUBSCRIPTION,
        boundary_at__gte=earliest,
    ).values_list("subscription_id", "boundary_at")
    return {
        subscription_id: boundary_at
        for subscription_id, boundary_at in documents
        if any(each.at == boundary_at for each in due[subscription_id])
    }


def _drafts(
    contract: Contract, boundaries: Sequence[Boundary], usage: Usage, late: Late | None
) -> list[Draft]:
    """The drafts of the boundaries. Late usage of earlier periods goes onto the first of them, unless
    a draft is there already, which then takes it when it is refreshed."""
    adjusted = late.for_document(None) if late is not None else ()
    drafts: list[Draft] = []
    for boundary in boundaries:
        draft = with_adjustments(
            draft_document(contract=contract, boundary=boundary, usage=usage),
            contract=contract,
            boundary=boundary,
            adjusted=() if drafts else adjusted,
        )
        # Late usage may still fill an empty document that waits for it; any other stays empty.
        if draft is not None and (draft.waits_for_usage or not draft.is_empty):
            drafts.append(draft)
    return drafts


def invoice_row(
    contract: Contract,
    draft: Draft,
    *,
    seller: str,
    at: datetime,
    kind: InvoiceKind = InvoiceKind.SUBSCRIPTION,
) -> Invoice:
    """The row of a draft, without its lines."""
    totals = draft.settlement
    return Invoice(
        id=ids.new_id(),
        tenant_id=contract.tenant_id,
        seller_id=seller,
        subscription_id=contract.subscription_id,
        kind=kind,
        currency=draft.currency,
        timezone=contract.cadence.zone.key,
        language=contract.language,
        boundary_at=draft.boundary_at,
        period_starts_at=draft.period.starts_at,
        period_ends_at=draft.period.ends_at,
        finalize_at=draft.finalize_at,
        subtotal_minor=totals.subtotal.minor,
        discount_minor=totals.discount_total.minor,
        tax_minor=totals.tax_total.minor,
        total_minor=totals.total.minor,
        content_hash=content_hash(draft),
        created_at=at,
    )
