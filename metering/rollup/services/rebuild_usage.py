"""Count a tenant's days anew from what arrived; what is right stays as it is."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from kernel.errors import Invalid
from metering.ingest.stored import EVENTS
from metering.meters.domain import ACTIVE_USERS, counting_rules
from metering.meters.queries import known_meters
from metering.recount.counting import COUNTED_ANEW, counting_parameters
from metering.recount.services.recount_days import recount_again
from metering.retention.queries import first_recountable_day
from metering.rollup.from_events import event_sorts
from metering.rollup.months import month_after
from metering.rollup.rules import COUNTED, FACTS, RULES, rule_parameters
from metering.rollup.services.roll_up import roll_up
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """How many rows of daily usage were wrong: put right on open days, corrected on closed ones."""

    changed: int
    corrected: int


def rebuild_usage(*, tenant_id: UUID, from_day: date, to_day: date, now: datetime) -> Rebuilt:
    """Recount the local days from `from_day` to `to_day` (excluded) in the caller's cross-tenant
    transaction.

    Marks are made as the events say, values as the recount (`metering.recount`): what somebody said outright
    holds. An open day is put right, a closed one gets a correction. The days must lie within the time for
    which events are kept. Raises Invalid `end_before_start`, `events_gone`.
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
        values.update(counting_parameters(known_meters().values()))
        values["gauges"] = json.dumps(
            {meter.key: meter.aggregation for meter in known_meters().values() if meter.is_gauge}
        )
        # Whole months are gathered anew from marks: a mark that goes may have been the month's only one.
        months = {"from": from_day.replace(day=1), "to": month_after(to_day - timedelta(days=1))}
        for table, column in (("metering_month_user", "month"), ("metering_month_day", "day")):
            execution.execute(
                f"DELETE FROM {table} WHERE tenant_id = %(tenant)s::uuid"  # noqa: S608
                f" AND {column} >= %(from)s AND {column} < %(to)s",
                {**values, **months},
            )
        for table in ("metering_active_user", "metering_mark", "metering_reading"):
            execution.execute(
                f"DELETE FROM {table} WHERE tenant_id = %(tenant)s::uuid {_WITHIN}",  # noqa: S608
                values,
            )
        execution.execute(
            f"""
            WITH {_FACTS}, {RULES}, {COUNTED}, active AS (
                INSERT INTO metering_active_user (tenant_id, app_id, day, user_hash)
                SELECT DISTINCT tenant_id, app_id, day, user_hash FROM counted
                 WHERE meter = %(active_users)s AND user_hash IS NOT NULL {_WITHIN}
                RETURNING 1
            ), marks AS (
                INSERT INTO metering_mark (tenant_id, app_id, meter, day, identity)
                SELECT DISTINCT tenant_id, app_id, meter, day, marked FROM counted
                 WHERE aggregation = 'distinct' AND meter <> %(active_users)s
                   AND marked IS NOT NULL {_WITHIN}
                RETURNING 1
            )
            INSERT INTO metering_reading (
                tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                position)
            SELECT DISTINCT ON (tenant_id, app_id, meter, day, kind)
                   tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                   position
              FROM (
                SELECT counted.tenant_id, counted.app_id, meter, day, kind, counted.value, occurred_at,
                       received_at, batch_id, position, aggregation
                  FROM counted LEFT JOIN metering_stated_usage said
                       USING (tenant_id, app_id, meter, day, kind)
                 WHERE aggregation IN ('max', 'latest') AND counted.value IS NOT NULL
                   AND (said.id IS NULL OR (received_at, batch_id) > (said.stated_at, said.id))
                UNION ALL
                SELECT tenant_id, app_id, meter, day, kind, value, stated_at, stated_at,
                       '00000000-0000-0000-0000-000000000000', 0, %(gauges)s::jsonb ->> meter
                  FROM metering_stated_usage
                 WHERE tenant_id = %(tenant)s::uuid AND %(gauges)s::jsonb ? meter
              ) AS readings
             WHERE true {_WITHIN}
             ORDER BY tenant_id, app_id, meter, day, kind,
                      CASE aggregation WHEN 'max' THEN value END DESC, occurred_at DESC,
                      received_at DESC, batch_id DESC, position DESC
            RETURNING 1
            """,  # noqa: S608  # nothing from outside
            values,
        )
        execution.execute(
            f"""
            CREATE TEMPORARY TABLE metering_rebuilt ON COMMIT DROP AS
            WITH asked AS (
                SELECT %(tenant)s::uuid AS tenant_id, day::date AS day
                  FROM generate_series(%(from)s::date, %(to)s::date - 1, interval '1 day') AS day
            ), {COUNTED_ANEW}, stored AS (
                SELECT app_id, meter, day, kind, sum(value) AS value FROM (
                    SELECT app_id, meter, day, kind, value FROM metering_daily_usage
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
                    UNION ALL
                    SELECT app_id, meter, day, kind, delta FROM metering_correction
                     WHERE tenant_id = %(tenant)s::uuid AND day >= %(from)s AND day < %(to)s
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
            RETURNING 1
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
            RETURNING 1
            """,
            values,
        )
        execution.execute("SELECT count(*) FROM metering_rebuilt WHERE NOT closed")
        (changed,) = execution.fetchone()
        # Dropped at once: another rebuild may follow in the same transaction.
        execution.execute("DROP TABLE metering_rebuilt")
    recount_again(tenant_id=tenant_id, from_day=from_day, to_day=to_day, now=now)
    return Rebuilt(changed=changed, corrected=corrected)
