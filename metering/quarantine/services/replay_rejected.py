"""Take refused events in after all, once their cause is mended: an app was made, a meter was loaded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from kernel.dimensions import DIMENSIONS, canonical_dimensions
from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.ingest.domain.events import Refusal, UsageEvent, age_fault
from metering.ingest.queries import AppFacts, TenantFacts, apps_by_key, tenant_facts
from metering.ingest.services.admit import IngestResult, Submission, Teller, admit
from metering.meters.domain import EventTypes
from metering.meters.queries import event_types_for
from metering.quarantine.models import EventReplay
from metering.quarantine.queries import REPLAYABLE
from metering.reports.services.sealed_usage import (
    replay_sealed_usage,
    tenants_with_sealed_usage,
)
from tenants import audit
from tenants.scope import system_scope
from work.connections import cursor

_EVENTS_AT_A_TIME: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What became of the refused events that were tried: `rejected` counts those that are still
    refused, by their code of now."""

    tried: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A refused event as it is kept; its users are hashes."""

    id: UUID
    received_at: datetime
    event: UsageEvent
    digest: str


class _KeptTeller(Teller):
    """Tells events that were kept: users are hashed already, and digests were taken when they came."""

    def __init__(self, tenant: TenantFacts, *, waiting: Sequence[_Waiting]) -> None:
        super().__init__(tenant)
        self._digests = {id(each.event): each.digest for each in waiting}

    def hash_of(self, user: str) -> bytes:
        return bytes.fromhex(user)

    def told_hash_of(self, told: str) -> str:
        return told or "NULL"

    def digest_of(self, event: UsageEvent) -> str:
        return self._digests[id(event)]

    def is_content(self, known: str, *content: str | int | bytes | datetime) -> bool:
        # Only digests tell whether two contents are one: what was sent is no longer known.
        return False


def replay_rejected(
    *,
    code: str,
    now: datetime,
    actor: str,
    reason: str,
    tenant_id: UUID | None = None,
    any_age: bool = False,
) -> Replayed:
    """Try the refused events of that code again, of one tenant or of all; with `unknown_app` also what
    reports of gateways told of apps that were made since. Opens its own scopes, one for some hundred events,
    and leaves one record in each tenant's audit trail.

    An event that is taken in counts exactly once, whoever replays it how often, and a resend of it is a
    duplicate. Its age is judged as of when it came; with `any_age`, as for imports by staff, not at all.
    Those still at fault stay. Raises Invalid `not_replayable`, `reason_missing`.
    """
    if code not in REPLAYABLE:
        raise Invalid(
            "not_replayable",
            f"Events refused as {code[:64]!r} are at fault themselves; the sender mends and sends them "
            f"again. Take one of {', '.join(sorted(REPLAYABLE))}.",
            field="code",
        )
    if not reason.strip():
        raise Invalid("reason_missing", "Say what was mended.", field="reason")
    whole = Replayed()
    is_of_reports = code == "unknown_app"
    with system_scope(purpose="replay refused events", actor=actor):
        tenant_ids = _tenants(code, tenant_id=tenant_id)
        if is_of_reports:
            tenant_ids |= tenants_with_sealed_usage(tenant_id=tenant_id)
    for each in sorted(tenant_ids):
        done = _replay_events(each, code=code, now=now, actor=actor, any_age=any_age)
        if is_of_reports:
            told = replay_sealed_usage(tenant_id=each, now=now, actor=actor)
            done = _sum(
                done,
                Replayed(tried=told.tried, accepted=told.accepted, rejected=told.rejected),
            )
        if done.tried:
            with system_scope(purpose="replay refused events", actor=actor):
                _record(each, code=code, done=done, actor=actor, reason=reason, now=now)
        whole = _sum(whole, done)
    return whole


def _replay_events(
    tenant_id: UUID, *, code: str, now: datetime, actor: str, any_age: bool
) -> Replayed:
    done = Replayed()
    after: tuple[datetime, UUID] | None = None
    while True:
        with system_scope(purpose="replay refused events", actor=actor):
            waiting, last = _waiting(tenant_id, code=code, after=after)
            if last is None:
                return done
            done = _sum(
                done, _replay(tenant_id, waiting=waiting, now=now, actor=actor, any_age=any_age)
            )
        after = last


def _tenants(code: str, *, tenant_id: UUID | None) -> set[UUID]:
    with cursor() as execution:
        execution.execute(
            """
            SELECT DISTINCT tenant_id FROM metering_rejected_event
             WHERE code = %(code)s AND tenant_id IS NOT NULL AND digest IS NOT NULL
               AND (%(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s::uuid)
            """,
            {"code": code, "tenant": None if tenant_id is None else str(tenant_id)},
        )
        return {UUID(str(each)) for (each,) in execution.fetchall()}


def _waiting(
    tenant_id: UUID, *, code: str, after: tuple[datetime, UUID] | None
) -> tuple[list[_Waiting], tuple[datetime, UUID] | None]:
    """The next events that wait, and where they end; the latter is None when there are no more."""
    at, last = (None, None) if after is None else (after[0], str(after[1]))
    with cursor() as execution:
        execution.execute(
            """
            SELECT id, received_at, content::text, replace(digest::text, '-', '')
              FROM metering_rejected_event refused
             WHERE tenant_id = %(tenant)s::uuid AND code = %(code)s
               AND digest IS NOT NULL AND content IS NOT NULL
               AND (%(at)s::timestamptz IS NULL
                    OR (received_at, id) > (%(at)s::timestamptz, %(last)s::uuid))
               AND NOT EXISTS (SELECT 1 FROM metering_event_replay replay
                                WHERE replay.tenant_id = refused.tenant_id
                                  AND replay.rejected_id = refused.id)
             ORDER BY received_at, id LIMIT %(limit)s
            """,
            {
                "tenant": str(tenant_id),
                "code": code,
                "at": at,
                "last": last,
                "limit": _EVENTS_AT_A_TIME,
            },
        )
        rows = execution.fetchall()
    waiting = [
        _Waiting(
            id=UUID(str(row[0])),
            received_at=row[1],
            event=_event_of(msgspec.json.decode(row[2])),
            digest=row[3],
        )
        for row in rows
    ]
    return waiting, (waiting[-1].received_at, waiting[-1].id) if waiting else None


def _event_of(content: Mapping[str, Any]) -> UsageEvent:
    """The event that `metering.ingest.domain.quarantine.kept_event` kept."""
    data = content["data"]
    return UsageEvent(
        source=content["source"],
        id=content["id"],
        type=content["type"],
        subject=content["subject"],
        time=datetime.fromisoformat(content["time"]),
        user=data.get("user", ""),
        kind=data.get("kind", ""),
        count=data.get("count", 1),
        device=data.get("device", ""),
        value=Decimal(data["value"]) if "value" in data else None,
        properties=canonical_dimensions(
            {name: data[name] for name in DIMENSIONS if name != "kind" and name in data}
        ),
    )


def _replay(
    tenant_id: UUID, *, waiting: Sequence[_Waiting], now: datetime, actor: str, any_age: bool
) -> Replayed:
    teller = _KeptTeller(tenant_facts(tenant_ids=[tenant_id])[tenant_id], waiting=waiting)
    types = event_types_for(each.event.type for each in waiting)
    apps = apps_by_key(keys={each.event.subject for each in waiting})
    still: Counter[str] = Counter()
    tried: list[tuple[_Waiting, AppFacts]] = []
    for each in waiting:
        app = apps.get(each.event.subject)
        fault = _fault(each, types=types, now=now, any_age=any_age)
        if fault is not None:
            still[fault] += 1
        elif app is None or app.tenant_id != tenant_id:
            still["unknown_app"] += 1
        else:
            tried.append((each, app))
    result = admit(
        submissions=[
            Submission(index=index, teller=teller, event=each.event, app_id=app.id)
            for index, (each, app) in enumerate(tried)
        ],
        now=now,
        check_age=False,
        wake=tenant_id,
    )
    for item in result.rejected:
        still[item.code] += 1
    _note(tenant_id, tried=tried, result=result, now=now, actor=actor)
    return Replayed(
        tried=len(waiting),
        accepted=result.accepted,
        duplicates=result.duplicates,
        rejected=dict(still),
    )


def _fault(waiting: _Waiting, *, types: EventTypes, now: datetime, any_age: bool) -> str | None:
    """Why an event is still not taken; its content is as it was."""
    event = waiting.event
    if event.type not in types.known:
        return "unknown_type"
    for told, needed, code in (
        (event.user, types.need_user, "bad_user"),
        (event.device, types.need_device, "bad_device"),
        (event.value, types.need_value, "bad_value"),
    ):
        if event.type in needed and told in {"", None}:
            return code
    if event.time - now > limits.FURTHEST_AHEAD:
        return "event_in_future"
    if any_age:
        return None
    judged: Refusal | None = age_fault(time=event.time, now=waiting.received_at)
    return "event_too_old" if judged is not None and judged.code == "event_too_old" else None


def _note(
    tenant_id: UUID,
    *,
    tried: Sequence[tuple[_Waiting, AppFacts]],
    result: IngestResult,
    now: datetime,
    actor: str,
) -> None:
    refused = {item.index for item in result.rejected}
    EventReplay.objects.bulk_create(
        [
            EventReplay(
                tenant_id=tenant_id,
                rejected_id=each.id,
                replayed_at=now,
                replayed_by=actor[:254],
            )
            for index, (each, _) in enumerate(tried)
            if index not in refused
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )


def _record(
    tenant_id: UUID, *, code: str, done: Replayed, actor: str, reason: str, now: datetime
) -> None:
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="events.replayed",
            target=f"rejected:{code}",
            after={
                "tried": done.tried,
                "accepted": done.accepted,
                "duplicates": done.duplicates,
                "rejected": dict(done.rejected),
            },
            reason=reason.strip()[:500],
        ),
        now=now,
    )


def _sum(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(
        tried=one.tried + other.tried,
        accepted=one.accepted + other.accepted,
        duplicates=one.duplicates + other.duplicates,
        rejected=dict(Counter(one.rejected) + Counter(other.rejected)),
    )
