"""Take in one tenant's request whose events are all plainly right."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from kernel import ids
from kernel.errors import NotFound
from kernel.period import local_midnight
from metering.ingest.domain.events import Refusal, UsageEvent, age_fault, extra_data, properties_of
from metering.ingest.domain.identity import content_of, event_identities, event_identity
from metering.ingest.domain.plain_events import PlainEvents, Sort
from metering.ingest.queries import AppFacts, sender_facts
from metering.ingest.services.admit import (
    IngestResult,
    Submission,
    Teller,
    ask_for_roll_up,
    conflict,
    finished,
)
from metering.ingest.services.store_events import Columns, Group, store_events
from metering.meters.queries import event_types_for


def ingest_plain_events(
    *, tenant_id: UUID, events: PlainEvents, now: datetime
) -> IngestResult | None:
    """What `ingest_events` does with these events, or None when one of them needs a closer look:
    its app or type is unknown, it is too old or ahead, or an identity stands twice.

    Runs in the caller's transaction; where it gives None it has written nothing. Raises NotFound
    `unknown_tenant`.
    """
    facts = sender_facts(
        tenant_id=tenant_id, app_keys={sort.subject for sort in events.distinct_sorts}
    )
    if facts is None:
        raise NotFound("unknown_tenant", "There is no such tenant.", field="tenant")
    tenant, apps = facts
    earliest, latest = min(events.instants), max(events.instants)
    identities = _identities(events)
    if (
        any(sort.subject not in apps for sort in events.distinct_sorts)
        or not _are_plain({sort.type for sort in events.distinct_sorts})
        or age_fault(time=earliest, now=now)
        or age_fault(time=latest, now=now)
        or len(set(identities)) < len(identities)
    ):
        return None
    teller = Teller(tenant)
    extra = {sort: _extra(sort) for sort in events.distinct_sorts}
    digest = teller.digest
    digests = [
        digest(sort.type, sort.subject, instant, user, sort.kind, count, extra[sort])
        for sort, instant, user, count in zip(
            events.sorts, events.instants, events.users, events.counts, strict=True
        )
    ]
    columns = Columns(
        groups=_groups(events, teller=teller, apps=apps, days=_days(events, teller=teller)),
        identities=identities,
        digests=digests,
        event_ids=events.ids,
        times=events.times,
        users=teller.hashes_of(events.users),
        counts=events.counts,
    )
    batch_id = ids.new_id()
    known = store_events(columns, batch_id=batch_id, now=now)
    accepted = len(identities) - len(known)
    if accepted:
        ask_for_roll_up(batch_id=batch_id, tenant_id=tenant_id)
    if not known:
        return IngestResult(accepted=accepted)
    return _told_apart(known, events=events, digests=digests, teller=teller, now=now)


def _are_plain(names: set[str]) -> bool:
    """Whether events of these types tell all that they must when they tell a user."""
    types = event_types_for(names)
    return names <= types.known - types.need_device - types.need_value


class _Days(NamedTuple):
    """Consecutive local days: `starts` are their first instants, but for the first's."""

    days: Sequence[date]
    starts: Sequence[datetime]


def _identities(events: PlainEvents) -> list[str]:
    sources = {sort.source for sort in events.distinct_sorts}
    if len(sources) == 1:
        return event_identities(source=sources.pop(), event_ids=events.ids)
    return [
        event_identity(source=sort.source, event_id=event_id)
        for sort, event_id in zip(events.sorts, events.ids, strict=True)
    ]


def _days(events: PlainEvents, *, teller: Teller) -> _Days:
    """The local days in which the events lie; days follow one another as instants do."""
    first, last = teller.day_of(min(events.instants)), teller.day_of(max(events.instants))
    days = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    zone = ZoneInfo(teller.timezone)
    return _Days(days=days, starts=[local_midnight(day, zone) for day in days[1:]])


def _groups(
    events: PlainEvents, *, teller: Teller, apps: dict[str, AppFacts], days: _Days
) -> list[Group]:
    """The group of each event; equal ones are the same object."""
    groups = {
        sort: [
            Group(
                tenant_id=teller.id_text,
                app_id=str(apps[sort.subject].id),
                source=sort.source,
                type=sort.type,
                kind=sort.kind + properties_of(dict(sort.dimensions)),
                day=day,
            )
            for day in days.days
        ]
        for sort in events.distinct_sorts
    }
    if len(days.days) == 1:
        return [groups[sort][0] for sort in events.sorts]
    starts = days.starts
    return [
        groups[sort][bisect_right(starts, instant)]
        for sort, instant in zip(events.sorts, events.instants, strict=True)
    ]


def _told_apart(
    known: dict[int, str],
    *,
    events: PlainEvents,
    digests: Sequence[str],
    teller: Teller,
    now: datetime,
) -> IngestResult:
    """The result when some were known: duplicates, and conflicts where the content is another."""
    duplicates: Counter[UUID] = Counter()
    rejected: list[tuple[Submission, Refusal]] = []
    for place, digest in known.items():
        event = _event(events, place)
        if digest == digests[place] or teller.is_content(digest, *content_of(event)):
            duplicates[teller.tenant_id] += 1
        else:
            rejected.append((Submission(index=place, teller=teller, event=event), conflict()))
    return finished(
        accepted=len(digests) - len(known), duplicates=duplicates, rejected=rejected, now=now
    )


def _event(events: PlainEvents, place: int) -> UsageEvent:
    sort = events.sorts[place]
    return UsageEvent(
        source=sort.source,
        id=events.ids[place],
        type=sort.type,
        subject=sort.subject,
        time=events.instants[place],
        user=events.users[place],
        kind=sort.kind,
        count=events.counts[place],
        properties=properties_of(dict(sort.dimensions)),
        extra=_extra(sort),
    )


def _extra(sort: Sort) -> bytes:
    return extra_data(dict(sort.dimensions)) if sort.dimensions else b""
