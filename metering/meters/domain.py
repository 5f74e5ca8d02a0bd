"""What is counted: the built-in meters and the event types that they need. Pure.

A meter is a rule from usage events to one quantity a local day. New ones are added here and
nowhere else; ingest takes the types that some meter names.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kernel.errors import Invalid

MESSAGE_SENT: Final = "message.sent"
USER_ACTIVE: Final = "user.active"


class Aggregation(StrEnum):
    """How the events of a day become its value."""

    DISTINCT_USERS = "distinct_users"
    SUM_OF_COUNTS = "sum_of_counts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """`by_kind`: whether the day's value is kept apart for each `kind` of event."""

    key: str
    event_types: frozenset[str]
    aggregation: Aggregation
    by_kind: bool


DAU: Final = Meter(
    key="dau",
    event_types=frozenset({MESSAGE_SENT, USER_ACTIVE}),
    aggregation=Aggregation.DISTINCT_USERS,
    by_kind=False,
)
"""Distinct users of an app and local day: whoever sent a message or was reported active."""

MESSAGES: Final = Meter(
    key="messages",
    event_types=frozenset({MESSAGE_SENT}),
    aggregation=Aggregation.SUM_OF_COUNTS,
    by_kind=True,
)
"""Messages sent in an app on a local day, by kind."""

METERS: Final = {each.key: each for each in (DAU, MESSAGES)}

EVENT_TYPES: Final = frozenset().union(*(each.event_types for each in METERS.values()))
"""The types of events that are taken in."""


def meter_named(key: str) -> Meter:
    """The meter of that key. Raises Invalid `unknown_meter`."""
    try:
        return METERS[key]
    except KeyError:
        raise Invalid(
            "unknown_meter",
            f"There is no meter {key[:64]!r}; take one of {', '.join(sorted(METERS))}.",
            field="meter",
            params={"meters": sorted(METERS)},
        ) from None
