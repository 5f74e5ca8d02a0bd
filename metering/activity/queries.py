"""How much came in lately, how far folding lags, what was refused or late, and which days are closed.

All in a cross-tenant scope. What is counted over time is found by small indexes on the time of arrival, in
whose order the rows lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

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
        last_day, rejected, late, late_tenants, events, batches, pending_since = (
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
        rejected=rejected,
        late=late,
        late_tenants=late_tenants,
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
