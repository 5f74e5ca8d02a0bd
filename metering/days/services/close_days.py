"""Close local days that are over: fold what is pending, take the digest, move the watermark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from kernel.period import local_day
from metering.days.domain import closable_until
from metering.ingest.domain.array_literals import plain_array
from metering.rollup.services.roll_up import roll_up
from tenants.models import Tenant
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDays:
    """`tenants`: whose watermark moved; `days`: tenants' days with usage that were closed."""

    tenants: int
    days: int


def close_days(
    *,
    now: datetime,
    until: date | None = None,
    settling: timedelta = timedelta(0),
    force: bool = False,
    tenant_ids: Sequence[UUID] | None = None,
) -> ClosedDays:
    """Close each tenant's local days before `until` that are over, in the caller's cross-tenant
    transaction.

    A day is over when `settling` has passed since its local midnight; with `force` (after an
    import) at that midnight. What was committed before is counted in, what comes later becomes a
    correction. Days without usage are closed by the watermark alone. Closing again changes nothing.
    Days that a gap in the reports of one of the tenant's gateways may belong to stay open, also with
    `force`.
    `until` None means all that are over, `tenant_ids` None all tenants.
    """
    wait = timedelta(0) if force else settling
    tenants = Tenant.objects.all()
    if tenant_ids is not None:
        tenants = tenants.filter(id__in=list(tenant_ids))
    bounds: dict[str, date] = {}
    wanted: list[tuple[UUID, date]] = []
    for tenant_id, zone in tenants.order_by("id").values_list("id", "timezone"):
        bound = bounds.get(zone)
        if bound is None:
            over = closable_until(now=now, settling=wait, zone=zone)
            bound = bounds[zone] = over if until is None else min(over, until)
        wanted.append((tenant_id, bound))
    held = _held_from()
    if held:
        zones = dict(tenants.filter(id__in=held).values_list("id", "timezone"))
        wanted = [
            (
                tenant_id,
                min(bound, local_day(held[tenant_id], ZoneInfo(zones[tenant_id])))
                if tenant_id in zones
                else bound,
            )
            for tenant_id, bound in wanted
        ]
    if not wanted:
        return ClosedDays(tenants=0, days=0)
    return _close(wanted, now=now)


def _held_from() -> dict[UUID, datetime]:
    """From when on the days of which tenants are held by missing reports. Read by SQL, because
    reports come after days."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT reported.tenant_id, min(gap.held_from)
              FROM metering_gateway_gap gap
              JOIN metering_gateway_tenant reported USING (gateway_id)
             WHERE gap.released_at IS NULL
             GROUP BY reported.tenant_id
            """
        )
        return {UUID(str(tenant_id)): held_from for tenant_id, held_from in execution.fetchall()}


def _close(wanted: Sequence[tuple[UUID, date]], *, now: datetime) -> ClosedDays:
    asked: dict[str, Any] = {
        "tenants": plain_array(tenant_id for tenant_id, _ in wanted),
        "bounds": plain_array(bound for _, bound in wanted),
        "now": now,
    }
    with cursor() as execution:
        execution.execute(
            """
            INSERT INTO metering_watermark (tenant_id)
            SELECT asked.tenant_id FROM unnest(%(tenants)s::uuid[]) AS asked (tenant_id)
             WHERE NOT EXISTS (
                SELECT 1 FROM metering_watermark w WHERE w.tenant_id = asked.tenant_id)
             ORDER BY 1
            ON CONFLICT DO NOTHING
            """,
            asked,
        )
        execution.execute(
            """
            SELECT watermark.tenant_id, bound
              FROM metering_watermark watermark
              JOIN unnest(%(tenants)s::uuid[], %(bounds)s::date[]) AS asked (tenant_id, bound)
                   USING (tenant_id)
             WHERE closed_until IS NULL OR closed_until < bound
             ORDER BY watermark.tenant_id FOR UPDATE OF watermark
            """,
            asked,
        )
        due = execution.fetchall()
        if not due:
            return ClosedDays(tenants=0, days=0)
        roll_up(now=now, tenant_ids=[row[0] for row in due], most_events=None, wait=True)
        closing: dict[str, Any] = {
            "tenants": plain_array(row[0] for row in due),
            "bounds": plain_array(row[1] for row in due),
            "now": now,
        }
        execution.execute(
            """
            INSERT INTO metering_day_close (tenant_id, day, closed_at, rows, digest)
            SELECT tenant_id, usage.day, %(now)s, count(*),
                   sha256(convert_to(string_agg(
                       concat_ws(' ', app_id, meter, kind, trim_scale(value)), E'\n'
                       ORDER BY app_id, meter, kind), 'UTF8'))
              FROM unnest(%(tenants)s::uuid[], %(bounds)s::date[]) AS closing (tenant_id, bound)
              JOIN metering_watermark watermark USING (tenant_id)
              JOIN metering_daily_usage usage USING (tenant_id)
             WHERE usage.day < closing.bound
               AND (watermark.closed_until IS NULL OR usage.day >= watermark.closed_until)
             GROUP BY tenant_id, usage.day
            """,
            closing,
        )
        days = execution.rowcount
        execution.execute(
            """
            UPDATE metering_watermark watermark SET closed_until = bound, moved_at = %(now)s
              FROM unnest(%(tenants)s::uuid[], %(bounds)s::date[]) AS closing (tenant_id, bound)
             WHERE watermark.tenant_id = closing.tenant_id
            """,
            closing,
        )
    return ClosedDays(tenants=len(due), days=days)
