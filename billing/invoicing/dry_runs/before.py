"""What tenants were billed before: the documents that a dry run's are compared with. Set-based.

A document that was consolidated keeps its own total, and its lines stand in the invoice that took it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.tenant_ranges import NamedTenants, Tenants
from kernel.array_literals import plain_array
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A subscription of which `documents` are expected from the boundary `first_at` on."""

    tenant_id: UUID
    subscription_id: UUID
    first_at: datetime
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A document that was issued before, in minor units; `usage_minor` is what its arrears come to."""

    tenant_id: UUID
    currency: str
    total_minor: int
    usage_minor: int
    versions: frozenset[UUID]


_BEFORE = """
SELECT d.tenant_id, d.currency, d.total_minor, coalesce(l.usage, 0)::bigint,
       coalesce(l.versions, '{}')::text[]
  FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::integer[])
       AS asked (tenant_id, id, first_at, documents)
 CROSS JOIN LATERAL (
       SELECT i.tenant_id, coalesce(i.consolidated_into_id, i.id) AS id, i.currency, i.total_minor,
              i.consolidated_into_id IS NOT NULL AS is_part
         FROM billing_invoice i
        WHERE i.tenant_id = asked.tenant_id AND i.subscription_id = asked.id
          AND i.kind = 'subscription' AND i.boundary_at < asked.first_at
          AND (i.status IN ('open', 'paid', 'uncollectible') OR i.total_minor < 0
               OR i.consolidated_into_id IS NOT NULL)
        ORDER BY i.boundary_at DESC
        LIMIT asked.documents) AS d
  LEFT JOIN LATERAL (
       SELECT sum(l.amount_minor - l.discount_minor) FILTER (WHERE l.timing = 'in_arrears') AS usage,
              array_agg(DISTINCT l.plan_version_id) FILTER (WHERE l.plan_version_id IS NOT NULL)
              AS versions
         FROM billing_invoiceline l
        WHERE l.tenant_id = d.tenant_id AND l.invoice_id = d.id
          AND (NOT d.is_part OR l.subscription_id = asked.id)) AS l ON true
"""
_ENDED = """
SELECT i.tenant_id, i.currency, i.total_minor
  FROM billing_subscription s
  JOIN billing_invoice i ON i.tenant_id = s.tenant_id AND i.subscription_id = s.id
 WHERE s.status = 'ended' AND i.kind = 'subscription'
   AND (i.status IN ('open', 'paid', 'uncollectible') OR i.consolidated_into_id IS NOT NULL)
   AND i.boundary_at > %(at)s::timestamptz - interval '2 months'
   AND i.boundary_at <= %(at)s::timestamptz - interval '1 month'
   AND CASE WHEN %(named)s::uuid[] IS NOT NULL THEN s.tenant_id = ANY(%(named)s::uuid[])
            ELSE s.tenant_id >= %(first)s AND (%(end)s::uuid IS NULL OR s.tenant_id < %(end)s) END
"""


def billed_before(asked: Sequence[Asked]) -> list[Billed]:
    """Of each subscription as many of its newest issued documents as are expected now, in the caller's
    scope. One statement."""
    with cursor() as db:
        db.execute(
            _BEFORE,
            [
                plain_array(each.tenant_id for each in asked),
                plain_array(each.subscription_id for each in asked),
                plain_array(each.first_at.isoformat() for each in asked),
                plain_array(each.documents for each in asked),
            ],
        )
        return [
            Billed(
                tenant_id=UUID(str(tenant_id)),
                currency=currency,
                total_minor=total,
                usage_minor=usage,
                versions=frozenset(UUID(each) for each in versions),
            )
            for tenant_id, currency, total, usage, versions in db.fetchall()
        ]


def billed_to_ended(*, at: datetime, tenants: Tenants) -> list[Billed]:
    """The documents of a month before `at` of subscriptions that ended since, in the caller's scope: what
    is gone. One statement."""
    named = tenants.ids if isinstance(tenants, NamedTenants) else None
    with cursor() as db:
        db.execute(
            _ENDED,
            {
                "at": at,
                "named": None if named is None else plain_array(named),
                "first": tenants.first,
                "end": None if isinstance(tenants, NamedTenants) else tenants.end,
            },
        )
        return [
            Billed(
                tenant_id=UUID(str(tenant_id)),
                currency=currency,
                total_minor=total,
                usage_minor=0,
                versions=frozenset(),
            )
            for tenant_id, currency, total in db.fetchall()
        ]
