"""How much of what was billed ahead has been earned by the end of a day, and how much was posted of it.

A line that was billed ahead is earned in equal parts over the local days of its period. By the end of a
day that is its amount times the days that are over, divided by all of them, rounded half away from zero:
the parts of all days sum to the amount exactly, so what is deferred ends at zero. A credit, on an invoice
of its own or on a credit note, is a line of negative amount over the days that it gives back.
"""

from dataclasses import dataclass
from datetime import date
from uuid import UUID

from kernel.money import Money
from work.connections import cursor

RECOGNITION = "revenue_recognition"
"""The kind of the journal's transactions."""

# A period that ends where a local day begins ends with the day before; another one counts its last day. A day
# may begin after midnight, so the instant before is what tells it.
_EARNED = """
    billed AS (
        SELECT l.tenant_id, i.currency, l.amount_minor - l.discount_minor AS minor,
               (l.period_starts_at AT TIME ZONE i.timezone)::date AS starts_on,
               ((l.period_ends_at - interval '1 microsecond') AT TIME ZONE i.timezone)::date + 1
                   AS ends_on
          FROM billing_invoiceline l
          JOIN billing_invoice i ON i.tenant_id = l.tenant_id AND i.id = l.invoice_id
         WHERE i.number IS NOT NULL AND l.timing = 'in_advance'
        UNION ALL
        SELECT c.tenant_id, n.currency, -c.amount_minor,
               (c.period_starts_at AT TIME ZONE n.timezone)::date,
               ((c.period_ends_at - interval '1 microsecond') AT TIME ZONE n.timezone)::date + 1
          FROM billing_creditnoteline c
          JOIN billing_creditnote n ON n.tenant_id = c.tenant_id AND n.id = c.credit_note_id
          LEFT JOIN billing_invoiceline l ON l.tenant_id = c.tenant_id AND l.id = c.invoice_line_id
         WHERE coalesce(nullif(c.timing, ''), l.timing, 'in_advance') = 'in_advance'
    ), earned AS (
        SELECT tenant_id, currency, sum(minor) AS billed,
               sum(round(minor::numeric * least(greatest(%(day)s::date + 1 - starts_on, 0), days)
                         / days)) AS earned
          FROM (SELECT *, greatest(ends_on - starts_on, 1) AS days FROM billed) AS each
         GROUP BY tenant_id, currency
    )
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognition:
    """What of a tenant is to be posted for a day; `postings` is how many there are for it already."""

    tenant_id: UUID
    earned: Money
    postings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferralDrift:
    """A tenant whose deferred revenue in the ledger isn't what its documents billed ahead, less what was
    recognised of it."""

    tenant_id: UUID
    currency: str
    ledger_minor: int
    documents_minor: int


def due_recognitions(*, day: date, limit: int, after: UUID | None = None) -> list[Recognition]:
    """What was earned by the end of the day and is not posted yet, by tenant and currency, `limit`
    tenants at most after the tenant `after`; in a cross-tenant scope."""
    with cursor() as db:
        db.execute(
            f"""
            WITH {_EARNED}, posted AS (
                SELECT t.tenant_id, e.currency, sum(e.amount_minor) AS minor,
                       count(*) FILTER (WHERE t.reference LIKE %(prefix)s) AS postings
                  FROM billing_journaltransaction t
                  JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                       AND e.transaction_id = t.id AND e.account = 'deferred_revenue'
                 WHERE t.kind = %(kind)s
                 GROUP BY t.tenant_id, e.currency
            ), due AS (
                SELECT tenant_id, currency,
                       (coalesce(earned, 0) - coalesce(minor, 0))::bigint AS minor,
                       coalesce(postings, 0) AS postings
                  FROM earned FULL JOIN posted USING (tenant_id, currency)
            ), tenants AS (
                SELECT DISTINCT tenant_id FROM due
                 WHERE minor <> 0 AND (%(after)s::uuid IS NULL OR tenant_id > %(after)s::uuid)
                 ORDER BY tenant_id LIMIT %(limit)s
            )
            SELECT tenant_id, currency, minor, postings
              FROM due JOIN tenants USING (tenant_id)
             WHERE minor <> 0 ORDER BY tenant_id, currency
            """,  # noqa: S608  # nothing from outside
            {
                "day": day,
                "kind": RECOGNITION,
                "prefix": f"{day.isoformat()}:%",
                "after": after,
                "limit": limit,
            },
        )
        return [
            Recognition(tenant_id=tenant_id, earned=Money(minor, currency), postings=postings)
            for tenant_id, currency, minor, postings in db.fetchall()
        ]


def last_recognized_day() -> date | None:
    """The last day for which something was posted; in a cross-tenant scope."""
    with cursor() as db:
        db.execute(
            "SELECT max(left(reference, 10)) FROM billing_journaltransaction WHERE kind = %s",
            [RECOGNITION],
        )
        (last,) = db.fetchone()
    return None if last is None else date.fromisoformat(last)


def first_deferral_drift() -> DeferralDrift | None:
    """The first tenant whose deferred revenue its documents contradict; in a cross-tenant scope."""
    with cursor() as db:
        db.execute(
            f"""
            WITH {_EARNED}, ledger AS (
                SELECT e.tenant_id, e.currency, -sum(e.amount_minor) AS minor,
                       -coalesce(sum(e.amount_minor) FILTER (WHERE t.kind = %(kind)s), 0) AS recognised
                  FROM billing_journalentry e
                  JOIN billing_journaltransaction t ON t.tenant_id = e.tenant_id
                       AND t.id = e.transaction_id
                 WHERE e.account = 'deferred_revenue'
                 GROUP BY e.tenant_id, e.currency
            )
            SELECT tenant_id, currency, coalesce(minor, 0)::bigint,
                   (coalesce(billed, 0) + coalesce(recognised, 0))::bigint
              FROM earned FULL JOIN ledger USING (tenant_id, currency)
             WHERE coalesce(minor, 0) <> coalesce(billed, 0) + coalesce(recognised, 0)
             ORDER BY tenant_id, currency LIMIT 1
            """,  # noqa: S608  # nothing from outside
            {"kind": RECOGNITION, "day": date.min},
        )
        row = db.fetchone()
    if row is None:
        return None
    return DeferralDrift(
        tenant_id=row[0], currency=row[1], ledger_minor=row[2], documents_minor=row[3]
    )
