"""What the address chooses of usage: a meter, an app, a split and a period; and what it may choose."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Protocol, Self

from django.http import QueryDict
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from ui import formats, words
from ui.cells import Text


class Period(Protocol):
    """A day, month or year."""

    @property
    def code(self) -> str: ...
    @property
    def length(self) -> StrEnum: ...
    @property
    def first(self) -> date: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageChoice:
    """What the address chooses: a meter, an app ("" for all), a dimension by which the values are told
    apart ("" for none) and a period ("" for the newest with usage)."""

    meter: str
    app: str = ""
    by: str = ""
    period: str = ""

    @classmethod
    def read(
        cls,
        query: QueryDict,
        *,
        meters: Mapping[str, Collection[str]],
        default: str,
    ) -> Self:
        """What doesn't exist falls back to the default; `meters` names the dimensions of each."""
        meter = query.get("meter", "")
        meter = meter if meter in meters else default
        by = query.get("by", "")
        return cls(
            meter=meter,
            app=query.get("app", ""),
            by=by if by in meters[meter] else "",
            period=query.get("period", ""),
        )

    def address(self, **changes: str) -> str:
        """The query string of this choice with the changes."""
        chosen = replace(self, **changes)
        parts = {
            "meter": chosen.meter,
            "app": chosen.app,
            "by": chosen.by,
            "period": chosen.period,
        }
        return "?" + urlencode({name: value for name, value in parts.items() if value})


def period_label(period: Period, *, language: str) -> str:
    """Mar 1, 2026; March 2026; 2026."""
    match str(period.length):
        case "day":
            return formats.date_text(period.first, language=language)
        case "month":
            return formats.month_text(period.first, language=language)
        case _:
            return formats.year_text(period.first, language=language)


def usage_controls(
    choice: UsageChoice,
    *,
    meters: Mapping[str, Collection[str]],
    apps: Sequence[str],
    offered: Mapping[Any, Sequence[Period]],
    period: Period,
    language: str,
) -> dict[str, Any]:
    """The lists of `ui/_usage.html`; `offered` holds the periods by their length, and the shown one is
    added where it is not among them."""
    groups: dict[str, list[Period]] = {
        str(length): list(periods) for length, periods in offered.items()
    }
    own = groups.setdefault(str(period.length), [])
    if all(each.code != period.code for each in own):
        own.append(period)
    return {
        "meters": [(key, words.word("meter", key), key == choice.meter) for key in meters],
        "apps": [(key, key == choice.app) for key in apps],
        "dimensions": [
            (name, words.word("dimension", name), name == choice.by)
            for name in sorted(meters[choice.meter])
        ],
        "offered": [
            (
                _group_label(length),
                [
                    (each.code, period_label(each, language=language), each.code == period.code)
                    for each in periods
                ],
            )
            for length, periods in groups.items()
        ],
    }


def _group_label(length: str) -> Text:
    return {"day": _("A day by hours"), "month": _("A month by days")}.get(
        length, _("A year by months")
    )
