"""One JSON text for equal values: keys sorted, no spaces, numbers as plain text. For hashes."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from kernel.decimals import trimmed
from kernel.errors import Invalid


def canonical_bytes(value: object) -> bytes:
    """The value as canonical JSON in UTF-8.

    Takes mappings with text keys, sequences, text, integers, bools, None, Decimal and Fraction
    (as text), dates, aware instants (in UTC) and UUIDs. Raises Invalid `not_canonical` for all
    else, floats first of all.
    """
    text = json.dumps(
        _plain(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Invalid(
            "not_canonical", "A text holds half a surrogate pair; write whole characters."
        ) from None


def sha256_hex(value: object) -> str:
    """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()


def _plain(value: object) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case Decimal() if value.is_finite():
            return format(trimmed(value), "f")
        case Fraction():
            return f"{value.numerator}/{value.denominator}"
        case datetime() if value.tzinfo is not None:
            return value.astimezone(UTC).isoformat()
        case date() if not isinstance(value, datetime):
            return value.isoformat()
        case UUID():
            return str(value)
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            raise Invalid("not_canonical", f"A {type(value).__name__} has no canonical form.")
