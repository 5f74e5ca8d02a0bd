"""Count a tenant's days anew from its events; what is right stays as it is."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from kernel.array_literals import text_array
from kernel.errors import Invalid
from metering.ingest.stored import EVENTS
from metering.meters.domain import ACTIVE_USERS, counting_rules
from metering.meters.queries import known_meters
from metering.retention.queries import first_recountable_day
from metering.rollup.queries import event_sorts
from metering.rollup.rules import COUNTED, FACTS, RECOUNTED, RULES, rule_parameters
from metering.rollup.services.roll_up import LATE, roll_up
from metering.rollup.services.set_usage import NOBODY
from work.connections import cursor

_FACTS: Final = f"""
    facts AS MATERIALIZED (
        SELECT {FACTS} FROM {EVENTS} AS event
         WHERE tenant_id = %(tenant)s::uuid
           AND day >= %(from)s::date - 1 AND day < %(to)s::date + 1
    )"""  # noqa: S608  # nothing from outside
_WITHIN: Final = "AND day >= %(from)s AND day < %(to)s"
"""Days of a meter in UTC reach into the local days beside them."""

REBUILT: Final = "recounted from the events"
COUNTED_REASONS: Final = (LATE, REBUILT)
"""The reasons of corrections that come of counting; all others are people's, who know more than the
events: a recount leaves those as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How many rows of daily usage were wrong: put right on open days, corrected on closed ones."""

    changed: int
    corrected: int


def rebuild_usage(*, tenant_id: UUID, from_day: date, to_day: date, now: datetime) -> Rebuilt:
    """Recount the local days from `from_day` to `to_day` (excluded) in the caller's cross-tenant
    transaction.

    Marks and open days are made as the events say; a closed day gets a correction, beside those that
    people made. The days must lie within the time for which events are kept. Raises Invalid `end_before_start`, `events_gone`.
    """
    if to_day <= from_day:
        raise Invalid("end_before_start", "to_day must be after from_day.", field="to_day")
    first = first_recountable_day()
    if first is not None and from_day < first:
        raise Invalid(
            "events_gone",
            f"The events of days before {first} are no longer kept, so these days can't be counted "
            "anew; begin with that day.",
            field="from_day",
        )
    values: dict[str, Any] = {
        "tenant": str(tenant_id),
        "from": from_day,
        "to": to_day,
        "now": now,
        "active_users": ACTIVE_USERS,
        "reason": REBUILT,
        "counted": text_array(COUNTED_REASONS),
        "nobody": str(NOBODY),
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
        rules = counting_rules(
            meters=known_meters().values(),
            sorts=event_sorts(tenant_ids=[tenant_id], from_day=from_day, to_day=to_day),
        )
        values.update(rule_parameters(rules))
        # Whole months are gathered anew from marks: a mark that goes may have been the month's only one.
        for table, column in (("metering_month_user", "month"), ("metering_month_day", "day")):
            execution.execute(
                f"DELETE FROM {table} WHERE tenant_id = %(tenant)s::uuid"  # noqa: S608
                f" AND {column} >= date_trunc('month', %(from)s::date)"
                f" AND {column} < date_trunc('month', %(to)s::date - 1) + interval '1 month'",
                values,
            )
        for table in ("metering_active_user", "metering_mark"):
            execution.execute(
                f"DELETE FROM {table} WHERE tenant_id = %(tenant)s::uuid {_WITHIN}",  # noqa: S608
                values,
            )
        # Of a closed day, a reading that somebody set goes with the correction, which stays.
        execution.execute(
            f"""
            DELETE FROM metering_reading WHERE tenant_id = %(tenant)s::uuid {_WITHIN}
               AND NOT (batch_id = %(nobody)s::uuid AND day < (
                    SELECT coalesce(closed_until, '-infinity') FROM metering_watermark
                     WHERE tenant_id = %(tenant)s::uuid))
            """,  # noqa: S608  # nothing from outside
            values,
        )
        execution.execute(
            f"""
            WITH {_FACTS}, {RULES}, {COUNTED}, active AS (
                INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
                SELECT DISTINCT tenant_id, app_id, day, user_hash FROM counted
                 WHERE meter = %(active_users)s AND user_hash IS NOT NULL {_WITHIN}
            ), marks AS (
                INSERT INTO metering_mark (tenant_id, app_id, meter, day, identity)
                SELECT DISTINCT tenant_id, app_id, meter, day, marked FROM counted
                 WHERE aggregation = 'distinct' AND meter <> %(active_users)s
                   AND marked IS NOT NULL {_WITHIN}
            )
            INSERT INTO metering_reading (
                tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                position)
            SELECT DISTINCT ON (tenant_id, app_id, meter, day, kind)
                   tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                   position
              FROM counted
             WHERE aggregation IN ('max', 'latest') AND value IS NOT NULL {_WITHIN}
             ORDER BY tenant_id, app_id, meter, day, kind,
                      CASE aggregation WHEN 'max' THEN value END DESC, occurred_at DESC,
                      received_at DESC, batch_id DESC, position DESC
            ON CONFLICT DO NOTHING
            """,  # noqa: S608  # nothing from outside
            values,
        )
        execution.execute(
            f"""
            CREATE TEMPORARY TABLE metering_rebuilt ON COMMIT DROP AS
            WITH {_FACTS}, {RULES}, {COUNTED}, counted_anew AS (
                SELECT app_id, meter, day, kind, value FROM ({RECOUNTED}) AS recounted
                 WHERE true {_WITHIN}
            ), stored AS (
                SELECT app_id, meter, day, kind, sum(value) AS value FROM (
                    SELECT app_id, meter, day, kind, value FROM metering_daily_usage
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                    UNION ALL
                    SELECT app_id, meter, day, kind, delta FROM metering_correction
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                       AND reason = ANY (%(counted)s::text[])
                ) AS parts GROUP BY app_id, meter, day, kind
            )
            SELECT app_id, meter, day, kind,
                   coalesce(counted_anew.value, 0) - coalesce(stored.value, 0) AS delta,
                   coalesce(counted_anew.value, 0) AS value,
                   counted_anew.value IS NOT NULL AS is_counted,
                   day < coalesce(closed_until, '-infinity') AS closed
              FROM counted_anew FULL JOIN stored USING (app_id, meter, day, kind)
              JOIN metering_watermark ON metering_watermark.tenant_id = %(tenant)s::uuid
             WHERE coalesce(counted_anew.value, 0) <> coalesce(stored.value, 0)
                OR (counted_anew.value IS NOT NULL AND stored.value IS NULL)
            """,  # noqa: S608  # nothing from outside
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
              FROM metering_rebuilt WHERE NOT closed AND is_counted
            """,
            values,
        )
        execution.execute("SELECT count(*) FROM metering_rebuilt WHERE NOT closed")
        (changed,) = execution.fetchone()
        # Dropped at once: another rebuild may follow in the same transaction.
        execution.execute("DROP TABLE metering_rebuilt")
    return Rebuilt(changed=changed, corrected=corrected)
