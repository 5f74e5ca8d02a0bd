"""One meter of a tenant over a day, month or year beside the period before: what people look at.

By the hours of a day, the days of a month or the months of a year. A running period is compared with
as much of the one before: today with yesterday up to the same clock time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from kernel.dimensions import canonical_dimensions, dimensions_of, kept_dimensions
from kernel.period import local_day, local_midnight
from metering.days.queries import (
    DayState,
    Granularity,
    ShownApp,
    ShownUsage,
    hours_between,
    months_between,
    shown_apps,
    usage_shown,
)
from metering.days.shown_periods import PeriodLength, ShownPeriod, offered_periods
from metering.meters.domain import Meter
from metering.meters.queries import find_meter
from metering.rollup.from_events import usage_in_windows
from metering.rollup.present import present_usage
from metering.rollup.queries import closed_until, usage

_GRANULARITIES: Final = {
    PeriodLength.DAY: Granularity.HOUR,
    PeriodLength.MONTH: Granularity.DAY,
    PeriodLength.YEAR: Granularity.MONTH,
}
_AN_INSTANT: Final = timedelta(microseconds=1)

_Key = tuple[str, str]
"""An app's key and the canonical text of the dimensions that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploredWindow:
    """An hour, day or month. It is closed when none of its local days may change any more."""

    starts_at: datetime
    day: date
    state: DayState


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploredSeries:
    """The values of one app and combination of dimensions, one a window.

    A window without usage is 0, of a gauge None. `whole` is the value of the period: the day's own
    value, of a longer period the sum or, where values don't add up, the highest of its windows.
    `before` is that of the period before, as far as it is compared.
    """

    app: str
    dimensions: Mapping[str, str]
    values: Sequence[Decimal | None]
    whole: Decimal | None
    before: Decimal | None

    @property
    def highest(self) -> int | None:
        """The place of the highest value, the first of equal ones; None where there is no usage."""
        told = [(value, -place) for place, value in enumerate(self.values) if value]
        return -max(told)[1] if told else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExploredUsage:
    """What was found, the largest series first."""

    meter: Meter
    apps: Sequence[str]
    """The keys of all apps of the tenant, also of those that were not asked for."""
    today: date
    period: ShownPeriod
    is_running: bool
    windows: Sequence[ExploredWindow]
    series: Sequence[ExploredSeries]
    is_unknown: bool
    """There is usage, but it is not known by these windows: it was set or reported for whole days, so
    that its hours, or who the different users of its months were, can't be told."""

    @property
    def has_usage(self) -> bool:
        return any(value for each in self.series for value in each.values)


def explored_usage(
    *,
    tenant_id: UUID,
    zone: str,
    meter: str,
    now: datetime,
    app: str = "",
    period: ShownPeriod | None = None,
    by: Collection[str] = (),
) -> ExploredUsage:
    """The usage of a tenant in a period and the one before, told apart by app and `by` dimensions.

    Of one app where there is one of that key, else of all. Without a period it is the newest month of
    two years that has usage, else the running one. Windows that have not begun are left out. Raises
    Invalid `unknown_meter`, `unknown_dimension`.
    """
    rule = find_meter(meter)
    known = shown_apps(tenant_id=tenant_id)
    apps = [each for each in known if each.key == app] or known
    today = local_day(now, ZoneInfo(zone))
    period = period or _newest_month(tenant_id=tenant_id, meter=rule.key, today=today)
    is_running = period.contains(today)
    asked = _Asked(
        tenant_id=tenant_id, apps=apps, meter=rule, by=frozenset(by), now=now, zone=ZoneInfo(zone)
    )
    windows = asked.windows(period, until=min(period.end, today + timedelta(days=1)))
    places = {window.starts_at: place for place, window in enumerate(windows)}
    found = {
        (row.app, canonical_dimensions(row.dimensions), places[row.starts_at]): row.value
        for row in asked.shown(period.first, min(period.end, today + timedelta(days=1)), period)
        if row.starts_at in places
    }
    compared_to = period.same_place(today) if is_running else period.before.end
    whole = asked.whole(period, is_running=is_running, found=found)
    before = asked.whole_before(period, compared_to=compared_to, is_running=is_running)
    nothing = None if rule.is_gauge else Decimal(0)
    keys = {(app, kind) for app, kind, _ in found} | whole.keys() | before.keys()
    series = [
        ExploredSeries(
            app=app,
            dimensions=dimensions_of(kind),
            values=[found.get((app, kind, place), nothing) for place in range(len(windows))],
            whole=whole.get((app, kind), nothing),
            before=before.get((app, kind), nothing),
        )
        for app, kind in sorted(keys, key=lambda key: (-whole.get(key, Decimal(0)), key))
    ]
    return ExploredUsage(
        meter=rule,
        apps=[each.key for each in known],
        today=today,
        period=period,
        is_running=is_running,
        windows=windows,
        series=series,
        is_unknown=not found and asked.is_used(period),
    )


def _newest_month(*, tenant_id: UUID, meter: str, today: date) -> ShownPeriod:
    """The running month if it has usage of the meter, else the newest of two years that has, else the
    running one."""
    months = offered_periods(today)[PeriodLength.MONTH]
    running, oldest = months[0], months[-1]
    for since in (running, oldest):
        rows = usage(
            tenant_ids=[tenant_id], meters=[meter], from_day=since.first, to_day=running.end
        )
        if rows:
            return ShownPeriod.around(max(row.day for row in rows), length=PeriodLength.MONTH)
    return running


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Whose usage of what, told apart by which dimensions, as of when."""

    tenant_id: UUID
    apps: Sequence[ShownApp]
    meter: Meter
    by: frozenset[str]
    now: datetime
    zone: ZoneInfo

    def windows(self, period: ShownPeriod, *, until: date) -> list[ExploredWindow]:
        """The windows of the period that have begun."""
        if until <= period.first:
            return []
        match period.length:
            case PeriodLength.DAY:
                bounds = hours_between(period.first, until, self.zone)
            case PeriodLength.MONTH:
                days = (until - period.first).days
                bounds = self._midnights(
                    [period.first + timedelta(days=n) for n in range(days + 1)]
                )
            case PeriodLength.YEAR:
                bounds = self._midnights(months_between(period.first, until))
        closed = closed_until(tenant_ids=[self.tenant_id]).get(self.tenant_id, date.min)
        return [
            ExploredWindow(
                starts_at=starts_at.astimezone(self.zone),
                day=local_day(starts_at, self.zone),
                state=DayState.CLOSED
                if local_day(ends_at - _AN_INSTANT, self.zone) < closed
                else DayState.OPEN,
            )
            for starts_at, ends_at in pairwise(bounds)
            if starts_at <= self.now
        ]

    def _midnights(self, days: Sequence[date]) -> list[datetime]:
        return [local_midnight(day, self.zone) for day in days]

    def shown(self, first: date, end: date, period: ShownPeriod) -> list[ShownUsage]:
        """The usage of days, `end` excluded, in the windows of such a period."""
        if end <= first:
            return []
        return usage_shown(
            apps=self.apps,
            meter=self.meter.key,
            from_day=first,
            to_day=end,
            granularity=_GRANULARITIES[period.length],
            by=self.by,
        )

    def whole(
        self,
        period: ShownPeriod,
        *,
        is_running: bool,
        found: Mapping[tuple[str, str, int], Decimal],
    ) -> dict[_Key, Decimal]:
        """The values of the whole period; of today with everything that is committed."""
        if period.length is not PeriodLength.DAY:
            return self._joined([((app, kind), value) for (app, kind, _), value in found.items()])
        if is_running:
            keys = {app.id: app.key for app in self.apps}
            rows = present_usage(
                tenant_id=self.tenant_id,
                meters=[self.meter.key],
                from_day=period.first,
                to_day=period.end,
            )
            return _summed(
                ((keys[row.app_id], kept_dimensions(row.kind, self.by)), row.value)
                for row in rows
                if row.app_id in keys
            )
        return self._of_day(period.first)

    def whole_before(
        self, period: ShownPeriod, *, compared_to: date, is_running: bool
    ) -> dict[_Key, Decimal]:
        """The values of the period before, up to `compared_to` or the same clock time."""
        before = period.before
        if period.length is not PeriodLength.DAY:
            return self._joined(
                [_key_and_value(row) for row in self.shown(before.first, compared_to, before)]
            )
        if not is_running:
            return self._of_day(before.first)
        same_time = datetime.combine(
            before.first, self.now.astimezone(self.zone).time(), tzinfo=self.zone
        )
        keys = {app.id: app.key for app in self.apps}
        midnight = local_midnight(before.first, self.zone)
        return _summed(
            ((keys[each.app_id], kept_dimensions(each.kind, self.by)), each.value)
            for each in usage_in_windows(
                tenant_id=self.tenant_id,
                app_ids=list(keys),
                meter=self.meter.key,
                bounds=[midnight, max(same_time, midnight + _AN_INSTANT)],
                from_day=before.first,
                to_day=before.end,
            )
        )

    def is_used(self, period: ShownPeriod) -> bool:
        """Whether there is any daily usage in the period."""
        own = {app.id for app in self.apps}
        return any(
            row.app_id in own
            for row in usage(
                tenant_ids=[self.tenant_id],
                meters=[self.meter.key],
                from_day=period.first,
                to_day=period.end,
            )
        )

    def _of_day(self, day: date) -> dict[_Key, Decimal]:
        rows = usage_shown(
            apps=self.apps,
            meter=self.meter.key,
            from_day=day,
            to_day=day + timedelta(days=1),
            by=self.by,
        )
        return dict(_key_and_value(row) for row in rows)

    def _joined(self, values: Sequence[tuple[_Key, Decimal]]) -> dict[_Key, Decimal]:
        """Many windows' values as one of the whole period: their sum, or the highest."""
        if self.meter.adds_up:
            return _summed(values)
        highest: dict[_Key, Decimal] = {}
        for key, value in values:
            highest[key] = max(highest.get(key, value), value)
        return highest


def _key_and_value(row: ShownUsage) -> tuple[_Key, Decimal]:
    return (row.app, canonical_dimensions(row.dimensions)), row.value


def _summed(values: Iterable[tuple[_Key, Decimal]]) -> dict[_Key, Decimal]:
    sums: dict[_Key, Decimal] = {}
    for key, value in values:
        sums[key] = sums.get(key, Decimal(0)) + value
    return sums
