"""``bench close``: close one day of N tenants with M active users; beside it one GROUP BY that
counts the users of the same rows.

With `days` above 1 that many are closed one after another, and the last one is measured: a night like any
other, when every tenant has a watermark that moves, and the days before lie beside it.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connections

from config.bench.measure import measured, result
from config.bench.world import make_daily_usage, make_tenants
from kernel.period import local_midnight
from metering.services import close_days
from tenants.scope import system_scope
from work.connections import JOBS, OWNER

_FIRST = date(2026, 3, 1)


def bench(tenants: int = 100_000, users: int = 1_000_000, days: int = 1) -> dict[str, object]:
    """Close `days` days from March 1st 2026 on of `tenants` tenants, each with `users` active users in all."""
    make_tenants(tenants=tenants, apps=1)
    for number in range(days - 1):
        day = _FIRST + timedelta(days=number)
        _make_users(day, tenants=tenants, users=users)
        with system_scope(purpose="bench"):
            close_days(now=_end_of(day))
    day = _FIRST + timedelta(days=days - 1)
    _make_users(day, tenants=tenants, users=users)
    with connections[JOBS].cursor() as cursor, measured() as bare:
        cursor.execute(
            "SELECT tenant_id, app_id, count(*) FROM metering_active_user WHERE day = %s"
            " GROUP BY tenant_id, app_id",
            [day],
        )
        found = cursor.fetchall()
    with measured() as ours, system_scope(purpose="bench"):
        closed = close_days(now=_end_of(day))
    if closed.days != tenants or sum(count for _, _, count in found) != users:
        raise RuntimeError(f"{closed.days} days were closed and {len(found)} apps were counted")
    return result(
        bench="close",
        n=tenants,
        seconds=ours.seconds,
        bare_seconds=bare.seconds,
        ratio_of_rates=False,
    )


def _make_users(day: date, *, tenants: int, users: int) -> None:
    make_daily_usage(from_day=str(day), to_day=str(day))
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
            SELECT a.tenant_id, a.id, %s, decode(md5(n::text), 'hex')
              FROM (SELECT *, row_number() OVER () - 1 AS place FROM tenants_app) AS a
              JOIN generate_series(0, %s) AS n ON n %% %s = a.place
            """,
            [day, users - 1, tenants],
        )
        cursor.execute("ANALYZE metering_active_user")


def _end_of(day: date) -> datetime:
    """When the day is over where the tenants are."""
    return local_midnight(day + timedelta(days=1), ZoneInfo("Asia/Shanghai"))
