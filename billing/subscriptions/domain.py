"""Boundaries of a subscription's periods, from dates alone. Pure.

A boundary is a local day at whose midnight a document falls due: it bills the arrears of the period
that ends there and the advance of the one that begins there. Boundaries follow from the start, the
anchor and the plan's interval; no stored state decides them.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.terms import PriceTerms
from kernel.errors import Invalid
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


class MigrationWhen(StrEnum):
    """From when on those who hold a plan version are billed by another."""

    PERIOD_END = "period_end"
    """From the next period on."""
    DRAFTS = "drafts"
    """From what is drafted and not issued on; without a draft, from the next period on."""
    NOW = "now"
    """From now on, each with a document of its own at once."""


class LateUsagePolicy(StrEnum):
    """What becomes of usage that arrives after the invoice of its period is final."""

    NEXT_INVOICE = "next_invoice"
    """An adjustment line on the next invoice."""
    NOTE = "note"
    """A document of its own at the next billing run: an invoice, or a credit note."""
    WAIVE = "waive"
    """It is recorded, with the reason, and not billed."""


class ChangeKind(StrEnum):
    """What may be asked of a running subscription."""

    PLAN = "change_plan"
    QUANTITY = "change_quantity"
    ADD = "add_addon"
    REMOVE = "remove_addon"
    CANCEL = "cancel"
    UNDO_CANCEL = "undo_cancel"
    UNDO_CHANGE = "undo_change"
    PAUSE = "pause"
    RESUME = "resume"
    END_TRIAL = "end_trial"
    COUPON = "apply_coupon"


class ChangeState(StrEnum):
    """How far a change is that was asked for over the web."""

    PENDING = "pending"
    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedChange:
    """A change that somebody wants of a subscription.

    `plan` counts for a change of plan, with `version` None the version in force on the day it begins;
    `price` for quantities and add-ons, `coupon` is a code to redeem. `quantity` is how much is held from then on, or how many of an
    add-on come or go (None: one comes, all go).
    """

    kind: ChangeKind
    when: EffectiveWhen = EffectiveWhen.NOW
    plan: str = ""
    version: int | None = None
    price: str = ""
    quantity: Decimal | None = None
    coupon: str = ""


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
    """How long periods are from a day on, after a change of plan.

    With `cuts` a period was cut there while it ran: another begins whatever the interval, and the
    change itself billed the advance of it.
    """

    starts_on: date
    interval: Interval
    interval_count: int
    cuts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """From `starts_on` this much is held of a price, until its next holding starts.

    `quantity` None: as the plan says again, which is one, and of an add-on none.
    """

    price_key: str
    starts_on: date
    quantity: Decimal | None


MOST_HELD: Final = Decimal(10) ** 12


def check_holding(
    price: PriceTerms | None, *, key: str, quantity: Decimal, is_addon: bool
) -> PriceTerms:
    """The price, if so much of it may be held.

    Raises Invalid `unknown_price`, `price_is_metered`, `not_an_addon`, `addon_counts_once`,
    `quantity_out_of_range`.
    """
    if price is None:
        raise Invalid(
            "unknown_price",
            f"The plan has no price {key[:100]!r}; name one that it has.",
            field="price",
        )
    if is_addon and not price.addon:
        raise Invalid(
            "not_an_addon",
            f"{key} is a part of the plan; change its quantity instead.",
            field="price",
        )
    if price.metering is not None and not price.addon:
        raise Invalid(
            "price_is_metered",
            f"{key} is priced by usage, which nobody sets; name a price without a meter.",
            field="price",
        )
    if not 0 <= quantity <= MOST_HELD:
        raise Invalid(
            "quantity_out_of_range",
            f"quantity is below zero or above {MOST_HELD:f}; write one between.",
            field="quantity",
        )
    if price.metering is not None and quantity > 1:
        raise Invalid(
            "addon_counts_once",
            f"{key} is priced by usage, so that it is held once or not at all.",
            field="quantity",
        )
    return price


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Not served from `starts_on` to the day before `ends_on` (None: until it is resumed)."""

    starts_on: date
    ends_on: date | None

    def covers(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)


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
        """What falls due at `at`, which must be one of the boundaries.

        What it opens reaches as far as was known there: a period that is cut later, while it runs,
        is settled by the change that cuts it.
        """
        day = local_day(at, self.zone)
        ended = self._period(day - _ONE_DAY) if day > self.starts_on else None
        is_billed = any(pace.cuts and pace.starts_on == day for pace in self.paces)
        is_served = self.ends_on is None or day < self.ends_on
        opened = self._period(day, as_planned=True) if is_served and not is_billed else None
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

    def _cuts(self, *, as_planned: bool = False) -> list[date]:
        """The days on which the interval changes; `as_planned` without those while a period ran."""
        cuts = []
        for pace in self.paces:
            if as_planned and pace.cuts:
                continue
            before = self._pace(pace.starts_on - _ONE_DAY)
            if pace.cuts or (before.interval, before.interval_count) != (
                pace.interval,
                pace.interval_count,
            ):
                cuts.append(pace.starts_on)
        return cuts

    def _period(self, day: date, *, as_planned: bool = False) -> ServicePeriod:
        starts_on, ends_on = self._grid(day)
        cuts = self._cuts()
        ahead = self._cuts(as_planned=True) if as_planned else cuts
        served_to = min([ends_on, *(cut for cut in ahead if cut > day)])
        if self.ends_on is not None:
            served_to = min(served_to, self.ends_on)
        served_from = max([starts_on, self.starts_on, *(cut for cut in cuts if cut <= day)])
        return ServicePeriod(
            full=Period.of_days(starts_on, ends_on, self.zone),
            served=Period.of_days(served_from, served_to, self.zone),
        )
