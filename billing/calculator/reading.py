"""Reading the fields of a case: those of plan documents, and amounts, zones, dates and instants."""

import re
from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NoReturn, Self, TypeVar
from zoneinfo import ZoneInfo

from billing.catalog.domain.faults import Fault
from billing.catalog.domain.fields import Faults, Fields
from billing.rating.adjustments.discounts import Discount, DiscountType
from kernel.currencies import exponent
from kernel.decimals import parse_decimal
from kernel.errors import Invalid
from kernel.money import Money, round_amount
from kernel.period import Period, local_midnight
from kernel.zones import zone_named

T = TypeVar("T")

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
_UTC = zone_named("UTC")
_STAND_IN_DAY = date(2000, 1, 1)
_STAND_IN_INSTANT = datetime(2000, 1, 1, tzinfo=_UTC)
_STAND_IN_WINDOW = Period(_STAND_IN_INSTANT, _STAND_IN_INSTANT + timedelta(days=1))
_STAND_IN_CURRENCY = "CNY"
_ZERO = Decimal(0)
_MOST_SHOWN = 20
_OF_EVERY_CASE = ("id", "op")


class CaseFaults(Invalid):
    """A case is refused: the code is that of its first fault, the message tells all."""

    def __init__(self, faults: list[Fault]) -> None:
        shown = " ".join(fault.message for fault in faults[:_MOST_SHOWN])
        if len(faults) > _MOST_SHOWN:
            shown += f" And {len(faults) - _MOST_SHOWN} more."
        super().__init__(faults[0].code, shown, field=faults[0].path)


class Case(Fields):
    """The fields of a case, or of an object inside it. Like `Fields` it answers a stand-in where a
    field is at fault; call `finish` before any of the answers is used."""

    @classmethod
    def of(cls, value: object) -> "Case":
        return cls(value, path="", faults=Faults())

    def finish(self) -> None:
        """Refuse the case if anything is wrong with it, fields that nobody asked for included.

        Raises CaseFaults.
        """
        for name in _OF_EVERY_CASE:
            self.raw(name)
        self.refuse_unknown()
        if self._faults.found:
            raise CaseFaults(self._faults.found)

    def finish_early(self) -> NoReturn:
        """Refuse the case for what is wrong so far; fields that were not read yet may be known."""
        raise CaseFaults(self._faults.found)

    def currency(self) -> str:
        """A required ISO 4217 code."""
        if not self.has("currency"):
            self.missing("currency")
            return _STAND_IN_CURRENCY
        code = self.raw("currency")
        if not isinstance(code, str):
            self.fault("currency", "unknown_currency", "is not an ISO 4217 code; write one.")
            return _STAND_IN_CURRENCY
        if self._read("currency", lambda: exponent(code)) is None:
            return _STAND_IN_CURRENCY
        return code

    def refuse_other_currency(self, currency: str) -> None:
        """Inside a case a currency need not be said; another one than the case's is refused."""
        if self.has("currency") and self.raw("currency") != currency:
            self.fault(
                "currency",
                "currency_mismatch",
                f"is not {currency}, the currency of the case; use one currency.",
            )

    def decimal(self, name: str) -> Decimal:
        """A required decimal of either sign."""
        if not self.has(name):
            self.missing(name)
            return _ZERO
        path = self.path_of(name)
        found = self._read(name, lambda: parse_decimal(self.raw(name), field=path))
        return _ZERO if found is None else found

    def money(self, name: str, *, currency: str) -> Money:
        """A required amount that the currency can state to the last decimal."""
        amount, path = self.decimal(name), self.path_of(name)
        found = self._read(name, lambda: Money.of(amount, currency, field=path))
        return Money.zero(currency) if found is None else found

    def rounded_money(self, name: str, *, currency: str) -> Money:
        """A required exact amount, rounded as a line is."""
        amount = self.decimal(name)
        found = self._read(name, lambda: round_amount(amount, currency))
        return Money.zero(currency) if found is None else found

    def zone(self, *, is_required: bool = True) -> ZoneInfo:
        """The time zone under `timezone`; UTC where it is left out and may be."""
        if not self.has("timezone"):
            if is_required:
                self.missing("timezone")
            return _UTC
        name = self.raw("timezone")
        if not isinstance(name, str):
            self.fault("timezone", "unknown_timezone", "is not the name of an IANA time zone.")
            return _UTC
        return self._read("timezone", lambda: zone_named(name)) or _UTC

    def required_day(self, name: str) -> date:
        """A date from 1900 to 2999."""
        if not self.has(name):
            self.missing(name)
            return _STAND_IN_DAY
        day = self.day(name)
        if day is None or not self._is_in_calendar(name, day):
            return _STAND_IN_DAY
        return day

    def optional_day(self, name: str) -> date | None:
        """The same, or None where it is left out."""
        return self.required_day(name) if self.has(name) else None

    def instant(self, name: str) -> datetime:
        """A required instant with its offset, from 1900 to 2999."""
        if not self.has(name):
            self.missing(name)
            return _STAND_IN_INSTANT
        value = self.raw(name)
        match = _INSTANT.fullmatch(value) if isinstance(value, str) else None
        if match is not None and match["offset"] is None:
            self.fault(
                name, "naive_instant", "has no offset; write it as 2026-03-01T00:00:00+08:00."
            )
            return _STAND_IN_INSTANT
        try:
            instant = datetime.fromisoformat(match[0].upper()) if match else None
        except ValueError:
            instant = None
        if instant is None:
            self.fault(
                name,
                "not_an_instant",
                "is not an instant; write it as 2026-03-01T00:00:00+08:00.",
            )
            return _STAND_IN_INSTANT
        if not self._is_in_calendar(name, instant.date()):
            return _STAND_IN_INSTANT
        return instant.astimezone(_UTC)

    def window(self, name: str) -> Period:
        """The required object with `starts_at` and `ends_at`."""
        if not self.has(name):
            self.missing(name)
            return _STAND_IN_WINDOW
        bounds = self.nested(name)
        starts_at, ends_at = bounds.instant("starts_at"), bounds.instant("ends_at")
        bounds.refuse_unknown()
        if ends_at > starts_at:
            period = bounds._read("starts_at", lambda: Period(starts_at, ends_at))
            return period or _STAND_IN_WINDOW
        bounds.fault(
            "ends_at", "end_before_start", "is not after starts_at; a window ends after it starts."
        )
        return _STAND_IN_WINDOW

    def name_text(self, name: str) -> str:
        """A required name: a text that is not empty, or a whole number, read as its digits."""
        if not self.has(name):
            self.missing(name)
            return ""
        value = self.raw(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        self.fault(name, "not_a_text", "is not a text; write one of at least one character.")
        return ""

    def discounts(
        self, *, currency: str, line_keys: Collection[str] | None = None
    ) -> list[Discount]:
        """The discounts in their order; none where the field is left out.

        With `line_keys` they are for lines that they may choose by `keys`, and a fixed one is an
        amount of money; without, they are for one exact amount.
        """
        found = []
        for element, name in self.elements("discounts"):
            each = element.nested(name)
            each.refuse_other_currency(currency)
            discount = each._discount(currency=currency, line_keys=line_keys)
            each.refuse_unknown()
            if discount is not None:
                found.append(discount)
        return found

    def elements(self, name: str) -> Iterator[tuple[Self, str]]:
        """Each element of a list as a field that can be read by a name; none where the list is
        left out or empty."""
        if not self.has(name) or self.raw(name) == []:
            return
        for index, (_, value) in enumerate(self.entries(name)):
            element = f"{name}[{index}]"
            yield type(self)({element: value}, path=self.path, faults=self._faults), element

    def _discount(self, *, currency: str, line_keys: Collection[str] | None) -> Discount | None:
        faults_before = len(self._faults.found)
        if line_keys is not None and self.has("type") and self.raw("type") == DiscountType.USAGE:
            self.fault(
                "type",
                "unknown_discount_type",
                "is usage, but lines have none; write percentage or fixed, or give it with a price.",
            )
        kind = self.choice("type", DiscountType, default=None, code="unknown_discount_type")
        value = self.figure("value")
        keys = None if line_keys is None else self._chosen_keys(line_keys)
        if line_keys is not None and kind is DiscountType.FIXED:
            self.money("value", currency=currency)
        if len(self._faults.found) > faults_before:
            return None
        return self._read("value", lambda: Discount(type=kind, value=value, keys=keys))

    def _chosen_keys(self, line_keys: Collection[str]) -> frozenset[str] | None:
        if not self.has("keys"):
            return None
        chosen = set()
        for path, value in self.entries("keys"):
            if isinstance(value, str) and value in line_keys:
                chosen.add(value)
            else:
                self.fault(
                    path.removeprefix(f"{self.path}."),
                    "unknown_key",
                    "is not the key of a line; write one, or leave keys out for all lines.",
                )
        return frozenset(chosen)

    def _is_in_calendar(self, name: str, day: date) -> bool:
        return self._read(name, lambda: local_midnight(day, _UTC)) is not None

    def _read(self, name: str, reader: Callable[[], T]) -> T | None:
        """What the reader answers; None, and a fault of the field, where it refuses."""
        try:
            return reader()
        except Invalid as refusal:
            path = self.path_of(name)
            message = refusal.message
            if not message.startswith(path):
                message = f"{path}: {message}"
            self._faults.found.append(Fault(path=path, code=refusal.code, message=message))
            return None
