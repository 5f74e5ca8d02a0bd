"""Quantities counted from the stored events themselves: for display and previews, not for billing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from kernel.array_literals import plain_array
from kernel.errors import Invalid
from metering.ingest.stored import EVENTS, SORTS
from metering.meters.domain import (
    Aggregation,
    Meter,
    Sort,
    counting_rules,
)
from metering.meters.queries import find_meter
from metering.rollup.queries import UsageRow, WindowValue
from metering.rollup.rules import COUNTED, FACTS, RECOUNTED, RULES, rule_parameters
from work.connections import cursor

_WINDOW_VALUE: Final = {
    Aggregation.COUNT: "count(*)",
    Aggregation.SUM: "sum(quantity)",
    Aggregation.DISTINCT: "nullif(count(DISTINCT marked), 0)",
    Aggregation.MAX: "max(value)",
    Aggregation.LATEST: "(array_agg(value ORDER BY occurred_at DESC, received_at DESC,"
    " batch_id DESC, position DESC) FILTER (WHERE value IS NOT NULL))[1]",
}


def usage_in_windows(
    *,
    tenant_id: UUID,
    app_ids: Sequence[UUID],
    meter: str,
    bounds: Sequence[datetime],
    from_day: date,
    to_day: date,
) -> list[WindowValue]:
    """The quantity in each window between two neighbouring `bounds` (instants, ascending).

    Counted from the events themselves, so for display of some days, not for billing. The bounds lie
    within the local days from `from_day` to `to_day`, which is excluded. Empty windows are left out.
    Raises Invalid `unknown_meter`.
    """
    rule = find_meter(meter)
    sorts = event_sorts(tenant_ids=[tenant_id], app_ids=app_ids, from_day=from_day, to_day=to_day)
    known = [find_meter(rule.marks)]
    with cursor() as execution:
        execution.execute(
            f"""
            WITH facts AS MATERIALIZED (
                SELECT {FACTS} FROM {EVENTS} AS event
                 WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
                   AND day >= %(from)s AND day < %(to)s
                   AND occurred_at >= %(first)s AND occurred_at < %(last)s
            ), {RULES}, {COUNTED}, placed AS (
                SELECT *, width_bucket(occurred_at, %(bounds)s::timestamptz[]) AS place
                  FROM counted
            ), parts AS (
                SELECT app_id, place, kind, {_WINDOW_VALUE[rule.aggregation]} AS value
                  FROM placed GROUP BY app_id, place, kind
            )
            SELECT app_id, place, kind, trim_scale(value::numeric) FROM parts
             WHERE value IS NOT NULL ORDER BY app_id, place, kind
            """,  # noqa: S608  # nothing from outside
            {
                **rule_parameters(counting_rules(meters=known, sorts=sorts)),
                "bounds": plain_array(bound.isoformat() for bound in bounds),
                "tenant": str(tenant_id),
                "apps": plain_array(app_ids),
                "from": from_day,
                "to": to_day,
                "first": bounds[0],
                "last": bounds[-1],
            },
        )
        return [
            WindowValue(app_id=app_id, window=place - 1, kind=kind, value=Decimal(value))
            for app_id, place, kind, value in execution.fetchall()
        ]


def event_sorts(
    *,
    tenant_ids: Sequence[UUID] | None,
    from_day: date,
    to_day: date,
    app_ids: Sequence[UUID] | None = None,
) -> list[Sort]:
    """The sorts of events of these tenants (None: all) and local days, and of one day to both sides,
    into which the days of a meter in UTC reach."""
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT DISTINCT type, kind FROM {SORTS} AS sort
             WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
               AND (%(apps)s::uuid[] IS NULL OR app_id = ANY (%(apps)s::uuid[]))
               AND day >= %(from)s::date - 1 AND day < %(to)s::date + 1
            """,  # noqa: S608  # nothing from outside
            {
                "tenants": None if tenant_ids is None else plain_array(tenant_ids),
                "apps": None if app_ids is None else plain_array(app_ids),
                "from": from_day,
                "to": to_day,
            },
        )
        return [Sort(*row) for row in execution.fetchall()]


MOST_PREVIEWED_DAYS: Final = 92


def previewed_usage(
    *, meter: Meter, tenant_id: UUID, app_id: UUID, from_day: date, to_day: date
) -> list[UsageRow]:
    """What a meter would have counted of an app's stored events, by day and combination of
    dimensions, `to_day` excluded; whether it is stored or only a definition, and from whatever day
    it counts.

    Raises Invalid `end_before_start`, `range_too_long`.
    """
    if to_day <= from_day:
        raise Invalid("end_before_start", "to must be a later day than from.", field="to")
    if (to_day - from_day).days > MOST_PREVIEWED_DAYS:
        raise Invalid(
            "range_too_long",
            f"A preview shows at most {MOST_PREVIEWED_DAYS} days; ask for fewer.",
            field="to",
        )
    latest = replace(meter, versions=(replace(meter.versions[-1], starts_on=None),), marked_as="")
    sorts = event_sorts(tenant_ids=[tenant_id], app_ids=[app_id], from_day=from_day, to_day=to_day)
    with cursor() as execution:
        execution.execute(
            f"""
            WITH facts AS MATERIALIZED (
                SELECT {FACTS} FROM {EVENTS} AS event
                 WHERE tenant_id = %(tenant)s::uuid AND app_id = %(app)s::uuid
                   AND day >= %(from)s::date - 1 AND day < %(to)s::date + 1
            ), {RULES}, {COUNTED}
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(value)
              FROM ({RECOUNTED}) AS recounted
             WHERE day >= %(from)s AND day < %(to)s
             ORDER BY day, kind
            """,  # noqa: S608  # nothing from outside
            {
                "tenant": str(tenant_id),
                "app": str(app_id),
                "from": from_day,
                "to": to_day,
                **rule_parameters(counting_rules(meters=[latest], sorts=sorts)),
            },
        )
        return [
            UsageRow(tenant_id=tenant, app_id=app, meter=key, kind=kind, day=day, value=value)
            for tenant, app, key, kind, day, value in execution.fetchall()
        ]
