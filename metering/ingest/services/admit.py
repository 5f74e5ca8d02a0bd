"""Admission: which of the submitted events are new, stored with their identity in one statement.

The one writer of events, for requests of one tenant and for imports of many. It runs in the
caller's transaction and takes a handful of statements whatever the number of events.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final
from uuid import UUID

import msgspec
from django.conf import settings

from kernel import ids
from metering.ingest.domain import identity
from metering.ingest.domain.events import Refusal, UsageEvent, age_fault, read_event
from metering.ingest.domain.local_days import local_days
from metering.ingest.domain.quarantine import kept_content, kept_event
from metering.ingest.models import RejectedEvent
from metering.ingest.queries import TenantFacts
from metering.ingest.services.note_duplicates import note_duplicates
from metering.ingest.services.store_events import Columns, Group, known_digests, store_events
from metering.meters.domain import EventTypes
from work import jobs

ROLL_UP: Final = "metering.roll_up"
"""The kind of the job that folds what was stored; `metering.rollup` declares it."""

_MOST_REMEMBERED_USERS: Final = 100_000
_NO_SALT: Final = b""


_hasher = lru_cache(maxsize=10_000)(identity.user_hasher)


@lru_cache(maxsize=_MOST_REMEMBERED_USERS)
def _user_hash(key: bytes, user: str) -> str:
    """The hash as hex digits; those of late are remembered, whatever the request."""
    return _hasher(key)(user).hex()


class Teller:
    """Hashes, digests and local days of one tenant; lives as long as a request or an import."""

    def __init__(self, tenant: TenantFacts) -> None:
        self.tenant_id = tenant.id
        self.id_text = str(tenant.id)
        self.timezone = tenant.timezone
        self._days = local_days(tenant.timezone)
        self._digest_key = identity.digest_key(master_key=_master_key(), tenant_id=tenant.id)
        self.digest = identity.content_digester(self._digest_key)
        """The digest of content; see `identity.content_digester`."""
        self._user_key = identity.user_key(master_key=_master_key(), salt=tenant.hash_salt)

    def hash_of(self, user: str) -> bytes:
        return bytes.fromhex(_user_hash(self._user_key, user))

    def hashes_of(self, users: Sequence[str]) -> list[str]:
        """The hashes of many users as hex digits, in their order."""
        return list(map(partial(_user_hash, self._user_key), users))

    def told_hash_of(self, told: str) -> str:
        """The hash of a user or device as hex digits, ``NULL`` where the event told none."""
        return _user_hash(self._user_key, told) if told else "NULL"

    def digest_of(self, event: UsageEvent) -> str:
        return self.digest(*identity.content_of(event))

    def is_content(self, known: str, *content: str | int | bytes | datetime) -> bool:
        """Whether `known` is the digest of the content, by today's way or the one before."""
        return known in {
            self.digest(*content),
            identity.former_digest(self._digest_key, *content),
        }

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
    identity: str
    digest: str

    def is_known_as(self, digest: str) -> bool:
        """Whether `digest` is that of its content."""
        return self.digest == digest or self.teller.is_content(
            digest, *identity.content_of(self.event)
        )


@dataclass(slots=True, kw_only=True)
class _Doubt:
    """A submission with a fault: a duplicate or a conflict if its identity is known."""

    submission: Submission
    refusal: Refusal
    known_as: tuple[str, str] | None
    """Tenant and identity, where they could be read."""

    def is_known_as(self, digest: str) -> bool:
        """Whether `digest` is that of its content; content that could not be read equals no other."""
        event, teller = self.submission.event, self.submission.teller
        return (
            event is not None
            and teller is not None
            and teller.is_content(digest, *identity.content_of(event))
        )


def admit(
    *, submissions: Sequence[Submission], now: datetime, check_age: bool, wake: UUID | None
) -> IngestResult:
    """Store the new events among the submissions, refuse or acknowledge the others.

    An event's identity counts before its faults: one that is known is a duplicate however old, or
    conflicting when its content differs. `wake` is the tenant for whom the roll-up is asked for in
    the same transaction; None for imports, which roll up themselves at their end.
    """
    candidates: dict[tuple[str, str], _Candidate] = {}
    repeats: list[tuple[tuple[str, str], _Candidate]] = []
    doubts: list[_Doubt] = []
    for submission in submissions:
        refusal = _first_fault(submission, now=now, check_age=check_age)
        event, teller = submission.event, submission.teller
        if refusal is not None or event is None or teller is None:
            doubts.append(_doubt(submission, refusal))
            continue
        candidate = _Candidate(
            submission=submission,
            teller=teller,
            event=event,
            identity=identity.event_identity(source=event.source, event_id=event.id),
            digest=teller.digest_of(event),
        )
        name = (teller.id_text, candidate.identity)
        if name in candidates:
            repeats.append((name, candidate))
        else:
            candidates[name] = candidate
    names = list(candidates)
    known = _store(list(candidates.values()), now=now, wake=wake)
    digests = {names[place]: digest for place, digest in known.items()}
    doubtful = {doubt.known_as for doubt in doubts if doubt.known_as is not None}
    digests |= known_digests(sorted(doubtful - digests.keys()))

    duplicates: Counter[UUID] = Counter()
    rejected: list[tuple[Submission, Refusal]] = []
    for place, digest in known.items():
        candidate = candidates[names[place]]
        if candidate.is_known_as(digest):
            duplicates[candidate.teller.tenant_id] += 1
        else:
            rejected.append((candidate.submission, conflict()))
    for name, candidate in repeats:
        if candidate.is_known_as(digests.get(name, candidates[name].digest)):
            duplicates[candidate.teller.tenant_id] += 1
        else:
            rejected.append((candidate.submission, conflict()))
    for doubt in doubts:
        known_digest = None if doubt.known_as is None else digests.get(doubt.known_as)
        teller = doubt.submission.teller
        if known_digest is None or teller is None:
            rejected.append((doubt.submission, doubt.refusal))
        elif doubt.is_known_as(known_digest):
            duplicates[teller.tenant_id] += 1
        else:
            rejected.append((doubt.submission, conflict()))
    return finished(
        accepted=len(names) - len(known), duplicates=duplicates, rejected=rejected, now=now
    )


def finished(
    *,
    accepted: int,
    duplicates: Counter[UUID],
    rejected: list[tuple[Submission, Refusal]],
    now: datetime,
) -> IngestResult:
    """Keep what was rejected and how much was known, by tenant, for the tenant to see, and tell what
    became of all."""
    rejected.sort(key=lambda item: item[0].index)
    _quarantine(rejected, now=now)
    note_duplicates(of_tenants=duplicates, now=now)
    return IngestResult(
        accepted=accepted,
        duplicates=duplicates.total(),
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
    source, event_id = (event.source, event.id) if event else (refusal.source, refusal.id)
    known_as = None
    if teller is not None and source is not None and event_id is not None:
        known_as = (
            teller.id_text,
            identity.event_identity(source=source, event_id=event_id),
        )
    return _Doubt(submission=submission, refusal=refusal, known_as=known_as)


def _store(candidates: Sequence[_Candidate], *, now: datetime, wake: UUID | None) -> dict[int, str]:
    """Insert those whose identity is new; gives the places and known digests of the others."""
    if not candidates:
        return {}
    batch_id = ids.new_id()
    groups: dict[Group, Group] = {}
    columns = Columns(
        groups=[groups.setdefault(group, group) for group in map(_group_of, candidates)],
        identities=[each.identity for each in candidates],
        digests=[each.digest for each in candidates],
        event_ids=[each.event.id for each in candidates],
        # The "T" form has no space, so that it needs no quotes in an array.
        times=[each.event.time.isoformat() for each in candidates],
        users=[each.teller.told_hash_of(each.event.user) for each in candidates],
        counts=[each.event.count for each in candidates],
        devices=[each.teller.told_hash_of(each.event.device) for each in candidates],
        readings=[
            "NULL" if each.event.value is None else str(each.event.value) for each in candidates
        ],
    )
    known = store_events(columns, batch_id=batch_id, now=now)
    if wake is not None and len(known) < len(candidates):
        ask_for_roll_up(batch_id=batch_id, tenant_id=wake)
    return known


def ask_for_roll_up(*, batch_id: UUID, tenant_id: UUID) -> None:
    """Have the batch folded, once the caller's transaction has committed."""
    jobs.enqueue(kind=ROLL_UP, key=f"batch:{batch_id}", payload={}, tenant_id=tenant_id)


def _group_of(candidate: _Candidate) -> Group:
    event, teller = candidate.event, candidate.teller
    return Group(
        tenant_id=teller.id_text,
        app_id=str(candidate.submission.app_id),
        source=event.source,
        type=event.type,
        kind=event.dimensions,
        day=teller.day_of(event.time),
    )


def _quarantine(rejected: Sequence[tuple[Submission, Refusal]], *, now: datetime) -> None:
    rows: dict[UUID, RejectedEvent] = {}
    for told_submission, refusal in rejected:
        submission = _read_whole(told_submission, refusal)
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
            digest=_kept_digest(submission),
        )
    # In one order, so that two who are refused the same events don't wait for one another.
    RejectedEvent.objects.bulk_create(
        [rows[name] for name in sorted(rows)], batch_size=1000, ignore_conflicts=True
    )


def _read_whole(submission: Submission, refusal: Refusal) -> Submission:
    """The submission with its event, if a meter that names its type is all that was missing."""
    if refusal.code != "unknown_type" or submission.event is not None or not submission.content:
        return submission
    event = read_event(
        submission.content,
        types=EventTypes(
            known=frozenset({str(submission.content.get("type"))}),
            need_user=frozenset(),
            need_device=frozenset(),
            need_value=frozenset(),
        ),
    )
    return replace(submission, event=event) if isinstance(event, UsageEvent) else submission


def _kept_digest(submission: Submission) -> UUID | None:
    """The digest of an event that was read whole, by which a resend of it will be known."""
    if submission.event is None or submission.teller is None:
        return None
    return UUID(submission.teller.digest_of(submission.event))


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


def conflict() -> Refusal:
    """What is told of an event whose identity has other content already."""
    return Refusal(
        code="conflicting_duplicate",
        detail="An event of this source and id was accepted with other content; "
        "give a new event a new id.",
    )


def _master_key() -> bytes:
    return settings.SUMMIT_HASH_KEY.encode()
