"""What a carrier of mail must do. Plain values in and out."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from kernel.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMail:
    """A message to one address with one file."""

    message_id: str
    sender: str
    to: str = field(repr=False)
    subject: str
    text: str
    html: str
    filename: str
    media_type: str
    content: bytes = field(repr=False)
    metadata: dict[str, str]
    """What a provider gives back with its word of a delivery."""


class Verdict(StrEnum):
    """How a call came out; only `later` may be tried again by itself."""

    TAKEN = "taken"
    REFUSED = "refused"
    LATER = "later"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`code` and `detail` say why it was not taken; `provider_id` names it at a provider."""

    verdict: Verdict
    code: str = ""
    detail: str = ""
    provider_id: str = ""


class MailServerUnavailable(Unavailable):
    """No connection came about, so nothing left."""


class Carrier(Protocol):
    """Inside `connected`, each `carry` goes over the same connection where that holds."""

    def connected(self) -> AbstractContextManager[None]:
        """Raises MailServerUnavailable."""
        ...

    def carry(self, mail: OutgoingMail) -> Answer:
        """Raises MailServerUnavailable where the connection broke before and none comes about."""
        ...
