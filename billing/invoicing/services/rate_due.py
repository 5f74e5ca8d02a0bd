"""What subscriptions come to at the boundaries that are due: for drafting them, and for a dry run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.contracts import load_contracts, load_usage, users_to_count
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.drafting import Contract, Draft, draft_document
from billing.invoicing.late_periods import Late, correction_counts, find_late
from billing.invoicing.late_usage import with_adjustments
from billing.rating.usage import Usage
from billing.subscriptions.domain import Boundary
from billing.subscriptions.models import Subscription
from kernel.array_literals import plain_array
from kernel.errors import Conflict, DomainError
from kernel.period import Period
from metering.queries import Span
from work.connections import cursor

BOUNDARIES = 12
"""How many documents of one subscription are rated at once at most; the next chunk goes on. It bounds
memory when years are caught up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueSubscription:
    """One subscription's documents, in the order of its boundaries, or why they can't be made.

    `goes_first`: no older draft and no late usage is to go before them. `corrections` is how many the days
    had of each boundary's period before its usage was read.
    """

    row: Subscription
    contract: Contract
    boundaries: Sequence[Boundary]
    drafts: Sequence[Draft]
    fault: DomainError | None
    goes_first: bool
    corrections: Mapping[datetime, int]


def rate_due(
    rows: Sequence[Subscription], *, at: datetime, seller: str, lock: bool, with_late: bool = True
) -> list[DueSubscription]:
    """Rate the boundaries of subscriptions from their cursors to `at`, at most `BOUNDARIES` of each, in the
    caller's scope. A few statements whatever their number; nothing is written. With `lock`, the late usage
    that they settle is settled by nobody else meanwhile; without `with_late`, another document takes it.
    """
    contracts = load_contracts(rows, seller=seller)
    due = {row.id: due_boundaries(row, contracts[row.id], at=at) for row in rows}
    documents = _documents(rows, due)
    late = find_late(contracts=contracts, lock=lock) if with_late else {}
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
    rated = []
    for row in rows:
        contract, fault = contracts[row.id], None
        drafts: Sequence[Draft] = ()
        try:
            _refuse_billed(due[row.id], documents[row.id])
            drafts = _drafts(contract, due[row.id], usage.get(row.tenant_id, {}), late.get(row.id))
        except DomainError as error:
            fault = error
        rated.append(
            DueSubscription(
                row=row,
                contract=contract,
                boundaries=due[row.id],
                drafts=drafts,
                fault=fault,
                goes_first=row.id not in late
                and not any(status == InvoiceStatus.DRAFT for _, status in documents[row.id]),
                corrections=counts.get(row.id, {}),
            )
        )
    return rated


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
    """Raises Conflict where a boundary that is said to be due has a document."""
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
) -> dict[UUID, dict[datetime, int]]:
    """How many corrections the days have of each period that ended, by subscription and boundary."""
    asked = [
        (key, boundary.at, boundary.ended.served)
        for key, boundaries in due.items()
        for boundary in boundaries
        if boundary.ended is not None
    ]
    counts = correction_counts(periods=[(contracts[key], served) for key, _, served in asked])
    found: dict[UUID, dict[datetime, int]] = {}
    for (key, at, _), count in zip(asked, counts, strict=True):
        found.setdefault(key, {})[at] = count
    return found


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
