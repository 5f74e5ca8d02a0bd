"""Gather the active users of days into the different users of their months."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from kernel.array_literals import plain_array
from metering.meters.domain import ACTIVE_USERS
from metering.rollup.months import DAY_VALUES
from tenants.scope import system_scope
from work.connections import cursor

GATHERED_BACK: Final = timedelta(days=70)
"""How far back the schedule looks: late events come in up to 35 days later."""
_USERS_AT_A_TIME: Final = 200_000
_DAYS_AT_A_TIME: Final = 20_000
_TENANTS_AT_A_TIME: Final = 1_000
_MANY: Final = 1_000
"""So many new users of a day that is not over are gathered; fewer are looked at by the question in milliseconds."""

_Day = tuple[UUID, UUID, date, int]
"""Tenant, app, day and about how many users."""


def gather_months(
    *,
    now: datetime,
    from_day: date,
    progress: Callable[[], None] = lambda: None,
) -> int:
    """Add the users of each day that is over everywhere, from `from_day` on, to its month; gives how
    many days there were.

    A transaction a step; opens its own scopes. A day that changed since, by a late event or otherwise,
    is added once more. Two at once, and after a kill: each user of a month is added once by its key.
    """
    days = 0
    for step in _steps(_Asked(from_day=from_day, over_until=_over_until(now))):
        with system_scope(purpose="gather months"):
            _gather(step)
        days += len(step)
        progress()
    return days


def gather_lately(
    *, now: datetime, since: datetime, progress: Callable[[], None] = lambda: None
) -> int:
    """Do the same for tenants of whom something came since then, also for days that are not over, as far
    as some thousand users came since they were gathered; gives how many days there were.

    So the question, which looks at the users of other days one by one, never has many to look at.
    """
    with system_scope(purpose="gather months"), cursor() as execution:
        execution.execute(
            "SELECT DISTINCT tenant_id FROM metering_batch WHERE received_at >= %s", [since]
        )
        tenant_ids = sorted(str(tenant_id) for (tenant_id,) in execution.fetchall())
    days = 0
    for start in range(0, len(tenant_ids), _TENANTS_AT_A_TIME):
        asked = _Asked(
            from_day=now.date() - GATHERED_BACK,
            over_until=_over_until(now),
            tenant_ids=tenant_ids[start : start + _TENANTS_AT_A_TIME],
        )
        for step in _steps(asked):
            with system_scope(purpose="gather months"):
                _gather(step)
            days += len(step)
            progress()
    return days


def _over_until(now: datetime) -> date:
    """Days before this one are over everywhere."""
    return (now - timedelta(hours=12)).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Days from `from_day` on that are over, of all tenants; or of some, and those that are not over too."""

    from_day: date
    over_until: date
    tenant_ids: Sequence[str] | None = None


def _steps(asked: _Asked) -> Iterator[list[_Day]]:
    after: tuple[str, str, date] | None = None
    while True:
        found = _changed(asked, after=after)
        step: list[_Day] = []
        users = 0
        for day in found:
            step.append(day)
            users += day[3]
            if users >= _USERS_AT_A_TIME:
                yield step
                step, users = [], 0
        if step:
            yield step
        if len(found) < _DAYS_AT_A_TIME:
            return
        tenant_id, app_id, day_of, _ = found[-1]
        after = (str(tenant_id), str(app_id), day_of)


def _changed(asked: _Asked, *, after: tuple[str, str, date] | None) -> Sequence[_Day]:
    """Days whose value is not the one that they were gathered at, in their order."""
    nobody = str(UUID(int=0))
    with system_scope(purpose="gather months"), cursor() as execution:
        execution.execute(
            f"""
            SELECT tenant_id, app_id, day, stored.value::bigint FROM (
                SELECT tenant_id, app_id, day, sum(value) AS value FROM ({DAY_VALUES}) AS parts
                 WHERE day >= %(from)s AND (day < %(to)s OR %(tenants)s::uuid[] IS NOT NULL)
                   AND (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
                   AND (tenant_id, app_id, day)
                       > (%(tenant)s::uuid, %(app)s::uuid, %(day)s::date)
                 GROUP BY tenant_id, app_id, day
            ) AS stored
              LEFT JOIN metering_month_day gathered USING (tenant_id, app_id, day)
             WHERE gathered.value IS DISTINCT FROM stored.value
               AND (day < %(to)s OR stored.value - coalesce(gathered.value, 0) >= %(many)s)
             ORDER BY tenant_id, app_id, day LIMIT %(most)s
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "from": asked.from_day,
                "to": asked.over_until,
                "tenants": None if asked.tenant_ids is None else plain_array(asked.tenant_ids),
                "many": _MANY,
                "tenant": after[0] if after else nobody,
                "app": after[1] if after else nobody,
                "day": after[2] if after else date.min,
                "most": _DAYS_AT_A_TIME,
            },
        )
        return list(execution.fetchall())


def _gather(step: Sequence[_Day]) -> None:
    """Values and users are of one snapshot: whoever writes an older value has it gathered again."""
    with cursor() as execution:
        execution.execute(
            f"""
            WITH asked AS MATERIALIZED (
                SELECT * FROM unnest(%(tenants)s::uuid[], %(apps)s::uuid[], %(days)s::date[])
                           AS asked (tenant_id, app_id, day)
            ), fresh AS (
                INSERT INTO metering_month_user (tenant_id, app_id, month, user_hash)
                SELECT DISTINCT mark.tenant_id, mark.app_id, date_trunc('month', mark.day)::date,
                       mark.user_hash
                  FROM asked JOIN metering_active_user mark USING (tenant_id, app_id, day)
                 ORDER BY 1, 2, 3, 4
                ON CONFLICT DO NOTHING
                RETURNING tenant_id, app_id, month
            ), months AS MATERIALIZED (
                SELECT tenant_id, app_id, month, count(*) AS users FROM fresh
                 GROUP BY tenant_id, app_id, month
            ), stored AS MATERIALIZED (
                SELECT tenant_id, app_id, day, sum(value) AS value,
                       row_number() OVER (
                           PARTITION BY tenant_id, app_id, date_trunc('month', day) ORDER BY day
                       ) AS place
                  FROM asked JOIN ({DAY_VALUES}) AS parts USING (tenant_id, app_id, day)
                 GROUP BY tenant_id, app_id, day
            )
            INSERT INTO metering_month_day AS known (
                tenant_id, app_id, day, value, added, gathered_at)
            SELECT stored.tenant_id, stored.app_id, day, value,
                   CASE place WHEN 1 THEN coalesce(users, 0) ELSE 0 END, statement_timestamp()
              FROM stored LEFT JOIN months
                ON months.tenant_id = stored.tenant_id AND months.app_id = stored.app_id
               AND months.month = date_trunc('month', stored.day)::date
             ORDER BY stored.tenant_id, stored.app_id, day
            ON CONFLICT (tenant_id, app_id, day) DO UPDATE
               SET value = excluded.value, added = known.added + excluded.added,
                   gathered_at = excluded.gathered_at
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "tenants": plain_array(tenant_id for tenant_id, _, _, _ in step),
                "apps": plain_array(app_id for _, app_id, _, _ in step),
                "days": plain_array(day for _, _, day, _ in step),
            },
        )
