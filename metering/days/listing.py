"""Lists of days for operations: how far each tenant's days are closed, and the days of one tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from metering.days.models import DayClose
from metering.rollup.queries import closed_until
from work.connections import cursor


class DaysFilter(StrEnum):
    """Which tenants are listed."""

    HELD = "held"
    BEHIND = "behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDays:
    """How far the days of a tenant are closed; `closed_until` is the first open day, None where none
    was closed yet. `held_by` are the gateways whose missing reports hold its days."""

    key: str
    name: str
    timezone: str
    closed_until: date | None
    moved_at: datetime | None
    held_by: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantDaysPage:
    """Some rows of all that the filter finds."""

    rows: Sequence[TenantDays]
    total: int


def tenant_days(
    *,
    now: datetime,
    search: str = "",
    only: DaysFilter | None = None,
    limit: int,
    offset: int = 0,
) -> TenantDaysPage:
    """The tenants that have usage, those furthest behind first, then by key.

    `search` is a part of the name or key. Behind is whose days before yesterday (in its own zone)
    are not all closed. Needs a cross-tenant scope.
    """
    with cursor() as execution:
        execution.execute(
            """
            WITH held AS MATERIALIZED (
                SELECT reported.tenant_id, array_agg(DISTINCT gateway.key ORDER BY gateway.key) AS keys
                  FROM metering_gateway_gap gap
                  JOIN metering_gateway gateway ON gateway.id = gap.gateway_id
                  JOIN metering_gateway_tenant reported ON reported.gateway_id = gap.gateway_id
                 WHERE gap.released_at IS NULL
                 GROUP BY reported.tenant_id
            ), found AS (
                SELECT tenant.key, tenant.name, tenant.timezone, closed_until, moved_at, held.keys
                  FROM metering_watermark watermark
                  JOIN tenants_tenant tenant ON tenant.id = watermark.tenant_id
                  LEFT JOIN held ON held.tenant_id = watermark.tenant_id
                 WHERE (%(search)s = '' OR strpos(lower(tenant.key), lower(%(search)s)) > 0
                        OR strpos(lower(tenant.name), lower(%(search)s)) > 0)
                   AND (NOT %(held)s OR held.keys IS NOT NULL)
                   AND (NOT %(behind)s OR closed_until IS NULL
                        OR closed_until < (%(now)s AT TIME ZONE tenant.timezone)::date - 1)
            )
            SELECT key, name, timezone, closed_until, moved_at, coalesce(keys, '{}'),
                   count(*) OVER ()
              FROM found ORDER BY closed_until NULLS FIRST, key COLLATE "C"
             LIMIT %(limit)s OFFSET %(offset)s
            """,
            {
                "search": search,
                "held": only is DaysFilter.HELD,
                "behind": only is DaysFilter.BEHIND,
                "now": now,
                "limit": limit,
                "offset": offset,
            },
        )
        rows = execution.fetchall()
    return TenantDaysPage(
        rows=[
            TenantDays(
                key=key,
                name=name,
                timezone=timezone,
                closed_until=until,
                moved_at=moved_at,
                held_by=held_by,
            )
            for key, name, timezone, until, moved_at, held_by, _ in rows
        ],
        total=rows[0][-1] if rows else 0,
    )


class ListedState(StrEnum):
    """Whether a day may still change, and why it is not closed although it is over."""

    OPEN = "open"
    HELD = "held"
    CLOSED = "closed"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDay:
    """A local day of a tenant. `closed_at` and `rows` (of daily usage) are None for an open day and
    for a closed one without usage; `corrections` were made after its close."""

    day: date
    state: ListedState
    closed_at: datetime | None
    rows: int | None
    corrections: int


def listed_days(
    *, tenant_id: UUID, from_day: date, to_day: date, is_held: bool, today: date
) -> list[ListedDay]:
    """The days from `from_day` to `to_day`, which is excluded, the newest first.

    `is_held`: missing reports hold the tenant's days, so what is over and open waits for them.
    """
    until = closed_until(tenant_ids=[tenant_id]).get(tenant_id, date.min)
    closes = {
        close.day: close
        for close in DayClose.objects.filter(tenant_id=tenant_id, day__gte=from_day, day__lt=to_day)
    }
    corrected = _corrections_by_day(tenant_id, from_day, to_day)
    return [
        ListedDay(
            day=day,
            state=_state(day, until=until, today=today, is_held=is_held, corrected=corrected),
            closed_at=closes[day].closed_at if day in closes else None,
            rows=closes[day].rows if day in closes else None,
            corrections=corrected.get(day, 0),
        )
        for day in (to_day - timedelta(days=n) for n in range(1, (to_day - from_day).days + 1))
    ]


def _state(
    day: date, *, until: date, today: date, is_held: bool, corrected: dict[date, int]
) -> ListedState:
    if day >= until:
        return ListedState.HELD if is_held and day < today else ListedState.OPEN
    return ListedState.CORRECTED if corrected.get(day) else ListedState.CLOSED


def _corrections_by_day(tenant_id: UUID, from_day: date, to_day: date) -> dict[date, int]:
    with cursor() as execution:
        execution.execute(
            """
            SELECT day, count(*) FROM metering_correction
             WHERE tenant_id = %s::uuid AND day >= %s AND day < %s GROUP BY day
            """,
            [str(tenant_id), from_day, to_day],
        )
        return dict(execution.fetchall())
