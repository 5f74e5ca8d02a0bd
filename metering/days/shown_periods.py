"""The stretches of local time in which people look at usage: a day, a month, a year. Pure."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final, Self


class PeriodLength(StrEnum):
    """How long a shown period is."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


_LETTERS: Final = {PeriodLength.DAY: 10, PeriodLength.MONTH: 7, PeriodLength.YEAR: 4}
"""How much of its first day a period is written with: 2026-03-01, 2026-03, 2026."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPeriod:
    """A local day, a calendar month or a calendar year that begins on `first`."""

    length: PeriodLength
    first: date

    @classmethod
    def read(cls, text: str) -> Self | None:
        """The period that is written `2026-03-01`, `2026-03` or `2026`; None for any other text.

        Neither the first year nor the last one of the calendar, which have no neighbour.
        """
        for length, letters in _LETTERS.items():
            if len(text) == letters:
                try:
                    first = date.fromisoformat(text + "-01-01"[: 10 - letters])
                except ValueError:
                    return None
                return cls(length=length, first=first) if 1 < first.year < date.max.year else None
        return None

    @classmethod
    def around(cls, day: date, *, length: PeriodLength) -> Self:
        """The period of that length in which the day lies."""
        match length:
            case PeriodLength.DAY:
                return cls(length=length, first=day)
            case PeriodLength.MONTH:
                return cls(length=length, first=day.replace(day=1))
            case PeriodLength.YEAR:
                return cls(length=length, first=day.replace(month=1, day=1))

    @property
    def code(self) -> str:
        """As it is written in an address; `read` reads it back."""
        return self.first.isoformat()[: _LETTERS[self.length]]

    @property
    def end(self) -> date:
        """The first day after it."""
        match self.length:
            case PeriodLength.DAY:
                return self.first + timedelta(days=1)
            case PeriodLength.MONTH:
                return (self.first + timedelta(days=32)).replace(day=1)
            case PeriodLength.YEAR:
                return self.first.replace(year=self.first.year + 1)

    @property
    def before(self) -> Self:
        """The period of the same length that ends where this one begins."""
        return self.around(self.first - timedelta(days=1), length=self.length)

    @property
    def after(self) -> Self:
        """The period of the same length that begins where this one ends."""
        return self.around(self.end, length=self.length)

    def contains(self, day: date) -> bool:
        """Whether the day lies in it."""
        return self.first <= day < self.end

    def same_place(self, day: date) -> date:
        """The day after the last one of the period before that lies as far in it as `day` in this one.

        Of March 30 that is the end of February: a shorter period is then compared whole.
        """
        before = self.before
        if self.length is PeriodLength.YEAR:
            is_leap_day = (day.month, day.day) == (2, 29)
            place = day.replace(year=before.first.year, day=28 if is_leap_day else day.day)
            return place + timedelta(days=1)
        return min(before.first + (day - self.first) + timedelta(days=1), before.end)


_OFFERED: Final = {PeriodLength.DAY: 14, PeriodLength.MONTH: 24, PeriodLength.YEAR: 3}


def offered_periods(today: date) -> dict[PeriodLength, list[ShownPeriod]]:
    """The days, months and years that a list offers, the running one of each first."""
    offered: dict[PeriodLength, list[ShownPeriod]] = {}
    for length, count in _OFFERED.items():
        periods = [ShownPeriod.around(today, length=length)]
        while len(periods) < count:
            periods.append(periods[-1].before)
        offered[length] = periods
    return offered
