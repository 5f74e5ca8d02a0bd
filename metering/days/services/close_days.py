"""Close local days that are over: fold what is pending, take the digest, move the watermark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from kernel.array_literals import plain_array, text_array
from kernel.period import local_day
from metering.days.domain import closable_until
from metering.rollup.services.roll_up import roll_up
from tenants.models import Tenant
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDays:
    """`tenants`: whose watermark moved; `days`: tenants' days with usage that were closed; `held`: tenants
    of whose days that are over some wait for missing reports of a gateway."""

    tenants: int
    days: int
    held: int = 0


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
    asked = _asked(
        now=now,
        until=until,
        settling=timedelta(0) if force else settling,
        tenant_ids=tenant_ids,
    )
    return ClosedDays(tenants=0, days=0) if asked is None else _close(asked)


def _asked(
    *, now: datetime, until: date | None, settling: timedelta, tenant_ids: Sequence[UUID] | None
) -> dict[str, Any] | None:
    """The tenants in the order of their ids and up to which day each is closed, as arrays in text: a
    hundred thousand of them pass through without becoming objects here. None: there are none."""
    values: dict[str, Any] = {
        "only": None if tenant_ids is None else plain_array(tenant_ids),
        "now": now,
    }
    with cursor() as execution:
        execution.execute(
            "SELECT DISTINCT timezone FROM tenants_tenant"
            " WHERE %(only)s::uuid[] IS NULL OR id = ANY (%(only)s::uuid[])",
            values,
        )
        bounds = {}
        for (zone,) in execution.fetchall():
            over = closable_until(now=now, settling=settling, zone=zone)
            bounds[zone] = over if until is None else min(over, until)
        held = _held_from()
        zones = dict(Tenant.objects.filter(id__in=held).values_list("id", "timezone"))
        execution.execute(
            """
            SELECT count(*), array_agg(id ORDER BY id)::text, array_agg(bound ORDER BY id)::text,
                   count(*) FILTER (WHERE is_held)
              FROM (
                SELECT tenant.id, least(bound, held_from) AS bound,
                       held_from < bound AS is_held
                  FROM tenants_tenant tenant
                  JOIN unnest(%(zones)s::text[], %(bounds)s::date[]) AS zone (timezone, bound)
                       USING (timezone)
                  LEFT JOIN unnest(%(held)s::uuid[], %(from)s::date[]) AS held (id, held_from)
                       ON held.id = tenant.id
                 WHERE %(only)s::uuid[] IS NULL OR tenant.id = ANY (%(only)s::uuid[])
            ) AS asked
            """,
            {
                **values,
                "zones": text_array(bounds),
                "bounds": plain_array(bounds.values()),
                "held": plain_array(zones),
                "from": plain_array(
                    local_day(held[tenant_id], ZoneInfo(zone)) for tenant_id, zone in zones.items()
                ),
            },
        )
        count, tenants, days, are_held = execution.fetchone()
    if not count:
        return None
    return {"count": count, "tenants": tenants, "bounds": days, "held": are_held, "now": now}


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


_ASKED: Final = """
    asked AS MATERIALIZED (
        SELECT * FROM unnest(%(tenants)s::uuid[], %(bounds)s::date[]) AS asked (tenant_id, bound)
    )"""
_LOCKED: Final = """
    locked AS MATERIALIZED (
        SELECT watermark.tenant_id, bound
          FROM metering_watermark watermark JOIN asked USING (tenant_id)
         WHERE closed_until IS NULL OR closed_until < bound
         ORDER BY watermark.tenant_id FOR UPDATE OF watermark
    )"""


def _close(asked: dict[str, Any]) -> ClosedDays:
    """Move the watermarks, then take the digests of the days that they passed.

    A batch that was committed before is pending or folded: whose tenant has one that is pending, or is
    being folded by another runner, is waited for and folded here. Locks are taken in the order of
    roll-up: missing watermarks are made first, then all that are due are locked by tenant.
    """
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_ASKED}
            SELECT array_agg(DISTINCT tenant_id)
              FROM metering_batch
             WHERE rolled_up_at IS NULL AND tenant_id IN (SELECT tenant_id FROM asked)
            """,  # noqa: S608  # nothing from outside
            asked,
        )
        pending: list[UUID] = execution.fetchone()[0] or []
        execution.execute(
            f"""
            WITH {_ASKED}, made AS (
            INSERT INTO metering_watermark (tenant_id, closed_until, moved_at)
            SELECT tenant_id, CASE WHEN waits THEN NULL ELSE bound END,
                   CASE WHEN waits THEN NULL ELSE %(now)s END
              FROM (
                SELECT asked.tenant_id, bound, asked.tenant_id = ANY (%(pending)s::uuid[]) AS waits
                  FROM asked LEFT JOIN metering_watermark known USING (tenant_id)
                 WHERE known.tenant_id IS NULL
              ) AS missing
             ORDER BY tenant_id
            ON CONFLICT DO NOTHING RETURNING closed_until
            ) SELECT count(closed_until) FROM made
            """,  # noqa: S608  # nothing from outside
            {**asked, "pending": plain_array(pending)},
        )
        (tenants,) = execution.fetchone()
        if pending:
            execution.execute(
                f"WITH {_ASKED}, {_LOCKED} SELECT count(*) FROM locked",  # noqa: S608  # as above
                asked,
            )
            roll_up(now=asked["now"], tenant_ids=pending, most_events=None, wait=True)
        if tenants < asked["count"]:
            execution.execute(
                f"""
                WITH {_ASKED}, {_LOCKED}
                UPDATE metering_watermark watermark
                   SET moved_from = closed_until, closed_until = bound, moved_at = %(now)s
                  FROM locked WHERE locked.tenant_id = watermark.tenant_id
                """,  # noqa: S608  # nothing from outside
                asked,
            )
            tenants += execution.rowcount
        if not tenants:
            return ClosedDays(tenants=0, days=0, held=asked["held"])
        # Those that were moved by now, told by the instant. A close of the same instant has digested
        # its own already.
        execution.execute(
            """
            WITH made AS (
            INSERT INTO metering_day_close (tenant_id, day, closed_at, rows, digest)
            SELECT tenant_id, usage.day, %(now)s, count(*),
                   sha256(convert_to(string_agg(
                       concat_ws(' ', app_id, meter, kind, trim_scale(value)), E'\n'
                       ORDER BY app_id, meter, kind), 'UTF8'))
              FROM metering_watermark watermark
              JOIN metering_daily_usage usage USING (tenant_id)
             WHERE watermark.moved_at = %(now)s AND usage.day < watermark.closed_until
               AND (watermark.moved_from IS NULL OR usage.day >= watermark.moved_from)
             GROUP BY tenant_id, usage.day
            ON CONFLICT DO NOTHING RETURNING 1
            ) SELECT count(*) FROM made
            """,
            asked,
        )
        (days,) = execution.fetchone()
        return ClosedDays(tenants=tenants, days=days, held=asked["held"])
