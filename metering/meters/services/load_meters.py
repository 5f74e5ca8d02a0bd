"""Store operators' meters as immutable versions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kernel import ids
from kernel.errors import Conflict, Invalid
from metering.meters.domain.definition import Definition, means_the_same, read_definition
from metering.meters.models import MeterDefinition
from metering.meters.queries import DefinedVersion, defined_versions, meter_of
from tenants import audit
from work.connections import cursor

_FURTHEST_EAST: Final = timedelta(hours=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedMeter:
    """What came of one definition: its version, and whether that version is new."""

    key: str
    version: int
    created: bool


def load_meters(
    *, documents: Sequence[Mapping[str, Any]], now: datetime, actor: str
) -> list[LoadedMeter]:
    """Store each definition as a new version where it differs from the meter's latest one.

    All or none, in the caller's cross-tenant scope. A version counts whole days only, so it begins
    on a day that has not begun anywhere. Raises Invalid as `read_definition` does, `duplicate_key`,
    `begins_too_early`; Conflict `meter_means_other` where a meter's values would change their meaning.
    """
    definitions = [read_definition(each) for each in documents]
    keys = [each.meter.key for each in definitions]
    for key in keys:
        if keys.count(key) > 1:
            raise Invalid("duplicate_key", f"{key} stands twice; give each its own.", field="key")
    with cursor() as execution:
        # Two loads at once would give the same number to two wordings.
        execution.execute("SELECT pg_advisory_xact_lock(hashtextextended('meters', 0))")
    stored: dict[str, list[DefinedVersion]] = {}
    for version in defined_versions():
        stored.setdefault(version.key, []).append(version)
    loaded = []
    for definition in definitions:
        before = stored.get(definition.meter.key, [])
        loaded.append(_loaded(definition, before, now=now, actor=actor))
    return loaded


def _loaded(
    definition: Definition, before: Sequence[DefinedVersion], *, now: datetime, actor: str
) -> LoadedMeter:
    meter, document = definition.meter, definition.document
    if before and before[-1].document == document:
        return LoadedMeter(key=meter.key, version=before[-1].number, created=False)
    begun = (now + _FURTHEST_EAST).astimezone(UTC).date()
    if definition.effective_from <= begun:
        raise Invalid(
            "begins_too_early",
            f"effective_from of {meter.key} is {definition.effective_from}, which has begun somewhere; "
            f"write a day after {begun}.",
            field="effective_from",
        )
    if before and definition.effective_from <= before[-1].effective_from:
        raise Invalid(
            "begins_too_early",
            f"effective_from of {meter.key} must come after that of its latest version, "
            f"{before[-1].effective_from}.",
            field="effective_from",
        )
    if before and not means_the_same(meter, meter_of(before)):
        raise Conflict(
            "meter_means_other",
            f"{meter.key} would mean something else than before (aggregation, identity, quantity, "
            "dimensions or zone); define it under another key.",
            field="key",
        )
    number = len(before) + 1
    MeterDefinition.objects.create(
        id=ids.new_id(),
        key=meter.key,
        number=number,
        document=document,
        content_hash=hashlib.sha256(
            json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        ).digest(),
        effective_from=definition.effective_from,
        created_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="meter_version.created",
            target=f"meter:{meter.key}",
            after={"version": number, "effective_from": definition.effective_from.isoformat()},
        ),
        now=now,
    )
    return LoadedMeter(key=meter.key, version=number, created=True)
