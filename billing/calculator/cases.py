"""Cases: read from JSON, answered one by one, in their order.

A case that can't be answered is refused by itself, with a code and a message that names the field;
its neighbours are answered. So NaN, a key that stands twice or a number of a thousand digits spoil
only the case that holds them, although JSON readers stumble over the whole text.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from billing.calculator.aggregate import aggregate
from billing.calculator.allocate import allocate
from billing.calculator.invoice import invoice
from billing.calculator.periods import periods
from billing.calculator.price import price
from billing.calculator.prorate import prorate
from billing.calculator.reading import Case
from kernel.errors import DomainError, Invalid

Answer = dict[str, object]

OPERATIONS: Final[Mapping[str, Callable[[Case], Answer]]] = {
    "price": price,
    "periods": periods,
    "prorate": prorate,
    "aggregate": aggregate,
    "invoice": invoice,
    "allocate": allocate,
}

_LONGEST_NUMBER = 64
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCase:
    """A case that is refused before its fields are read."""

    id: object
    refusal: Invalid


def read_cases(text: bytes) -> list[object]:
    """The cases of a JSON text that is one case or a list of them; what can't be a case too.

    Raises Invalid `not_json`.
    """
    reader = _Reader()
    content = reader.read(text)
    cases = content if isinstance(content, list) else [content]
    if reader.found_duplicates:
        return [_refused_with_duplicates(case) for case in cases]
    return cases


def answer(case: object) -> Answer:
    """The case's `id`, and its result or an `error` with a stable code and a message."""
    echoed: Answer = {"id": None}
    try:
        if isinstance(case, RefusedCase):
            echoed["id"] = _checked_id(case.id)
            raise case.refusal
        if not isinstance(case, Mapping):
            raise Invalid("not_an_object", "The case is not an object; write { … }.")
        echoed["id"] = _checked_id(case.get("id"))
        return echoed | _operation_of(case)(Case.of(case))
    except DomainError as error:
        return echoed | {"error": {"code": error.code, "message": error.message}}


def _checked_id(value: object) -> str | int | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Invalid("not_an_id", "id is neither a text nor a whole number; write one of them.")


def _operation_of(case: Mapping[str, object]) -> Callable[[Case], Answer]:
    name = case.get("op")
    if name is None:
        raise Invalid("missing", f"op is missing; write one of {', '.join(OPERATIONS)}.")
    if isinstance(name, str) and name in OPERATIONS:
        return OPERATIONS[name]
    raise Invalid("unknown_op", f"op is none of {', '.join(OPERATIONS)}; write one of them.")


class _WithDuplicate(dict[str, Any]):
    """An object of which a key stands twice in the text; it keeps the first."""

    duplicate = ""


class _Reader:
    """Reads JSON without losing a digit, and leaves to the cases what is wrong with them."""

    def __init__(self) -> None:
        self.found_duplicates = False

    def read(self, text: bytes) -> Any:
        try:
            return json.loads(
                text.decode("utf-8-sig"),
                parse_int=_whole_number,
                parse_float=_decimal,
                parse_constant=Decimal,
                object_pairs_hook=self._object_of,
            )
        except json.JSONDecodeError as error:
            raise Invalid(
                "not_json",
                f"The input is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            ) from None
        except UnicodeDecodeError:
            raise Invalid("not_json", "The input is not UTF-8; save it as UTF-8.") from None
        except RecursionError:
            raise Invalid("not_json", "The input nests too deep.") from None

    def _object_of(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        self.found_duplicates = True
        kept = _WithDuplicate()
        for key, item in pairs:
            if key in kept:
                kept.duplicate = key
            else:
                kept[key] = item
        return kept


def _whole_number(text: str) -> int | str:
    # Far longer than any figure may be; as a text it is refused where it stands.
    return int(text) if len(text) <= _LONGEST_NUMBER else text


def _decimal(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except ArithmeticError:
        # An exponent beyond what even Decimal holds.
        return text


def _refused_with_duplicates(case: object) -> object:
    open_values = [case]
    while open_values:
        value = open_values.pop()
        if isinstance(value, _WithDuplicate):
            key = value.duplicate[:_SHOWN]
            return RefusedCase(
                id=case.get("id") if isinstance(case, Mapping) else None,
                refusal=Invalid(
                    "duplicate_key", f"The key {key!r} stands twice in one object; keep one."
                ),
            )
        if isinstance(value, Mapping):
            open_values.extend(value.values())
        elif isinstance(value, list):
            open_values.extend(value)
    return case
