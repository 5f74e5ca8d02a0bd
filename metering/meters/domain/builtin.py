"""The meters that come with Summit, and the event types that they need. Pure.

Their keys are stable: plans, usage and the API name them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from kernel.dimensions import DIMENSIONS
from kernel.errors import Invalid
from metering.meters.domain.meter import Aggregation, Identity, Meter, MeterVersion

MESSAGE_SENT: Final = "message.sent"
USER_ACTIVE: Final = "user.active"
USER_LOGIN: Final = "user.login"
API_CALLED: Final = "api.called"
CONNECTIONS_MEASURED: Final = "connections.measured"
GROUPS_MEASURED: Final = "groups.measured"
USERS_MEASURED: Final = "users.measured"
STORAGE_MEASURED: Final = "storage.measured"

_WHERE: Final = frozenset({"region", "deployment"})


def _of(*event_types: str) -> tuple[MeterVersion, ...]:
    return (MeterVersion(event_types=frozenset(event_types)),)


DAU: Final = Meter(
    key="dau",
    versions=_of(MESSAGE_SENT, USER_ACTIVE, USER_LOGIN),
    aggregation=Aggregation.DISTINCT,
    is_builtin=True,
)
"""Distinct users of an app and local day: whoever logged in, sent a message or was reported active."""

MAU: Final = Meter(
    key="mau",
    versions=DAU.versions,
    aggregation=Aggregation.DISTINCT,
    marked_as=DAU.key,
    is_builtin=True,
)
"""The same users, for prices on the distinct users of a period (`period_aggregation` distinct)."""

MESSAGES: Final = Meter(
    key="messages",
    versions=_of(MESSAGE_SENT),
    aggregation=Aggregation.SUM,
    dimensions=frozenset({"kind", "direction"}) | _WHERE,
    is_builtin=True,
)
"""Messages of a local day, by kind (single, group, chat_room, push, system), direction (up, down),
region and deployment, as far as the events tell them."""

LOGINS: Final = Meter(
    key="logins",
    versions=_of(USER_LOGIN),
    aggregation=Aggregation.SUM,
    dimensions=_WHERE,
    is_builtin=True,
)
API_CALLS: Final = Meter(
    key="api_calls",
    versions=_of(API_CALLED),
    aggregation=Aggregation.SUM,
    dimensions=_WHERE | {"kind"},
    is_builtin=True,
)
PEAK_CONNECTIONS: Final = Meter(
    key="peak_connections",
    versions=_of(CONNECTIONS_MEASURED),
    aggregation=Aggregation.MAX,
    dimensions=_WHERE,
    is_builtin=True,
)
"""The most connections at once that were measured on a local day."""

GROUPS: Final = Meter(
    key="groups",
    versions=_of(GROUPS_MEASURED),
    aggregation=Aggregation.LATEST,
    dimensions=_WHERE,
    is_builtin=True,
)
REGISTERED_USERS: Final = Meter(
    key="registered_users",
    versions=_of(USERS_MEASURED),
    aggregation=Aggregation.LATEST,
    dimensions=_WHERE,
    is_builtin=True,
)
STORAGE: Final = Meter(
    key="storage",
    versions=_of(STORAGE_MEASURED),
    aggregation=Aggregation.LATEST,
    dimensions=_WHERE | {"kind"},
    is_builtin=True,
)
"""What is stored, in the unit that the sender reports."""

METERS: Final[Mapping[str, Meter]] = {
    each.key: each
    for each in (
        DAU,
        MAU,
        MESSAGES,
        LOGINS,
        PEAK_CONNECTIONS,
        GROUPS,
        REGISTERED_USERS,
        STORAGE,
        API_CALLS,
    )
}

ACTIVE_USERS: Final = DAU.key
"""The key under which daily active users are marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTypes:
    """The types of events that are taken in, and what each must tell besides."""

    known: frozenset[str]
    need_user: frozenset[str]
    need_device: frozenset[str]
    need_value: frozenset[str]


def event_types(meters: Mapping[str, Meter] = METERS) -> EventTypes:
    """What the meters make of event types.

    A type of a built-in meter needs what that meter reads; what an operator's meter reads of it
    besides is optional, so that senders of today need not change. Any other type needs all that the
    meters that name it read.
    """
    return _event_types(tuple(meters.values()))


@lru_cache(maxsize=16)
def _event_types(meters: tuple[Meter, ...]) -> EventTypes:
    of_builtins = frozenset().union(*(each.event_types for each in meters if each.is_builtin))

    def named(chosen: Iterable[Meter]) -> frozenset[str]:
        return frozenset().union(
            *(
                each.event_types if each.is_builtin else each.event_types - of_builtins
                for each in chosen
            )
        )

    distinct = [each for each in meters if each.counts_users]
    return EventTypes(
        known=frozenset().union(*(each.event_types for each in meters)),
        need_user=named(each for each in distinct if each.identity is not Identity.DEVICE),
        need_device=named(each for each in distinct if each.identity is not Identity.USER),
        need_value=named(each for each in meters if each.reads_value),
    )


def meter_named(key: str, meters: Mapping[str, Meter] = METERS) -> Meter:
    """The meter of that key. Raises Invalid `unknown_meter`."""
    try:
        return meters[key]
    except KeyError:
        raise Invalid(
            "unknown_meter",
            f"There is no meter {key[:64]!r}; take one of {', '.join(sorted(meters))}.",
            field="meter",
            params={"meters": sorted(meters)},
        ) from None


def refuse_unknown_dimensions(meter: Meter, names: Iterable[str], *, field: str = "") -> None:
    """Raises Invalid `unknown_dimension` for a property that the meter isn't kept by; `field` is
    where it was written, the property itself unless given."""
    for name in names:
        if name not in meter.dimensions:
            known = ", ".join(each for each in DIMENSIONS if each in meter.dimensions)
            raise Invalid(
                "unknown_dimension",
                f"{meter.key} is not kept by {name[:40]!r}; "
                + (f"it is by {known}." if known else "leave it out."),
                field=field or name,
            )
