"""The fields of a story's step, each read in its form or refused by name. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from kernel.decimals import parse_decimal
from kernel.errors import Invalid

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


_YEARS: Final = range(1901, 2999)
"""Those in which periods are reckoned (`kernel.period`), less one at each end for other zones."""


class Fields(Mapping[str, Any]):
    """The fields of a step, and which of them nobody has asked for yet."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.unread = set(map(str, values))

    def __getitem__(self, name: str) -> Any:
        self.unread.discard(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def text(values: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = values.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or not value:
        raise Invalid("missing" if value is None else "not_a_text", ask(name, "a text"), field=name)
    return value


def choice(
    values: Mapping[str, Any], name: str, known: Sequence[str], *, default: str | None = None
) -> str:
    value = text(values, name, default=default)
    if value not in known:
        raise Invalid(f"unknown_{name}", ask(name, f"one of {', '.join(known)}"), field=name)
    return value


def decimal(values: Mapping[str, Any], name: str) -> Decimal:
    if name not in values:
        raise Invalid("missing", ask(name, "a decimal in a text"), field=name)
    return parse_decimal(values[name], field=name)


def place(values: Mapping[str, Any], name: str) -> int:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Invalid("not_a_place", ask(name, "a whole number from 1"), field=name)
    return value


def whole(values: Mapping[str, Any], name: str, *, default: int) -> int:
    value = values.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Invalid("not_whole", ask(name, "a whole number"), field=name)
    return value


def instant(values: Mapping[str, Any], name: str) -> datetime:
    written = text(values, name)
    try:
        read = datetime.fromisoformat(written)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise Invalid(
            "not_an_instant",
            ask(name, "an instant with an offset, such as 2026-03-01T00:00:00+08:00"),
            field=name,
        )
    _check_year(read.year, name)
    return read


def day(values: Mapping[str, Any], name: str) -> date:
    written = text(values, name)
    try:
        read = date.fromisoformat(written) if _DATE.fullmatch(written) else None
    except ValueError:
        read = None
    if read is None:
        raise Invalid("not_a_date", ask(name, "a date such as 2026-03-01"), field=name)
    _check_year(read.year, name)
    return read


def _check_year(year: int, name: str) -> None:
    if year not in _YEARS:
        raise Invalid(
            "date_out_of_range",
            f"{name} is not in the years {_YEARS[0]} to {_YEARS[-1]}; check it.",
            field=name,
        )


def objects(values: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = values.get(name)
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise Invalid("not_a_list", ask(name, "a list of objects"), field=name)
    return value


def ask(name: str, what: str) -> str:
    return f"{name} is missing or of another form; write {what}."
