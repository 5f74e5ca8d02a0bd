"""Draft what is due, and issue at once what waits for nothing: one chunk of subscriptions a transaction."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.drafting import Contract, Draft, draft_document
from billing.invoicing.late_periods import Late, correction_counts, find_late
from billing.invoicing.late_usage import with_adjustments
from billing.invoicing.parking import Parked
from billing.invoicing.rated import Rated
from billing.invoicing.services.finalize_rated import Outcome, finalize_rated
from billing.invoicing.storing import Document, invoice_row, store_documents
from billing.invoicing.tenant_ranges import ALL_TENANTS, Tenants
from billing.rating.usage import Usage
from billing.subscriptions.domain import Boundary, SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.array_literals import plain_array, text_array
from kernel.errors import Conflict, DomainError
from kernel.period import Period, local_day
from metering.queries import Span
from tenants.scope import system_scope
from work.connections import cursor

CHUNK = 500
BOUNDARIES = 12
"""How many documents of one subscription a chunk drafts at most; the next chunk goes on. It bounds
memory when years are caught up."""


@dataclass(slots=True, kw_only=True)
class Drafted:
    """What one chunk did; `subscriptions` 0 means that nothing was left to do.

    `totals` are those of all that was drafted, `issued` tells of what was issued as well.
    """

    subscriptions: int = 0
    drafted: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    issued: Outcome = field(default_factory=Outcome)


def draft_due(
    *,
    at: datetime,
    tenants: Tenants = ALL_TENANTS,
    finalize: bool = False,
    seller: str = "default",
    count: Callable[[Drafted], None] = lambda _: None,
) -> Drafted:
    """Draft the documents of up to `CHUNK` subscriptions that have boundaries at or before `at`; with
    `finalize`, issue those whose grace is over by then, as `finalize_rated` does.

    What was just rated needs not be rated again to be issued. Only where an older draft or late usage
    is to go before it, or documents of a tenant are consolidated, a draft is left to `finalize_due`, which takes them in their order.

    A few statements whatever the number of tenants. The cursor of each subscription moves in the
    same transaction, and (subscription, boundary) is unique: killed anywhere and run again, no
    period is drafted twice or left out. `count` is called last in that transaction.
    """
    with system_scope(purpose="draft due invoices"):
        rows = list(
            Subscription.objects.select_for_update(of=("self",))
            .select_related("tenant")
            .prefetch_related("plan_version")  # one object for all that hold it
            .filter(next_boundary_at__lte=at, parked_code="", **tenants.lookup)
            .order_by("tenant_id", "id")[:CHUNK]
        )
        outcome = Drafted(subscriptions=len(rows))
        if not rows:
            return outcome
        contracts = load_contracts(rows, seller=seller)
        due = {row.id: due_boundaries(row, contracts[row.id], at=at) for row in rows}
        documents = _documents(rows, due)
        late = find_late(contracts=contracts, lock=True)
        # What is known to be corrected is counted before the usage is read: what comes between is
        # found the next time.
        counts = _corrections(contracts, due)
        usage = load_usage(
            spans=[span for row in rows if (span := usage_span(contracts[row.id], due[row.id]))],
            meters={meter for contract in contracts.values() for meter in contract.meters},
            users=[
                each
                for row in rows
                for each in users_to_count(contracts[row.id], ended_periods(due[row.id]))
            ],
        )
        stored: list[Document] = []
        rated: list[Rated] = []
        for row in rows:
            contract = contracts[row.id]
            try:
                _refuse_billed(due[row.id], documents[row.id])
                drafts = _drafts(
                    contract, due[row.id], usage.get(row.tenant_id, {}), late.get(row.id)
                )
            except DomainError as error:
                row.parked_code, row.parked_detail = error.code, error.message
                outcome.parked.append(
                    Parked(tenant=contract.tenant_key, code=error.code, detail=error.message)
                )
                continue
            # What is to be consolidated waits for the tenant's other subscriptions to be drafted.
            goes_first = (
                row.id not in late
                and not row.tenant.consolidates_invoices
                and not any(status == InvoiceStatus.DRAFT for _, status in documents[row.id])
            )
            for draft in drafts:
                invoice = invoice_row(contract, draft, seller=seller, at=at)
                invoice.tenant, invoice.subscription = row.tenant, row
                invoice.corrections_counted = counts.get((row.id, draft.boundary_at), 0)
                stored.append(Document(invoice=invoice, draft=draft))
                outcome.totals[draft.currency] += draft.total.minor
                if goes_first:
                    rated.append(
                        Rated(
                            invoice=invoice,
                            contract=contract,
                            draft=draft,
                            corrections=invoice.corrections_counted,
                        )
                    )
            _move_on(row, contract, passed=due[row.id][-1].at)
        store_documents(stored)
        _store(rows)
        outcome.drafted = len(stored)
        if finalize:
            rated.sort(key=lambda each: (each.invoice.finalize_at, each.invoice.id))
            outcome.issued = finalize_rated(rated=rated, at=at)
            outcome.parked.extend(outcome.issued.parked)
        count(outcome)
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
                plain_array(row.tenant_id for row in rows),
                plain_array(row.id for row in rows),
                plain_array(
                    None if row.next_boundary_at is None else row.next_boundary_at.isoformat()
                    for row in rows
                ),
                plain_array(row.plan_version_id for row in rows),
                text_array(row.status for row in rows),
                text_array(row.parked_code for row in rows),
                text_array(row.parked_detail for row in rows),
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


def _documents(
    rows: Sequence[Subscription], due: Mapping[UUID, Sequence[Boundary]]
) -> dict[UUID, list[tuple[datetime, str]]]:
    """The documents that each subscription has at boundaries from its first due one on, and its drafts:
    (boundary, status) by subscription."""
    documents: dict[UUID, list[tuple[datetime, str]]] = {row.id: [] for row in rows}
    with cursor() as db:
        db.execute(
            """
            SELECT i.subscription_id, i.boundary_at, i.status
              FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[])
                   AS asked (tenant_id, id, first_at)
              JOIN billing_invoice i
                ON i.tenant_id = asked.tenant_id AND i.subscription_id = asked.id
               AND i.kind = 'subscription'
               AND (i.boundary_at >= asked.first_at OR i.status = 'draft')
            """,
            [
                plain_array(row.tenant_id for row in rows),
                plain_array(row.id for row in rows),
                plain_array(due[row.id][0].at.isoformat() for row in rows),
            ],
        )
        for subscription_id, boundary_at, status in db.fetchall():
            documents[UUID(str(subscription_id))].append((boundary_at, status))
    return documents


def _refuse_billed(
    boundaries: Sequence[Boundary], documents: Sequence[tuple[datetime, str]]
) -> None:
    """Raises Conflict where a boundary that is said to be due has a document (item 11)."""
    due = {each.at for each in boundaries}
    for boundary_at, _ in documents:
        if boundary_at in due:
            raise Conflict(
                "period_already_billed",
                f"The period at {boundary_at.isoformat()} has a document already, though "
                "the subscription says that it is due.",
            )


def _corrections(
    contracts: Mapping[UUID, Contract], due: Mapping[UUID, Sequence[Boundary]]
) -> dict[tuple[UUID, datetime], int]:
    """How many corrections the days have of each period that ended, by subscription and boundary."""
    asked = [
        (key, boundary.at, boundary.ended.served)
        for key, boundaries in due.items()
        for boundary in boundaries
        if boundary.ended is not None
    ]
    counts = correction_counts(periods=[(contracts[key], served) for key, _, served in asked])
    return {(key, at): count for (key, at, _), count in zip(asked, counts, strict=True)}


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
