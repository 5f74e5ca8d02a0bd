"""Different identities over several days, counted from the marks that distinct meters keep."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final
from uuid import UUID

from kernel.array_literals import plain_array, text_array
from metering.meters.domain import (
    ACTIVE_USERS,
)
from metering.meters.queries import find_meter, find_meters
from metering.rollup.queries import WindowValue
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDays:
    """Days of a tenant whose different users (of a distinct meter) count: from each first one to each
    last one, which is excluded; no day twice."""

    tenant_id: UUID
    meter: str
    stretches: tuple[tuple[date, date], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentUsers:
    """The different identities of an app (None: of all the tenant's apps) in all the days together.

    `users` is None where a day's value is not the number of its marks, because it was set outright:
    then who was there is not known.
    """

    days: UserDays
    app_id: UUID | None
    users: int | None


_MARKS: Final = """
                SELECT tenant_id, app_id, %(active_users)s AS meter, day, user_hash AS identity
                  FROM metering_active_user
                UNION ALL
                SELECT tenant_id, app_id, meter, day, identity FROM metering_mark"""
"""All marks, of daily active users and of other distinct meters."""


def distinct_identities(
    *, tenant_id: UUID, app_ids: Sequence[UUID], meter: str, bounds: Sequence[date]
) -> list[WindowValue]:
    """The distinct identities of each app between two neighbouring `bounds` (days, ascending)."""
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT app_id, width_bucket(day, %(bounds)s::date[]), count(DISTINCT identity)
              FROM ({_MARKS}) AS marks
             WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
               AND meter = %(meter)s AND day >= %(first)s AND day < %(last)s
             GROUP BY 1, 2 ORDER BY 1, 2
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "meter": find_meter(meter).marks,
                "bounds": plain_array(bounds),
                "tenant": str(tenant_id),
                "apps": plain_array(app_ids),
                "first": bounds[0],
                "last": bounds[-1],
            },
        )
        return [
            WindowValue(app_id=app_id, window=window - 1, value=Decimal(value))
            for app_id, window, value in execution.fetchall()
        ]


def different_users(*, asked: Sequence[UserDays]) -> list[DifferentUsers]:
    """The different identities of each app and of the whole tenant, for all that is asked at once.

    Counted from the marks, whose number on each day must be the daily usage, corrections included.
    Apps without usage are left out. Raises Invalid `unknown_meter`.
    """
    rows = [
        (place, each.tenant_id, meter, first, end)
        for place, (each, meter) in enumerate(
            zip(asked, find_meters(each.meter for each in asked), strict=True)
        )
        for first, end in each.stretches
    ]
    if not rows:
        return []
    with cursor() as execution:
        execution.execute(
            f"""
            WITH asked AS MATERIALIZED (
                SELECT * FROM unnest(
                    %(places)s::int[], %(tenants)s::uuid[], %(meters)s::text[], %(marks)s::text[],
                    %(from)s::date[], %(to)s::date[]
                ) AS asked (n, tenant_id, meter, marked_as, from_day, to_day)
            ), marked AS NOT MATERIALIZED (
                SELECT n, app_id, day, identity
                  FROM asked JOIN ({_MARKS}) AS marks
                    ON marks.tenant_id = asked.tenant_id AND marks.meter = marked_as
                   AND day >= from_day AND day < to_day
            ), identities AS MATERIALIZED (
                SELECT n, app_id, identity FROM marked GROUP BY n, app_id, identity
            ), by_day AS (
                SELECT n, app_id, day, count(*) AS marks FROM marked GROUP BY n, app_id, day
            ), stored AS (
                -- What was set for the meter itself goes before what it borrows.
                SELECT DISTINCT ON (n, app_id, day) n, app_id, day, value FROM (
                    SELECT n, app_id, day, part.meter = asked.meter AS is_own, sum(value) AS value
                      FROM asked JOIN (
                        SELECT tenant_id, app_id, meter, day, value FROM metering_daily_usage
                        UNION ALL
                        SELECT tenant_id, app_id, meter, day, delta FROM metering_correction
                      ) AS part
                        ON part.tenant_id = asked.tenant_id
                       AND part.meter IN (asked.meter, asked.marked_as)
                       AND day >= from_day AND day < to_day
                     GROUP BY n, app_id, day, is_own
                ) AS parts ORDER BY n, app_id, day, is_own DESC
            ), amiss AS MATERIALIZED (
                SELECT DISTINCT n, app_id FROM stored FULL JOIN by_day USING (n, app_id, day)
                 WHERE coalesce(value, 0) <> coalesce(marks, 0)
            ), by_app AS (
                SELECT n, app_id, count(*) AS users FROM identities GROUP BY n, app_id
            ), of_tenant AS (
                SELECT n, count(DISTINCT identity) AS users FROM identities GROUP BY n
            )
            SELECT n, app_id, CASE WHEN amiss.n IS NULL THEN users END
              FROM by_app FULL JOIN amiss USING (n, app_id)
            UNION ALL
            SELECT n, NULL, CASE WHEN unknown.n IS NULL THEN users END
              FROM of_tenant FULL JOIN (SELECT DISTINCT n FROM amiss) AS unknown USING (n)
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "places": plain_array(row[0] for row in rows),
                "tenants": plain_array(row[1] for row in rows),
                "meters": text_array(row[2].key for row in rows),
                "marks": text_array(row[2].marks for row in rows),
                "from": plain_array(row[3] for row in rows),
                "to": plain_array(row[4] for row in rows),
            },
        )
        return [
            DifferentUsers(days=asked[place], app_id=app_id, users=users)
            for place, app_id, users in execution.fetchall()
        ]
