"""Count closed days anew, and keep what they come to: new ones, and those corrected since."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from kernel.array_literals import plain_array
from metering.meters.queries import known_meters
from metering.recount.counting import COUNTED_ANEW, counting_parameters
from metering.recount.models import RecountedDays
from metering.retention.queries import first_recountable_day
from metering.rollup.queries import Span
from tenants.scope import system_scope
from work.connections import cursor

_TENANTS_AT_A_TIME: Final = 5000
_DAYS_AT_A_TIME: Final = 62
"""So many days of a tenant one statement counts anew; it bounds memory when years are caught up."""
_LOOKED_BACK: Final = timedelta(days=3)
"""How far back the schedule looks for corrections. One that it misses is found when its day is billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recounted:
    """How many tenants' days were counted anew."""

    tenants: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """Days of a tenant to be counted anew, `to_day` excluded; `is_new`: they follow on what was."""

    tenant_id: UUID
    from_day: date
    to_day: date
    is_new: bool


def recount_closed_days(
    *,
    now: datetime,
    tenant_ids: Sequence[UUID] | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Recounted:
    """Count anew all closed days that are new since the last time, and those corrected since; opens its
    own scopes, one for some thousand tenants.

    Run twice, or by two at once, it counts nothing twice. `tenant_ids` None means all tenants.
    """
    tenants: set[UUID] = set()
    days = 0
    while True:
        with system_scope(purpose="recount closed days"):
            spans = _spans_to_look_at(now=now, tenant_ids=tenant_ids)
            counted = _recount(spans, now=now)
        if not counted:
            return Recounted(tenants=len(tenants), days=days)
        tenants |= {each.tenant_id for each in counted}
        days += sum((each.to_day - each.from_day).days for each in counted)
        progress()


def recount_spans(*, spans: Sequence[Span], now: datetime) -> None:
    """See that all closed days of these tenants, and corrected ones within the spans, are counted anew; in
    the caller's cross-tenant transaction. One statement where they are already, as after a day close.
    """
    while spans and _recount(spans, now=now):
        pass


def recount_again(*, tenant_id: UUID, from_day: date, to_day: date, now: datetime) -> None:
    """Count days anew that were counted before, `to_day` excluded, whatever came of it; in the caller's
    cross-tenant transaction."""
    row = RecountedDays.objects.select_for_update().filter(tenant_id=tenant_id).first()
    if row is None or row.recounted_until is None:
        return
    from_day = max(from_day, row.recounted_from or from_day)
    to_day = min(to_day, row.recounted_until)
    if from_day >= to_day:
        return
    due = _Due(tenant_id=tenant_id, from_day=from_day, to_day=to_day, is_new=False)
    with cursor() as execution:
        _count(execution, [due], first=None, now=now)


def _spans_to_look_at(*, now: datetime, tenant_ids: Sequence[UUID] | None) -> list[Span]:
    """Some thousand tenants with closed days that are new, or else days corrected of late."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant_id, closed_until, closed_until
              FROM metering_watermark LEFT JOIN metering_recounted_days USING (tenant_id)
             WHERE (recounted_until IS NULL OR recounted_until < closed_until)
               AND closed_until IS NOT NULL
               AND (%(only)s::uuid[] IS NULL OR tenant_id = ANY (%(only)s::uuid[]))
             ORDER BY tenant_id LIMIT %(most)s
            """,
            {
                "only": None if tenant_ids is None else plain_array(tenant_ids),
                "most": _TENANTS_AT_A_TIME,
            },
        )
        found = execution.fetchall()
        if not found:
            execution.execute(
                """
                SELECT tenant_id, min(day), max(day) + 1 FROM metering_correction
                 WHERE recorded_at >= %(since)s
                   AND (%(only)s::uuid[] IS NULL OR tenant_id = ANY (%(only)s::uuid[]))
                 GROUP BY tenant_id
                """,
                {
                    "since": now - _LOOKED_BACK,
                    "only": None if tenant_ids is None else plain_array(tenant_ids),
                },
            )
            found = execution.fetchall()
    return [Span(tenant_id=each[0], from_day=each[1], to_day=each[2]) for each in found]


def _recount(spans: Sequence[Span], *, now: datetime) -> list[_Due]:
    """One step: what is due of the spans' tenants is counted anew in one statement, whose snapshot holds
    events, corrections and what of them is folded as they belong together."""
    first = first_recountable_day()
    due = _due(spans, first=first)
    if not due:
        return []
    tenants = {"tenants": plain_array(sorted({each.tenant_id for each in due}))}
    with cursor() as execution:
        execution.execute("SET LOCAL work_mem = '64MB'")  # hashes of users, as roll-up's
        execution.execute(
            "INSERT INTO metering_recounted_days (tenant_id)"
            " SELECT * FROM unnest(%(tenants)s::uuid[]) ON CONFLICT DO NOTHING",
            tenants,
        )
        execution.execute(
            "SELECT 1 FROM metering_recounted_days WHERE tenant_id = ANY (%(tenants)s::uuid[])"
            " ORDER BY tenant_id FOR UPDATE",
            tenants,
        )
        due = _due(spans, first=first)  # somebody else may have counted them meanwhile
        if due:
            _count(execution, due, first=first, now=now)
    return due


def _due(spans: Sequence[Span], *, first: date | None) -> list[_Due]:
    """Days that were closed since, the first two months of them; and corrected days among the spans. `first` is
    the first day whose events are all kept, if any are gone."""
    with cursor() as execution:
        execution.execute(
            """
            WITH spans AS MATERIALIZED (
                SELECT tenant_id, min(from_day) AS from_day, max(to_day) AS to_day
                  FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                       AS spans (tenant_id, from_day, to_day)
                 GROUP BY tenant_id
            ), known AS MATERIALIZED (
                SELECT tenant_id, from_day, to_day, closed_until,
                       coalesce(recounted_from, '-infinity') AS recounted_from, recounted_until
                  FROM spans JOIN metering_watermark USING (tenant_id)
                  LEFT JOIN metering_recounted_days USING (tenant_id)
                 WHERE closed_until IS NOT NULL
            ), earliest AS MATERIALIZED (
                SELECT tenant_id, min(day) AS day FROM (
                    SELECT tenant_id, day FROM metering_event_group
                    UNION ALL SELECT tenant_id, day FROM metering_event
                    UNION ALL SELECT tenant_id, day FROM metering_stated_usage
                ) AS raw JOIN known USING (tenant_id)
                 WHERE recounted_until IS NULL GROUP BY tenant_id
            ), fresh AS (
                SELECT tenant_id, closed_until,
                       greatest(coalesce(recounted_until, earliest.day - %(beside)s, closed_until - 1),
                                %(first)s::date) AS since
                  FROM known LEFT JOIN earliest USING (tenant_id)
                 WHERE recounted_until IS NULL OR recounted_until < closed_until
            ), corrected AS MATERIALIZED (
                SELECT c.tenant_id, c.day
                  FROM known JOIN metering_correction c ON c.tenant_id = known.tenant_id
                       AND c.day >= from_day AND c.day < to_day
                       AND c.day >= recounted_from AND c.day < recounted_until
                  LEFT JOIN metering_corrected_recount counted
                       ON counted.tenant_id = c.tenant_id AND counted.day = c.day
                 WHERE c.day >= coalesce(%(first)s::date, '-infinity')
                 GROUP BY c.tenant_id, c.day, counted.corrections
                HAVING count(*) > coalesce(counted.corrections, 0)
            )
            SELECT tenant_id, least(since, closed_until - 1),
                   least(since + %(most)s, closed_until), true
              FROM fresh
            UNION ALL
            SELECT tenant_id, day, day + 1, false FROM corrected
            """,
            {
                "tenants": plain_array(span.tenant_id for span in spans),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
                "first": first,
                "most": _DAYS_AT_A_TIME,
                "beside": 1,
            },
        )
        return [
            _Due(tenant_id=tenant_id, from_day=from_day, to_day=to_day, is_new=is_new)
            for tenant_id, from_day, to_day, is_new in execution.fetchall()
        ]


def _count(execution: Any, due: Sequence[_Due], *, first: date | None, now: datetime) -> None:
    asked = {
        "tenants": plain_array(each.tenant_id for each in due),
        "from": plain_array(each.from_day for each in due),
        "to": plain_array(each.to_day for each in due),
        # Of new days there is nothing that could be gone.
        "again": plain_array(each.tenant_id for each in due if not each.is_new),
        "again_from": plain_array(each.from_day for each in due if not each.is_new),
        "again_to": plain_array(each.to_day for each in due if not each.is_new),
        "first": first,
        "now": now,
        **counting_parameters(known_meters().values()),
    }
    execution.execute(
        f"""
        WITH asked AS MATERIALIZED (
            SELECT DISTINCT tenant_id, day::date AS day
              FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                   AS due (tenant_id, from_day, to_day),
                   generate_series(from_day, to_day - 1, interval '1 day') AS day
        ), {COUNTED_ANEW}, again AS (
            SELECT * FROM unnest(%(again)s::uuid[], %(again_from)s::date[], %(again_to)s::date[])
                       AS again (tenant_id, from_day, to_day)
        ), gone AS (
            DELETE FROM metering_usage_recount kept USING again
             WHERE kept.tenant_id = again.tenant_id AND kept.day >= from_day AND kept.day < to_day
               AND NOT EXISTS (
                SELECT 1 FROM counted_anew anew
                 WHERE (anew.tenant_id, anew.day, anew.app_id, anew.meter, anew.kind)
                       = (kept.tenant_id, kept.day, kept.app_id, kept.meter, kept.kind))
        ), corrected AS (
            INSERT INTO metering_corrected_recount (tenant_id, day, corrections)
            SELECT tenant_id, day, count(*) FROM metering_correction JOIN asked USING (tenant_id, day)
             GROUP BY tenant_id, day
            ON CONFLICT (tenant_id, day) DO UPDATE SET corrections = excluded.corrections
        )
        INSERT INTO metering_usage_recount AS kept (
            tenant_id, day, app_id, meter, kind, value, recounted_at)
        SELECT tenant_id, day, app_id, meter, kind, value, %(now)s FROM counted_anew
         ORDER BY tenant_id, day, app_id, meter, kind
        ON CONFLICT (tenant_id, day, app_id, meter, kind) DO UPDATE
           SET value = excluded.value, recounted_at = excluded.recounted_at
         WHERE kept.value <> excluded.value
        """,  # noqa: S608  # nothing from outside
        asked,
    )
    new = [each for each in due if each.is_new]
    if not new:
        return
    execution.execute(
        """
        UPDATE metering_recounted_days counted
           SET recounted_until = new.until,
               recounted_from = CASE WHEN %(first)s::date > coalesce(recounted_until, '-infinity')
                                     THEN %(first)s::date ELSE recounted_from END
          FROM unnest(%(tenants)s::uuid[], %(to)s::date[]) AS new (tenant_id, until)
         WHERE counted.tenant_id = new.tenant_id
        """,
        {
            "tenants": plain_array(each.tenant_id for each in new),
            "to": plain_array(each.to_day for each in new),
            "first": first,
        },
    )
