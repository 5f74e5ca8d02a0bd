"""Boundaries of a subscription's periods, from dates alone. Pure.

A boundary is a local day at whose midnight a document falls due: it bills the arrears of the period
that ends there and the advance of the one that begins there. Boundaries follow from the start, the
anchor and the plan's interval; no stored state decides them.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from kernel.period import (
    Interval,
    Period,
    calendar_anchor,
    local_day,
    local_midnight,
    period_of_day,
)

_ONE_DAY = timedelta(days=1)


class Anchor(StrEnum):
    """Where periods are cut: at the first of the calendar's period, or at the start's anniversary."""

    CALENDAR = "calendar"
    ANNIVERSARY = "anniversary"


class SubscriptionStatus(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class EffectiveWhen(StrEnum):
    """When a change or a cancellation takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"


class LateUsagePolicy(StrEnum):
    """What becomes of usage that arrives after the invoice of its period is final."""

    NEXT_INVOICE = "next_invoice"
    """An adjustment line on the next invoice."""
    NOTE = "note"
    """A document of its own at the next billing run: an invoice, or a credit note."""
    WAIVE = "waive"
    """It is recorded, with the reason, and not billed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePeriod:
    """A billing period and the part of it in which the subscription served."""

    full: Period
    served: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """What one document covers: the period that ended and the one that begins; None where none."""

    at: datetime
    ended: ServicePeriod | None
    opened: ServicePeriod | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long periods are from a day on, after a change of plan."""

    starts_on: date
    interval: Interval
    interval_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cadence:
    """When a subscription's periods are cut.

    `starts_on` is the first billed local day; `ends_on` the first day no longer served (None: open).
    `paces` tells, by ascending days, from when on another interval holds; the anchor stays, and the
    period in which the interval changes is cut there.
    """

    starts_on: date
    ends_on: date | None
    anchor: Anchor
    interval: Interval
    interval_count: int
    zone: ZoneInfo
    paces: tuple[Pace, ...] = ()

    def first_boundary(self) -> datetime:
        return local_midnight(self.starts_on, self.zone)

    def period_of(self, day: date) -> ServicePeriod:
        """The period of a served day."""
        return self._period(day)

    def boundary(self, at: datetime) -> Boundary:
        """What falls due at `at`, which must be one of the boundaries."""
        day = local_day(at, self.zone)
        ended = self._period(day - _ONE_DAY) if day > self.starts_on else None
        opened = self._period(day) if self.ends_on is None or day < self.ends_on else None
        return Boundary(at=at, ended=ended, opened=opened)

    def after(self, at: datetime) -> datetime | None:
        """The boundary that follows `at`; None when `at` was the last."""
        day = local_day(at, self.zone)
        if self.ends_on is not None and day >= self.ends_on:
            return None
        _, following = self._grid(day)
        following = min([following, *(cut for cut in self._cuts() if cut > day)])
        if self.ends_on is not None and following > self.ends_on:
            following = self.ends_on
        return local_midnight(following, self.zone)

    def _grid(self, day: date) -> tuple[date, date]:
        pace = self._pace(day)
        anchor = (
            calendar_anchor(self.starts_on, pace.interval)
            if self.anchor is Anchor.CALENDAR
            else self.starts_on
        )
        return period_of_day(
            day=day, anchor=anchor, interval=pace.interval, interval_count=pace.interval_count
        )

    def _pace(self, day: date) -> Pace:
        first = Pace(
            starts_on=self.starts_on, interval=self.interval, interval_count=self.interval_count
        )
        return next((pace for pace in reversed(self.paces) if pace.starts_on <= day), first)

    def _cuts(self) -> list[date]:
        """The days on which the interval changes."""
        cuts = []
        for pace in self.paces:
            before = self._pace(pace.starts_on - _ONE_DAY)
            if (before.interval, before.interval_count) != (pace.interval, pace.interval_count):
                cuts.append(pace.starts_on)
        return cuts

    def _period(self, day: date) -> ServicePeriod:
        starts_on, ends_on = self._grid(day)
        cuts = self._cuts()
        served_to = min([ends_on, *(cut for cut in cuts if cut > day)])
        if self.ends_on is not None:
            served_to = min(served_to, self.ends_on)
        served_from = max([starts_on, self.starts_on, *(cut for cut in cuts if cut <= day)])
        return ServicePeriod(
            full=Period.of_days(starts_on, ends_on, self.zone),
            served=Period.of_days(served_from, served_to, self.zone),
        )
