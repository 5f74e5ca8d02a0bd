"""What roll-up keeps, read set-based: daily usage with its corrections, hours, months."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from kernel.array_literals import plain_array, text_array
from kernel.decimals import exact_sum, trimmed
from kernel.errors import Invalid
from metering.ingest.stored import EVENTS, SORTS
from metering.meters.domain import (
    ACTIVE_USERS,
    Aggregation,
    Meter,
    Sort,
    counting_rules,
)
from metering.meters.queries import find_meter, find_meters
from metering.rollup.models import Watermark
from metering.rollup.rules import COUNTED, FACTS, RECOUNTED, RULES, rule_parameters
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
class UserDays:
    """Days of a tenant whose different users (of a distinct meter) count: from each first one to each
    last one, which is excluded; no day twice."""

    tenant_id: UUID
    meter: str
    stretches: tuple[tuple[date, date], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSeries:
    """The daily usage of one app, meter and combination of dimensions, by day."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    values: Mapping[date, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentUsers:
    """The different identities of an app (None: of all the tenant's apps) in all the days together.

    `users` is None where a day's value is not the number of its marks, because it was set outright:
    then who was there is not known.
    """

    days: UserDays
    app_id: UUID | None
    users: int | None


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


def tenants_with_corrections(*, tenant_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the tenants have a correction of any day."""
    if not tenant_ids:
        return set()
    with cursor() as execution:
        execution.execute(
            """
            SELECT DISTINCT tenant_id FROM metering_correction WHERE tenant_id = ANY (%s::uuid[])
            """,
            [plain_array(sorted(set(tenant_ids)))],
        )
        return {tenant_id for (tenant_id,) in execution.fetchall()}


def correction_counts(*, spans: Sequence[Span]) -> list[int]:
    """How many corrections each span has, in the order of the spans.

    Corrections are never changed or removed, so the count only grows: who keeps the count that was
    read before the usage can tell later, by the count alone and whatever clocks said, that the usage
    may have changed since.
    """
    if not spans:
        return []
    with cursor() as execution:
        execution.execute(
            """
            SELECT asked.place, count(*)
              FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                   WITH ORDINALITY AS asked (tenant_id, from_day, to_day, place)
              JOIN metering_correction c ON c.tenant_id = asked.tenant_id
                   AND c.day >= asked.from_day AND c.day < asked.to_day
             GROUP BY asked.place
            """,
            {
                "tenants": plain_array(span.tenant_id for span in spans),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
            },
        )
        counts = dict(execution.fetchall())
    return [counts.get(place, 0) for place in range(1, len(spans) + 1)]


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


_MARKS: Final = """
                SELECT tenant_id, app_id, %(active_users)s AS meter, day, user_hash AS identity
                  FROM metering_active_user
                UNION ALL
                SELECT tenant_id, app_id, meter, day, identity FROM metering_mark"""
"""All marks, of daily active users and of other distinct meters."""


def distinct_identities(
    *, tenant_id: UUID, app_ids: Sequence[UUID], meter: str, bounds: Sequence[date]
) -> list[WindowValue]:
    """The distinct identities of each app between two neighbouring `bounds` (days, ascending)."""
    with cursor() as execution:
        execution.execute(
            f"""
            SELECT app_id, width_bucket(day, %(bounds)s::date[]), count(DISTINCT identity)
              FROM ({_MARKS}) AS marks
             WHERE tenant_id = %(tenant)s::uuid AND app_id = ANY (%(apps)s::uuid[])
               AND meter = %(meter)s AND day >= %(first)s AND day < %(last)s
             GROUP BY 1, 2 ORDER BY 1, 2
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "meter": find_meter(meter).marks,
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


def different_users(*, asked: Sequence[UserDays]) -> list[DifferentUsers]:
    """The different identities of each app and of the whole tenant, for all that is asked at once.

    Counted from the marks, whose number on each day must be the daily usage, corrections included.
    Apps without usage are left out. Raises Invalid `unknown_meter`.
    """
    rows = [
        (place, each.tenant_id, meter, first, end)
        for place, (each, meter) in enumerate(
            zip(asked, find_meters(each.meter for each in asked), strict=True)
        )
        for first, end in each.stretches
    ]
    if not rows:
        return []
    with cursor() as execution:
        execution.execute(
            f"""
            WITH asked AS MATERIALIZED (
                SELECT * FROM unnest(
                    %(places)s::int[], %(tenants)s::uuid[], %(meters)s::text[], %(marks)s::text[],
                    %(from)s::date[], %(to)s::date[]
                ) AS asked (n, tenant_id, meter, marked_as, from_day, to_day)
            ), marked AS NOT MATERIALIZED (
                SELECT n, app_id, day, identity
                  FROM asked JOIN ({_MARKS}) AS marks
                    ON marks.tenant_id = asked.tenant_id AND marks.meter = marked_as
                   AND day >= from_day AND day < to_day
            ), identities AS MATERIALIZED (
                SELECT n, app_id, identity FROM marked GROUP BY n, app_id, identity
            ), by_day AS (
                SELECT n, app_id, day, count(*) AS marks FROM marked GROUP BY n, app_id, day
            ), stored AS (
                -- What was set for the meter itself goes before what it borrows.
                SELECT DISTINCT ON (n, app_id, day) n, app_id, day, value FROM (
                    SELECT n, app_id, day, part.meter = asked.meter AS is_own, sum(value) AS value
                      FROM asked JOIN (
                        SELECT tenant_id, app_id, meter, day, value FROM metering_daily_usage
                        UNION ALL
                        SELECT tenant_id, app_id, meter, day, delta FROM metering_correction
                      ) AS part
                        ON part.tenant_id = asked.tenant_id
                       AND part.meter IN (asked.meter, asked.marked_as)
                       AND day >= from_day AND day < to_day
                     GROUP BY n, app_id, day, is_own
                ) AS parts ORDER BY n, app_id, day, is_own DESC
            ), amiss AS MATERIALIZED (
                SELECT DISTINCT n, app_id FROM stored FULL JOIN by_day USING (n, app_id, day)
                 WHERE coalesce(value, 0) <> coalesce(marks, 0)
            ), by_app AS (
                SELECT n, app_id, count(*) AS users FROM identities GROUP BY n, app_id
            ), of_tenant AS (
                SELECT n, count(DISTINCT identity) AS users FROM identities GROUP BY n
            )
            SELECT n, app_id, CASE WHEN amiss.n IS NULL THEN users END
              FROM by_app FULL JOIN amiss USING (n, app_id)
            UNION ALL
            SELECT n, NULL, CASE WHEN unknown.n IS NULL THEN users END
              FROM of_tenant FULL JOIN (SELECT DISTINCT n FROM amiss) AS unknown USING (n)
            """,  # noqa: S608  # nothing from outside
            {
                "active_users": ACTIVE_USERS,
                "places": plain_array(row[0] for row in rows),
                "tenants": plain_array(row[1] for row in rows),
                "meters": text_array(row[2].key for row in rows),
                "marks": text_array(row[2].marks for row in rows),
                "from": plain_array(row[3] for row in rows),
                "to": plain_array(row[4] for row in rows),
            },
        )
        return [
            DifferentUsers(days=asked[place], app_id=app_id, users=users)
            for place, app_id, users in execution.fetchall()
        ]


_WINDOW_VALUE: Final = {
    Aggregation.COUNT: "count(*)",
    Aggregation.SUM: "sum(quantity)",
    Aggregation.DISTINCT: "nullif(count(DISTINCT marked), 0)",
    Aggregation.MAX: "max(value)",
    Aggregation.LATEST: "(array_agg(value ORDER BY occurred_at DESC, received_at DESC,"
    " batch_id DESC, position DESC) FILTER (WHERE value IS NOT NULL))[1]",
}


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
