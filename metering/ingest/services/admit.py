"""Admission: which of the submitted events are new, stored with their identity in one statement.

The one writer of events, for requests of one tenant and for imports of many. It runs in the
caller's transaction and takes a handful of statements whatever the number of events.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings

from kernel import ids
from metering.ingest.domain import identity
from metering.ingest.domain.array_literals import bytea_array, plain_array, text_array
from metering.ingest.domain.events import Refusal, UsageEvent, age_fault
from metering.ingest.domain.local_days import local_days
from metering.ingest.domain.quarantine import kept_content, kept_event
from metering.ingest.models import RejectedEvent
from metering.ingest.queries import Identity, TenantFacts, known_digests
from work import jobs
from work.connections import cursor

ROLL_UP: Final = "metering.roll_up"
"""The kind of the job that folds what was stored; `metering.rollup` declares it."""

_MOST_REMEMBERED_USERS: Final = 50_000
_NO_SALT: Final = b""


class Teller:
    """Hashes, digests and local days of one tenant; lives as long as a request or an import."""

    def __init__(self, tenant: TenantFacts) -> None:
        self.tenant_id = tenant.id
        self.id_text = str(tenant.id)
        self.timezone = tenant.timezone
        self._days = local_days(tenant.timezone)
        self._digest_key = identity.digest_key(master_key=_master_key(), tenant_id=tenant.id)
        self._user_key = identity.user_key(master_key=_master_key(), salt=tenant.hash_salt)
        self._hashes: dict[str, bytes] = {}

    def hash_of(self, user: str) -> bytes:
        known = self._hashes.get(user)
        if known is None:
            if len(self._hashes) >= _MOST_REMEMBERED_USERS:
                self._hashes.clear()
            known = self._hashes[user] = identity.user_hash(key=self._user_key, user=user)
        return known

    def told_hash_of(self, told: str) -> bytes | None:
        """The hash of a user or device, None where the event told none."""
        return self.hash_of(told) if told else None

    def digest_of(self, event: UsageEvent) -> bytes:
        return identity.content_digest(key=self._digest_key, event=event)

    @property
    def day_of(self) -> Any:
        return self._days.day_of


@dataclass(slots=True, kw_only=True)
class Submission:
    """One submitted event: read, or refused already.

    `teller` is None when nobody has the app. `content` is what was sent, for the quarantine.
    """

    index: int
    teller: Teller | None
    event: UsageEvent | None = None
    app_id: UUID | None = None
    refusal: Refusal | None = None
    content: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedItem:
    """What the sender is told about an event that was not taken."""

    index: int
    id: str | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """What became of the submitted events; `rejected` is in their order."""

    accepted: int = 0
    duplicates: int = 0
    rejected: Sequence[RejectedItem] = field(default=())


@dataclass(slots=True, kw_only=True)
class _Candidate:
    submission: Submission
    teller: Teller
    event: UsageEvent
    digest: bytes


@dataclass(slots=True, kw_only=True)
class _Doubt:
    """A submission with a fault: a duplicate or a conflict if its identity is known."""

    submission: Submission
    refusal: Refusal
    digest: bytes | None
    """Of its content; None when that could not be read, so that it equals no other."""

    known_as: Identity | None


def admit(
    *, submissions: Sequence[Submission], now: datetime, check_age: bool, wake: UUID | None
) -> IngestResult:
    """Store the new events among the submissions, refuse or acknowledge the others.

    An event's identity counts before its faults: one that is known is a duplicate however old, or
    conflicting when its content differs. `wake` is the tenant for whom the roll-up is asked for in
    the same transaction; None for imports, which roll up themselves at their end.
    """
    candidates: dict[Identity, _Candidate] = {}
    repeats: list[tuple[Identity, _Candidate]] = []
    doubts: list[_Doubt] = []
    for submission in submissions:
        refusal = _first_fault(submission, now=now, check_age=check_age)
        event, teller = submission.event, submission.teller
        if refusal is not None or event is None or teller is None:
            doubts.append(_doubt(submission, refusal))
            continue
        candidate = _Candidate(
            submission=submission, teller=teller, event=event, digest=teller.digest_of(event)
        )
        name = (teller.id_text, event.source, event.id)
        if name in candidates:
            repeats.append((name, candidate))
        else:
            candidates[name] = candidate
    # Every caller inserts in the same order, so that two with the same events cannot deadlock.
    names = sorted(candidates)
    not_new = _store([candidates[name] for name in names], now=now, wake=wake)
    taken = [names[position] for position in not_new]
    digests = known_digests(
        identities=[*taken, *{doubt.known_as for doubt in doubts if doubt.known_as is not None}]
    )

    duplicates = 0
    rejected: list[tuple[Submission, Refusal]] = []
    for name in taken:
        if candidates[name].digest == digests.get(name):
            duplicates += 1
        else:
            rejected.append((candidates[name].submission, _conflict()))
    for name, candidate in repeats:
        if candidate.digest == digests.get(name, candidates[name].digest):
            duplicates += 1
        else:
            rejected.append((candidate.submission, _conflict()))
    for doubt in doubts:
        known = None if doubt.known_as is None else digests.get(doubt.known_as)
        if known is None:
            rejected.append((doubt.submission, doubt.refusal))
        elif known == doubt.digest:
            duplicates += 1
        else:
            rejected.append((doubt.submission, _conflict()))
    rejected.sort(key=lambda item: item[0].index)
    _quarantine(rejected, now=now)
    return IngestResult(
        accepted=len(names) - len(taken),
        duplicates=duplicates,
        rejected=[
            RejectedItem(
                index=submission.index,
                id=_id_of(submission),
                code=refusal.code,
                detail=refusal.detail,
            )
            for submission, refusal in rejected
        ],
    )


def _first_fault(submission: Submission, *, now: datetime, check_age: bool) -> Refusal | None:
    if submission.refusal is not None or submission.event is None:
        return submission.refusal
    if submission.app_id is None or submission.teller is None:
        return Refusal(
            code="unknown_app",
            detail=f"There is no app {submission.event.subject!r}; subject is the app's key.",
        )
    return age_fault(time=submission.event.time, now=now) if check_age else None


def _doubt(submission: Submission, refusal: Refusal | None) -> _Doubt:
    if refusal is None:
        raise ValueError("a submission holds an event or a refusal")
    event, teller = submission.event, submission.teller
    digest = None if event is None or teller is None else teller.digest_of(event)
    source, event_id = (event.source, event.id) if event else (refusal.source, refusal.id)
    known_as = None
    if teller is not None and source is not None and event_id is not None:
        known_as = (teller.id_text, source, event_id)
    return _Doubt(submission=submission, refusal=refusal, digest=digest, known_as=known_as)


def _store(candidates: Sequence[_Candidate], *, now: datetime, wake: UUID | None) -> list[int]:
    """Insert those whose identity is new; gives the positions of the others."""
    if not candidates:
        return []
    batch_id = ids.new_id()
    with cursor() as execution:
        execution.execute(
            """
            WITH incoming AS MATERIALIZED (
                SELECT * FROM unnest(
                    %(tenants)s::uuid[], %(sources)s::text[], %(ids)s::text[],
                    %(digests)s::bytea[], %(apps)s::uuid[], %(types)s::text[],
                    %(times)s::timestamptz[], %(days)s::date[], %(users)s::bytea[],
                    %(kinds)s::text[], %(counts)s::bigint[], %(devices)s::bytea[],
                    %(values)s::numeric[]
                ) WITH ORDINALITY AS event (
                    tenant_id, source, event_id, digest, app_id, type,
                    occurred_at, day, user_hash, kind, count, device_hash, value, position)
            ), identified AS (
                INSERT INTO metering_event_key (tenant_id, source, event_id, digest, received_at)
                SELECT tenant_id, source, event_id, digest, %(now)s FROM incoming ORDER BY position
                ON CONFLICT DO NOTHING
                RETURNING tenant_id, source, event_id
            ), fresh AS MATERIALIZED (
                SELECT incoming.* FROM incoming JOIN identified USING (tenant_id, source, event_id)
            ), stored AS (
                INSERT INTO metering_event (
                    tenant_id, received_at, batch_id, position, app_id, source, event_id, type,
                    occurred_at, day, user_hash, kind, count, device_hash, value)
                SELECT tenant_id, %(now)s, %(batch)s::uuid, position, app_id, source, event_id, type,
                       occurred_at, day, user_hash, kind, count, device_hash, value
                  FROM fresh
            ), batches AS (
                INSERT INTO metering_batch (tenant_id, id, received_at, events)
                SELECT tenant_id, %(batch)s::uuid, %(now)s, count(*) FROM fresh GROUP BY tenant_id
            )
            SELECT position FROM incoming EXCEPT SELECT position FROM fresh
            """,
            {
                "now": now,
                "batch": str(batch_id),
                "tenants": plain_array(each.teller.id_text for each in candidates),
                "sources": text_array(each.event.source for each in candidates),
                "ids": text_array(each.event.id for each in candidates),
                "digests": bytea_array(each.digest for each in candidates),
                "apps": plain_array(each.submission.app_id for each in candidates),
                "types": text_array(each.event.type for each in candidates),
                # The "T" form has no space, so that it needs no quotes in an array.
                "times": plain_array(each.event.time.isoformat() for each in candidates),
                "days": plain_array(each.teller.day_of(each.event.time) for each in candidates),
                "users": bytea_array(
                    each.teller.told_hash_of(each.event.user) for each in candidates
                ),
                "kinds": text_array(each.event.dimensions for each in candidates),
                "counts": plain_array(each.event.count for each in candidates),
                "devices": bytea_array(
                    each.teller.told_hash_of(each.event.device) for each in candidates
                ),
                "values": plain_array(
                    "NULL" if each.event.value is None else each.event.value for each in candidates
                ),
            },
        )
        not_new = sorted(position - 1 for (position,) in execution.fetchall())
    if wake is not None and len(not_new) < len(candidates):
        jobs.enqueue(kind=ROLL_UP, key=f"batch:{batch_id}", payload={}, tenant_id=wake)
    return not_new


def _quarantine(rejected: Sequence[tuple[Submission, Refusal]], *, now: datetime) -> None:
    rows: dict[UUID, RejectedEvent] = {}
    for submission, refusal in rejected:
        tenant_id = None if submission.teller is None else submission.teller.tenant_id
        source = (submission.event or refusal).source or ""
        event_id = (submission.event or refusal).id or ""
        content = _content_of(submission)
        # Named by what it holds: a sender that repeats its mistake for ever fills no table.
        held = refusal.detail if content is None else content
        told = msgspec.json.encode(
            [tenant_id, source, event_id, refusal.code, held], order="sorted"
        )
        name = UUID(bytes=hashlib.sha256(told).digest()[:16])
        rows[name] = RejectedEvent(
            id=name,
            tenant_id=tenant_id,
            received_at=now,
            subject=_subject_of(submission),
            source=source,
            event_id=event_id,
            code=refusal.code,
            detail=refusal.detail[:500],
            content=content,
        )
    RejectedEvent.objects.bulk_create(rows.values(), batch_size=1000, ignore_conflicts=True)


def _id_of(submission: Submission) -> str | None:
    if submission.event is not None:
        return submission.event.id
    return None if submission.refusal is None else submission.refusal.id


def _subject_of(submission: Submission) -> str:
    if submission.event is not None:
        return submission.event.subject
    content = submission.content or {}
    subject = content.get("subject", content.get("app"))
    if isinstance(subject, str) and subject.isprintable():
        return subject[:100]
    return ""


def _content_of(submission: Submission) -> dict[str, Any] | None:
    hash_of = _hash_for_nobody if submission.teller is None else submission.teller.hash_of
    if submission.event is not None:
        return kept_event(submission.event, hash_of=hash_of)
    return kept_content(submission.content, hash_of=hash_of)


def _hash_for_nobody(user: str) -> bytes:
    key = identity.user_key(master_key=_master_key(), salt=_NO_SALT)
    return identity.user_hash(key=key, user=user)


def _conflict() -> Refusal:
    return Refusal(
        code="conflicting_duplicate",
        detail="An event of this source and id was accepted with other content; "
        "give a new event a new id.",
    )


def _master_key() -> bytes:
    return settings.SUMMIT_HASH_KEY.encode()
