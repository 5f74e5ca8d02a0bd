"""What the demo world came to, in numbers."""

from typing import Any

from config.demo.world import DemoWorld
from kernel.money import Money
from tenants.scope import system_scope
from work.connections import cursor

_COUNTS = {
    "tenants": "SELECT count(*) FROM tenants_tenant",
    "apps": "SELECT count(*) FROM tenants_app",
    "subscriptions": "SELECT count(*) FROM billing_subscription",
    "parked": "SELECT count(*) FROM billing_subscription WHERE parked_code <> ''",
    "events": "SELECT (SELECT coalesce(sum(cardinality(event_ids)), 0) FROM metering_event_group)"
    " + (SELECT count(*) FROM metering_event)",
    "rejected": "SELECT count(*) FROM metering_rejected_event",
    "user_days": "SELECT count(*) FROM metering_active_user",
    "corrections": "SELECT count(*) FROM metering_correction",
    "billing_runs": "SELECT count(*) FROM billing_billingrun",
    "payments": "SELECT count(*) FROM billing_payment",
}
_INVOICES = """
    SELECT CASE WHEN status = 'open' AND due_on < (%s AT TIME ZONE timezone)::date THEN 'overdue'
                ELSE status END, count(*)
      FROM billing_invoice GROUP BY 1 ORDER BY 1
"""
_REVENUE = """
    SELECT to_char(issued_at AT TIME ZONE timezone, 'YYYY-MM'), currency, sum(total_minor)::bigint
      FROM billing_invoice WHERE number IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""


def counts(world: DemoWorld) -> dict[str, Any]:
    """Counts of what there is; the same for two worlds of one seed and last day."""
    with system_scope(purpose="count the demo world"), cursor() as db:
        found: dict[str, Any] = {"seed": world.seed, "from": world.first_on, "until": world.until}
        for name, statement in _COUNTS.items():
            db.execute(statement)
            (found[name],) = db.fetchone()
        db.execute(_INVOICES, [f"{world.until}T12:00:00+00:00"])
        found["invoices"] = dict(db.fetchall())
        db.execute(_REVENUE)
        billed: dict[str, dict[str, str]] = {}
        for month, currency, minor in db.fetchall():
            billed.setdefault(month, {})[currency] = f"{Money(minor, currency).amount:f}"
        found["billed"] = billed
    return found
