"""``bench usage``: how long the usage of a month takes to read beside N stored marks, for the largest, a median
and the smallest tenant; beside it one look by primary key at the month's daily values, written by hand.

Tenants have sizes like those of an operator of chats: log-normal, the largest with a fifteenth of all. It
is the evening of a day in the third month: since it was gathered into the month, some minutes ago, a
hundredth more users came. A fifth of the marks are of a meter of devices, which is never gathered. Each question is asked as the API asks
it, in the tenant's scope; the first answer, with whatever must be read from the disk, is told apart and
does not count. What each question took goes to stderr.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from statistics import NormalDist, median
from typing import Any, Final
from uuid import UUID

from django.db import connections

from config.bench.measure import result
from config.bench.world import make_tenants
from metering.meters.services.load_meters import load_meters
from metering.queries import Granularity, shown_app, usage_shown
from metering.rollup.services.gather_months import gather_lately, gather_months
from tenants.scope import system_scope, tenant_scope
from work.connections import OWNER, cursor

_FIRST: Final = date(2026, 1, 1)
_TODAY: Final = date(2026, 3, 20)
_END: Final = _TODAY + timedelta(days=1)
_NOW: Final = datetime(2026, 3, 20, 12, tzinfo=UTC)
_SPREAD: Final = 2.0
"""Standard deviation of the logarithm of a tenant's size."""
_POOL: Final = 10
"""How many different users there are for each that is active on a day."""
_TIMES: Final = 7
_SETTLED: Final = date(2026, 2, 1)
"""Months from this one on are gathered; the questions ask for no earlier one."""
_DEVICES: Final = {
    "key": "devices",
    "event_types": ["message.sent"],
    "aggregation": "distinct",
    "identity": "device",
    "effective_from": str(_FIRST),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    name: str
    meter: str
    from_day: date
    to_day: date
    granularity: Granularity


_QUESTIONS: Final = (
    _Question(
        name="days of last month",
        meter="dau",
        from_day=_SETTLED,
        to_day=date(2026, 3, 1),
        granularity=Granularity.DAY,
    ),
    _Question(
        name="days of this month",
        meter="dau",
        from_day=date(2026, 3, 1),
        to_day=_END,
        granularity=Granularity.DAY,
    ),
    _Question(
        name="users of last month",
        meter="dau",
        from_day=_SETTLED,
        to_day=date(2026, 3, 1),
        granularity=Granularity.MONTH,
    ),
    _Question(
        name="users of this month",
        meter="mau",
        from_day=date(2026, 3, 1),
        to_day=date(2026, 4, 1),
        granularity=Granularity.MONTH,
    ),
    _Question(
        name="users of ten days",
        meter="dau",
        from_day=date(2026, 3, 1),
        to_day=date(2026, 3, 11),
        granularity=Granularity.MONTH,
    ),
    _Question(
        name="days of devices",
        meter="devices",
        from_day=date(2026, 3, 1),
        to_day=_END,
        granularity=Granularity.DAY,
    ),
    _Question(
        name="devices of last month",
        meter="devices",
        from_day=_SETTLED,
        to_day=date(2026, 3, 1),
        granularity=Granularity.MONTH,
    ),
)


def bench(marks: int = 1_000_000, tenants: int = 2_000) -> dict[str, object]:
    """Store about `marks` marks of `tenants` tenants, and ask for months."""
    make_tenants(tenants=tenants, apps=1)
    with system_scope(purpose="bench"):
        load_meters(documents=[_DEVICES], now=datetime(2025, 12, 1, tzinfo=UTC), actor="bench")
    _make_marks(marks, tenants=tenants)
    gather_months(now=_NOW, from_day=_SETTLED)
    gather_lately(now=_NOW, since=_NOW - timedelta(minutes=10))
    _add_users_of_late()
    with connections[OWNER].cursor() as owner:
        owner.execute(
            "VACUUM (ANALYZE) metering_active_user, metering_mark, metering_daily_usage,"
            " metering_month_user, metering_month_day"
        )
    asked, ours_seconds, bare_seconds = 0, 0.0, 0.0
    for size, place in (("largest", 1), ("median", (tenants + 1) // 2), ("smallest", tenants)):
        tenant_id, app_id, key = _app(place)
        bare = _seconds(lambda: _by_hand(tenant_id, app_id), tenant_id=tenant_id)  # noqa: B023  # called at once
        for question in _QUESTIONS:
            ours = _seconds(lambda: _ask(key, question), tenant_id=tenant_id)  # noqa: B023  # called at once
            sys.stderr.write(
                f"{size:<9}{question.name:<23}{median(ours[1:]) * 1000:>9.1f} ms"
                f"{ours[0] * 1000:>9.1f} ms at first\n"
            )
            asked += 1
            ours_seconds += median(ours[1:])
            bare_seconds += median(bare[1:])
    return result(
        bench="usage",
        n=asked,
        seconds=ours_seconds,
        bare_seconds=bare_seconds,
        ratio_of_rates=False,
    )


def _make_marks(marks: int, *, tenants: int) -> None:
    """By set, day after day; keys are made afterwards, which takes half the time."""
    days = (_END - _FIRST).days
    sizes = [
        NormalDist(sigma=_SPREAD).inv_cdf(1 - (place - 0.5) / tenants)
        for place in range(1, tenants + 1)
    ]
    weights = [2.718281828459045**size for size in sizes]
    daily = [max(1, round(marks * 4 / 5 / days * weight / sum(weights))) for weight in weights]
    with connections[OWNER].cursor() as owner:
        owner.execute(
            """
            CREATE TABLE bench_size AS
            SELECT a.tenant_id, a.id AS app_id, place, users
              FROM unnest(%s::int[]) WITH ORDINALITY AS sizes (users, place)
              JOIN tenants_app a ON a.key = 't' || place || '-a1'
             ORDER BY a.tenant_id
            """,
            [daily],
        )
        owner.execute("ALTER TABLE metering_active_user DROP CONSTRAINT metering_active_user_pkey")
        owner.execute("ALTER TABLE metering_mark DROP CONSTRAINT metering_mark_pkey")
        for number in range(days):
            # A fifth of a day's users were not there the day before.
            owner.execute(
                """
                WITH identities AS MATERIALIZED (
                    SELECT tenant_id, app_id, n,
                           decode(md5(place || '/' || (n + %(number)s * ((users + 4) / 5))
                                                      %% (users * %(pool)s)), 'hex') AS identity
                      FROM bench_size, generate_series(0, users - 1) AS n
                ), devices AS (
                    INSERT INTO metering_mark (tenant_id, app_id, meter, day, identity)
                    SELECT tenant_id, app_id, 'devices', %(day)s, identity FROM identities
                     WHERE n %% 4 = 0
                )
                INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash, marked_at)
                SELECT tenant_id, app_id, %(day)s, identity, %(day)s FROM identities
                """,
                {"number": number, "pool": _POOL, "day": _FIRST + timedelta(days=number)},
            )
        owner.execute("SET maintenance_work_mem = '512MB'")
        owner.execute(
            "ALTER TABLE metering_active_user ADD CONSTRAINT metering_active_user_pkey"
            " PRIMARY KEY (tenant_id, app_id, day, user_hash)"
        )
        owner.execute(
            "ALTER TABLE metering_mark ADD CONSTRAINT metering_mark_pkey"
            " PRIMARY KEY (tenant_id, app_id, meter, day, identity)"
        )
        owner.execute(
            """
            INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)
            SELECT tenant_id, app_id, meter, day, '',
                   CASE meter WHEN 'dau' THEN users ELSE (users + 3) / 4 END
              FROM bench_size, (VALUES ('dau'), ('devices')) AS meters (meter),
                   generate_series(%s::date, %s::date, interval '1 day') AS day
            """,
            [_FIRST, _TODAY],
        )
        owner.execute(
            """
            INSERT INTO metering_batch (tenant_id, id, received_at, events, rolled_up_at)
            SELECT tenant_id, gen_random_uuid(), %s, users, %s FROM bench_size
            """,
            [_NOW, _NOW],
        )


def _add_users_of_late() -> None:
    with connections[OWNER].cursor() as owner:
        owner.execute(
            """
            WITH fresh AS (
                INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
                SELECT tenant_id, app_id, %(day)s, decode(md5(place || ' late ' || n), 'hex')
                  FROM bench_size, generate_series(1, users / 100) AS n
                RETURNING tenant_id, app_id
            ), counts AS (
                SELECT tenant_id, app_id, count(*) AS users FROM fresh GROUP BY tenant_id, app_id
            )
            UPDATE metering_daily_usage usage SET value = value + users FROM counts
             WHERE usage.tenant_id = counts.tenant_id AND usage.app_id = counts.app_id
               AND meter = 'dau' AND day = %(day)s
            """,
            {"day": _TODAY},
        )


def _app(place: int) -> tuple[UUID, UUID, str]:
    """Tenant, app and the app's key of the tenant of that place by size."""
    with connections[OWNER].cursor() as owner:
        owner.execute("SELECT tenant_id, id, key FROM tenants_app WHERE key = %s", [f"t{place}-a1"])
        tenant_id, app_id, key = owner.fetchone()
    return tenant_id, app_id, key


def _seconds(call: Callable[[], object], *, tenant_id: UUID) -> list[float]:
    taken = []
    for _ in range(_TIMES):
        began = time.monotonic()
        with tenant_scope(tenant_id):
            call()
        taken.append(time.monotonic() - began)
    return taken


def _ask(app_key: str, question: _Question) -> None:
    found = usage_shown(
        apps=[shown_app(key=app_key)],
        meter=question.meter,
        from_day=question.from_day,
        to_day=question.to_day,
        granularity=question.granularity,
    )
    if not found:
        raise RuntimeError(f"no usage of {app_key}: {question.name}")


def _by_hand(tenant_id: UUID, app_id: UUID) -> Any:
    with cursor() as execution:
        execution.execute(
            "SELECT day, value FROM metering_daily_usage WHERE tenant_id = %s AND app_id = %s"
            " AND meter = 'dau' AND day >= %s AND day < %s",
            [tenant_id, app_id, _SETTLED, date(2026, 3, 1)],
        )
        return execution.fetchall()
