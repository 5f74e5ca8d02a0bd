"""JSON from outside: read without losing anything or guessing."""

import json
from decimal import Decimal
from typing import Any, NoReturn

from kernel.errors import Invalid

_SHOWN = 40


def parse_json(text: str | bytes) -> Any:
    """The value that the JSON text holds; numbers with decimals become Decimal, never floats.

    Raises Invalid `not_json` (also for NaN and Infinity, which JSON doesn't know, and for nesting
    that is too deep) and `duplicate_key` for a key that one object holds twice.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        return json.loads(
            decoded,
            parse_float=_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object_of,
        )
    except json.JSONDecodeError as error:
        raise Invalid(
            "not_json",
            f"The text is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            params={"line": error.lineno, "column": error.colno},
        ) from None
    except UnicodeDecodeError:
        raise Invalid("not_json", "The text is not UTF-8; save it as UTF-8.") from None
    except (RecursionError, ValueError):
        # Python refuses integers of thousands of digits with a bare ValueError.
        raise Invalid(
            "not_json", "The JSON nests too deep or holds a number that is too long."
        ) from None


def _decimal(text: str) -> Decimal:
    if len(text) > _SHOWN:
        raise Invalid(
            "not_json",
            f"The number {text[:_SHOWN]}… is too long; write at most {_SHOWN} characters.",
        )
    return Decimal(text)


def _refuse_constant(name: str) -> NoReturn:
    raise Invalid("not_json", f'{name} is not JSON; write a number as text, such as "12.50".')


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, item in pairs:
        if key in value:
            raise Invalid(
                "duplicate_key",
                f"The key {key[:_SHOWN]!r} stands twice in one object; keep one.",
                field=key[:_SHOWN],
            )
        value[key] = item
    return value
