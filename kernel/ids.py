"""Ids: time-ordered UUIDs inside, prefixed short texts outside (`inv_01KxQ…`).

Time order keeps index inserts at the right edge of the tree and gives lists a natural order.
"""

import os
import threading
from typing import Final
from uuid import UUID

from kernel import clock
from kernel.errors import Invalid

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = {character: value for value, character in enumerate(_ALPHABET)}
_TEXT_LENGTH: Final = 22  # 62**22 > 2**128
_COUNTER_BITS: Final = 12
_COUNTER_LIMIT: Final = 1 << _COUNTER_BITS

_lock = threading.Lock()
_last_milliseconds = 0
_counter = 0


def new_id() -> UUID:
    """A new UUID of version 7 (RFC 9562): milliseconds, a counter, 62 random bits.

    Later ids of one process are always greater, also within a millisecond and when the machine's
    clock steps back.
    """
    global _last_milliseconds, _counter
    random = int.from_bytes(os.urandom(10), "big")
    with _lock:
        milliseconds = clock.wall_milliseconds()
        if milliseconds > _last_milliseconds:
            _last_milliseconds = milliseconds
            # Starts in the lower half, so that a burst has room before it borrows from the future.
            _counter = random >> 69
        else:
            _counter += 1
            if _counter == _COUNTER_LIMIT:
                _last_milliseconds += 1
                _counter = 0
        milliseconds, counter = _last_milliseconds, _counter
    random_tail = random & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62 | random_tail)


def encode_base62(number: int) -> str:
    """A number of up to 128 bits as 22 characters whose text order is the numbers' order."""
    if not 0 <= number < 1 << 128:
        raise Invalid("invalid_id", "An id is a number of up to 128 bits.", field="id")
    characters = []
    for _ in range(_TEXT_LENGTH):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))


def decode_base62(text: str) -> int:
    """The number of `encode_base62`. Raises Invalid `invalid_id`."""
    number = 0
    if len(text) != _TEXT_LENGTH:
        raise _invalid_id()
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise _invalid_id()
        number = number * 62 + digit
    if number >= 1 << 128:
        raise _invalid_id()
    return number


def public_id(prefix: str, uuid: UUID) -> str:
    """The UUID as interfaces show it: public_id("inv", …) is "inv_" and 22 characters."""
    return f"{prefix}_{encode_base62(uuid.int)}"


def parse_public_id(text: str, *, prefix: str) -> UUID:
    """The UUID behind a public id of that prefix. Raises Invalid `invalid_id`."""
    found, separator, encoded = text.rpartition("_")
    if not separator or found != prefix:
        raise Invalid(
            "invalid_id",
            f"The id doesn't begin with {prefix}_; copy it as it was given.",
            field="id",
            params={"prefix": prefix},
        )
    return UUID(int=decode_base62(encoded))


def _invalid_id() -> Invalid:
    return Invalid("invalid_id", "The id is not well formed; copy it as it was given.", field="id")
