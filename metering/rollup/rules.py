"""The meters' rules as SQL reads them: a small table that the events are joined with."""

from collections.abc import Sequence
from typing import Any, Final

from kernel.array_literals import plain_array, text_array
from metering.meters.domain import Identity, Quantity, Rule, Zone

RULES: Final = """
    rules AS MATERIALIZED (
        SELECT * FROM unnest(
            %(rule_types)s::text[], %(rule_kinds)s::text[], %(rule_meters)s::text[],
            %(rule_aggregations)s::text[], %(rule_identities)s::text[], %(rule_by_value)s::bool[],
            %(rule_in_utc)s::bool[], %(rule_kept)s::text[], %(rule_from)s::date[],
            %(rule_to)s::date[]
        ) AS rules (type, kind, meter, aggregation, identity, by_value, in_utc, kept, from_day, to_day)
    )"""
"""A row for each sort of events and meter that counts it; parameters from `rule_parameters`."""

COUNTED: Final = """
    counted AS NOT MATERIALIZED (
        SELECT tenant_id, app_id, meter, aggregation, on_day AS day, kept AS kind, identity,
               occurred_at, received_at, batch_id, position, user_hash, device_hash, value,
               CASE WHEN by_value THEN value ELSE count END AS quantity,
               CASE identity WHEN 'user' THEN user_hash WHEN 'device' THEN device_hash
                             ELSE user_hash || device_hash END AS marked
          FROM facts JOIN rules USING (type, kind)
         CROSS JOIN LATERAL (
            SELECT CASE WHEN in_utc THEN (occurred_at AT TIME ZONE 'UTC')::date ELSE day END AS on_day
         ) AS dated
         WHERE on_day >= from_day AND on_day < to_day
    )"""
"""Each event of `facts` once for each meter that counts it."""

FACTS: Final = """tenant_id, app_id, day, type, kind, count, value, user_hash, device_hash,
               occurred_at, received_at, batch_id, position"""
"""The columns of `metering.ingest.stored.EVENTS` that `facts` must have."""

SUMS: Final = """
        SELECT tenant_id, app_id, meter, day, kind,
               sum(CASE aggregation WHEN 'sum' THEN quantity ELSE 1 END) AS value
          FROM counted
         WHERE aggregation = 'count' OR (aggregation = 'sum' AND quantity IS NOT NULL)
         GROUP BY tenant_id, app_id, meter, day, kind"""

RECOUNTED: Final = f"""
        SELECT tenant_id, app_id, meter, day, kind, count(DISTINCT marked)::numeric AS value
          FROM counted WHERE aggregation = 'distinct' AND marked IS NOT NULL
         GROUP BY tenant_id, app_id, meter, day, kind
        UNION ALL {SUMS}
        UNION ALL
        SELECT tenant_id, app_id, meter, day, kind, max(value)
          FROM counted WHERE aggregation = 'max' AND value IS NOT NULL
         GROUP BY tenant_id, app_id, meter, day, kind
        UNION ALL
        SELECT tenant_id, app_id, meter, day, kind, (array_agg(
                   value ORDER BY occurred_at DESC, received_at DESC, batch_id DESC, position DESC
               ))[1]
          FROM counted WHERE aggregation = 'latest' AND value IS NOT NULL
         GROUP BY tenant_id, app_id, meter, day, kind"""  # noqa: S608  # nothing from outside
"""All daily values from `counted` alone, without marks, readings or increments."""


def rule_parameters(rules: Sequence[Rule]) -> dict[str, Any]:
    """The parameters of `RULES`."""
    return {
        "rule_types": text_array(rule.sort.event_type for rule in rules),
        "rule_kinds": text_array(rule.sort.dimensions for rule in rules),
        "rule_meters": text_array(rule.meter.key for rule in rules),
        "rule_aggregations": text_array(rule.meter.aggregation for rule in rules),
        "rule_identities": text_array(
            rule.meter.identity if rule.meter.counts_users else Identity.USER for rule in rules
        ),
        "rule_by_value": plain_array(rule.meter.quantity is Quantity.VALUE for rule in rules),
        "rule_in_utc": plain_array(rule.meter.zone is Zone.UTC for rule in rules),
        "rule_kept": text_array(rule.kept for rule in rules),
        "rule_from": plain_array(rule.from_day or "-infinity" for rule in rules),
        "rule_to": plain_array(rule.to_day or "infinity" for rule in rules),
    }
