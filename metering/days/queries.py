"""Closed days, whether they still stand as they were closed, and usage as people are shown it."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

from kernel.array_literals import plain_array
from kernel.dimensions import dimensions_of, kept_dimensions
from kernel.errors import Invalid, NotFound
from kernel.period import local_day, local_midnight
from metering.days.models import DayClose
from metering.meters.domain import Aggregation, refuse_unknown_dimensions
from metering.meters.queries import find_meter
from metering.rollup.from_events import usage_in_windows
from metering.rollup.months import month_identities
from metering.rollup.queries import WindowValue, closed_until, usage
from tenants.models import App
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDay:
    """A local day with usage that was closed; `digest` is SHA-256 over its rows of daily usage."""

    tenant_id: UUID
    day: date
    closed_at: datetime
    rows: int
    digest: bytes


def closed_days(*, tenant_ids: Sequence[UUID], from_day: date, to_day: date) -> list[ClosedDay]:
    """The closed days with usage of these tenants, `to_day` excluded, by tenant and day."""
    closes = DayClose.objects.filter(
        tenant_id__in=list(tenant_ids), day__gte=from_day, day__lt=to_day
    ).order_by("tenant_id", "day")
    return [
        ClosedDay(
            tenant_id=close.tenant_id,
            day=close.day,
            closed_at=close.closed_at,
            rows=close.rows,
            digest=bytes(close.digest),
        )
        for close in closes
    ]


def changed_closed_days(
    *, tenant_ids: Sequence[UUID] | None = None, day: date | None = None
) -> list[tuple[UUID, date]]:
    """Closed days (or those of one date) whose rows are no longer those that were closed; none, unless
    somebody went around the guards. The same text as in `close_days` is hashed anew."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT closed.tenant_id, closed.day
              FROM metering_day_close closed
              LEFT JOIN LATERAL (
                SELECT count(*) AS rows,
                       sha256(convert_to(string_agg(
                           concat_ws(' ', app_id, meter, kind, trim_scale(value)), E'\n'
                           ORDER BY app_id, meter, kind), 'UTF8')) AS digest
                  FROM metering_daily_usage usage
                 WHERE usage.tenant_id = closed.tenant_id AND usage.day = closed.day
              ) AS standing ON true
             WHERE (%(tenants)s::uuid[] IS NULL OR closed.tenant_id = ANY (%(tenants)s::uuid[]))
               AND (%(day)s::date IS NULL OR closed.day = %(day)s::date)
               AND (standing.rows, standing.digest) IS DISTINCT FROM (closed.rows, closed.digest)
             ORDER BY 1, 2
            """,
            {"tenants": None if tenant_ids is None else plain_array(tenant_ids), "day": day},
        )
        return [(tenant_id, day) for tenant_id, day in execution.fetchall()]


class DayState(StrEnum):
    """Whether a local day's usage may still change."""

    OPEN = "open"
    CLOSED = "closed"


class Granularity(StrEnum):
    """The windows in which usage is shown."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


_MOST_DAYS: Final = {Granularity.HOUR: 31, Granularity.DAY: 40_000, Granularity.MONTH: 40_000}
"""A century of days, so that all usage of an app can be asked for at once."""
_AN_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownApp:
    """An app whose usage is shown, and the zone that cuts its days."""

    id: UUID
    key: str
    tenant_id: UUID
    timezone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownUsage:
    """The usage of one app in one window; `starts_at` carries the zone's offset.

    `dimensions` are those by which it was asked for, as far as the usage tells them. `state` is
    closed when no local day of the window may change any more.
    """

    app: str
    starts_at: datetime
    day: date
    value: Decimal
    state: DayState
    dimensions: Mapping[str, str] = field(default_factory=dict)


def shown_apps(
    *, tenant_id: UUID | None = None, keys: Sequence[str] | None = None
) -> list[ShownApp]:
    """The apps that the scope shows, of one tenant or of all, all or those of the keys, by key."""
    apps = App.objects.order_by("key")
    if tenant_id is not None:
        apps = apps.filter(tenant_id=tenant_id)
    if keys is not None:
        apps = apps.filter(key__in=list(keys))
    return [
        ShownApp(id=app_id, key=key, tenant_id=tenant_id, timezone=timezone)
        for app_id, key, tenant_id, timezone in apps.values_list(
            "id", "key", "tenant_id", "tenant__timezone"
        )
    ]


def shown_app(*, key: str, tenant_id: UUID | None = None) -> ShownApp:
    """The app of that key that the scope shows, of one tenant or of any. Raises NotFound
    `unknown_app`."""
    apps = shown_apps(tenant_id=tenant_id, keys=[key])
    if not apps:
        raise NotFound(
            "unknown_app", f"There is no app {key[:100]!r}; give an app's key.", field="app"
        )
    return apps[0]


def usage_shown(
    *,
    apps: Sequence[ShownApp],
    meter: str,
    from_day: date,
    to_day: date,
    granularity: Granularity = Granularity.DAY,
    by: Collection[str] = (),
) -> list[ShownUsage]:
    """The usage of apps by local hour, day or month, `to_day` excluded, and `by` dimensions.

    Ordered by app, then time; windows without usage are left out. A window's value is the meter
    applied to it: the distinct users of a month, not the sum of its days. Hours are counted from
    the events, days and months from what has been rolled up. Raises Invalid `end_before_start`,
    `range_too_long`, `unknown_meter`, `unknown_dimension`, `date_out_of_range`.
    """
    refuse_unknown_dimensions(find_meter(meter), by, field="by")
    days = (to_day - from_day).days
    if days <= 0:
        raise Invalid(
            "end_before_start", "to must be a later day than from; it is excluded.", field="to"
        )
    if days > _MOST_DAYS[granularity]:
        raise Invalid(
            "range_too_long",
            f"By {granularity}, at most {_MOST_DAYS[granularity]} days are shown; ask for fewer.",
            field="to",
        )
    shown: list[ShownUsage] = []
    by_tenant: dict[UUID, list[ShownApp]] = {}
    for app in apps:
        by_tenant.setdefault(app.tenant_id, []).append(app)
    for own in by_tenant.values():
        shown += _shown_of_tenant(
            own,
            meter=meter,
            from_day=from_day,
            to_day=to_day,
            granularity=granularity,
            by=frozenset(by),
        )
    return sorted(
        shown, key=lambda each: (each.app, each.starts_at, sorted(each.dimensions.items()))
    )


def _shown_of_tenant(
    apps: Sequence[ShownApp],
    *,
    meter: str,
    from_day: date,
    to_day: date,
    granularity: Granularity,
    by: frozenset[str],
) -> list[ShownUsage]:
    tenant_id, zone = apps[0].tenant_id, ZoneInfo(apps[0].timezone)
    until = closed_until(tenant_ids=[tenant_id]).get(tenant_id, date.min)
    local_midnight(to_day, zone)  # refuses days that are out of range before they are reckoned with
    match granularity:
        case Granularity.HOUR:
            bounds = hours_between(from_day, to_day, zone)
            values = usage_in_windows(
                tenant_id=tenant_id,
                app_ids=[app.id for app in apps],
                meter=meter,
                bounds=bounds,
                from_day=from_day,
                to_day=to_day,
            )
        case Granularity.DAY | Granularity.MONTH:
            if granularity == Granularity.MONTH:
                days = months_between(from_day, to_day)
            else:
                days = [from_day + timedelta(days=n) for n in range((to_day - from_day).days + 1)]
            bounds = [local_midnight(day, zone) for day in days]
            values = _by_days(apps, meter=meter, days=days, granularity=granularity)
        case _:
            assert_never(granularity)
    keys = {app.id: app.key for app in apps}
    return [
        ShownUsage(
            app=keys[each.app_id],
            starts_at=bounds[each.window].astimezone(zone),
            day=local_day(bounds[each.window], zone),
            value=each.value,
            state=DayState.CLOSED
            if local_day(bounds[each.window + 1] - _AN_INSTANT, zone) < until
            else DayState.OPEN,
            dimensions=dimensions_of(each.kind),
        )
        for each in _summed(values, by=by)
    ]


def _summed(values: Sequence[WindowValue], *, by: frozenset[str]) -> list[WindowValue]:
    """The values with all dimensions but `by` added up; parts of a meter are disjoint."""
    sums: dict[tuple[UUID, int, str], Decimal] = {}
    for each in values:
        place = (each.app_id, each.window, kept_dimensions(each.kind, by))
        sums[place] = sums.get(place, Decimal(0)) + each.value
    return [
        WindowValue(app_id=app_id, window=window, kind=kind, value=value)
        for (app_id, window, kind), value in sums.items()
    ]


def _by_days(
    apps: Sequence[ShownApp], *, meter: str, days: Sequence[date], granularity: Granularity
) -> list[WindowValue]:
    """Values between neighbouring `days`; of their app alone, since a tenant's others are not asked."""
    rule = find_meter(meter)
    if granularity == Granularity.MONTH and rule.counts_users:
        return month_identities(
            tenant_id=apps[0].tenant_id,
            app_ids=[app.id for app in apps],
            meter=rule.key,
            bounds=days,
        )
    asked = {app.id for app in apps}
    parts: dict[tuple[UUID, int, str], Decimal] = {}
    for row in usage(
        tenant_ids=[apps[0].tenant_id], meters=[meter], from_day=days[0], to_day=days[-1]
    ):
        if row.app_id in asked:
            place = (row.app_id, bisect_right(days, row.day) - 1, row.kind)
            match rule.aggregation:
                case Aggregation.MAX:
                    parts[place] = max(parts.get(place, row.value), row.value)
                case Aggregation.LATEST:
                    parts[place] = row.value  # rows come by day
                case _:
                    parts[place] = parts.get(place, Decimal(0)) + row.value
    return [
        WindowValue(app_id=app_id, window=window, kind=kind, value=value)
        for (app_id, window, kind), value in parts.items()
    ]


def months_between(from_day: date, to_day: date) -> list[date]:
    """The first day, each first of a month after it, and `to_day`."""
    bounds = [from_day]
    while bounds[-1] < to_day:
        following = (bounds[-1].replace(day=1) + timedelta(days=32)).replace(day=1)
        bounds.append(min(following, to_day))
    return bounds


def hours_between(from_day: date, to_day: date, zone: ZoneInfo) -> list[datetime]:
    """The local hours, counted from each midnight; a day that changes its offset has 23 or 25."""
    bounds: list[datetime] = []
    day = from_day
    while day < to_day:
        at, ends_at = local_midnight(day, zone), local_midnight(day + timedelta(days=1), zone)
        while at < ends_at:
            bounds.append(at)
            at += timedelta(hours=1)
        day += timedelta(days=1)
    return [*bounds, local_midnight(to_day, zone)]
