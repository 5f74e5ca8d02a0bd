"""The different users of whole months, without looking at the month's marks again."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final
from uuid import UUID

from kernel.array_literals import plain_array
from metering.meters.domain import ACTIVE_USERS
from metering.meters.queries import find_meter
from metering.rollup.identities import distinct_identities
from metering.rollup.queries import WindowValue
from work.connections import cursor

DAY_VALUES: Final = """
                SELECT tenant_id, app_id, day, value FROM metering_daily_usage
                 WHERE meter = %(active_users)s
                UNION ALL
                SELECT tenant_id, app_id, day, delta FROM metering_correction
                 WHERE meter = %(active_users)s"""
"""Daily active users with their corrections: one more of a day is one more mark of it."""


_IN_FLIGHT: Final = "interval '10 minutes'"
"""For so long a mark may be on its way: its time is that of the statement, others see it after the commit.
One of a transaction that took longer is found when the day is gathered once more."""
_OPEN: Final = f"""
            stored AS (
                SELECT app_id, day, sum(value) AS value FROM ({DAY_VALUES}) AS parts
                 WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
                   AND day >= %(first)s AND day < %(end)s
                   AND date_trunc('month', day)::date = ANY (%(months)s::date[])
                 GROUP BY app_id, day
            ), gathered AS (
                SELECT app_id, day, value, added, gathered_at FROM metering_month_day
                 WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
                   AND day >= %(first)s AND day < %(end)s
                   AND date_trunc('month', day)::date = ANY (%(months)s::date[])
            ), open AS MATERIALIZED (
                SELECT app_id, day, date_trunc('month', day)::date AS month,
                       gathered_at - {_IN_FLIGHT} AS since
                  FROM stored LEFT JOIN gathered USING (app_id, day)
                 WHERE gathered.value IS DISTINCT FROM stored.value
            )"""  # noqa: S608  # nothing from outside
"""Days whose users are not all among those of their month; `since` is from when on their marks may be missing,
null: all of them."""


def month_identities(
    *, tenant_id: UUID, app_ids: Sequence[UUID], meter: str, bounds: Sequence[date]
) -> list[WindowValue]:
    """The distinct identities of each app between two neighbouring `bounds` (days, ascending).

    Where that is a calendar month of the active users, days that were gathered (`gather_months`) are
    told by a row each, and only users who were marked since, mostly today, are looked up. All else is
    counted from the marks. Raises Invalid `unknown_meter`.
    """
    windows = list(pairwise(bounds))
    is_active_users = find_meter(meter).marks == ACTIVE_USERS
    whole = [
        place
        for place, (first, end) in enumerate(windows)
        if is_active_users and first.day == 1 and end == month_after(first)
    ]
    found = _of_months(
        tenant_id=tenant_id, app_ids=app_ids, months={windows[place][0]: place for place in whole}
    )
    for place, (first, end) in enumerate(windows):
        if place not in whole:
            found += [
                WindowValue(app_id=each.app_id, window=place, value=each.value)
                for each in distinct_identities(
                    tenant_id=tenant_id, app_ids=app_ids, meter=meter, bounds=[first, end]
                )
            ]
    return sorted(found, key=lambda each: (each.app_id, each.window))


def month_after(day: date) -> date:
    """The first day of the month after the day's."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _of_months(
    *, tenant_id: UUID, app_ids: Sequence[UUID], months: dict[date, int]
) -> list[WindowValue]:
    if not months:
        return []
    values: dict[str, Any] = {
        "active_users": ACTIVE_USERS,
        "tenant": str(tenant_id),
        "apps": plain_array(app_ids),
        "months": plain_array(months),
        "first": min(months),
        "end": month_after(max(months)),
    }
    with cursor() as execution:
        # Told as a value: only so the planner knows how few marks are as young.
        execution.execute(
            f"WITH {_OPEN} SELECT least(min(since), statement_timestamp() - {_IN_FLIGHT}) FROM open",  # noqa: S608
            values,
        )
        (values["since"],) = execution.fetchone()
        execution.execute(
            f"""
            WITH {_OPEN}, marks AS (
                SELECT open.app_id, open.month, mark.user_hash
                  FROM open
                  JOIN metering_active_user mark
                    ON mark.tenant_id = %(tenant)s::uuid AND mark.app_id = open.app_id
                   AND mark.day = open.day
                 WHERE open.since IS NULL
                UNION ALL
                SELECT open.app_id, open.month, mark.user_hash
                  FROM metering_active_user mark
                  JOIN open ON open.app_id = mark.app_id AND open.day = mark.day
                 WHERE mark.tenant_id = %(tenant)s::uuid AND mark.marked_at >= %(since)s
                   AND mark.marked_at >= open.since
            ), more AS (
                SELECT app_id, month, user_hash FROM marks
                 WHERE NOT EXISTS (
                    SELECT 1 FROM metering_month_user known
                     WHERE known.tenant_id = %(tenant)s::uuid AND known.app_id = marks.app_id
                       AND known.month = marks.month
                       AND known.user_hash = marks.user_hash)
                 GROUP BY 1, 2, 3
            )
            SELECT app_id, month, sum(users) FROM (
                SELECT app_id, date_trunc('month', day)::date AS month, added AS users FROM gathered
                UNION ALL
                SELECT app_id, month, count(*) FROM more GROUP BY app_id, month
            ) AS parts GROUP BY app_id, month HAVING sum(users) > 0
            """,  # noqa: S608  # nothing from outside
            values,
        )
        return [
            WindowValue(app_id=app_id, window=months[month], value=Decimal(users))
            for app_id, month, users in execution.fetchall()
        ]
