"""What roll-up keeps, read set-based: daily usage with its corrections, hours, months, a recount."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from metering.ingest.domain.array_literals import plain_array, text_array
from metering.meters.domain import Aggregation, Meter, meter_named
from metering.rollup.models import Watermark
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """The quantity of one meter, app, kind and local day, corrections included; never zero."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    day: date
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Local days of a tenant from `from_day` to `to_day`, the latter excluded."""

    tenant_id: UUID
    from_day: date
    to_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRow:
    """A change of a closed day."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    day: date
    delta: Decimal
    recorded_at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowValue:
    """The quantity of one app in one window, told by its position among the asked windows."""

    app_id: UUID
    window: int
    value: Decimal


def usage(
    *, tenant_ids: Sequence[UUID], meters: Sequence[str], from_day: date, to_day: date
) -> list[UsageRow]:
    """The daily usage of many tenants over the same days; see `usage_of_spans`."""
    return usage_of_spans(
        spans=[Span(tenant_id=each, from_day=from_day, to_day=to_day) for each in tenant_ids],
        meters=meters,
    )


def usage_of_spans(*, spans: Sequence[Span], meters: Sequence[str]) -> list[UsageRow]:
    """The daily usage of many tenants, each over its own days; days without usage are left out.

    A tenant's spans become one, from the first day to the last. Ordered by tenant, app, meter, day,
    kind. Counts what has been rolled up; a caller that must count everything committed calls
    `roll_up_pending` first. Raises Invalid `unknown_meter`.
    """
    names = [meter_named(key).key for key in meters]
    if not spans or not names:
        return []
    with cursor() as execution:
        execution.execute(
            """
            WITH spans AS MATERIALIZED (
                SELECT tenant_id, min(from_day) AS from_day, max(to_day) AS to_day
                  FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                       AS asked (tenant_id, from_day, to_day)
                 GROUP BY tenant_id
            )
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(sum(value))
              FROM (
                SELECT u.tenant_id, app_id, meter, kind, day, value
                  FROM metering_daily_usage u JOIN spans s ON u.tenant_id = s.tenant_id
                 WHERE meter = ANY (%(meters)s::text[]) AND day >= s.from_day AND day < s.to_day
                UNION ALL
                SELECT c.tenant_id, app_id, meter, kind, day, delta
                  FROM metering_correction c JOIN spans s ON c.tenant_id = s.tenant_id
                 WHERE meter = ANY (%(meters)s::text[]) AND day >= s.from_day AND day < s.to_day
              ) AS parts
             GROUP BY tenant_id, app_id, meter, kind, day
            HAVING sum(value) <> 0
             ORDER BY tenant_id, app_id, meter, day, kind
            """,
            {
                "tenants": plain_array(span.tenant_id for span in spans),
                "meters": text_array(names),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
            },
        )
        return [
            UsageRow(
                tenant_id=tenant_id, app_id=app_id, meter=meter, kind=kind, day=day, value=value
            )
            for tenant_id, app_id, meter, kind, day, value in execution.fetchall()
        ]


def corrections(
    *, tenant_ids: Sequence[UUID], recorded_from: datetime, recorded_to: datetime
) -> list[CorrectionRow]:
    """The changes of closed days that were recorded in ``[recorded_from, recorded_to)``."""
    if not tenant_ids:
        return []
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(delta), recorded_at, reason
              FROM metering_correction
             WHERE tenant_id = ANY (%s::uuid[]) AND recorded_at >= %s AND recorded_at < %s
             ORDER BY tenant_id, app_id, meter, day, kind, recorded_at, id
            """,
            [plain_array(tenant_ids), recorded_from, recorded_to],
        )
        return [
            CorrectionRow(
                tenant_id=tenant_id,
                app_id=app_id,
                meter=meter,
                kind=kind,
                day=day,
                delta=delta,
                recorded_at=recorded_at,
                reason=reason,
            )
            for tenant_id, app_id, meter, kind, day, delta, recorded_at, reason in execution.fetchall()
        ]


def closed_until(*, tenant_ids: Sequence[UUID]) -> dict[UUID, date]:
    """For each tenant with closed days, the first day that is still open."""
    rows = Watermark.objects.filter(tenant_id__in=list(tenant_ids), closed_until__isnull=False)
    return {
        tenant_id: until
        for tenant_id, until in rows.values_list("tenant_id", "closed_until")
        if until is not None
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
    rule = meter_named(meter)
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT app_id, width_bucket(occurred_at, %(bounds)s::timestamptz[]) AS window,
                   {_quantity(rule)}
              FROM metering_event
             WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
               AND day >= %(from)s AND day < %(to)s AND type = ANY (%(types)s::text[])
               AND occurred_at >= %(first)s AND occurred_at < %(last)s
             GROUP BY 1, 2 ORDER BY 1, 2
            """,  # noqa: S608  # the text comes from `_quantity`, not from outside
            {
                "bounds": plain_array(bound.isoformat() for bound in bounds),
                "tenant": str(tenant_id),
                "apps": plain_array(app_ids),
                "from": from_day,
                "to": to_day,
                "types": text_array(sorted(rule.event_types)),
                "first": bounds[0],
                "last": bounds[-1],
            },
        )
        return [
            WindowValue(app_id=app_id, window=window - 1, value=Decimal(value))
            for app_id, window, value in execution.fetchall()
        ]


def distinct_users(
    *, tenant_id: UUID, app_ids: Sequence[UUID], bounds: Sequence[date]
) -> list[WindowValue]:
    """The distinct active users of each app between two neighbouring `bounds` (days, ascending)."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT app_id, width_bucket(day, %(bounds)s::date[]), count(DISTINCT user_hash)
              FROM metering_active_user
             WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
               AND day >= %(first)s AND day < %(last)s
             GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {
                "bounds": plain_array(bounds),
                "tenant": str(tenant_id),
                "apps": plain_array(app_ids),
                "first": bounds[0],
                "last": bounds[-1],
            },
        )
        return [
            WindowValue(app_id=app_id, window=window - 1, value=Decimal(value))
            for app_id, window, value in execution.fetchall()
        ]


def recounted_usage(*, tenant_ids: Sequence[UUID], from_day: date, to_day: date) -> list[UsageRow]:
    """The same rows as `usage` gives for all meters, counted anew from the events alone.

    A second implementation on purpose: it shares neither marks nor increments with roll-up, so
    that what bills is checked against what was stored (`to_day` excluded).
    """
    if not tenant_ids:
        return []
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant_id, app_id, 'dau', '', day, count(DISTINCT user_hash)::numeric
              FROM metering_event
             WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND day >= %(from)s AND day < %(to)s
               AND type IN ('message.sent', 'user.active')
             GROUP BY tenant_id, app_id, day
            UNION ALL
            SELECT tenant_id, app_id, 'messages', kind, day, sum(count)
              FROM metering_event
             WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND day >= %(from)s AND day < %(to)s
               AND type = 'message.sent'
             GROUP BY tenant_id, app_id, day, kind
            ORDER BY 1, 2, 3, 5, 4
            """,
            {"tenants": plain_array(tenant_ids), "from": from_day, "to": to_day},
        )
        return [
            UsageRow(
                tenant_id=tenant_id, app_id=app_id, meter=meter, kind=kind, day=day, value=value
            )
            for tenant_id, app_id, meter, kind, day, value in execution.fetchall()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDifference:
    """A daily value that is not what the events say."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    day: date
    stored: Decimal
    recounted: Decimal


def usage_differences(
    *, from_day: date, to_day: date, tenant_ids: Sequence[UUID] | None = None, most: int = 100
) -> list[UsageDifference]:
    """Where daily usage with its corrections differs from a recount of the events; at most `most`.

    `to_day` is excluded. None, unless a row was lost, doubled or moved, a batch was not rolled up
    yet, or a day was set outright. Written apart from roll-up, like `recounted_usage`.
    """
    with cursor() as execution:
        execution.execute(
            """
            WITH recounted AS (
                SELECT tenant_id, app_id, 'dau' AS meter, '' AS kind, day,
                       count(DISTINCT user_hash)::numeric AS value
                  FROM metering_event
                 WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
                   AND day >= %(from)s AND day < %(to)s
                   AND type IN ('message.sent', 'user.active')
                 GROUP BY tenant_id, app_id, day
                UNION ALL
                SELECT tenant_id, app_id, 'messages', kind, day, sum(count)
                  FROM metering_event
                 WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
                   AND day >= %(from)s AND day < %(to)s AND type = 'message.sent'
                 GROUP BY tenant_id, app_id, day, kind
            ), stored AS (
                SELECT tenant_id, app_id, meter, kind, day, sum(value) AS value FROM (
                    SELECT tenant_id, app_id, meter, kind, day, value FROM metering_daily_usage
                    UNION ALL
                    SELECT tenant_id, app_id, meter, kind, day, delta FROM metering_correction
                ) AS parts
                 WHERE (%(tenants)s::uuid[] IS NULL OR tenant_id = ANY (%(tenants)s::uuid[]))
                   AND day >= %(from)s AND day < %(to)s
                 GROUP BY tenant_id, app_id, meter, kind, day
            )
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(coalesce(stored.value, 0)),
                   trim_scale(coalesce(recounted.value, 0))
              FROM stored FULL JOIN recounted USING (tenant_id, app_id, meter, kind, day)
             WHERE coalesce(stored.value, 0) <> coalesce(recounted.value, 0)
             ORDER BY tenant_id, app_id, meter, day, kind LIMIT %(most)s
            """,
            {
                "tenants": None if tenant_ids is None else plain_array(tenant_ids),
                "from": from_day,
                "to": to_day,
                "most": most,
            },
        )
        return [
            UsageDifference(
                tenant_id=tenant_id,
                app_id=app_id,
                meter=meter,
                kind=kind,
                day=day,
                stored=stored,
                recounted=recounted,
            )
            for tenant_id, app_id, meter, kind, day, stored, recounted in execution.fetchall()
        ]


def _quantity(meter: Meter) -> str:
    match meter.aggregation:
        case Aggregation.DISTINCT_USERS:
            return "count(DISTINCT user_hash)"
        case Aggregation.SUM_OF_COUNTS:
            return "sum(count)"
