"""What each discount of a tenant took off its issued invoices. In the caller's scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from billing.discounts.domain import HeldDiscount
from billing.subscriptions.queries import subscriptions_of
from kernel.money import Money
from kernel.period import local_day
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDiscount:
    """A discount of a subscription with its sum on issued invoices, and on how many of them; lines that
    gave back count against it. `is_over` where it counts for no more periods."""

    held: HeldDiscount
    subscription_id: UUID
    plan_key: str
    taken: Money
    invoices: int
    is_over: bool


def discounts_taken(*, tenant_id: UUID, today: date) -> Sequence[TakenDiscount]:
    """Of all its subscriptions, the running one first, in the order in which they count. `today` tells
    which are over."""
    taken = _taken(tenant_id)
    return tuple(
        TakenDiscount(
            held=held,
            subscription_id=row.id,
            plan_key=row.plan_key,
            taken=Money.of(sums[0], row.terms.currency),
            invoices=sums[1],
            is_over=(held.ends_on is not None and held.ends_on <= today)
            or (row.ends_at is not None and local_day(row.ends_at, row.cadence.zone) <= today),
        )
        for row in subscriptions_of(tenant_id=tenant_id)
        for held in row.discounts
        for sums in [taken.get((row.id, held.key), (Decimal(0), 0))]
    )


def _taken(tenant_id: UUID) -> dict[tuple[UUID, str], tuple[Decimal, int]]:
    with cursor() as execution:
        execution.execute(
            """
            SELECT coalesce(line.subscription_id, invoice.subscription_id), told ->> 'id', sum((told ->> 'amount')::numeric),
                   count(DISTINCT invoice.id)
              FROM billing_invoice invoice
              JOIN billing_invoiceline line
                ON line.tenant_id = invoice.tenant_id AND line.invoice_id = invoice.id
             CROSS JOIN LATERAL jsonb_array_elements(line.explanation -> 'discounts') AS told
             WHERE invoice.tenant_id = %s::uuid AND invoice.number IS NOT NULL
               AND line.explanation ? 'discounts'
             GROUP BY 1, 2
            """,
            [str(tenant_id)],
        )
        return {(row[0], row[1]): (row[2], row[3]) for row in execution.fetchall()}
