"""Tenants, usage and subscriptions for benchmarks, made in a few statements."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connections

from billing.catalog.services import load_plans
from billing.subscriptions.services import NewSubscription, subscribe_many
from kernel.period import local_midnight
from metering.meters.domain import METERS
from metering.services import close_days, recount_closed_days
from tenants.models import Tenant
from tenants.scope import system_scope
from work.connections import OWNER

ZONE: Final = ZoneInfo("Asia/Shanghai")
_METERED: Final[dict[str, Any]] = {"scope": "app", "model": "graduated"}
_TIERS: Final = [{"up_to": "50", "unit_price": "0.10"}, {"up_to": None, "unit_price": "0.05"}]
PLAN: Final[dict[str, Any]] = {
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


def make_tenants(*, tenants: int, apps: int) -> None:
    """Tenants ``t1…`` of Shanghai, each with `apps` apps ``t1-a1…``."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO tenants_tenant (id, key, name, timezone, language, country, address, tax_id,
                                        billing_email, status, hash_salt, created_at)
            SELECT gen_random_uuid(), 't' || n, 'Tenant ' || n, 'Asia/Shanghai', 'en', 'CN', '', '',
                   '', 'active', decode(md5(n::text), 'hex'), now()
              FROM generate_series(1, %s) AS n
            """,
            [tenants],
        )
        cursor.execute(
            """
            INSERT INTO tenants_app (id, tenant_id, key, name, created_at)
            SELECT gen_random_uuid(), t.id, t.key || '-a' || n, '', now()
              FROM tenants_tenant t, generate_series(1, %s) AS n
            """,
            [apps],
        )
        cursor.execute("ANALYZE")


def make_daily_usage(*, from_day: str, to_day: str) -> None:
    """Users and messages of each app on each day, up to and with `to_day`; varied, repeatable.

    They are said outright, as by an operator who counts elsewhere: no event stands behind them.
    """
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)
            SELECT a.tenant_id, a.id, m.meter, d::date, '',
                   1 + abs(hashtext(a.key || m.meter || d::text)) %% 200
              FROM tenants_app a, (VALUES ('dau'), ('messages')) AS m(meter),
                   generate_series(%s::date, %s::date, interval '1 day') AS d
            """,
            [from_day, to_day],
        )
        cursor.execute(
            """
            INSERT INTO metering_stated_usage (
                tenant_id, app_id, meter, day, kind, value, counted, stated_at, id)
            SELECT tenant_id, app_id, meter, day, kind, value, 0, now(), gen_random_uuid()
              FROM metering_daily_usage WHERE day BETWEEN %s AND %s
            """,
            [from_day, to_day],
        )
        cursor.execute("ANALYZE metering_daily_usage, metering_stated_usage")


def following_month(month: date) -> date:
    """The first day of the month after that of `month`."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)


def make_billing_world(*, tenants: int, month: date) -> None:
    """Tenants subscribed from the first day of `month` on, with usage on each of its days.

    The days are closed and counted anew, as every night does it: when the grace is over, that was long ago.
    """
    ends_on = following_month(month)
    make_tenants(tenants=tenants, apps=2)
    make_daily_usage(from_day=month.isoformat(), to_day=(ends_on - timedelta(days=1)).isoformat())
    now = datetime.combine(month, datetime.min.time(), UTC)
    with system_scope(purpose="bench"):
        load_plans(documents=[PLAN], known_meters=METERS, now=now, actor="bench")
        ids = list(Tenant.objects.values_list("id", flat=True))
    for place in range(0, len(ids), _SUBSCRIBED_AT_ONCE):
        # A transaction each: what it writes to the audit trails of tenants, it locks till its end.
        with system_scope(purpose="bench"):
            subscribe_many(
                plan_key=str(PLAN["key"]),
                subscriptions=[
                    NewSubscription(
                        tenant_id=tenant_id,
                        timezone=ZONE.key,
                        starts_at=local_midnight(month, ZONE),
                    )
                    for tenant_id in ids[place : place + _SUBSCRIBED_AT_ONCE]
                ],
                now=now,
                actor="bench",
            )
    last = local_midnight(ends_on, ZONE)
    with system_scope(purpose="bench"):
        close_days(now=last)
    recount_closed_days(now=last)
    with connections[OWNER].cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does where rows come one by one
