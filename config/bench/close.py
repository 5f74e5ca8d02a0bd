"""``bench close``: close one day of N tenants with M active users; beside it one GROUP BY that
counts the users of the same rows."""

from datetime import date
from zoneinfo import ZoneInfo

from django.db import connections

from config.bench.measure import measured, result
from config.bench.world import make_daily_usage, make_tenants
from kernel.period import local_midnight
from metering.services import close_days
from tenants.scope import system_scope
from work.connections import JOBS, OWNER

_DAY = date(2026, 3, 1)


def bench(tenants: int = 100_000, users: int = 1_000_000) -> dict[str, object]:
    """Close March 1st 2026 of `tenants` tenants that had `users` active users in all."""
    make_tenants(tenants=tenants, apps=1)
    make_daily_usage(from_day=str(_DAY), to_day=str(_DAY))
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
            SELECT a.tenant_id, a.id, %s, decode(md5(n::text), 'hex')
              FROM (SELECT *, row_number() OVER () - 1 AS place FROM tenants_app) AS a
              JOIN generate_series(0, %s) AS n ON n %% %s = a.place
            """,
            [_DAY, users - 1, tenants],
        )
        cursor.execute("ANALYZE metering_active_user")
    with connections[JOBS].cursor() as cursor, measured() as bare:
        cursor.execute(
            "SELECT tenant_id, app_id, count(*) FROM metering_active_user WHERE day = %s"
            " GROUP BY tenant_id, app_id",
            [_DAY],
        )
        found = cursor.fetchall()
    midnight = local_midnight(date(2026, 3, 2), ZoneInfo("Asia/Shanghai"))
    with measured() as ours, system_scope(purpose="bench"):
        closed = close_days(now=midnight)
    if closed.days != tenants or sum(count for _, _, count in found) != users:
        raise RuntimeError(f"{closed.days} days were closed and {len(found)} apps were counted")
    return result(
        bench="close",
        n=tenants,
        seconds=ours.seconds,
        bare_seconds=bare.seconds,
        ratio_of_rates=False,
    )
