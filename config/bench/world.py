"""Tenants and usage for benchmarks, made by the owner in a few statements."""

from django.db import connections

from work.connections import OWNER


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
