"""An event's identity, the digest of its content, and the keyed hashes of end users. Pure.

End users' ids are kept only as HMAC-SHA-256 under a key of their tenant, cut to 16 bytes. The key
comes from the master key, which is not in the database, and the tenant's salt, which is: deleting
the salt makes the hashes anonymous for good.

The digest of an event's content has a key of its own that knows no salt, so that a resend is still
told from a conflicting event after the tenant's salt was replaced. The identity has no key at all,
so that an event is known again whatever key is replaced.

All three are 16 bytes and are carried as 32 hex digits, which is how they travel to the database.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from metering.ingest.domain.events import UsageEvent

HASH_BYTES: Final = 16
_HEX_DIGITS: Final = 2 * HASH_BYTES
_BLOCK_BYTES: Final = 64  # of SHA-256
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_packed = msgspec.msgpack.Encoder().encode


def user_key(*, master_key: bytes, salt: bytes) -> bytes:
    """The key under which a tenant's end users are hashed."""
    return hmac.digest(master_key, b"summit user id\x00" + salt, "sha256")


def digest_key(*, master_key: bytes, tenant_id: UUID) -> bytes:
    """The key of the digests of a tenant's events."""
    return hmac.digest(master_key, b"summit event digest\x00" + tenant_id.bytes, "sha256")


def user_hasher(key: bytes) -> Callable[[str], bytes]:
    """The function that gives the 16 bytes by which an end user is known.

    It is HMAC-SHA-256 written out (RFC 2104): the key's two blocks are made once, and two plain
    hashes take a third of the time of the library's call.
    """
    if len(key) > _BLOCK_BYTES:
        raise ValueError("a key of a tenant has 32 bytes")
    block = key.ljust(_BLOCK_BYTES, b"\x00")
    inner, outer = block.translate(_INNER), block.translate(_OUTER)
    sha256 = hashlib.sha256

    def hash_of(user: str) -> bytes:
        # Refused ids are hashed too, also those that hold half a surrogate pair.
        told = user.encode(errors="surrogatepass")
        return sha256(outer + sha256(inner + told).digest()).digest()[:HASH_BYTES]

    return hash_of


def user_hash(*, key: bytes, user: str) -> bytes:
    """The 16 bytes by which an end user is known."""
    return user_hasher(key)(user)


def event_identity(*, source: str, event_id: str) -> str:
    """The identity of an event within its tenant; the same text in the database is
    ``sha256(convert_to(source) || '\\x00' || convert_to(event_id))``, cut."""
    return event_identities(source=source, event_ids=[event_id])[0]


def event_identities(*, source: str, event_ids: Iterable[str]) -> list[str]:
    """The identities of many events of one source, in their order."""
    # Neither text holds NUL, so that no two pairs give the same bytes.
    begin, sha256 = source.encode() + b"\x00", hashlib.sha256
    return [sha256(begin + event_id.encode()).hexdigest()[:_HEX_DIGITS] for event_id in event_ids]


def content_digester(key: bytes) -> Callable[..., str]:
    """The function that gives a digest that is equal for events of equal content.

    Its arguments are type, subject, instant, user, kind, count and `UsageEvent.extra`, in this order.
    How the time's zone, the order of keys or a default was written makes no difference.
    """
    begun = hashlib.blake2b(key=key, digest_size=HASH_BYTES)

    def digest_of(*content: str | int | bytes | datetime) -> str:
        digest = begun.copy()
        # Each field carries its type and length, so that no two contents give the same bytes; an
        # instant is its distance from 1970, whatever its zone.
        digest.update(_packed(content))
        return digest.hexdigest()

    return digest_of


def content_digest(*, key: bytes, event: UsageEvent) -> str:
    """The digest of one event's content."""
    return content_digester(key)(*content_of(event))


def content_of(event: UsageEvent) -> tuple[str, str, datetime, str, str, int, bytes]:
    """What of an event its digest is taken of."""
    return (
        event.type,
        event.subject,
        event.time,
        event.user,
        event.kind,
        event.count,
        event.extra,
    )


def former_digest(
    key: bytes,
    *content: str | int | bytes | datetime,
) -> str:
    """The digest of the same content as events were stored with before; see `content_digester`.

    Theirs are known for as long as events are: 400 days.
    """
    *fields, extra = content
    told = b"".join(
        (field.isoformat() if isinstance(field, datetime) else str(field)).encode() + b"\x00"
        for field in fields
        if not isinstance(field, bytes)
    )
    whole = told + extra if isinstance(extra, bytes) else told
    return hmac.digest(key, whole, "sha256")[:HASH_BYTES].hex()
