"""Charts: a figure is told once as values; the canvas, and the table beside it, are drawn from it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ui import formats
from ui.cells import Text

Value = int | Decimal | None


class Shape(StrEnum):
    """How the values are drawn."""

    LINE = "line"
    BAR = "bar"
    STACKED = "stacked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or one kind of bar; None is a point without a value."""

    label: Text
    values: Sequence[Value]
    texts: Sequence[str]
    """The values as people read them, in the same order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart. Raises ValueError when a series doesn't fit the points."""

    key: str
    """Unique on its page; letters, digits and dashes."""
    title: Text
    points: Sequence[str]
    points_label: Text
    series: Sequence[Series]
    shape: Shape = Shape.LINE
    ticks: Sequence[str] = ()
    """Shorter names of the points for the axis; the points themselves where there are none."""
    positions: Sequence[Value] = ()
    """Where the points lie on an axis of numbers; at equal distances where there are none."""

    def __post_init__(self) -> None:
        for series in self.series:
            if not len(series.values) == len(series.texts) == len(self.points):
                raise ValueError(f"series {series.label} doesn't fit the points of {self.key}")
        if self.positions and len(self.positions) != len(self.points):
            raise ValueError(f"the positions don't fit the points of {self.key}")

    @property
    def drawing(self) -> dict[str, Any]:
        """What the script that draws the canvas reads. A pixel needs no exact number."""
        return {
            "shape": self.shape.value,
            "points": list(self.points),
            "ticks": list(self.ticks or self.points),
            "positions": [_pixel(position) for position in self.positions],
            "series": [
                {
                    "label": str(series.label),
                    "values": [_pixel(value) for value in series.values],
                    "texts": list(series.texts),
                }
                for series in self.series
            ],
        }

    @property
    def lines(self) -> Iterator[tuple[str, list[str]]]:
        """The rows of the table beside the canvas."""
        for index, point in enumerate(self.points):
            yield point, [series.texts[index] for series in self.series]


def _pixel(value: Value) -> float | None:
    return None if value is None else float(value)


def daily_figure(
    *,
    key: str,
    title: Text,
    days: Sequence[date],
    values: Mapping[str, Mapping[date, Decimal]],
    language: str,
    shape: Shape = Shape.LINE,
) -> Figure:
    """A chart of daily values, one series a name; a day without a value is zero."""
    return Figure(
        key=key,
        title=title,
        points=[formats.date_text(day, language=language) for day in days],
        ticks=[formats.short_date_text(day, language=language) for day in days],
        points_label=_("Day"),
        series=[
            Series(
                label=name,
                values=[by_day.get(day, Decimal(0)) for day in days],
                texts=[
                    formats.quantity_text(by_day.get(day, Decimal(0)), language=language)
                    for day in days
                ],
            )
            for name, by_day in values.items()
        ],
        shape=shape,
    )


def sparkline(values: Sequence[int | Decimal], *, label: str) -> SafeString:
    """A small line without axes, as SVG: readable without scripts and in print."""
    width, height, margin = 120, 28, 2
    if not values:
        return SafeString("")
    low, high = min(values), max(values)
    spread = (high - low) or 1
    step = Decimal(width - 2 * margin) / max(1, len(values) - 1)
    points = " ".join(
        f"{margin + index * step:.1f},"
        f"{height - margin - (Decimal(value - low) / Decimal(spread)) * (height - 2 * margin):.1f}"
        for index, value in enumerate(values)
    )
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" width="{}" height="{}" role="img" '
        'aria-label="{}"><polyline points="{}"/></svg>',
        width,
        height,
        width,
        height,
        label,
        points,
    )
