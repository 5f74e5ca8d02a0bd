"""A meter's definition as an operator writes it, read into the value that counts. Pure.

    {"key": "eu_active", "event_types": ["message.sent", "user.login"], "filter": {"region": ["eu"]},
     "aggregation": "distinct", "identity": "user", "effective_from": "2026-04-01"}

Besides: `quantity` (`count` or `value`, of a sum), `dimensions` (by which the value is kept), `zone`
(`tenant` or `utc`, whose clock cuts the days).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeVar

from kernel.dimensions import DIMENSIONS, is_dimension_value
from kernel.errors import Invalid
from metering.meters.domain.builtin import METERS
from metering.meters.domain.meter import (
    Aggregation,
    Identity,
    Meter,
    MeterVersion,
    Quantity,
    Zone,
)

E = TypeVar("E", bound=StrEnum)

_KEY: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+", re.ASCII)
_LONGEST_TYPE: Final = 100
_MOST: Final = 50
_FIELDS: Final = (
    "key",
    "event_types",
    "filter",
    "aggregation",
    "identity",
    "quantity",
    "dimensions",
    "zone",
    "effective_from",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One wording of a meter; `effective_from` is the first day that it counts."""

    meter: Meter
    effective_from: date

    @property
    def document(self) -> dict[str, Any]:
        """The definition in canonical form: defaults written out, what doesn't apply left out."""
        meter, (version,) = self.meter, self.meter.versions
        told: dict[str, Any] = {
            "key": meter.key,
            "event_types": sorted(version.event_types),
            "filter": {name: sorted(values) for name, values in sorted(version.filter.items())},
            "aggregation": meter.aggregation.value,
            "zone": meter.zone.value,
            "effective_from": self.effective_from.isoformat(),
        }
        if meter.counts_users:
            told["identity"] = meter.identity.value
        if meter.aggregation is Aggregation.SUM:
            told["quantity"] = meter.quantity.value
        if meter.dimensions:
            told["dimensions"] = [name for name in DIMENSIONS if name in meter.dimensions]
        return told


def read_definition(document: object) -> Definition:
    """The definition that decoded JSON states.

    Raises Invalid with the field, what is wrong with it and what to write: `bad_meter`, and
    `meter_key_taken` for the key of a meter that comes with Summit.
    """
    if not isinstance(document, Mapping):
        raise _fault("", "A meter is a JSON object.")
    for name in document:
        if name not in _FIELDS:
            raise _fault(
                str(name)[:40], f"{str(name)[:40]!r} is no field; write {', '.join(_FIELDS)}."
            )
    key = document.get("key")
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise _fault("key", "key must be small letters, digits and _, 1 to 63, a letter first.")
    if key in METERS:
        raise Invalid(
            "meter_key_taken", f"{key} is a meter of Summit's own; choose another key.", field="key"
        )
    aggregation = _choice(document, "aggregation", Aggregation, default=None)
    dimensions = frozenset(
        _texts(document, "dimensions", known=DIMENSIONS) if "dimensions" in document else ()
    )
    is_distinct = aggregation is Aggregation.DISTINCT
    if is_distinct and dimensions:
        raise _fault(
            "dimensions",
            "dimensions can't be kept by a distinct meter, which would count who is seen under two "
            "values twice; leave them out, and define a meter with a filter for each.",
        )
    if "identity" in document and not is_distinct:
        raise _fault("identity", "identity belongs to the aggregation distinct; leave it out.")
    if "quantity" in document and aggregation is not Aggregation.SUM:
        raise _fault("quantity", "quantity belongs to the aggregation sum; leave it out.")
    effective_from = _day(document, "effective_from")
    return Definition(
        meter=Meter(
            key=key,
            aggregation=aggregation,
            versions=(
                MeterVersion(
                    starts_on=effective_from,
                    event_types=frozenset(_event_types(document)),
                    filter=_filter(document),
                ),
            ),
            dimensions=dimensions,
            identity=_choice(document, "identity", Identity, default=Identity.USER),
            quantity=_choice(document, "quantity", Quantity, default=Quantity.COUNT),
            zone=_choice(document, "zone", Zone, default=Zone.TENANT),
        ),
        effective_from=effective_from,
    )


def means_the_same(one: Meter, other: Meter) -> bool:
    """Whether the values of two wordings are of one kind, so that they may be one meter's."""
    return (one.aggregation, one.dimensions, one.identity, one.quantity, one.zone) == (
        other.aggregation,
        other.dimensions,
        other.identity,
        other.quantity,
        other.zone,
    )


def _event_types(document: Mapping[str, Any]) -> list[str]:
    types = _texts(document, "event_types", known=None)
    for each in types:
        if len(each) > _LONGEST_TYPE or not _TYPE.fullmatch(each):
            raise _fault(
                "event_types",
                f"event_types names {each[:40]!r}; write types such as message.sent, small letters "
                "with dots between.",
            )
    return types


def _filter(document: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    written = document.get("filter", {})
    if not isinstance(written, Mapping):
        raise _fault("filter", 'filter must be an object, such as {"region": ["eu"]}.')
    found = {}
    for name, values in written.items():
        if name not in DIMENSIONS:
            raise _fault(
                "filter",
                f"filter names {str(name)[:40]!r}; known are {', '.join(DIMENSIONS)}.",
            )
        texts = _texts({name: [values] if isinstance(values, str) else values}, name, known=None)
        if not all(is_dimension_value(each) for each in texts):
            raise _fault(
                "filter", f"filter.{name} must hold letters, digits, '.', '_', ':' and '-' only."
            )
        found[name] = frozenset(texts)
    return found


def _texts(document: Mapping[str, Any], name: str, *, known: Sequence[str] | None) -> list[str]:
    value = document.get(name)
    if (
        not isinstance(value, list | tuple)
        or not 0 < len(value) <= _MOST
        or not all(isinstance(each, str) for each in value)
    ):
        raise _fault(name, f"{name} must be a list of 1 to {_MOST} texts.")
    if known is not None:
        for each in value:
            if each not in known:
                raise _fault(name, f"{name} names {each[:40]!r}; known are {', '.join(known)}.")
    return list(value)


def _choice(document: Mapping[str, Any], name: str, kind: type[E], *, default: E | None) -> E:
    value = document.get(name)
    if value is None and default is not None:
        return default
    for each in kind:
        if value == each.value:
            return each
    raise _fault(name, f"{name} must be one of {', '.join(kind)}.")


def _day(document: Mapping[str, Any], name: str) -> date:
    value = document.get(name)
    try:
        if isinstance(value, str) and len(value) == len("2026-04-01"):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise _fault(name, f"{name} must be a date such as 2026-04-01.")


def _fault(field: str, message: str) -> Invalid:
    return Invalid("bad_meter", message, field=field)
