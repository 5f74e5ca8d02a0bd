"""Keyed hashes: of end users, and of an event's content. Pure.

End users' ids are kept only as HMAC-SHA-256 under a key of their tenant, cut to 16 bytes. The key
comes from the master key, which is not in the database, and the tenant's salt, which is: deleting
the salt makes the hashes anonymous for good.

The digest of an event's content has a key of its own that knows no salt, so that a resend is still
told from a conflicting event after the tenant's salt was replaced.
"""

import hmac
from typing import Final
from uuid import UUID

from metering.ingest.domain.events import UsageEvent

HASH_BYTES: Final = 16


def user_key(*, master_key: bytes, salt: bytes) -> bytes:
    """The key under which a tenant's end users are hashed."""
    return hmac.digest(master_key, b"summit user id\x00" + salt, "sha256")


def digest_key(*, master_key: bytes, tenant_id: UUID) -> bytes:
    """The key of the digests of a tenant's events."""
    return hmac.digest(master_key, b"summit event digest\x00" + tenant_id.bytes, "sha256")


def user_hash(*, key: bytes, user: str) -> bytes:
    """The 16 bytes by which an end user is known."""
    # Refused ids are hashed too, also those that hold half a surrogate pair.
    return hmac.digest(key, user.encode(errors="surrogatepass"), "sha256")[:HASH_BYTES]


def content_digest(*, key: bytes, event: UsageEvent) -> bytes:
    """16 bytes that are equal for events of equal content: type, subject, instant and data.

    How the time's zone, the order of keys or a default was written makes no difference.
    """
    fields = (
        f"{event.type}\x00{event.subject}\x00{event.time.isoformat()}\x00{event.user}\x00"
        f"{event.kind}\x00{event.count}\x00"
    )
    # The fields hold no NUL, so that no two contents give the same bytes.
    return hmac.digest(key, fields.encode() + event.extra, "sha256")[:HASH_BYTES]
