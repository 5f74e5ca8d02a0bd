"""``bench bill``: a month of N tenants drafted, compared with its recount, finalised, numbered and posted;
beside it the bulk COPY of the same result rows into tables with the same indexes.

Both processors bill, as two workers would; the COPY is one, as it is by hand."""

import sys
from contextlib import ExitStack
from datetime import UTC, date, datetime
from tempfile import TemporaryFile
from typing import IO, Any, Final
from zoneinfo import ZoneInfo

from django.db import connections
from psycopg2 import sql

from billing.catalog.services import load_plans
from billing.invoicing.services.run_billing import RunResult
from billing.invoicing.services.run_now import run_now
from billing.subscriptions.services import NewSubscription, subscribe_many
from config.bench.measure import measured, result
from config.bench.world import make_daily_usage, make_tenants
from kernel import clock
from kernel.period import local_midnight
from metering.meters.domain import METERS
from metering.services import close_days, recount_closed_days
from tenants.models import Tenant
from tenants.scope import system_scope
from work.connections import OWNER

_ZONE: Final = ZoneInfo("Asia/Shanghai")
_METERED: Final[dict[str, Any]] = {"scope": "app", "model": "graduated"}
_TIERS: Final = [{"up_to": "50", "unit_price": "0.10"}, {"up_to": None, "unit_price": "0.05"}]
_PLAN: Final[dict[str, Any]] = {
    "key": "bench",
    "name": {"en": "Bench"},
    "currency": "CNY",
    "interval": "month",
    "prices": [
        {"key": "base", "model": "flat", "amount": "199"},
        {"key": "support", "model": "flat", "amount": "50"},
        {
            **_METERED,
            "key": "users",
            "meter": "dau",
            "period_aggregation": "max_day",
            "tiers": _TIERS,
        },
        {
            **_METERED,
            "key": "messages",
            "meter": "messages",
            "period_aggregation": "sum_days",
            "tiers": _TIERS,
        },
    ],
}
"""With two apps a tenant: six lines an invoice."""

_SUBSCRIBED_AT_ONCE: Final = 2_000

_RESULT_TABLES: Final = (
    "billing_invoice",
    "billing_invoiceline",
    "billing_journaltransaction",
    "billing_journalentry",
    "work_outbox",
)


def bench(tenants: int = 2_000) -> dict[str, object]:
    """Bill the month of March 2026 of `tenants` tenants."""
    now = datetime(2026, 3, 1, tzinfo=UTC)
    make_tenants(tenants=tenants, apps=2)
    make_daily_usage(from_day="2026-03-01", to_day="2026-03-31")
    with system_scope(purpose="bench"):
        load_plans(documents=[_PLAN], known_meters=METERS, now=now, actor="bench")
        ids = list(Tenant.objects.values_list("id", flat=True))
        for place in range(0, len(ids), _SUBSCRIBED_AT_ONCE):
            subscribe_many(
                plan_key="bench",
                subscriptions=[
                    NewSubscription(
                        tenant_id=tenant_id,
                        timezone=_ZONE.key,
                        starts_at=local_midnight(date(2026, 3, 1), _ZONE),
                    )
                    for tenant_id in ids[place : place + _SUBSCRIBED_AT_ONCE]
                ],
                now=now,
                actor="bench",
            )
    with connections[OWNER].cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does where subscriptions come one by one
    _bill(local_midnight(date(2026, 3, 1), _ZONE))
    # As every night: when the grace of a day is over, the month's days have long been closed and counted
    # anew. What closes in between is counted by the measured run.
    last = local_midnight(date(2026, 4, 1), _ZONE)
    with system_scope(purpose="bench"):
        close_days(now=last)
    recount_closed_days(now=last)
    before = _counts()
    with measured() as ours:
        _bill(local_midnight(date(2026, 4, 2), _ZONE))
    _require_new_rows(before, tenants=tenants)
    with measured() as again:
        found = _bill(local_midnight(date(2026, 4, 2), _ZONE))
    if found.due or found.finalized:
        raise RuntimeError(f"a second run found {found}")
    sys.stderr.write(f"a second run found nothing to do in {again.seconds:.1f} s\n")
    return result(
        bench="bill",
        n=tenants,
        seconds=ours.seconds,
        bare_seconds=_bare_seconds(),
        ratio_of_rates=False,
    )


def _bill(at: datetime) -> RunResult:
    return run_now(at=at, finalize=True, requested_by="bench", clock=clock.now)


def _counts() -> dict[str, int]:
    with connections[OWNER].cursor() as cursor:
        counts = {}
        for table in _RESULT_TABLES:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            (counts[table],) = cursor.fetchone()
    return counts


def _require_new_rows(before: dict[str, int], *, tenants: int) -> None:
    after = _counts()
    if after["billing_invoice"] - before["billing_invoice"] != tenants:
        raise RuntimeError(f"the run made {after} from {before}: not one invoice for each tenant")


def _bare_seconds() -> float:
    """COPY the rows of the measured run, whose invoices bill arrears, into like tables."""
    issued = "SELECT id FROM billing_invoice WHERE boundary_at > (SELECT min(boundary_at) FROM billing_invoice)"
    posted = f"SELECT id FROM billing_journaltransaction WHERE reference IN (SELECT 'invoice:' || id FROM ({issued}) AS i)"  # noqa: S608  # constants
    chosen = {
        "billing_invoice": f"id IN ({issued})",
        "billing_invoiceline": f"invoice_id IN ({issued})",
        "billing_journaltransaction": f"id IN ({posted})",
        "billing_journalentry": f"transaction_id IN ({posted})",
        "work_outbox": f"key IN (SELECT id::text FROM ({issued}) AS i)",  # noqa: S608  # constants
    }
    with ExitStack() as stack, connections[OWNER].cursor() as cursor:
        files: dict[str, IO[bytes]] = {}
        for table, condition in chosen.items():
            files[table] = stack.enter_context(TemporaryFile())
            cursor.copy_expert(
                f"COPY (SELECT * FROM {table} WHERE {condition}) TO STDOUT",  # noqa: S608  # constants
                files[table],
            )
            files[table].seek(0)
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
        with measured() as bare:
            for table, file in files.items():
                cursor.copy_expert(f"COPY bare_{table} FROM STDIN", file)
    return bare.seconds
