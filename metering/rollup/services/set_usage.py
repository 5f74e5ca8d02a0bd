"""Set a day's value outright, for usage that is counted elsewhere (stories, migrations), and by hand."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from kernel import ids
from kernel.dimensions import dimensions_of
from kernel.errors import Invalid
from metering.meters.domain import refuse_unknown_dimensions
from metering.meters.queries import find_meter, known_meters
from metering.recount.counting import COUNTED_ANEW, counting_parameters
from work.connections import cursor

NOBODY: Final = UUID(int=0)
"""The batch of a reading that came with none: one that was set."""


def set_usage(
    *,
    tenant_id: UUID,
    app_id: UUID,
    meter: str,
    day: date,
    value: Decimal,
    now: datetime,
    reason: str,
    kind: str = "",
) -> None:
    """Make `value` the quantity of that app, meter and local day, whatever it was before.

    `kind` is the canonical text of the dimensions that it is for (`kernel.dimensions`). On an open
    day the daily value is replaced; on a closed one the difference is recorded as a correction with
    `reason`. For a gauge it counts as a reading at `now`. What was said is kept as raw data of the day, for
    its recount. Runs in the caller's cross-tenant transaction. Raises Invalid `unknown_meter`, `unknown_dimension`, `negative_usage`.
    """
    rule = find_meter(meter)
    name = rule.key
    refuse_unknown_dimensions(rule, dimensions_of(kind))
    if not value.is_finite() or value < 0:
        raise Invalid("negative_usage", "A day's value is a number from 0 up.", field="value")
    values: dict[str, Any] = {
        "tenant": str(tenant_id),
        "app": str(app_id),
        "meter": name,
        "day": day,
        "kind": kind,
        "value": value,
        "now": now,
        "reason": reason,
        "nobody": str(NOBODY),
        "id": str(ids.new_id()),
    }
    with cursor() as execution:
        execution.execute(
            "INSERT INTO metering_watermark (tenant_id) VALUES (%(tenant)s::uuid)"
            " ON CONFLICT DO NOTHING",
            values,
        )
        execution.execute(
            # Roll-up of the tenant waits, so that what was counted before is told from what comes after.
            "SELECT coalesce(%(day)s < closed_until, false) FROM metering_watermark"
            " WHERE tenant_id = %(tenant)s::uuid FOR UPDATE",
            values,
        )
        (closed,) = execution.fetchone()
        _state(execution, values, is_gauge=rule.is_gauge)
        if rule.is_gauge:
            execution.execute(
                """
                INSERT INTO metering_reading (
                    tenant_id, app_id, meter, day, kind, value, occurred_at, received_at, batch_id,
                    position)
                VALUES (%(tenant)s::uuid, %(app)s::uuid, %(meter)s, %(day)s, %(kind)s, %(value)s,
                        %(now)s, %(now)s, %(nobody)s::uuid, 0)
                ON CONFLICT (tenant_id, app_id, meter, day, kind) DO UPDATE
                   SET value = excluded.value, occurred_at = excluded.occurred_at,
                       received_at = excluded.received_at, batch_id = excluded.batch_id, position = 0
                """,
                values,
            )
        # The day is looked at anew for its month: its value no longer tells that nothing came.
        execution.execute(
            "UPDATE metering_month_day SET value = -1, gathered_at = NULL WHERE tenant_id = %(tenant)s::uuid"
            " AND app_id = %(app)s::uuid AND day = %(day)s",
            values,
        )
        if not closed:
            execution.execute(
                """
                INSERT INTO metering_daily_usage (tenant_id, app_id, meter, day, kind, value)
                VALUES (%(tenant)s::uuid, %(app)s::uuid, %(meter)s, %(day)s, %(kind)s, %(value)s)
                ON CONFLICT (tenant_id, app_id, meter, day, kind)
                   DO UPDATE SET value = excluded.value
                """,
                values,
            )
            return
        execution.execute(
            """
            INSERT INTO metering_correction (
                tenant_id, id, app_id, meter, day, kind, delta, recorded_at, reason)
            SELECT %(tenant)s::uuid, gen_random_uuid(), %(app)s::uuid, %(meter)s, %(day)s, %(kind)s,
                   %(value)s - stored.value, %(now)s, %(reason)s
              FROM (
                SELECT coalesce(sum(value), 0) AS value FROM (
                    SELECT value FROM metering_daily_usage
                     WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid
                       AND meter = %(meter)s AND day = %(day)s AND kind = %(kind)s
                    UNION ALL
                    SELECT delta FROM metering_correction
                     WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid
                       AND meter = %(meter)s AND day = %(day)s AND kind = %(kind)s
                ) AS parts
              ) AS stored
             WHERE stored.value <> %(value)s
            RETURNING 1
            """,
            values,
        )


def _state(execution: Any, values: dict[str, Any], *, is_gauge: bool) -> None:
    """Keep what is said, with what the events of the day come to by now."""
    execution.execute(
        """
        SELECT EXISTS (SELECT 1 FROM metering_event_group
                        WHERE tenant_id = %(tenant)s::uuid
                          AND day BETWEEN %(day)s::date - 1 AND %(day)s::date + 1)
            OR EXISTS (SELECT 1 FROM metering_event
                        WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid
                          AND day BETWEEN %(day)s::date - 1 AND %(day)s::date + 1)
        """,
        values,
    )
    (has_events,) = execution.fetchone()
    counted = Decimal(0)
    if has_events and not is_gauge:
        execution.execute(
            "DELETE FROM metering_stated_usage WHERE tenant_id = %(tenant)s::uuid"
            " AND app_id = %(app)s::uuid AND meter = %(meter)s AND day = %(day)s AND kind = %(kind)s",
            values,
        )
        execution.execute(
            f"""
            WITH asked AS (SELECT %(tenant)s::uuid AS tenant_id, %(day)s::date AS day), {COUNTED_ANEW}
            SELECT coalesce(sum(value), 0) FROM counted_anew
             WHERE app_id = %(app)s::uuid AND meter = %(meter)s AND kind = %(kind)s
            """,  # noqa: S608  # nothing from outside
            {**values, **counting_parameters(known_meters().values())},
        )
        (counted,) = execution.fetchone()
    execution.execute(
        """
        INSERT INTO metering_stated_usage (
            tenant_id, app_id, meter, day, kind, value, counted, stated_at, id)
        VALUES (%(tenant)s::uuid, %(app)s::uuid, %(meter)s, %(day)s, %(kind)s, %(value)s,
                %(counted)s, %(now)s, %(id)s::uuid)
        ON CONFLICT (tenant_id, app_id, meter, day, kind) DO UPDATE
           SET value = excluded.value, counted = excluded.counted,
               stated_at = excluded.stated_at, id = excluded.id
        """,
        {**values, "counted": counted},
    )
