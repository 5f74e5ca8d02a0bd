"""Stores events of distinct identities: the identity of each, and the rest in one row for each sort.

The one writer of identities and events. What an event shares with others of its batch (app, day, type,
dimensions, source) is written once, what is its own in arrays; a batch of thousands of events takes a
handful of rows besides its identities.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import IntegrityError, NotSupportedError

from kernel.array_literals import plain_array, text_array
from work.connections import cursor

_FEW: Final = 50
_WARY_FOR: Final = 20
_MOST_WARY: Final = 10_000
_HEX_DIGITS: Final = 32
_NULL: Final = "NULL"
_TOLD: Final = (
    "ROWS FROM (string_to_table(%(identities)s, ','), string_to_table(%(tenants)s, ','),"
    " string_to_table(%(digests)s, ','))"
)
"""What is told of each identity, in text. Texts are cut at commas, since the text form of an array is read
character by character, which takes a fifth of the whole insert."""


class Group(NamedTuple):
    """What the events of one row share."""

    tenant_id: str
    app_id: str
    source: str
    type: str
    kind: str
    day: date


@dataclass(slots=True, kw_only=True)
class Columns:
    """Events by their columns, in the order of arrival, no identity twice in a tenant.

    Identities, digests, users and devices are 32 hex digits, the latter two ``NULL`` where none was
    told; times are as the database reads them, readings decimals in text or ``NULL``.
    """

    groups: list[Group]
    identities: list[str]
    digests: list[str]
    event_ids: list[str]
    times: list[str]
    users: list[str]
    counts: list[int]
    devices: list[str] | None = None
    readings: list[str] | None = None

    def __len__(self) -> int:
        return len(self.event_ids)


def store_events(columns: Columns, *, batch_id: UUID, now: datetime) -> dict[int, str]:
    """Store those whose identity is new, in the caller's transaction; gives the others' places with
    the digests under which they are known.

    Another transaction that stores one of them is waited for.
    """
    if not len(columns):
        return {}
    known = _identified(columns, now=now)
    if len(known) < len(columns):
        fresh = [place for place in range(len(columns)) if place not in known] if known else None
        keep_events(columns, places=fresh, batch_id=batch_id, now=now)
    return known


def _identified(columns: Columns, *, now: datetime) -> dict[int, str]:
    """Insert the identities that are new; the others with their digests.

    Most batches hold nothing that is known. Then plain inserts do, which cost half of those that
    look out for a conflict; only when one fails, the other way is gone. Senders whose batches were
    sent before mostly send more of them, so that for them it is gone at once for a while.
    """
    tenant_id = columns.groups[0].tenant_id
    if len(columns) > _FEW and _wary.may_hope(tenant_id):
        order = _order(columns)
        with cursor() as execution:
            try:
                execution.execute(
                    f"""
                    SAVEPOINT metering_identities;
                    INSERT INTO metering_event_identity (identity, tenant_id, digest, received_at)
                    SELECT identity::uuid, coalesce(tenant_id, %(tenant)s)::uuid, digest::uuid, %(now)s
                      FROM {_TOLD} AS incoming (identity, tenant_id, digest);
                    RELEASE SAVEPOINT metering_identities
                    """,  # noqa: S608  # nothing from outside
                    _identity_parameters(columns, order=order, now=now),
                )
            except IntegrityError:
                execution.execute("ROLLBACK TO SAVEPOINT metering_identities")
                execution.execute("RELEASE SAVEPOINT metering_identities")
                _wary.remember(tenant_id)
            except NotSupportedError:
                # Into a distributed table such rows go by COPY, which row security refuses.
                execution.execute("ROLLBACK TO SAVEPOINT metering_identities")
                execution.execute("RELEASE SAVEPOINT metering_identities")
                _wary.give_up_hope()
            else:
                return {}
    return _identified_with_care(columns, now=now)


def _identified_with_care(columns: Columns, *, now: datetime) -> dict[int, str]:
    order = _order(columns)
    parameters = _identity_parameters(columns, order=order, now=now)
    with cursor() as execution:
        execution.execute(
            f"""
            WITH incoming AS MATERIALIZED (
                SELECT identity::uuid AS identity,
                       coalesce(tenant_id, %(tenant)s)::uuid AS tenant_id,
                       digest::uuid AS digest, place
                  FROM {_TOLD} WITH ORDINALITY AS incoming (identity, tenant_id, digest, place)
            ), stored AS (
                INSERT INTO metering_event_identity (identity, tenant_id, digest, received_at)
                SELECT identity, tenant_id, digest, %(now)s FROM incoming ORDER BY place
                ON CONFLICT DO NOTHING
                RETURNING identity, tenant_id
            )
            SELECT place FROM incoming
             WHERE NOT EXISTS (SELECT 1 FROM stored WHERE stored.identity = incoming.identity
                                                    AND stored.tenant_id = incoming.tenant_id)
            """,  # noqa: S608  # nothing from outside
            parameters,
        )
        places = [order[place - 1] for (place,) in execution.fetchall()]
    digests = known_digests(
        [(columns.groups[place].tenant_id, columns.identities[place]) for place in places]
    )
    return {
        place: digests[columns.groups[place].tenant_id, columns.identities[place]]
        for place in places
    }


def known_digests(identities: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The digests of the accepted events among these (tenant, identity)."""
    if not identities:
        return {}
    with cursor() as execution:
        execution.execute(
            """
            SELECT place, replace(known.digest::text, '-', '')
              FROM unnest(%s::uuid[], %s::uuid[]) WITH ORDINALITY
                   AS asked (tenant_id, identity, place)
              JOIN metering_event_identity known USING (tenant_id, identity)
            """,
            [
                plain_array(tenant_id for tenant_id, _ in identities),
                plain_array(identity for _, identity in identities),
            ],
        )
        return {identities[place - 1]: digest for place, digest in execution.fetchall()}


def _order(columns: Columns) -> list[int]:
    """By identity, then tenant: every caller inserts in the same order, so that two with the same events
    cannot deadlock, and neighbours in the index are written together."""
    tenants = [group.tenant_id for group in columns.groups]
    places: Sequence[int] = range(len(columns))
    if tenants.count(tenants[0]) < len(tenants):
        places = sorted(places, key=tenants.__getitem__)
    return sorted(places, key=columns.identities.__getitem__)


def _identity_parameters(
    columns: Columns, *, order: Sequence[int], now: datetime
) -> dict[str, Any]:
    tenants = [group.tenant_id for group in columns.groups]
    # Most batches are of one tenant, which need not be told for each event.
    alone = tenants.count(tenants[0]) == len(tenants)
    return {
        "now": now,
        "identities": ",".join([columns.identities[place] for place in order]),
        "digests": ",".join([columns.digests[place] for place in order]),
        "tenant": tenants[0],
        "tenants": "" if alone else ",".join([tenants[place] for place in order]),
    }


def keep_events(
    columns: Columns, *, batch_id: UUID, now: datetime, places: Sequence[int] | None = None
) -> None:
    """Write the events at these places (None: all) by their groups, and a batch for each tenant.

    For events whose identities are told apart already.
    """
    everything = range(len(columns))
    members: dict[Group, Sequence[int]] = {}
    if places is None and len(set(map(id, columns.groups))) == 1:
        members[columns.groups[0]] = everything
    else:
        lists: dict[Group, list[int]] = {}
        for place in everything if places is None else places:
            lists.setdefault(columns.groups[place], []).append(place)
        members.update(lists)
    numbers: Counter[str] = Counter()
    rows: list[Any] = []
    forms: list[str] = []
    events: Counter[str] = Counter()
    for group, own in members.items():
        rows += (
            *(group.tenant_id, now, batch_id, numbers[group.tenant_id], group.app_id),
            *(group.source, group.type, group.kind, group.day),
            *_arrays(columns, own, alone=len(members) == 1 and own is everything, forms=forms),
        )
        numbers[group.tenant_id] += 1
        events[group.tenant_id] += len(own)
    placeholders = ", ".join(forms)
    batches = [
        value for tenant_id, count in events.items() for value in (tenant_id, batch_id, now, count)
    ]
    with cursor() as execution:
        execution.execute(
            f"""
            INSERT INTO metering_event_group (
                tenant_id, received_at, batch_id, number, app_id, source, type, kind, day,
                event_ids, times, users, counts, devices, readings, places)
            VALUES {placeholders};
            INSERT INTO metering_batch (tenant_id, id, received_at, events)
            VALUES {", ".join(["(%s::uuid, %s, %s, %s)"] * len(events))}
            """,  # noqa: S608  # placeholders only
            [*rows, *batches],
        )


_SAME_TEXTS: Final = "array_fill(%s::text, ARRAY[%s])"
_SAME_TIMES: Final = "array_fill(%s::timestamptz, ARRAY[%s])"
_HASHES: Final = f"string_to_array(%s, ',', '{_NULL}')::uuid[]"


def _arrays(
    columns: Columns, places: Sequence[int], *, alone: bool, forms: list[str]
) -> list[str | int | None]:
    """The arrays of a row; None where all events have the usual: one each, no device, no reading,
    no others between them. Adds the row's form in SQL to `forms`: what is the same for all events, as
    in reports of gateways, is told once."""

    def own(column: Sequence[Any]) -> Sequence[Any]:
        return column if alone else [column[place] for place in places]

    counts, event_ids, times = own(columns.counts), own(columns.event_ids), own(columns.times)
    arrays: list[str | int | None] = []
    ids_form, times_form = "%s::text[]", "%s::timestamptz[]"
    if _are_the_same(event_ids):
        ids_form = _SAME_TEXTS
        arrays += [event_ids[0], len(event_ids)]
    else:
        arrays.append(text_array(event_ids))
    if _are_the_same(times):
        times_form = _SAME_TIMES
        arrays += [times[0], len(times)]
    else:
        arrays.append(plain_array(times))
    forms.append(
        f"(%s::uuid, %s, %s, %s, %s::uuid, %s, %s, %s, %s, {ids_form}, {times_form},"
        f" {_HASHES}, %s::bigint[], {_HASHES}, %s::numeric[], %s::int[])"
    )
    devices = [] if columns.devices is None else own(columns.devices)
    readings = [] if columns.readings is None else own(columns.readings)
    arrays += [
        ",".join(own(columns.users)),
        None if max(counts) == 1 else plain_array(counts),
        None if _are_untold(devices) else ",".join(devices),
        None if _are_untold(readings) else plain_array(readings),
    ]
    arrays.append(None if alone else plain_array(place + 1 for place in places))
    return arrays


def _are_untold(values: Sequence[str]) -> bool:
    return all(value == _NULL for value in values)


def _are_the_same(values: Sequence[str]) -> bool:
    first = values[0]
    # Most are told apart by their ends already.
    return len(values) > 1 and values[-1] == first and values.count(first) == len(values)


class _Wary:
    """Tenants whose batches held known events a short while ago, in this process."""

    def __init__(self) -> None:
        self._left: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()
        self._never = False

    def give_up_hope(self) -> None:
        """For all tenants, as long as the process lives."""
        self._never = True

    def may_hope(self, tenant_id: str) -> bool:
        if self._never:
            return False
        with self._lock:
            left = self._left.get(tenant_id, 0)
            if left > 1:
                self._left[tenant_id] = left - 1
            elif left:
                del self._left[tenant_id]
            return not left

    def remember(self, tenant_id: str) -> None:
        with self._lock:
            self._left[tenant_id] = _WARY_FOR
            if len(self._left) > _MOST_WARY:
                self._left.popitem(last=False)


_wary: Final = _Wary()
