"""The statement that counts days anew: a plain GROUP BY over what is stored of them.

Nothing here is shared with roll-up on purpose, neither its SQL nor the rules that it joins events with:
which meters count an event, and under which dimensions, is read from the meters' definitions once
more, in SQL.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from metering.meters.domain import Meter, Quantity, Zone

COUNTED_ANEW: Final = """
    pending AS MATERIALIZED (
        -- Not folded yet: neither in daily usage nor among the corrections, so not here either.
        SELECT tenant_id, id AS batch_id FROM metering_batch
         WHERE rolled_up_at IS NULL AND tenant_id IN (SELECT tenant_id FROM asked)
    ), raw_days AS MATERIALIZED (
        -- The days of a meter in UTC reach into the local days beside them.
        SELECT DISTINCT tenant_id, day + beside AS day
          FROM asked, generate_series(-%(beside)s::int, %(beside)s::int) AS beside
    ), raw AS MATERIALIZED (
        SELECT tenant_id, app_id, day, type, kind, received_at, batch_id, times, users, counts,
               devices, readings, places
          FROM raw_days JOIN metering_event_group USING (tenant_id, day)
         WHERE (tenant_id, batch_id) NOT IN (SELECT tenant_id, batch_id FROM pending)
        UNION ALL
        SELECT tenant_id, app_id, day, type, kind, received_at, batch_id, ARRAY[occurred_at],
               ARRAY[encode(user_hash, 'hex')::uuid], ARRAY[count],
               ARRAY[encode(device_hash, 'hex')::uuid], ARRAY[value], ARRAY[position]
          FROM raw_days JOIN metering_event USING (tenant_id, day)
         WHERE (tenant_id, batch_id) NOT IN (SELECT tenant_id, batch_id FROM pending)
    ), told AS MATERIALIZED (
        SELECT type, kind, (
                 SELECT jsonb_object_agg(split_part(part, '=', 1),
                                         substr(part, strpos(part, '=') + 1))
                   FROM unnest(string_to_array('kind=' || kind, ';')) AS part
               ) AS properties
          FROM (SELECT DISTINCT type, kind FROM raw) AS sorts
    ), counting AS MATERIALIZED (
        SELECT type, kind, meter, aggregation, identity, by_value, in_utc,
               coalesce(from_day, '-infinity') AS from_day, coalesce(to_day, 'infinity') AS to_day,
               CASE WHEN dimensions ? 'kind' THEN properties ->> 'kind' ELSE '' END || coalesce((
                 SELECT string_agg(';' || key || '=' || value, '' ORDER BY key COLLATE "C")
                   FROM jsonb_each_text(properties) WHERE key <> 'kind' AND dimensions ? key
               ), '') AS kept
          FROM told
          JOIN jsonb_to_recordset(%(meters)s::jsonb) AS meters (
                   meter text, aggregation text, identity text, by_value bool, in_utc bool,
                   types jsonb, filter jsonb, dimensions jsonb, from_day date, to_day date)
            ON types ? type
         WHERE NOT EXISTS (SELECT 1 FROM jsonb_each(filter) AS wanted
                            WHERE NOT wanted.value ? coalesce(properties ->> wanted.key, ''))
    ), identities AS (
        SELECT tenant_id, app_id, meter, day, kept, count(*) AS value FROM (
            SELECT DISTINCT tenant_id, app_id, meter, kept, user_hash, device_hash,
                   CASE WHEN in_utc THEN (occurred_at AT TIME ZONE 'UTC')::date ELSE day END AS day,
                   from_day, to_day
              FROM (
                SELECT tenant_id, app_id, meter, kept, day, identity, in_utc, from_day, to_day,
                       unnest(CASE WHEN in_utc THEN times END) AS occurred_at,
                       unnest(CASE WHEN identity <> 'device' THEN users END) AS user_hash,
                       unnest(CASE WHEN identity <> 'user' THEN devices END) AS device_hash
                  FROM raw JOIN counting USING (type, kind) WHERE aggregation = 'distinct'
              ) AS seen
             WHERE (identity = 'device' OR user_hash IS NOT NULL)
               AND (identity = 'user' OR device_hash IS NOT NULL)
        ) AS different
         WHERE day >= from_day AND day < to_day
         GROUP BY tenant_id, app_id, meter, day, kept
    ), quantities AS (
        SELECT tenant_id, app_id, meter, day, kept, sum(quantity) AS value FROM (
            SELECT tenant_id, app_id, meter, kept, day, from_day, to_day,
                   CASE WHEN aggregation = 'count' OR counts IS NULL THEN cardinality(times)
                        ELSE (SELECT sum(coalesce(own, 1)) FROM unnest(counts) AS own) END
                   AS quantity
              FROM raw JOIN counting USING (type, kind)
             WHERE aggregation IN ('count', 'sum') AND NOT by_value AND NOT in_utc
            UNION ALL
            SELECT tenant_id, app_id, meter, kept,
                   CASE WHEN in_utc THEN (occurred_at AT TIME ZONE 'UTC')::date ELSE day END,
                   from_day, to_day,
                   CASE WHEN aggregation = 'count' THEN 1 WHEN by_value THEN reading
                        ELSE coalesce(own_count, 1) END
              FROM (
                SELECT tenant_id, app_id, meter, kept, day, aggregation, by_value, in_utc, from_day,
                       to_day, unnest(times) AS occurred_at, unnest(counts) AS own_count,
                       unnest(readings) AS reading
                  FROM raw JOIN counting USING (type, kind)
                 WHERE aggregation IN ('count', 'sum') AND (by_value OR in_utc)
              ) AS single
        ) AS added
         WHERE day >= from_day AND day < to_day AND quantity IS NOT NULL
         GROUP BY tenant_id, app_id, meter, day, kept
    ), read_off AS (
        SELECT tenant_id, app_id, meter, day, kept AS kind, aggregation, reading, occurred_at,
               received_at, batch_id, place
          FROM (
            SELECT tenant_id, app_id, meter, kept, aggregation, from_day, to_day, reading,
                   occurred_at, received_at, batch_id, coalesce(own_place, number) AS place,
                   CASE WHEN in_utc THEN (occurred_at AT TIME ZONE 'UTC')::date ELSE day END AS day
              FROM (
                SELECT tenant_id, app_id, meter, kept, day, aggregation, in_utc, from_day, to_day,
                       received_at, batch_id, unnest(times) AS occurred_at,
                       unnest(readings) AS reading, unnest(places) AS own_place,
                       generate_subscripts(times, 1) AS number
                  FROM raw JOIN counting USING (type, kind)
                 WHERE aggregation IN ('max', 'latest')
              ) AS single
          ) AS dated
         WHERE day >= from_day AND day < to_day AND reading IS NOT NULL
    ), stated AS MATERIALIZED (
        SELECT said.*, counting_meter.aggregation
          FROM metering_stated_usage said JOIN asked USING (tenant_id, day)
          LEFT JOIN (SELECT DISTINCT meter, aggregation
                       FROM jsonb_to_recordset(%(meters)s::jsonb)
                            AS meters (meter text, aggregation text)) AS counting_meter
               USING (meter)
    ), gauges AS (
        SELECT tenant_id, app_id, meter, day, kind,
               CASE aggregation WHEN 'max' THEN max(reading)
                    ELSE (array_agg(reading ORDER BY occurred_at DESC, received_at DESC,
                                    batch_id DESC, place DESC))[1] END AS value
          FROM (
            SELECT read_off.* FROM read_off
              LEFT JOIN stated USING (tenant_id, app_id, meter, day, kind)
             WHERE stated.id IS NULL
                OR (read_off.received_at, read_off.batch_id) > (stated.stated_at, stated.id)
            UNION ALL
            SELECT tenant_id, app_id, meter, day, kind, aggregation, value, stated_at, stated_at,
                   '00000000-0000-0000-0000-000000000000', 0
              FROM stated WHERE aggregation IN ('max', 'latest')
          ) AS readings
         GROUP BY tenant_id, app_id, meter, day, kind, aggregation
    ), counted_anew AS MATERIALIZED (
        SELECT tenant_id, app_id, meter, day, kind, sum(value) AS value FROM (
            SELECT tenant_id, app_id, meter, day, kept AS kind, value::numeric FROM identities
            UNION ALL
            SELECT tenant_id, app_id, meter, day, kept, value FROM quantities
            UNION ALL
            SELECT tenant_id, app_id, meter, day, kind, value - counted FROM stated
             WHERE aggregation IS NULL OR aggregation NOT IN ('max', 'latest')
            UNION ALL
            SELECT tenant_id, app_id, meter, day, kind, value FROM gauges
        ) AS parts JOIN asked USING (tenant_id, day)
         GROUP BY tenant_id, app_id, meter, day, kind
    )"""
"""Needs the relation `asked` (tenant_id, day) and `counting_parameters`; gives `counted_anew` (tenant_id,
app_id, meter, day, kind, value): what the asked days come to, of all meters."""


def counting_parameters(meters: Iterable[Meter]) -> dict[str, Any]:
    """The parameters of `COUNTED_ANEW`. Meters that count another's marks have no values of their own."""
    counted = [meter for meter in meters if meter.marks == meter.key]
    versions = []
    for meter in counted:
        ends = [each.starts_on for each in meter.versions[1:]]
        for version, ends_on in zip(meter.versions, [*ends, None], strict=True):
            versions.append(
                {
                    "meter": meter.key,
                    "aggregation": meter.aggregation.value,
                    "identity": meter.identity.value,
                    "by_value": meter.quantity is Quantity.VALUE,
                    "in_utc": meter.zone is Zone.UTC,
                    "types": sorted(version.event_types),
                    "filter": {name: sorted(values) for name, values in version.filter.items()},
                    "dimensions": sorted(meter.dimensions),
                    "from_day": None if version.starts_on is None else str(version.starts_on),
                    "to_day": None if ends_on is None else str(ends_on),
                }
            )
    return {
        "meters": json.dumps(versions),
        "beside": 1 if any(meter.zone is Zone.UTC for meter in counted) else 0,
    }
