"""Periods that should have been invoiced long ago; in the caller's cross-tenant scope.

Services that a buyer in another country owes the tax for are to be invoiced by the 15th of the month after
that in which they were rendered (Directive 2006/112/EC, Art. 222). Ten days after a period's end there is
time left to mend what holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from work.connections import cursor

ALARM_AFTER: Final = timedelta(days=10)


class Held(StrEnum):
    """What keeps a period from being invoiced."""

    PARKED = "parked"
    """Billing left its subscription aside; `code` and `detail` say why."""
    NOT_DRAFTED = "not_drafted"
    """No run looked at it."""
    DRAFT = "draft"
    """Its draft was not finalised, though its grace is over."""
    GRACE = "grace"
    """Its draft still waits for late usage: the agreed grace is long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uninvoiced:
    """A boundary without a final document. `legal_deadline` where the tenant owes the tax itself."""

    tenant_key: str
    tenant_name: str
    plan_key: str
    ended_at: datetime
    timezone: str
    days_late: int
    held: Held
    code: str
    detail: str
    legal_deadline: date | None


# A draft is the boundary's document; a subscription's cursor stands at the first boundary without one.
_FOUND: Final = """
WITH found AS (
    SELECT s.tenant_id, s.id AS subscription_id, s.next_boundary_at AS ended_at,
           CASE WHEN s.parked_code <> '' THEN 'parked' ELSE 'not_drafted' END AS held
      FROM billing_subscription s
     WHERE s.next_boundary_at <= %(before)s
     UNION ALL
    SELECT i.tenant_id, i.subscription_id, i.boundary_at,
           CASE WHEN s.parked_code <> '' THEN 'parked'
                WHEN i.finalize_at > %(now)s THEN 'grace' ELSE 'draft' END
      FROM billing_invoice i
      JOIN billing_subscription s ON s.tenant_id = i.tenant_id AND s.id = i.subscription_id
     WHERE i.status = 'draft' AND i.kind = 'subscription' AND i.boundary_at <= %(before)s
)
"""
_ROWS: Final = (
    _FOUND
    + """
SELECT t.key, t.name, p.key, f.ended_at, s.timezone,
       floor(extract(epoch FROM %(now)s - f.ended_at) / 86400)::integer, f.held,
       s.parked_code, s.parked_detail,
       CASE WHEN t.tax_treatment = 'reverse_charge'
            THEN (date_trunc('month', (f.ended_at AT TIME ZONE s.timezone) - interval '1 microsecond')
                  + interval '1 month 14 days')::date END
  FROM found f
  JOIN billing_subscription s ON s.tenant_id = f.tenant_id AND s.id = f.subscription_id
  JOIN billing_planversion v ON v.id = s.plan_version_id
  JOIN billing_plan p ON p.id = v.plan_id
  JOIN tenants_tenant t ON t.id = f.tenant_id
 ORDER BY f.ended_at, t.key, f.subscription_id
 LIMIT %(limit)s OFFSET %(offset)s
"""
)
_COUNT: Final = f"{_FOUND} SELECT count(*) FROM found"  # noqa: S608  # constants


def uninvoiced_periods(*, now: datetime, limit: int, offset: int = 0) -> Sequence[Uninvoiced]:
    """Periods that ended `ALARM_AFTER` before `now` or earlier and have no final document, the oldest of
    each subscription's without a draft, oldest first."""
    with cursor() as db:
        db.execute(_ROWS, {**_bounds(now), "limit": limit, "offset": offset})
        return [
            Uninvoiced(
                tenant_key=key,
                tenant_name=name,
                plan_key=plan,
                ended_at=ended_at,
                timezone=timezone,
                days_late=days,
                held=Held(held),
                code=code,
                detail=detail,
                legal_deadline=deadline,
            )
            for key, name, plan, ended_at, timezone, days, held, code, detail, deadline in db.fetchall()
        ]


def uninvoiced_count(*, now: datetime) -> int:
    """How many `uninvoiced_periods` there are."""
    with cursor() as db:
        db.execute(_COUNT, _bounds(now))
        (count,) = db.fetchone()
    return int(count)


def _bounds(now: datetime) -> dict[str, datetime]:
    return {"now": now, "before": now - ALARM_AFTER}
