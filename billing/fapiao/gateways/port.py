"""What the services ask of the tax platform, and how it can fail. Plain values only.

A refusal ends a request; an unknown outcome (a timeout, a broken connection, a server error, also after
the platform had done it) never does: the same request is sent again under the same id, of which the
platform makes one fapiao however often it comes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

from kernel.errors import Conflict, Unavailable


class PlatformState(StrEnum):
    """What the platform says of a request."""

    UNKNOWN = "unknown"
    """It never came there."""
    PROCESSING = "processing"
    CONFIRMED = "confirmed"
    """Of a red one: the other side agreed, or need not."""
    ISSUED = "issued"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformAnswer:
    """`number`, `issued_on` and `files` (bytes by media type) are there once it is issued, `code` and
    `detail` where it failed."""

    state: PlatformState
    number: str = ""
    issued_on: date | None = None
    confirmation: str = ""
    files: Mapping[str, bytes] | None = None
    code: str = ""
    detail: str = ""


class PlatformRefused(Conflict):
    """The platform will not do it, however often it is asked; the code is its own."""


class PlatformUnavailable(Unavailable):
    """It may or may not have done it: `tax_platform_unavailable`."""


class TaxPlatform(Protocol):
    """A tax platform, or a provider before it."""

    def submit(self, *, request_id: str, color: str, document: Mapping[str, Any]) -> None:
        """Ask for a fapiao; again with the same id is no second one. Raises PlatformRefused,
        PlatformUnavailable."""
        ...

    def look(self, *, request_id: str) -> PlatformAnswer:
        """What became of a request. Raises PlatformUnavailable."""
        ...
