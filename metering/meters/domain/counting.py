"""What meters make of events: few sorts of events, each counted by some meters. Pure.

Millions of events are of a handful of sorts (a type with a combination of dimensions). Which meters
count a sort, on which days and under which of its dimensions, is decided here once a sort; SQL only
joins the answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from kernel.dimensions import kept_dimensions
from metering.meters.domain.meter import Meter


class Sort(NamedTuple):
    """A type of events with the dimensions that they told, as canonical text."""

    event_type: str
    dimensions: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """That a meter counts the events of a sort whose day is in [`from_day`, `to_day`), under the
    dimensions `kept`. None: without bound."""

    sort: Sort
    meter: Meter
    kept: str
    from_day: date | None
    to_day: date | None


def counting_rules(*, meters: Iterable[Meter], sorts: Iterable[Sort]) -> list[Rule]:
    """For each sort the meters that count it; a day belongs to one version of a meter, the latest
    that has begun. Meters that count another's marks have no rules of their own."""
    known = list(sorts)
    rules: list[Rule] = []
    for meter in meters:
        if meter.marks != meter.key:
            continue
        for version, following in pairwise([*meter.versions, None]):
            assert version is not None  # noqa: S101  # only the last of the list is None
            rules.extend(
                Rule(
                    sort=sort,
                    meter=meter,
                    kept=kept_dimensions(sort.dimensions, meter.dimensions),
                    from_day=version.starts_on,
                    to_day=None if following is None else following.starts_on,
                )
                for sort in known
                if version.counts(event_type=sort.event_type, dimensions=sort.dimensions)
            )
    return rules
