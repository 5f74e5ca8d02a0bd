"""Reading the fields of a JSON object, one by one, while collecting every fault.

A reader answers a harmless stand-in where its field is at fault, so that reading goes on to the
next fault. What was read may be used only if no fault was collected.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Self, TypeVar

from billing.catalog.domain.faults import Fault
from kernel.decimals import parse_decimal
from kernel.durations import parse_duration
from kernel.errors import Invalid

E = TypeVar("E", bound=StrEnum)

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_TEXT = 200
_SHOWN = 40


class Faults:
    """The faults found so far, in document order."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, path: str, code: str, message: str) -> None:
        """`message` goes on after the path: "is negative; write zero or more."."""
        where = path or "The plan"
        self.found.append(Fault(path=path, code=code, message=f"{where} {message}"))

    def add_refusal(self, path: str, refusal: Invalid) -> None:
        """A refusal of the kernel, whose message names the path already."""
        self.found.append(Fault(path=path, code=refusal.code, message=refusal.message))


class Fields:
    """The fields of one object of the document, each to be read once; see the module's text."""

    def __init__(self, value: object, *, path: str, faults: Faults) -> None:
        self.path = path
        self._faults = faults
        self._known: set[str] = set()
        self._values: dict[object, object] = {}
        self.is_object = isinstance(value, Mapping)
        if isinstance(value, Mapping):
            self._values = dict(value)
        else:
            faults.add(path, "not_an_object", "is not an object; write { … }.")

    def path_of(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def fault(self, name: str, code: str, message: str) -> None:
        self._faults.add(self.path_of(name), code, message)

    def is_at_fault(self, name: str) -> bool:
        """Whether a fault of the field, or of the object in it, was found."""
        path = self.path_of(name)
        return any(fault.path == path for fault in self._faults.found)

    def has(self, name: str) -> bool:
        """Whether the field is there; null counts as left out."""
        self._known.add(name)
        return self._values.get(name) is not None

    def raw(self, name: str) -> object:
        """The field as it stands; None where it is left out."""
        self._known.add(name)
        return self._values.get(name)

    def refuse_unknown(self) -> None:
        """A fault for every field that nobody asked for. Call it after all reading."""
        if not self.is_object:
            return
        for name in self._values:
            if name not in self._known:
                is_shown = isinstance(name, str) and is_plain_text(name)
                shown = str(name) if is_shown else ascii(name)
                self.fault(
                    shown[:_SHOWN],
                    "unknown_field",
                    "is not a field that is known here; remove it or correct its name.",
                )

    def refuse(self, name: str, code: str, message: str) -> None:
        """A fault if the field is there."""
        if self.has(name):
            self.fault(name, code, message)

    def missing(self, name: str) -> None:
        # An object that is none has its one fault already.
        if self.is_object:
            self.fault(name, "missing", "is missing; give it.")

    def key(self, name: str, *, default: str | None = None) -> str:
        """A key: letters, digits, `_`, `-`, `.`, at most 100 characters."""
        if not self.has(name):
            if default is None:
                self.missing(name)
            return default or ""
        value = self.raw(name)
        if isinstance(value, str) and _KEY.fullmatch(value):
            return value
        self.fault(
            name,
            "not_a_key",
            "is not a key; write letters, digits, _, - and dots, starting with a letter or digit, "
            "at most 100 characters.",
        )
        return default or ""

    def text(self, name: str) -> str:
        """A required text of 1 to 200 characters."""
        if not self.has(name):
            self.missing(name)
            return ""
        value = self.raw(name)
        if isinstance(value, str) and is_plain_text(value):
            return value
        self.fault(name, "not_a_text", f"is not a text of 1 to {_LONGEST_TEXT} characters.")
        return ""

    def figure(
        self, name: str, *, default: Decimal | None = None, above_zero: bool = False
    ) -> Decimal:
        """A decimal of at least zero (or above zero); required without a default."""
        stand_in = Decimal(1) if default is None else default
        if not self.has(name):
            if default is None:
                self.missing(name)
            return stand_in
        try:
            figure = parse_decimal(self.raw(name), field=self.path_of(name))
        except Invalid as refusal:
            self._faults.add_refusal(self.path_of(name), refusal)
            return stand_in
        if figure < 0:
            self.fault(name, "negative", "is negative; write zero or more.")
            return stand_in
        if above_zero and figure == 0:
            self.fault(name, "not_positive", "is zero; write more than zero.")
            return stand_in
        return figure

    def optional_figure(self, name: str) -> Decimal | None:
        """A decimal of at least zero, or None where the field is left out."""
        return self.figure(name, default=Decimal(0)) if self.has(name) else None

    def whole_number(self, name: str, *, default: int | None, lowest: int, highest: int) -> int:
        """An integer, as a number or a text, between the bounds; required without a default."""
        stand_in = lowest if default is None else default
        if not self.has(name):
            if default is None:
                self.missing(name)
            return stand_in
        value = self.raw(name)
        if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        self.fault(
            name,
            "not_a_whole_number",
            f"is not a whole number from {lowest} to {highest}; write one.",
        )
        return stand_in

    def flag(self, name: str, *, default: bool) -> bool:
        """true or false."""
        if not self.has(name):
            return default
        value = self.raw(name)
        if isinstance(value, bool):
            return value
        self.fault(name, "not_a_flag", "is neither true nor false; write one of them.")
        return default

    def choice(
        self, name: str, choices: type[E], *, default: E | None, code: str = "unknown_choice"
    ) -> E:
        """One word of a closed set; required without a default."""
        stand_in = next(iter(choices)) if default is None else default
        if not self.has(name):
            if default is None:
                self.missing(name)
            return stand_in
        value = self.raw(name)
        if isinstance(value, str) and value in list(choices):
            return choices(value)
        words = ", ".join(choices)
        self.fault(name, code, f"is none of {words}; write one of them.")
        return stand_in

    def day(self, name: str) -> date | None:
        """A date, or None where the field is left out."""
        if not self.has(name):
            return None
        value = self.raw(name)
        if isinstance(value, str) and _DAY.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self.fault(name, "not_a_date", "is not a date; write it as 2026-03-20.")
        return None

    def duration(self, name: str) -> timedelta | None:
        """A duration, or None where the field is left out."""
        if not self.has(name):
            return None
        try:
            return parse_duration(self.raw(name), field=self.path_of(name))
        except Invalid as refusal:
            self._faults.add_refusal(self.path_of(name), refusal)
            return None

    def nested(self, name: str) -> Self:
        """The object that the field holds."""
        return type(self)(self.raw(name), path=self.path_of(name), faults=self._faults)

    def items(self, name: str) -> Iterator[Self]:
        """The objects of the list that the field holds; at least one."""
        for path, value in self.entries(name):
            yield type(self)(value, path=path, faults=self._faults)

    def entries(self, name: str) -> list[tuple[str, object]]:
        """The values of the list that the field holds, with their paths; at least one."""
        if not self.has(name):
            self.missing(name)
            return []
        value = self.raw(name)
        if not isinstance(value, list | tuple):
            self.fault(name, "not_a_list", "is not a list; write [ … ].")
            return []
        if not value:
            self.fault(name, "missing", "is empty; give at least one entry.")
        return [(f"{self.path_of(name)}[{index}]", each) for index, each in enumerate(value)]

    def names(self) -> list[str]:
        """All names of the object, each counted as known; for objects with names of one's own."""
        found = []
        for name in self._values:
            if isinstance(name, str) and is_plain_text(name):
                found.append(name)
                self._known.add(name)
        return found


def is_plain_text(value: str) -> bool:
    """1 to 200 characters, no control characters, no half of a surrogate pair."""
    return 0 < len(value) <= _LONGEST_TEXT and value.strip() != "" and value.isprintable()
