"""Which meters there are: those that come with Summit, and those that operators defined."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby
from types import MappingProxyType
from typing import Any

from metering.meters.domain import METERS, EventTypes, Meter, event_types, meter_named
from metering.meters.domain.definition import read_definition
from metering.meters.models import MeterDefinition
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinedVersion:
    """A stored version of an operator's meter."""

    key: str
    number: int
    effective_from: date
    created_at: datetime
    document: Mapping[str, Any]


def known_meters() -> Mapping[str, Meter]:
    """All meters by key, the built-in ones first. One small query; read anew only when one was added.

    In any scope, or in none: the meters are the same for every tenant.
    """
    with cursor() as execution:
        execution.execute(
            "SELECT coalesce(string_agg(encode(content_hash, 'hex'), ',' ORDER BY key, number), '')"
            "  FROM metering_meter_definition"
        )
        (hashes,) = execution.fetchone()
    return _with_defined(hashes) if hashes else METERS


def find_meter(key: str) -> Meter:
    """The meter of that key. Raises Invalid `unknown_meter`."""
    built_in = METERS.get(key)
    return built_in if built_in is not None else meter_named(key, known_meters())


def find_meters(keys: Iterable[str]) -> list[Meter]:
    """The meters of these keys, in their order; at most one query. Raises Invalid `unknown_meter`."""
    wanted = list(keys)
    known = METERS if all(key in METERS for key in wanted) else known_meters()
    return [meter_named(key, known) for key in wanted]


def counted_meters(keys: Iterable[str]) -> frozenset[str]:
    """These meters with those whose marks they count. Raises Invalid `unknown_meter`."""
    found = find_meters(keys)
    return frozenset({meter.key for meter in found} | {meter.marks for meter in found})


def event_types_for(names: Iterable[object]) -> EventTypes:
    """What the meters make of event types of these names; no query where built-in meters name all.

    What a type of a built-in meter needs is the same whatever operators define besides.
    """
    built_in = event_types()
    if all(name in built_in.known for name in names if isinstance(name, str)):
        return built_in
    return event_types(known_meters())


def defined_versions() -> list[DefinedVersion]:
    """All versions of the operators' meters, by key and number."""
    return [
        DefinedVersion(
            key=row.key,
            number=row.number,
            effective_from=row.effective_from,
            created_at=row.created_at,
            document=row.document,
        )
        for row in MeterDefinition.objects.order_by("key", "number")
    ]


def meter_of(versions: Iterable[DefinedVersion]) -> Meter:
    """The meter whose versions these are, ascending."""
    read = [(each, read_definition(each.document).meter) for each in versions]
    return replace(
        read[-1][1],
        versions=tuple(replace(meter.versions[0], number=each.number) for each, meter in read),
    )


@lru_cache(maxsize=8)
def _with_defined(hashes: str) -> Mapping[str, Meter]:
    # Named by what is stored: another process's new meter is another argument.
    defined = {
        key: meter_of(versions)
        for key, versions in groupby(defined_versions(), key=lambda each: each.key)
    }
    return MappingProxyType({**METERS, **defined})
