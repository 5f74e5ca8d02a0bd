"""States of a mail, when it may go again, and who gets a tenant's documents. Pure."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

from kernel.errors import Invalid

MOST_ADDRESSES: Final = 20
_ADDRESS: Final = re.compile(
    r"[^\s@<>\",;:\\\[\]()]{1,64}@[^\s@<>\",;:\\\[\]()]{1,189}\.[^\s@.]{2,}"
)


class MailState(StrEnum):
    """What is known of one mail.

    `sent`: the server took it. `uncertain`: the call ended without a word, or its process did, so it may
    have gone out or not; nobody but a person sends it again.
    """

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


_AFTER: Final[Mapping[MailState, frozenset[MailState]]] = {
    MailState.WAITING: frozenset({MailState.SENDING, MailState.FAILED}),
    # A provider's word of its delivery may come before our record of its answer.
    MailState.SENDING: frozenset(MailState) - {MailState.SENDING},
    MailState.SENT: frozenset({MailState.DELIVERED, MailState.BOUNCED, MailState.WAITING}),
    MailState.DELIVERED: frozenset({MailState.BOUNCED, MailState.WAITING}),
    MailState.BOUNCED: frozenset({MailState.DELIVERED, MailState.WAITING}),
    MailState.UNCERTAIN: frozenset(
        {MailState.SENT, MailState.DELIVERED, MailState.BOUNCED, MailState.WAITING}
    ),
    MailState.FAILED: frozenset({MailState.WAITING}),
}
"""To `waiting` only a person brings it, but from `sending`: there the server said to come later."""

UNDER_WAY: Final = frozenset({MailState.WAITING, MailState.SENDING})
TROUBLED: Final = (MailState.FAILED, MailState.UNCERTAIN, MailState.BOUNCED)
"""What a person should look at."""


def states_before(state: MailState) -> list[str]:
    """The states from which a mail may come into this one."""
    return sorted(each.value for each, after in _AFTER.items() if state in after)


def message_id(*, mail_id: UUID, copy: int, domain: str) -> str:
    """The same at each try of a copy, so that a mailbox that has it already can tell (RFC 5322, 3.6.4)."""
    return f"<{mail_id.hex}.{copy}@{domain}>"


def next_copy(*, state: MailState, copy: int) -> int:
    """The copy that a person's order sends. An uncertain one is the same message, which may not be there
    yet; what is known to have left, or to have been refused, goes as another."""
    return copy if state is MailState.UNCERTAIN else copy + 1


def recipients_given(addresses: Iterable[str]) -> list[str]:
    """The addresses as they are kept: trimmed, each once.

    Raises Invalid `invalid_mail_address`, `too_many_mail_addresses`.
    """
    kept: dict[str, str] = {}
    for each in addresses:
        address = each.strip()
        if not address:
            continue
        if len(address) > 254 or not _ADDRESS.fullmatch(address):
            raise Invalid(
                "invalid_mail_address",
                f"{address[:80]!r} is no e-mail address; write one such as billing@example.com.",
                field="addresses",
                params={"address": address[:80]},
            )
        kept.setdefault(address.lower(), address)
    if len(kept) > MOST_ADDRESSES:
        raise Invalid(
            "too_many_mail_addresses",
            f"At most {MOST_ADDRESSES} addresses get the documents; use a list's address instead.",
            field="addresses",
            params={"most": MOST_ADDRESSES},
        )
    return list(kept.values())
