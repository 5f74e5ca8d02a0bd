"""Where daily usage and its recount differ. All need a cross-tenant scope."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from kernel.array_literals import plain_array, text_array
from metering.meters.queries import counted_meters, known_meters
from metering.recount.counting import COUNTED_ANEW, counting_parameters
from metering.retention.queries import first_recountable_day
from metering.rollup.queries import Span, UsageRow
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDifference:
    """A daily value that is not what the day came to when it was counted anew."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    day: date
    stored: Decimal
    recounted: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedTwice:
    """A value of a closed day beside what it came to when it was counted anew: None where that is being
    done, or can't be."""

    app_id: UUID
    meter: str
    kind: str
    value: Decimal
    recounted: Decimal | None

    @property
    def agrees(self) -> bool:
        return self.recounted is None or self.recounted == self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RecountComparison:
    """What differs in the compared days. Of the tenants `behind`, a day was corrected since it was counted
    anew, so that nothing can be said of it yet."""

    differences: Sequence[UsageDifference]
    behind: frozenset[UUID]


def compare_with_recounts(*, spans: Sequence[Span], meters: Iterable[str]) -> RecountComparison:
    """Compare daily usage, corrections included, with the recounts that are stored, as both stand at one
    instant: two values a day, so the cost grows with days. See `recount_spans`, which makes them.

    A tenant's spans become one, from the first day to the last. Days that are not closed yet, and those
    that were closed before there was a recount, are left out. Raises Invalid `unknown_meter`.
    """
    names = sorted(counted_meters(meters))
    if not spans or not names:
        return RecountComparison(differences=(), behind=frozenset())
    first = first_recountable_day()
    with cursor() as execution:
        execution.execute(
            f"""
            WITH spans AS MATERIALIZED (
                SELECT tenant_id, greatest(min(from_day), recounted_from) AS from_day,
                       least(max(to_day), recounted_until) AS to_day
                  FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                       AS spans (tenant_id, from_day, to_day)
                  JOIN metering_recounted_days USING (tenant_id)
                 GROUP BY tenant_id, recounted_from, recounted_until
            ), corrections AS MATERIALIZED (
                SELECT c.tenant_id, app_id, meter, kind, day, delta
                  FROM spans JOIN metering_correction c ON c.tenant_id = spans.tenant_id
                       AND c.day >= spans.from_day AND c.day < spans.to_day
            ), behind AS MATERIALIZED (
                SELECT tenant_id, day
                  FROM corrections LEFT JOIN metering_corrected_recount known USING (tenant_id, day)
                 GROUP BY tenant_id, day, known.corrections
                HAVING count(*) > coalesce(known.corrections, 0)
            ), stored AS (
                SELECT tenant_id, app_id, meter, kind, day, sum(value) AS value FROM (
                    SELECT u.tenant_id, app_id, meter, kind, day, value
                      FROM spans JOIN metering_daily_usage u ON u.tenant_id = spans.tenant_id
                           AND u.day >= spans.from_day AND u.day < spans.to_day
                     WHERE meter = ANY (%(meters)s::text[])
                    UNION ALL
                    SELECT * FROM corrections WHERE meter = ANY (%(meters)s::text[])
                ) AS parts GROUP BY tenant_id, app_id, meter, kind, day
            ), recounted AS (
                SELECT r.tenant_id, app_id, meter, kind, day, value
                  FROM spans JOIN metering_usage_recount r ON r.tenant_id = spans.tenant_id
                       AND r.day >= spans.from_day AND r.day < spans.to_day
                 WHERE meter = ANY (%(meters)s::text[])
            )
            SELECT {_DIFFERENCE}
              FROM stored FULL JOIN recounted USING (tenant_id, app_id, meter, kind, day)
             WHERE coalesce(stored.value, 0) <> coalesce(recounted.value, 0)
               AND (tenant_id, day) NOT IN (SELECT tenant_id, day FROM behind)
            UNION ALL
            SELECT tenant_id, NULL, '', '', day, 0, 0 FROM behind
             WHERE day >= coalesce(%(first)s::date, '-infinity')
             ORDER BY tenant_id, day, app_id, meter, kind
            """,  # noqa: S608  # nothing from outside
            {
                "tenants": plain_array(span.tenant_id for span in spans),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
                "meters": text_array(names),
                "first": first,
            },
        )
        rows = execution.fetchall()
    return RecountComparison(
        differences=[_difference(row) for row in rows if row[1] is not None],
        behind=frozenset(row[0] for row in rows if row[1] is None),
    )


def counted_twice(*, tenant_id: UUID, day: date) -> list[CountedTwice]:
    """All values of a tenant's closed day with their recount, by app, meter and kind; in the tenant's scope
    or a wider one."""
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_STORED}, recounted AS (
                SELECT tenant_id, app_id, meter, kind, day, value FROM metering_usage_recount
                 WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND day = %(from)s
            ), known AS (
                SELECT EXISTS (
                    SELECT 1 FROM metering_recounted_days
                     WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND %(from)s < recounted_until
                       AND %(from)s >= coalesce(recounted_from, '-infinity')
                ) AND (
                    SELECT count(*) FROM metering_correction
                     WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND day = %(from)s
                ) <= coalesce((
                    SELECT corrections FROM metering_corrected_recount
                     WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND day = %(from)s
                ), 0) AS is_known
            )
            SELECT app_id, meter, kind, trim_scale(coalesce(stored.value, 0)),
                   CASE WHEN is_known THEN trim_scale(coalesce(recounted.value, 0)) END
              FROM stored FULL JOIN recounted USING (tenant_id, app_id, meter, kind, day)
             CROSS JOIN known
             WHERE coalesce(stored.value, 0) <> 0 OR coalesce(recounted.value, 0) <> 0
             ORDER BY app_id, meter, kind
            """,  # noqa: S608  # nothing from outside
            {
                "tenants": plain_array([tenant_id]),
                "from": day,
                "to": date.fromordinal(day.toordinal() + 1),
            },
        )
        return [
            CountedTwice(app_id=app_id, meter=meter, kind=kind, value=value, recounted=recounted)
            for app_id, meter, kind, value, recounted in execution.fetchall()
        ]


def stored_differences(*, day: date, most: int) -> list[UsageDifference]:
    """Where a closed day's usage differs from the recounts that were stored, over all tenants: for days
    whose events are gone, and which nobody can count anew any more."""
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_STORED}, recounted AS (
                SELECT tenant_id, app_id, meter, kind, day, value FROM metering_usage_recount
                 WHERE day >= %(from)s AND day < %(to)s
            ), counted AS MATERIALIZED (
                SELECT tenant_id FROM metering_recounted_days
                 WHERE %(from)s >= coalesce(recounted_from, '-infinity')
                   AND %(from)s < recounted_until
            ), behind AS MATERIALIZED (
                SELECT c.tenant_id
                  FROM metering_correction c LEFT JOIN metering_corrected_recount known
                       ON known.tenant_id = c.tenant_id AND known.day = c.day
                 WHERE c.day = %(from)s
                 GROUP BY c.tenant_id, known.corrections
                HAVING count(*) > coalesce(known.corrections, 0)
            )
            SELECT {_DIFFERENCE}
              FROM stored FULL JOIN recounted USING (tenant_id, app_id, meter, kind, day)
             WHERE coalesce(stored.value, 0) <> coalesce(recounted.value, 0)
               AND tenant_id IN (SELECT tenant_id FROM counted)
               AND tenant_id NOT IN (SELECT tenant_id FROM behind)
             ORDER BY tenant_id, app_id, meter, kind LIMIT %(most)s
            """,  # noqa: S608  # nothing from outside
            {
                "tenants": None,
                "from": day,
                "to": date.fromordinal(day.toordinal() + 1),
                "most": most,
            },
        )
        return [_difference(row) for row in execution.fetchall()]


def recounted_usage(*, tenant_ids: Sequence[UUID], from_day: date, to_day: date) -> list[UsageRow]:
    """The same rows as `usage` gives for all meters that are rolled up, counted anew from what arrived
    (`to_day` excluded)."""
    if not tenant_ids:
        return []
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_ASKED}, {COUNTED_ANEW}
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(value) FROM counted_anew
             ORDER BY tenant_id, app_id, meter, day, kind
            """,  # noqa: S608  # nothing from outside
            _asked(tenant_ids=tenant_ids, from_day=from_day, to_day=to_day),
        )
        return [
            UsageRow(
                tenant_id=tenant_id, app_id=app_id, meter=meter, kind=kind, day=day, value=value
            )
            for tenant_id, app_id, meter, kind, day, value in execution.fetchall()
        ]


def usage_differences(
    *, from_day: date, to_day: date, tenant_ids: Sequence[UUID] | None = None, most: int = 100
) -> list[UsageDifference]:
    """Where daily usage with its corrections differs from what the days come to when they are counted anew
    now; at most `most`.

    `to_day` is excluded. None, unless a row was lost, doubled or changed. Days whose events are no longer
    kept are left out, and so is what waits to be rolled up.
    """
    first = first_recountable_day()
    if first is not None:
        from_day = max(from_day, first)
    with cursor() as execution:
        execution.execute(
            f"""
            WITH {_ASKED}, {COUNTED_ANEW}, {_STORED}
            SELECT {_DIFFERENCE}
              FROM stored FULL JOIN counted_anew recounted
                   USING (tenant_id, app_id, meter, kind, day)
             WHERE coalesce(stored.value, 0) <> coalesce(recounted.value, 0)
             ORDER BY tenant_id, app_id, meter, day, kind LIMIT %(most)s
            """,  # noqa: S608  # nothing from outside
            {**_asked(tenant_ids=tenant_ids, from_day=from_day, to_day=to_day), "most": most},
        )
        return [_difference(row) for row in execution.fetchall()]


_ASKED: Final = """
    asked AS MATERIALIZED (
        -- Only days that have something to count, however long the range.
        SELECT DISTINCT tenant_id, raw.day + beside AS day FROM (
            SELECT tenant_id, day FROM metering_event_group
            UNION ALL SELECT tenant_id, day FROM metering_event
            UNION ALL SELECT tenant_id, day FROM metering_stated_usage
        ) AS raw, generate_series(-%(beside)s::int, %(beside)s::int) AS beside
         WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
           AND raw.day >= %(from)s::date - %(beside)s AND raw.day < %(to)s::date + %(beside)s
           AND raw.day + beside >= %(from)s AND raw.day + beside < %(to)s
    )"""
_STORED: Final = """
    stored AS (
        SELECT tenant_id, app_id, meter, kind, day, sum(value) AS value FROM (
            SELECT tenant_id, app_id, meter, kind, day, value FROM metering_daily_usage
            UNION ALL
            SELECT tenant_id, app_id, meter, kind, day, delta FROM metering_correction
        ) AS parts
         WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
           AND day >= %(from)s AND day < %(to)s
         GROUP BY tenant_id, app_id, meter, kind, day
    )"""
_DIFFERENCE: Final = """tenant_id, app_id, meter, kind, day, trim_scale(coalesce(stored.value, 0)),
                   trim_scale(coalesce(recounted.value, 0))"""


def _asked(*, tenant_ids: Sequence[UUID] | None, from_day: date, to_day: date) -> dict[str, Any]:
    return {
        "tenants": None if tenant_ids is None else plain_array(tenant_ids),
        "from": from_day,
        "to": to_day,
        **counting_parameters(known_meters().values()),
    }


def _difference(row: Sequence[Any]) -> UsageDifference:
    tenant_id, app_id, meter, kind, day, stored, recounted = row
    return UsageDifference(
        tenant_id=tenant_id,
        app_id=app_id,
        meter=meter,
        kind=kind,
        day=day,
        stored=stored,
        recounted=recounted,
    )
