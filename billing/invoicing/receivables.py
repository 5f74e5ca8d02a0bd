"""What invoices sum to: what is owed, by age, and what was billed a month.

Each query runs inside the caller's scope, which decides whose rows it sees; `tenant_id` narrows to one
tenant as well, so that the filter and row security each are enough.
"""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from kernel.money import Money
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivables:
    """What is owed in one currency, by how long it has been due."""

    currency: str
    not_due: Money
    days_1_30: Money
    days_31_60: Money
    days_61_90: Money
    days_over_90: Money
    open_invoices: int
    overdue_invoices: int

    @property
    def overdue(self) -> Money:
        return self.days_1_30 + self.days_31_60 + self.days_61_90 + self.days_over_90

    @property
    def outstanding(self) -> Money:
        return self.not_due + self.overdue


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledMonth:
    """What was invoiced in one currency in a month of the invoices' own zones."""

    month: date
    billed: Money
    paid: Money
    invoices: int


def receivables(*, now: datetime, tenant_id: UUID | None = None) -> tuple[Receivables, ...]:
    """What is owed, per currency, by age after the due day in each invoice's zone."""
    with cursor() as db:
        db.execute(
            """
            WITH owed AS (
                SELECT currency, total_minor - paid_minor AS minor,
                       (%(now)s AT TIME ZONE timezone)::date - due_on AS days_late
                  FROM billing_invoice
                 WHERE status = 'open' AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
            )
            SELECT currency,
                   coalesce(sum(minor) FILTER (WHERE days_late <= 0), 0)::bigint,
                   coalesce(sum(minor) FILTER (WHERE days_late BETWEEN 1 AND 30), 0)::bigint,
                   coalesce(sum(minor) FILTER (WHERE days_late BETWEEN 31 AND 60), 0)::bigint,
                   coalesce(sum(minor) FILTER (WHERE days_late BETWEEN 61 AND 90), 0)::bigint,
                   coalesce(sum(minor) FILTER (WHERE days_late > 90), 0)::bigint,
                   count(*), count(*) FILTER (WHERE days_late > 0)
              FROM owed GROUP BY currency ORDER BY currency
            """,
            {"now": now, "tenant": tenant_id},
        )
        return tuple(
            Receivables(
                currency=currency,
                not_due=Money(not_due, currency),
                days_1_30=Money(late_30, currency),
                days_31_60=Money(late_60, currency),
                days_61_90=Money(late_90, currency),
                days_over_90=Money(later, currency),
                open_invoices=invoices,
                overdue_invoices=overdue,
            )
            for currency, not_due, late_30, late_60, late_90, later, invoices, overdue in db.fetchall()
        )


def billed_months(*, since: date, tenant_id: UUID | None = None) -> tuple[BilledMonth, ...]:
    """What was invoiced per month of issue and currency since `since`, oldest first.

    `paid` is what has been paid of those invoices by now.
    """
    with cursor() as db:
        db.execute(
            """
            SELECT date_trunc('month', issued_at AT TIME ZONE timezone)::date AS month, currency,
                   sum(total_minor)::bigint, sum(paid_minor)::bigint, count(*)
              FROM billing_invoice
             WHERE issued_at IS NOT NULL AND status <> 'void'
               AND (issued_at AT TIME ZONE timezone)::date >= %(since)s
               AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s)
             GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {"since": since, "tenant": tenant_id},
        )
        return tuple(
            BilledMonth(
                month=month,
                billed=Money(billed, currency),
                paid=Money(paid, currency),
                invoices=invoices,
            )
            for month, currency, billed, paid, invoices in db.fetchall()
        )
