"""The life of a fapiao. Pure.

A blue one: requested → submitted → issued, or failed. A red one: requested → submitted → confirmed (by
the other side, where the platform wants that) → issued, or failed. What failed stays as it is; who tries
again makes a new request with a new id. There is no cancellation of an issued one.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class FapiaoColor(StrEnum):
    """Whether it bills or takes back."""

    BLUE = "blue"
    RED = "red"


class FapiaoKind(StrEnum):
    """What the buyer may do with it."""

    SPECIAL = "special"
    """增值税专用发票: its tax can be deducted."""
    ORDINARY = "ordinary"
    """普通发票."""


class BuyerType(StrEnum):
    """Who the buyer is; the platform wants it told."""

    ORGANISATION = "organisation"
    PERSON = "person"


class RedReason(StrEnum):
    """Why a fapiao is taken back; the platform knows these only."""

    ISSUED_IN_ERROR = "issued_in_error"
    GOODS_RETURNED = "goods_returned"
    SERVICE_ENDED = "service_ended"
    DISCOUNT = "discount"


class FapiaoState(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    SUBMITTED = "submitted"
    CONFIRMED = "confirmed"
    ISSUED = "issued"
    FAILED = "failed"


_NEXT: Final[Mapping[FapiaoState, frozenset[FapiaoState]]] = {
    FapiaoState.REQUESTED: frozenset({FapiaoState.SUBMITTED, FapiaoState.FAILED}),
    # The platform may tell the end at once, and of a blue one there is no confirmation.
    FapiaoState.SUBMITTED: frozenset(
        {FapiaoState.CONFIRMED, FapiaoState.ISSUED, FapiaoState.FAILED}
    ),
    FapiaoState.CONFIRMED: frozenset({FapiaoState.ISSUED, FapiaoState.FAILED}),
    FapiaoState.ISSUED: frozenset(),
    FapiaoState.FAILED: frozenset(),
}

LIVING: Final = frozenset(FapiaoState) - {FapiaoState.FAILED}
"""What a request in these states asks for can't be asked for again."""
PENDING: Final = LIVING - {FapiaoState.ISSUED}
"""The platform has still to be asked."""


def may_follow(state: FapiaoState, following: FapiaoState) -> bool:
    """Whether a request may go from the one state to the other."""
    return following in _NEXT[state]
