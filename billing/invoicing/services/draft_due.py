"""Draft what is due, and issue at once what waits for nothing: one chunk of subscriptions a transaction."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from billing.invoicing.drafting import Contract
from billing.invoicing.parking import Parked
from billing.invoicing.rated import Rated
from billing.invoicing.services.finalize_rated import Outcome, finalize_rated
from billing.invoicing.services.rate_due import rate_due
from billing.invoicing.storing import Document, invoice_row, store_documents
from billing.invoicing.tenant_ranges import ALL_TENANTS, Tenants
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.models import Subscription
from kernel.array_literals import plain_array, text_array
from kernel.period import local_day
from tenants.scope import system_scope
from work.connections import cursor

CHUNK = 500


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
        stored: list[Document] = []
        rated: list[Rated] = []
        for due in rate_due(rows, at=at, seller=seller, lock=True):
            row, contract = due.row, due.contract
            if due.fault is not None:
                row.parked_code, row.parked_detail = due.fault.code, due.fault.message
                outcome.parked.append(Parked.by(due.fault, tenant=contract.tenant_key))
                continue
            # What is to be consolidated waits for the tenant's other subscriptions to be drafted.
            goes_first = due.goes_first and not row.tenant.consolidates_invoices
            for draft in due.drafts:
                invoice = invoice_row(contract, draft, seller=seller, at=at)
                invoice.tenant, invoice.subscription = row.tenant, row
                invoice.corrections_counted = due.corrections.get(draft.boundary_at, 0)
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
            move_on(row, contract, passed=due.boundaries[-1].at)
        store_documents(stored)
        _store(rows)
        outcome.drafted = len(stored)
        if finalize:
            rated.sort(key=lambda each: (each.invoice.finalize_at, each.invoice.id))
            outcome.issued = finalize_rated(rated=rated, at=at)
            outcome.parked.extend(outcome.issued.parked)
        count(outcome)
        return outcome


def move_on(row: Subscription, contract: Contract, *, passed: datetime) -> None:
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
