"""Ask for the statements of the months that are over."""

from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.statements.domain.states import StatementOrigin
from billing.statements.models import Statement
from billing.statements.services.request_statement import make_later
from kernel.ids import new_id
from kernel.period import Period
from tenants.scope import system_scope
from work.connections import cursor

_STATEMENTS_AT_A_TIME: Final = 1_000

# A month is over for a tenant a day after its last local midnight: by then what came in on the last day is
# booked. One is due for each currency in which anything was posted up to its end.
_DUE: Final = """
    SELECT tenant.id, tenant.timezone, tenant.language, month.starts_on::date,
           (month.starts_on + interval '1 month')::date, currency.currency
      FROM billing_monthlystatement wanted
      JOIN tenants_tenant tenant ON tenant.id = wanted.tenant_id
     CROSS JOIN LATERAL generate_series(
           wanted.since::timestamp,
           date_trunc('month', %(now)s AT TIME ZONE tenant.timezone - interval '1 day')
               - interval '1 month',
           interval '1 month') month (starts_on)
     CROSS JOIN LATERAL (
           SELECT DISTINCT e.currency FROM billing_journalentry e
             JOIN billing_journaltransaction t
               ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id
            WHERE e.tenant_id = tenant.id
              AND e.account IN ('receivable', 'customer_credit', 'gift_credit', 'voucher_credit')
              AND t.posted_at
                  < (month.starts_on + interval '1 month') AT TIME ZONE tenant.timezone) currency
     WHERE NOT EXISTS (
           SELECT 1 FROM billing_statement s
            WHERE s.tenant_id = tenant.id AND s.origin = 'monthly'
              AND s.currency = currency.currency AND s.starts_on = month.starts_on::date
              AND s.ends_on = (month.starts_on + interval '1 month')::date)
     ORDER BY month.starts_on, tenant.id, currency.currency
     LIMIT %(limit)s
"""


def request_monthly_statements(*, now: datetime) -> int:
    """Ask for every monthly statement that is due and was not asked for; gives how many. Opens its own
    scopes; two at once ask for none twice."""
    requested = 0
    while found := _request_some(now=now):
        requested += found
    return requested


def _request_some(*, now: datetime) -> int:
    with system_scope(purpose="monthly statements"):
        with cursor() as db:
            db.execute("SELECT pg_advisory_xact_lock(hashtextextended('monthly statements', 0))")
            db.execute(_DUE, {"now": now, "limit": _STATEMENTS_AT_A_TIME})
            due = db.fetchall()
        rows = [_statement(*each, now=now) for each in due]
        Statement.objects.bulk_create(rows)
        make_later(rows)
    return len(rows)


def _statement(
    tenant_id: UUID,
    timezone: str,
    language: str,
    starts_on: date,
    ends_on: date,
    currency: str,
    *,
    now: datetime,
) -> Statement:
    period = Period.of_days(starts_on, ends_on, ZoneInfo(timezone))
    return Statement(
        id=new_id(),
        tenant_id=tenant_id,
        currency=currency,
        starts_on=starts_on,
        ends_on=ends_on,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        timezone=timezone,
        language=language,
        origin=StatementOrigin.MONTHLY,
        requested_by="system",
        requested_at=now,
    )
