"""Count a tenant's days anew from its events; what is right stays as it is."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from kernel.errors import Invalid
from metering.ingest.domain.array_literals import text_array
from metering.meters.domain import DAU, MESSAGES
from metering.rollup.services.roll_up import roll_up
from work.connections import cursor

_REBUILT: Final = "recounted from the events"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How many rows of daily usage were wrong: put right on open days, corrected on closed ones."""

    changed: int
    corrected: int


def rebuild_usage(*, tenant_id: UUID, from_day: date, to_day: date, now: datetime) -> Rebuilt:
    """Recount the local days from `from_day` to `to_day` (excluded) in the caller's cross-tenant
    transaction.

    Marks and open days are made as the events say; a closed day gets a correction. The days must
    lie within the time for which events are kept. Raises Invalid `end_before_start`.
    """
    if to_day <= from_day:
        raise Invalid("end_before_start", "to_day must be after from_day.", field="to_day")
    values: dict[str, Any] = {
        "tenant": str(tenant_id),
        "from": from_day,
        "to": to_day,
        "now": now,
        "dau": DAU.key,
        "messages": MESSAGES.key,
        "active_types": text_array(sorted(DAU.event_types)),
        "message_types": text_array(sorted(MESSAGES.event_types)),
        "reason": _REBUILT,
    }
    with cursor() as execution:
        execution.execute(
            "INSERT INTO metering_watermark (tenant_id) VALUES (%(tenant)s::uuid)"
            " ON CONFLICT DO NOTHING",
            values,
        )
        execution.execute(
            "SELECT 1 FROM metering_watermark WHERE tenant_id = %(tenant)s::uuid FOR UPDATE", values
        )
        roll_up(now=now, tenant_ids=[tenant_id], most_events=None, wait=True)
        execution.execute(
            """
            DELETE FROM metering_active_user
             WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
            """,
            values,
        )
        execution.execute(
            """
            INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
            SELECT DISTINCT tenant_id, app_id, day, user_hash FROM metering_event
             WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
               AND type = ANY (%(active_types)s::text[]) AND user_hash IS NOT NULL
            """,
            values,
        )
        execution.execute(
            """
            CREATE TEMPORARY TABLE metering_rebuilt ON COMMIT DROP AS
            WITH counted AS (
                SELECT app_id, %(dau)s::text AS meter, day, ''::text AS kind,
                       count(*)::numeric AS value
                  FROM metering_active_user
                 WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                 GROUP BY app_id, day
                UNION ALL
                SELECT app_id, %(messages)s, day, kind, sum(count)
                  FROM metering_event
                 WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                   AND type = ANY (%(message_types)s::text[])
                 GROUP BY app_id, day, kind
            ), stored AS (
                SELECT app_id, meter, day, kind, sum(value) AS value FROM (
                    SELECT app_id, meter, day, kind, value FROM metering_daily_usage
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                    UNION ALL
                    SELECT app_id, meter, day, kind, delta FROM metering_correction
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                ) AS parts GROUP BY app_id, meter, day, kind
            )
            SELECT app_id, meter, day, kind,
                   coalesce(counted.value, 0) - coalesce(stored.value, 0) AS delta,
                   coalesce(counted.value, 0) AS value,
                   day < coalesce(closed_until, '-infinity') AS closed
              FROM counted FULL JOIN stored USING (app_id, meter, day, kind)
              JOIN metering_watermark ON metering_watermark.tenant_id = %(tenant)s::uuid
             WHERE coalesce(counted.value, 0) <> coalesce(stored.value, 0)
            """,
            values,
        )
        execution.execute(
            """
            INSERT INTO metering_correction (
                tenant_id, id, app_id, meter, day, kind, delta, recorded_at, reason)
            SELECT %(tenant)s::uuid, gen_random_uuid(), app_id, meter, day, kind, delta,
                   %(now)s, %(reason)s
              FROM metering_rebuilt WHERE closed
            """,
            values,
        )
        corrected = execution.rowcount
        execution.execute(
            """
            DELETE FROM metering_daily_usage stored USING metering_rebuilt rebuilt
             WHERE stored.tenant_id = %(tenant)s::uuid AND stored.app_id = rebuilt.app_id
               AND stored.meter = rebuilt.meter AND stored.day = rebuilt.day
               AND stored.kind = rebuilt.kind AND NOT rebuilt.closed
            """,
            values,
        )
        execution.execute(
            """
            INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)
            SELECT %(tenant)s::uuid, app_id, meter, day, kind, value
              FROM metering_rebuilt WHERE NOT closed AND value <> 0
            """,
            values,
        )
        execution.execute("SELECT count(*) FROM metering_rebuilt WHERE NOT closed")
        (changed,) = execution.fetchone()
        # Dropped at once: another rebuild may follow in the same transaction.
        execution.execute("DROP TABLE metering_rebuilt")
    return Rebuilt(changed=changed, corrected=corrected)
