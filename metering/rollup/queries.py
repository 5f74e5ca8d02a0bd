"""What roll-up keeps, read set-based: daily usage with its corrections, and how far days are closed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from uuid import UUID

from kernel.array_literals import plain_array, text_array
from kernel.decimals import exact_sum, trimmed
from metering.meters.domain import (
    Meter,
)
from metering.meters.queries import find_meter, find_meters
from metering.rollup.models import Watermark
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """The quantity of one meter, app, combination of dimensions and local day, corrections included.

    `kind` is the canonical text of the combination. Only a gauge may be 0: that is what it read.
    """

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
class UsageSeries:
    """The daily usage of one app, meter and combination of dimensions, by day."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    values: Mapping[date, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowValue:
    """The quantity of one app and combination of dimensions in one window, told by its position
    among the asked windows."""

    app_id: UUID
    window: int
    value: Decimal
    kind: str = ""


def usage(
    *, tenant_ids: Sequence[UUID], meters: Sequence[str], from_day: date, to_day: date
) -> list[UsageRow]:
    """The daily usage of many tenants over the same days; see `usage_of_spans`."""
    return usage_of_spans(
        spans=[Span(tenant_id=each, from_day=from_day, to_day=to_day) for each in tenant_ids],
        meters=meters,
    )


def usage_of_spans(*, spans: Sequence[Span], meters: Sequence[str]) -> list[UsageRow]:
    """As `usage_series`, a row a day; ordered by tenant, app, meter, day, kind."""
    return rows_of(usage_series(spans=spans, meters=meters))


def rows_of(found: Iterable[UsageSeries]) -> list[UsageRow]:
    """A row for each day of the series; ordered by tenant, app, meter, day, kind."""
    rows = [
        UsageRow(
            tenant_id=series.tenant_id,
            app_id=series.app_id,
            meter=series.meter,
            kind=series.kind,
            day=day,
            value=value,
        )
        for series in found
        for day, value in series.values.items()
    ]
    return sorted(rows, key=lambda row: (row.tenant_id, row.app_id, row.meter, row.day, row.kind))


def usage_series(*, spans: Sequence[Span], meters: Sequence[str]) -> list[UsageSeries]:
    """The daily usage of many tenants, each over its own days; days without usage are left out.

    A tenant's spans become one, from the first day to the last. A meter that counts another's marks has its values, where none of its own was set. Counts
    what has been rolled up; a caller that must count everything committed calls `roll_up_pending`
    first. Raises Invalid `unknown_meter`.
    """
    wanted = find_meters(meters)
    if not spans or not wanted:
        return []
    names = {meter.key for meter in wanted} | {meter.marks for meter in wanted}
    # Said once more of a tenant that is alone: of a cluster, one node is asked then and not all.
    first = spans[0].tenant_id
    alone = (
        "= %(first)s::uuid" if all(span.tenant_id == first for span in spans) else "= s.tenant_id"
    )
    with cursor() as execution:
        execution.execute(
            f"""
            WITH spans AS MATERIALIZED (
                SELECT tenant_id, min(from_day) AS from_day, max(to_day) AS to_day
                  FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                       AS asked (tenant_id, from_day, to_day)
                 GROUP BY tenant_id
            )
            SELECT tenant_id, app_id, meter, kind, array_agg(day), array_agg(trim_scale(value))
              FROM (
                SELECT u.tenant_id, app_id, meter, kind, day, value
                  FROM metering_daily_usage u JOIN spans s ON u.tenant_id {alone}
                 WHERE meter = ANY (%(meters)s::text[]) AND day >= s.from_day AND day < s.to_day
                UNION ALL
                SELECT c.tenant_id, app_id, meter, kind, day, delta
                  FROM metering_correction c JOIN spans s ON c.tenant_id {alone}
                 WHERE meter = ANY (%(meters)s::text[]) AND day >= s.from_day AND day < s.to_day
              ) AS parts
             GROUP BY tenant_id, app_id, meter, kind
             ORDER BY tenant_id, app_id, meter, kind
            """,  # noqa: S608  # nothing from outside
            {
                "first": str(first),
                "tenants": plain_array(span.tenant_id for span in spans),
                "meters": text_array(sorted(names)),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
            },
        )
        gauges = {meter.key for meter in wanted if meter.is_gauge}
        found = [
            UsageSeries(tenant_id=tenant_id, app_id=app_id, meter=meter, kind=kind, values=by_day)
            for tenant_id, app_id, meter, kind, days, values in execution.fetchall()
            if (by_day := _by_day(days, values, keeps_zero=meter in gauges))
        ]
    return with_borrowed(found, wanted=wanted)


def _by_day(
    days: Sequence[date], values: Sequence[Decimal], *, keeps_zero: bool
) -> Mapping[date, Decimal]:
    """A day's value with its corrections; one that comes to nothing is left out, but of a gauge."""
    by_day = dict(zip(days, values, strict=True))
    if len(by_day) < len(days):
        # Adding up here costs only where there are corrections; in the statement it would always.
        of_day: dict[date, list[Decimal]] = defaultdict(list)
        for day, value in zip(days, values, strict=True):
            of_day[day].append(value)
        by_day = {day: trimmed(exact_sum(parts)) for day, parts in of_day.items()}
    if keeps_zero or all(by_day.values()):
        return by_day
    return {day: value for day, value in by_day.items() if value}


def with_borrowed(found: Sequence[UsageSeries], *, wanted: Sequence[Meter]) -> list[UsageSeries]:
    """The series of the wanted meters, from series of these and of those whose marks they count: where
    none of its own was set, a day has the value of the marks. A series has at least a day."""
    borrowing = [meter for meter in wanted if meter.marks != meter.key]
    if not borrowing:
        return list(found)
    keys = {meter.key for meter in wanted}
    own: dict[tuple[UUID, str], set[date]] = {}
    for series in found:
        own.setdefault((series.app_id, series.meter), set()).update(series.values)
    kept = {
        (series.app_id, series.meter, series.kind): series
        for series in found
        if series.meter in keys
    }
    for meter in borrowing:
        for series in found:
            if series.meter != meter.marks:
                continue
            set_outright = own.get((series.app_id, meter.key), set())
            values = {day: value for day, value in series.values.items() if day not in set_outright}
            if values:
                its_own = kept.get((series.app_id, meter.key, series.kind))
                kept[series.app_id, meter.key, series.kind] = replace(
                    series,
                    meter=meter.key,
                    values=values if its_own is None else {**its_own.values, **values},
                )
    return list(kept.values())


def tenants_by_usage(*, meter: str, from_day: date, to_day: date, parts: int) -> list[UUID]:
    """One tenant for each of `parts` equal shares of all that used the meter on these days: the
    largest of its share, the smallest share first. Fewer where fewer tenants did.

    Needs a cross-tenant scope. Raises Invalid `unknown_meter`.
    """
    key = find_meter(meter).key
    with cursor() as execution:
        execution.execute(
            """
            WITH used AS (
                SELECT tenant_id, value FROM metering_daily_usage
                 WHERE meter = %(meter)s AND day >= %(from)s AND day < %(to)s
                UNION ALL
                SELECT tenant_id, delta FROM metering_correction
                 WHERE meter = %(meter)s AND day >= %(from)s AND day < %(to)s
            ), totals AS (
                SELECT tenant_id, sum(value) AS total FROM used GROUP BY tenant_id
                HAVING sum(value) > 0
            ), ranked AS (
                SELECT tenant_id, row_number() OVER (ORDER BY total, tenant_id) AS place,
                       count(*) OVER () AS tenants
                  FROM totals
            )
            SELECT tenant_id FROM ranked
             WHERE place IN (SELECT ceil(tenants * part / %(parts)s::numeric)
                               FROM generate_series(1, %(parts)s) AS part)
             ORDER BY place
            """,
            {"meter": key, "from": from_day, "to": to_day, "parts": parts},
        )
        return [tenant_id for (tenant_id,) in execution.fetchall()]


def closed_until(*, tenant_ids: Sequence[UUID]) -> dict[UUID, date]:
    """For each tenant with closed days, the first day that is still open."""
    rows = Watermark.objects.filter(tenant_id__in=list(tenant_ids), closed_until__isnull=False)
    return {
        tenant_id: until
        for tenant_id, until in rows.values_list("tenant_id", "closed_until")
        if until is not None
    }


def tenants_with_days(
    *, among: Sequence[UUID] | None, after: UUID | None, limit: int
) -> list[UUID]:
    """The next tenants with usage by id, `among` these (None: all) and after that one."""
    found = Watermark.objects.order_by("tenant_id")
    if among is not None:
        found = found.filter(tenant_id__in=list(among))
    if after is not None:
        found = found.filter(tenant_id__gt=after)
    return list(found.values_list("tenant_id", flat=True)[:limit])
