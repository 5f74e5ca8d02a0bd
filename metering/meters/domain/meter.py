"""What a meter is: a rule from usage events to one quantity of an app and local day.

All meters are such values, whether they come with Summit or an operator defined them, and roll-up,
recount and preview read nothing else of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Final

from kernel.dimensions import passes


class Aggregation(StrEnum):
    """How the events of a day become its value."""

    COUNT = "count"
    """How many events there were."""
    SUM = "sum"
    """Their quantities added."""
    DISTINCT = "distinct"
    """How many different identities there were."""
    MAX = "max"
    """The highest value that was read."""
    LATEST = "latest"
    """The value that was read last, by the event's time; of two of one time the later arrival."""


class Identity(StrEnum):
    """Whom or what a distinct meter tells apart."""

    USER = "user"
    DEVICE = "device"
    USER_DEVICE = "user_device"
    """Each device of each user."""


class Quantity(StrEnum):
    """What of an event is added up."""

    COUNT = "count"
    """How many the event stands for: `count` in its data, 1 unless given."""
    VALUE = "value"
    """`value` in its data; events without one don't count."""


class Zone(StrEnum):
    """Which clock cuts the days of a meter."""

    TENANT = "tenant"
    UTC = "utc"


GAUGES: Final = frozenset({Aggregation.MAX, Aggregation.LATEST})
"""Aggregations of what is read off, not added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterVersion:
    """One immutable wording of a meter, for the days from `starts_on` (None: from ever) on.

    An event counts if its type is one of `event_types` and it passes `filter`: that is the meter's
    activity predicate. `filter` has for each property the values that pass.
    """

    number: int = 1
    starts_on: date | None = None
    event_types: frozenset[str]
    filter: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)

    def counts(self, *, event_type: str, dimensions: str) -> bool:
        """Whether events of that type and combination of dimensions count."""
        return event_type in self.event_types and passes(dimensions, self.filter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A meter with its versions, ascending by `starts_on`.

    `dimensions` are the properties by which its daily value is kept apart; a distinct meter has
    none, since whoever is seen under two values would count twice. What a value means (aggregation,
    identity, quantity, dimensions, zone) never changes; another meaning is another meter.
    `marked_as` is the meter whose marks a distinct meter counts, itself unless said otherwise.
    """

    key: str
    aggregation: Aggregation
    versions: tuple[MeterVersion, ...]
    dimensions: frozenset[str] = frozenset()
    identity: Identity = Identity.USER
    quantity: Quantity = Quantity.COUNT
    zone: Zone = Zone.TENANT
    marked_as: str = ""
    is_builtin: bool = False

    @property
    def event_types(self) -> frozenset[str]:
        """The types that any version names."""
        return frozenset().union(*(each.event_types for each in self.versions))

    @property
    def counts_users(self) -> bool:
        """Whether different identities are counted, so that a period's are not its days' sum."""
        return self.aggregation is Aggregation.DISTINCT

    @property
    def adds_up(self) -> bool:
        """Whether the values of days may be added to one of a longer time."""
        return not self.counts_users and not self.is_gauge

    @property
    def is_gauge(self) -> bool:
        """Whether values are read off; then 0 is a reading and not the absence of usage."""
        return self.aggregation in GAUGES

    @property
    def holds_level(self) -> bool:
        """Whether a value stays in force until the next one."""
        return self.aggregation is Aggregation.LATEST

    @property
    def reads_value(self) -> bool:
        return self.is_gauge or (
            self.aggregation is Aggregation.SUM and self.quantity is Quantity.VALUE
        )

    @property
    def marks(self) -> str:
        """The key under which the identities of this meter are marked."""
        return self.marked_as or self.key
