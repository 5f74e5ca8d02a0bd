"""Usage as people look at it: the chart, the figures beside the period before, and the table."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Protocol

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ui import exports, formats, words
from ui.cells import Text
from ui.charts import Figure, Series, Shape
from ui.tables import wants_csv
from ui.usage_choice import Period, UsageChoice, period_label, usage_controls

MOST_SERIES: Final = 12
"""So many are drawn and tabled; the export has all."""


class Meter(Protocol):
    """What a meter must tell."""

    @property
    def key(self) -> str: ...
    @property
    def adds_up(self) -> bool: ...


class Window(Protocol):
    """An hour, day or month."""

    @property
    def starts_at(self) -> datetime: ...
    @property
    def day(self) -> date: ...
    @property
    def state(self) -> StrEnum: ...


class UsageSeries(Protocol):
    """The values of an app and combination of dimensions, one a window."""

    @property
    def app(self) -> str: ...
    @property
    def dimensions(self) -> Mapping[str, str]: ...
    @property
    def values(self) -> Sequence[Decimal | None]: ...
    @property
    def whole(self) -> Decimal | None: ...
    @property
    def before(self) -> Decimal | None: ...
    @property
    def highest(self) -> int | None: ...


class Usage(Protocol):
    """Everything that is shown."""

    @property
    def meter(self) -> Meter: ...
    @property
    def apps(self) -> Sequence[str]: ...
    @property
    def period(self) -> Period: ...
    @property
    def is_running(self) -> bool: ...
    @property
    def windows(self) -> Sequence[Window]: ...
    @property
    def series(self) -> Sequence[UsageSeries]: ...
    @property
    def has_usage(self) -> bool: ...
    @property
    def is_unknown(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A value of the period and that of the one before; `change` in percent where there was any."""

    label: Text
    value: Decimal | None
    before: Decimal | None
    change: str
    highest: str
    """The highest window and when it was; "" for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageLine:
    """A row of the table; `address` opens the window, "" where it can't be opened further."""

    label: str
    address: str
    values: Sequence[Decimal | None]
    state: str


def usage_answer(
    request: HttpRequest,
    usage: Usage,
    *,
    choice: UsageChoice,
    meters: Mapping[str, Collection[str]],
    offered: Mapping[Any, Sequence[Period]],
    name: str,
    whole: Callable[[Mapping[str, Any]], HttpResponse],
) -> HttpResponse:
    """The whole page (`whole` renders the context of `ui/_usage.html`), or what the address asks of it:
    `format=csv` the export, `part=now` the figures that fetch themselves again."""
    if wants_csv(request):
        return usage_csv(usage, name=name)
    language = get_language() or "en"
    parts = usage_parts(usage, choice=choice, language=language)
    if request.GET.get("part") == "now":
        return render(request, "ui/_usage_now.html", parts)
    controls = usage_controls(
        choice,
        meters=meters,
        apps=usage.apps,
        offered=offered,
        period=usage.period,
        language=language,
    )
    return whole({**parts, **controls})


def usage_parts(usage: Usage, *, choice: UsageChoice, language: str) -> dict[str, Any]:
    """The context of `ui/_usage.html`."""
    shown = usage.series[:MOST_SERIES]
    labels = [_window_label(usage, window, language=language) for window in usage.windows]
    return {
        "usage": usage,
        "choice": choice,
        "title": words.word("meter", usage.meter.key),
        "period_name": period_label(usage.period, language=language),
        "before_name": _before_name(usage),
        "figure": _figure(usage, shown, labels, language=language) if usage.has_usage else None,
        "comparisons": list(_comparisons(usage, shown, labels, language=language)),
        "left_out": len(usage.series) - len(shown),
        "heads": [series_label(each) for each in shown],
        "first_head": _first_head(usage),
        "table_title": _table_title(usage),
        "now_url": choice.address(period=usage.period.code) + "&part=now",
        "export_url": choice.address(period=usage.period.code) + "&format=csv",
        "lines": list(_lines(usage, shown, labels, choice=choice)),
    }


def usage_csv(usage: Usage, *, name: str) -> HttpResponse:
    """All series, a row a window: hours as instants with their offset, days as dates, months as 2026-03."""
    return exports.csv_response(
        name=f"usage-{name}-{usage.meter.key}-{usage.period.code}",
        header=[_unit(usage), *(series_label(each) for each in usage.series), "state"],
        rows=(
            [
                _window_code(usage, window),
                *(each.values[place] for each in usage.series),
                str(window.state),
            ]
            for place, window in enumerate(usage.windows)
        ),
    )


def series_label(series: UsageSeries) -> str:
    """The app and what else tells the series from others: "chat, group"."""
    return ", ".join([series.app, *series.dimensions.values()])


def _comparisons(
    usage: Usage, shown: Sequence[UsageSeries], labels: Sequence[str], *, language: str
) -> Iterator[Comparison]:
    if usage.meter.adds_up and len(usage.series) > 1:
        yield _comparison(
            _("All together"),
            sum((each.whole or Decimal(0) for each in usage.series), Decimal(0)),
            sum((each.before or Decimal(0) for each in usage.series), Decimal(0)),
            language=language,
        )
    for each in shown:
        highest = ""
        if each.highest is not None:
            value = each.values[each.highest]
            highest = _("highest: %(value)s, %(when)s") % {
                "value": formats.quantity_text(value or 0, language=language),
                "when": labels[each.highest],
            }
        yield _comparison(
            series_label(each), each.whole, each.before, highest=highest, language=language
        )


def _comparison(
    label: str,
    value: Decimal | None,
    before: Decimal | None,
    *,
    language: str,
    highest: str = "",
) -> Comparison:
    return Comparison(
        label=label,
        value=value,
        before=before,
        change=formats.change_text(before, value or Decimal(0), language=language)
        if before
        else "",
        highest=highest,
    )


def _figure(
    usage: Usage, shown: Sequence[UsageSeries], labels: Sequence[str], *, language: str
) -> Figure:
    return Figure(
        key="usage",
        title=words.word("meter", usage.meter.key),
        points=labels,
        ticks=[_tick(usage, window, language=language) for window in usage.windows],
        points_label=_first_head(usage),
        series=[
            Series(
                label=series_label(each),
                values=each.values,
                texts=[
                    "—" if value is None else formats.quantity_text(value, language=language)
                    for value in each.values
                ],
            )
            for each in shown
        ],
        shape=Shape.STACKED if usage.meter.adds_up else Shape.LINE,
    )


def _lines(
    usage: Usage,
    shown: Sequence[UsageSeries],
    labels: Sequence[str],
    *,
    choice: UsageChoice,
) -> Iterator[UsageLine]:
    """The newest window first."""
    opens = str(usage.period.length) != "day"
    for place, window in reversed(list(enumerate(usage.windows))):
        yield UsageLine(
            label=labels[place],
            address=choice.address(period=_window_code(usage, window)) if opens else "",
            values=[each.values[place] for each in shown],
            state=str(window.state),
        )


def _window_code(usage: Usage, window: Window) -> str:
    match str(usage.period.length):
        case "day":
            return window.starts_at.isoformat(timespec="minutes")
        case "month":
            return window.day.isoformat()
        case _:
            return f"{window.day:%Y-%m}"


def _window_label(usage: Usage, window: Window, *, language: str) -> str:
    match str(usage.period.length):
        case "day":
            # Where the clock is put back an hour comes twice; the offset tells them apart.
            twice = sum(
                f"{each.starts_at:%H%M}" == f"{window.starts_at:%H%M}" for each in usage.windows
            )
            return f"{window.starts_at:%H:%M}" + (f" {window.starts_at:%z}" if twice > 1 else "")
        case "month":
            return formats.date_text(window.day, language=language)
        case _:
            return formats.month_text(window.day, language=language)


def _tick(usage: Usage, window: Window, *, language: str) -> str:
    match str(usage.period.length):
        case "day":
            return f"{window.starts_at:%H:%M}"
        case "month":
            return formats.short_date_text(window.day, language=language)
        case _:
            return formats.short_month_text(window.day, language=language)


def _unit(usage: Usage) -> str:
    return {"day": "hour", "month": "day"}.get(str(usage.period.length), "month")


def _first_head(usage: Usage) -> str:
    return {"day": _("Hour"), "month": _("Day")}.get(str(usage.period.length), _("Month"))


def _table_title(usage: Usage) -> str:
    return {"day": _("By hour"), "month": _("By day")}.get(str(usage.period.length), _("By month"))


def _before_name(usage: Usage) -> str:
    """What the period is compared with."""
    match str(usage.period.length), usage.is_running:
        case "day", True:
            return _("yesterday by this time")
        case "day", False:
            return _("the day before")
        case "month", True:
            return _("the month before, to the same day")
        case "month", False:
            return _("the month before")
        case _length, is_running:
            return _("the year before, to the same day") if is_running else _("the year before")
