"""Write down which mails issued documents call for; a job sends them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from billing.mailing.gateways.configured import mail_is_sent
from kernel import ids
from kernel.array_literals import plain_array
from tenants.domain import Role
from work.connections import cursor
from work.jobs import enqueue

SEND: Final = "mailing.send"
BY_ITSELF_WITHIN: Final = timedelta(days=7)
"""An older document comes from an import or a run over the past: only a person mails it."""

# One statement for any number of documents of a kind and of tenants. An address in two spellings is one mailbox.
_PLAN: Final = """
INSERT INTO billing_documentmail
       (id, tenant_id, {column}, address, state, batch, planned_at)
SELECT gen_random_uuid(), d.tenant_id, d.id, r.address, 'waiting', %(batch)s, %(now)s
  FROM {table} d
  JOIN tenants_tenant t ON t.id = d.tenant_id
  LEFT JOIN billing_mailpreference p ON p.tenant_id = d.tenant_id
  CROSS JOIN LATERAL (
      SELECT DISTINCT lower(a.address) AS address FROM (
          SELECT t.billing_email AS address
          UNION ALL
          SELECT jsonb_array_elements_text(p.addresses)
          UNION ALL
          SELECT u.email FROM tenants_member m JOIN tenants_user u ON u.id = m.user_id
           WHERE m.tenant_id = d.tenant_id AND m.role = %(role)s AND u.is_active
             AND coalesce(p.to_members, true)
      ) a WHERE a.address <> ''
  ) r
 WHERE d.id = ANY (%(documents)s::uuid[]) AND d.issued_at >= %(since)s
   AND (%(asked)s OR coalesce(p.is_on, true))
    ON CONFLICT DO NOTHING
"""
_OF_INVOICES: Final = _PLAN.format(table="billing_invoice", column="invoice_id")
_OF_CREDIT_NOTES: Final = _PLAN.format(table="billing_creditnote", column="credit_note_id")


def plan_mails(
    *,
    invoices: Sequence[UUID] = (),
    credit_notes: Sequence[UUID] = (),
    now: datetime,
    requested_by: str = "",
) -> int:
    """One mail for each of the documents' recipients who has none yet, and the job that sends them, in
    the caller's transaction; gives how many. Nothing where no mail leaves.

    Recipients are the tenant's billing address, those of its preference, and its members with the
    billing role. With `requested_by` a person asked: the preference's switch and a document's age
    then count for nothing.
    """
    if not mail_is_sent():
        return 0
    batch, planned = ids.new_id(), 0
    for statement, documents in ((_OF_INVOICES, invoices), (_OF_CREDIT_NOTES, credit_notes)):
        if not documents:
            continue
        with cursor() as db:
            db.execute(
                statement,
                {
                    "batch": batch,
                    "now": now,
                    "role": Role.BILLING.value,
                    "documents": plain_array(documents),
                    "asked": bool(requested_by),
                    "since": datetime.min.replace(tzinfo=now.tzinfo)
                    if requested_by
                    else now - BY_ITSELF_WITHIN,
                },
            )
            planned += int(db.rowcount)
    if planned:
        send_later(batch, requested_by=requested_by)
    return planned


def send_later(batch: UUID, *, requested_by: str) -> None:
    """Let a job send the batch once the caller's transaction is committed."""
    enqueue(kind=SEND, key=str(batch), payload={"batch": str(batch)}, requested_by=requested_by)
