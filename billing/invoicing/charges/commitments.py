"""What was billed of what a tenant committed itself to, document by document. One statement."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.charges.domain import Counted
from billing.invoicing.domain import InvoiceKind
from kernel.array_literals import plain_array, text_array
from kernel.money import Money
from kernel.period import Period
from work.connections import cursor

NOT_COUNTED: Final = (
    InvoiceKind.ONE_OFF,
    InvoiceKind.MILESTONE,
    InvoiceKind.LICENCE,
    InvoiceKind.TOP_UP,
)
"""Kinds of invoice that are no use of the service, and so no part of what was committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A tenant, a currency, and the period of a commitment."""

    tenant_id: UUID
    currency: str
    period: Period


def counted_documents(asked: Sequence[Committed]) -> list[tuple[Counted, ...]]:
    """For each commitment the documents that count, by number, in the caller's scope.

    Of issued invoices of subscriptions, and of earlier true-ups, the lines whose service begins within
    the period, after discounts and before tax; of credit notes on them the same, taken off.
    """
    if not asked:
        return []
    found: dict[int, list[Counted]] = defaultdict(list)
    with cursor() as db:
        db.execute(
            """
            WITH asked AS (
                SELECT * FROM unnest(%(tenants)s::uuid[], %(currencies)s::text[],
                                     %(firsts)s::timestamptz[], %(ends)s::timestamptz[])
                         WITH ORDINALITY AS a(tenant_id, currency, first_at, end_at, place)
            ), counted AS (
                SELECT a.place, i.number, l.amount_minor - l.discount_minor AS minor
                  FROM asked a
                  JOIN billing_invoice i ON i.tenant_id = a.tenant_id AND i.currency = a.currency
                   AND i.number IS NOT NULL AND i.status <> 'void' AND i.kind <> ALL(%(others)s::text[])
                  JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
                   AND l.period_starts_at >= a.first_at AND l.period_starts_at < a.end_at
                UNION ALL
                SELECT a.place, n.number, -c.amount_minor
                  FROM asked a
                  JOIN billing_creditnote n ON n.tenant_id = a.tenant_id AND n.currency = a.currency
                  LEFT JOIN billing_invoice i ON i.tenant_id = n.tenant_id AND i.id = n.invoice_id
                  JOIN billing_creditnoteline c ON c.tenant_id = n.tenant_id
                   AND c.credit_note_id = n.id
                   AND c.period_starts_at >= a.first_at AND c.period_starts_at < a.end_at
                 WHERE i.kind IS NULL OR i.kind <> ALL(%(others)s::text[])
            )
            SELECT place, number, sum(minor)::bigint FROM counted
             GROUP BY place, number ORDER BY place, number
            """,
            {
                "tenants": plain_array(each.tenant_id for each in asked),
                "currencies": text_array(each.currency for each in asked),
                "firsts": plain_array(each.period.starts_at.isoformat() for each in asked),
                "ends": plain_array(each.period.ends_at.isoformat() for each in asked),
                "others": text_array(kind.value for kind in NOT_COUNTED),
            },
        )
        for place, number, minor in db.fetchall():
            currency = asked[place - 1].currency
            found[place - 1].append(Counted(number=number, net=Money(minor, currency)))
    return [tuple(found[place]) for place in range(len(asked))]


def not_billed_yet(asked: Sequence[Committed], *, at: datetime) -> set[int]:
    """The places of commitments of whose days something that was due by `at` is not issued: a draft waits for
    its grace, or a subscription is left aside. In the caller's scope."""
    if not asked:
        return set()
    with cursor() as db:
        db.execute(
            """
            SELECT a.place
              FROM unnest(%(tenants)s::uuid[], %(currencies)s::text[], %(firsts)s::timestamptz[],
                          %(ends)s::timestamptz[])
                       WITH ORDINALITY AS a(tenant_id, currency, first_at, end_at, place)
             WHERE EXISTS (
                   SELECT FROM billing_invoice i
                     JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
                      AND l.period_starts_at >= a.first_at AND l.period_starts_at < a.end_at
                    WHERE i.tenant_id = a.tenant_id AND i.currency = a.currency AND i.status = 'draft')
                OR EXISTS (
                   SELECT FROM billing_subscription s
                    WHERE s.tenant_id = a.tenant_id
                      AND s.next_boundary_at <= least(a.end_at, %(at)s))
            """,
            {
                "tenants": plain_array(each.tenant_id for each in asked),
                "currencies": text_array(each.currency for each in asked),
                "firsts": plain_array(each.period.starts_at.isoformat() for each in asked),
                "ends": plain_array(each.period.ends_at.isoformat() for each in asked),
                "at": at,
            },
        )
        return {place - 1 for (place,) in db.fetchall()}
