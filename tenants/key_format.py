"""The form of an API key: ``smt_live_<id>_<secret>_<check>``. Pure.

A typed prefix and a checksum let scanners find leaked keys without asking us, and let us refuse a
mistyped key without a look-up; the id finds the row; the secret has 256 bits, so a plain SHA-256 of
it is enough to keep.
"""

import hashlib
import secrets
import zlib
from dataclasses import dataclass

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "smt_live"
_LETTERS = frozenset(_ALPHABET + "_")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyParts:
    public_id: str
    secret: str

    @property
    def secret_hash(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _check(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        value, digit = divmod(value, 62)
        digits = _ALPHABET[digit] + digits
    return digits


def new_key() -> tuple[str, KeyParts]:
    """A new key's text, to be shown once, and its parts."""
    parts = KeyParts(public_id=_random(12), secret=_random(43))
    body = f"{PREFIX}_{parts.public_id}_{parts.secret}"
    return f"{body}_{_check(body)}", parts


def parse_key(text: str) -> KeyParts | None:
    """The parts of a key, or None when the text can't be one (form or checksum)."""
    body, _, check = text.rpartition("_")
    pieces = body.split("_")
    if len(pieces) != 4 or "_".join(pieces[:2]) != PREFIX or _check(body) != check:
        return None
    if len(pieces[2]) != 12 or len(pieces[3]) != 43 or not _LETTERS.issuperset(body):
        return None
    return KeyParts(public_id=pieces[2], secret=pieces[3])
