"""Closed days, and whether they still stand as they were closed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from metering.days.models import DayClose
from metering.ingest.domain.array_literals import plain_array
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDay:
    """A local day with usage that was closed; `digest` is SHA-256 over its rows of daily usage."""

    tenant_id: UUID
    day: date
    closed_at: datetime
    rows: int
    digest: bytes


def closed_days(*, tenant_ids: Sequence[UUID], from_day: date, to_day: date) -> list[ClosedDay]:
    """The closed days with usage of these tenants, `to_day` excluded, by tenant and day."""
    closes = DayClose.objects.filter(
        tenant_id__in=list(tenant_ids), day__gte=from_day, day__lt=to_day
    ).order_by("tenant_id", "day")
    return [
        ClosedDay(
            tenant_id=close.tenant_id,
            day=close.day,
            closed_at=close.closed_at,
            rows=close.rows,
            digest=bytes(close.digest),
        )
        for close in closes
    ]


def changed_closed_days(*, tenant_ids: Sequence[UUID] | None = None) -> list[tuple[UUID, date]]:
    """Closed days whose rows are no longer those that were closed; none, unless somebody went
    around the guards. The same text as in `close_days` is hashed anew."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT closed.tenant_id, closed.day
              FROM metering_day_close closed
              LEFT JOIN LATERAL (
                SELECT count(*) AS rows,
                       sha256(convert_to(string_agg(
                           concat_ws(' ', app_id, meter, kind, trim_scale(value)), E'\n'
                           ORDER BY app_id, meter, kind), 'UTF8')) AS digest
                  FROM metering_daily_usage usage
                 WHERE usage.tenant_id = closed.tenant_id AND usage.day = closed.day
              ) AS standing ON true
             WHERE (%(tenants)s::uuid[] IS NULL OR closed.tenant_id = ANY (%(tenants)s::uuid[]))
               AND (standing.rows, standing.digest) IS DISTINCT FROM (closed.rows, closed.digest)
             ORDER BY 1, 2
            """,
            {"tenants": None if tenant_ids is None else plain_array(tenant_ids)},
        )
        return [(tenant_id, day) for tenant_id, day in execution.fetchall()]
