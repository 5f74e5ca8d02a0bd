"""Which tenants a billing run must look at, cut into ranges of about as many each. One statement."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.recounts import DIFFERS
from billing.invoicing.tenant_ranges import TenantRange
from work.connections import cursor

_FIRST_OF_EACH = """
SELECT tenant_id
  FROM (SELECT tenant_id, row_number() OVER (ORDER BY tenant_id) AS place
          FROM (SELECT tenant_id FROM billing_subscription
                 WHERE next_boundary_at <= %(at)s AND parked_code = ''
                 UNION
                SELECT tenant_id FROM billing_invoice
                 WHERE status = 'draft' AND kind = 'subscription' AND boundary_at <= %(at)s
                   AND (finalize_at <= %(at)s OR NOT %(finalize)s)
                 UNION
                SELECT tenant_id FROM billing_subscription
                 WHERE %(finalize)s AND parked_code IN ('', %(differs)s)
                   AND (status = 'ended' OR late_usage <> 'next_invoice')
                 UNION
                SELECT tenant_id FROM billing_charge
                 WHERE %(finalize)s AND state = 'draft' AND issue_at <= %(at)s
               ) AS due
         WHERE tenant_id >= %(first)s AND (%(end)s::uuid IS NULL OR tenant_id < %(end)s)
       ) AS placed
 WHERE (place - 1) %% %(size)s = 0
 ORDER BY tenant_id
"""


def due_ranges(
    *, at: datetime, finalize: bool, tenants: TenantRange, size: int
) -> list[TenantRange]:
    """Ranges of up to `size` tenants each that have subscriptions, drafts or charges due at `at`, or whose late
    usage may have to be settled, in the caller's scope. Together they cover all tenants of `tenants`
    from the first due one on; none where nothing is due.
    """
    with cursor() as db:
        db.execute(
            _FIRST_OF_EACH,
            {
                "at": at,
                "finalize": finalize,
                "differs": DIFFERS,
                "first": tenants.first,
                "end": tenants.end,
                "size": size,
            },
        )
        firsts = [UUID(str(tenant_id)) for (tenant_id,) in db.fetchall()]
    if not firsts:
        return []
    ends = [*firsts[1:], tenants.end]
    return [TenantRange(first=first, end=end) for first, end in zip(firsts, ends, strict=True)]
