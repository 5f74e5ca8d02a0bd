"""How much came in lately, how far folding lags, what was known already, refused or late, and which days
are closed.

In a cross-tenant scope, where nothing else is said. What is counted over time is found by small indexes on
the time of arrival, in whose order the rows lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from work.connections import cursor

MINUTES: Final = 60
_SECONDS_OF_MINUTE: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What came in before `at`. `by_minute` has the last 60 whole minutes, the oldest first.

    `pending_events` and `pending_batches` are taken in and not folded into daily usage yet, the oldest of
    them since `pending_since`.
    """

    at: datetime
    by_minute: Sequence[tuple[datetime, int]]
    last_day: int
    pending_events: int
    pending_batches: int
    pending_since: datetime | None
    duplicates: int
    rejected: int
    late: int
    late_tenants: int

    @property
    def last_hour(self) -> int:
        return sum(events for _, events in self.by_minute)

    @property
    def per_second(self) -> int:
        """Events a second over the last whole minute, rounded."""
        return (self.by_minute[-1][1] + _SECONDS_OF_MINUTE // 2) // _SECONDS_OF_MINUTE

    @property
    def lag(self) -> timedelta:
        """How long the oldest event that is not folded has waited."""
        return timedelta(0) if self.pending_since is None else self.at - self.pending_since


@dataclass(frozen=True, slots=True, kw_only=True)
class DayProgress:
    """How many tenants have all days before `closed_until` closed; None: no day yet. `held` of them
    wait for reports of a gateway."""

    closed_until: date | None
    tenants: int
    held: int


def activity(*, now: datetime) -> Activity:
    """What came in within the last hour and day, and what waits."""
    minute = now.replace(second=0, microsecond=0)
    since = minute - timedelta(minutes=MINUTES)
    a_day_ago = now - timedelta(days=1)
    with cursor() as execution:
        execution.execute(
            """
            SELECT date_trunc('minute', received_at), sum(events) FROM metering_batch
             WHERE received_at >= %s AND received_at < %s GROUP BY 1
            """,
            [since, minute],
        )
        found = dict(execution.fetchall())
        execution.execute(
            """
            SELECT (SELECT coalesce(sum(events), 0) FROM metering_batch WHERE received_at >= %(since)s),
                   (SELECT coalesce(sum(events), 0) FROM metering_duplicates
                     WHERE received_at >= %(since)s),
                   (SELECT count(*) FROM metering_rejected_event WHERE received_at >= %(since)s),
                   late.corrections, late.tenants, waiting.events, waiting.batches, waiting.since
              FROM (SELECT count(*) AS corrections, count(DISTINCT tenant_id) AS tenants
                      FROM metering_correction WHERE recorded_at >= %(since)s) AS late,
                   (SELECT coalesce(sum(events), 0) AS events, count(*) AS batches,
                           min(received_at) AS since
                      FROM metering_batch WHERE rolled_up_at IS NULL) AS waiting
            """,
            {"since": a_day_ago},
        )
        last_day, duplicates, rejected, late, late_tenants, events, batches, pending_since = (
            execution.fetchone()
        )
    return Activity(
        at=now,
        by_minute=[
            (at, int(found.get(at, 0)))
            for at in (since + timedelta(minutes=n) for n in range(MINUTES))
        ],
        last_day=int(last_day),
        pending_events=int(events),
        pending_batches=batches,
        pending_since=pending_since,
        duplicates=int(duplicates),
        rejected=rejected,
        late=late,
        late_tenants=late_tenants,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantActivity:
    """What became of a tenant's events of the last 24 hours; `late` counts corrections of closed days."""

    tenant_key: str
    accepted: int
    duplicates: int
    rejected: int
    late: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantActivities:
    """A page of them; `total` counts all."""

    rows: list[TenantActivity]
    total: int


_OF_TENANTS: Final = """
    SELECT tenant_id, sum(accepted)::bigint AS accepted, sum(duplicates)::bigint AS duplicates,
           sum(rejected)::bigint AS rejected, sum(late)::bigint AS late
      FROM (
            SELECT tenant_id, events AS accepted, 0 AS duplicates, 0 AS rejected, 0 AS late
              FROM metering_batch WHERE received_at >= %(since)s
            UNION ALL
            SELECT tenant_id, 0, events, 0, 0
              FROM metering_duplicates WHERE received_at >= %(since)s
            UNION ALL
            SELECT tenant_id, 0, 0, 1, 0
              FROM metering_rejected_event WHERE received_at >= %(since)s
            UNION ALL
            SELECT tenant_id, 0, 0, 0, 1
              FROM metering_correction WHERE recorded_at >= %(since)s
           ) AS told
     WHERE %(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid
     GROUP BY tenant_id
"""


def tenant_activities(*, now: datetime, limit: int, offset: int = 0) -> TenantActivities:
    """The tenants of the last 24 hours, those with the most duplicates and rejected events first."""
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT tenant.key, accepted, duplicates, rejected, late, count(*) OVER ()
              FROM ({_OF_TENANTS}) AS told JOIN tenants_tenant tenant ON tenant.id = told.tenant_id
             ORDER BY duplicates + rejected DESC, accepted DESC, tenant.key
             LIMIT %(limit)s OFFSET %(offset)s
            """,  # noqa: S608  # nothing from outside
            {
                "since": now - timedelta(days=1),
                "tenant": None,
                "limit": limit,
                "offset": offset,
            },
        )
        found = execution.fetchall()
    return TenantActivities(
        rows=[
            TenantActivity(
                tenant_key=key,
                accepted=accepted,
                duplicates=duplicates,
                rejected=rejected,
                late=late,
            )
            for key, accepted, duplicates, rejected, late, _ in found
        ],
        total=found[0][-1] if found else 0,
    )


def activity_of_tenant(*, tenant_id: UUID, tenant_key: str, now: datetime) -> TenantActivity:
    """One tenant's last 24 hours, in its own scope too."""
    with cursor() as execution:
        execution.execute(
            f"SELECT accepted, duplicates, rejected, late FROM ({_OF_TENANTS}) AS tenants",  # noqa: S608  # nothing from outside
            {"since": now - timedelta(days=1), "tenant": str(tenant_id)},
        )
        accepted, duplicates, rejected, late = execution.fetchone() or (0, 0, 0, 0)
    return TenantActivity(
        tenant_key=tenant_key,
        accepted=accepted,
        duplicates=duplicates,
        rejected=rejected,
        late=late,
    )


def day_progress(*, most: int = 50) -> list[DayProgress]:
    """How far the tenants' days are closed, those furthest behind first."""
    with cursor() as execution:
        execution.execute(
            """
            WITH held AS (
                SELECT DISTINCT reported.tenant_id
                  FROM metering_gateway_gap gap
                  JOIN metering_gateway_tenant reported USING (gateway_id)
                 WHERE gap.released_at IS NULL
            )
            SELECT closed_until, count(*), count(held.tenant_id)
              FROM metering_watermark watermark LEFT JOIN held USING (tenant_id)
             GROUP BY closed_until ORDER BY closed_until NULLS FIRST LIMIT %s
            """,
            [most],
        )
        return [
            DayProgress(closed_until=until, tenants=tenants, held=held)
            for until, tenants, held in execution.fetchall()
        ]
