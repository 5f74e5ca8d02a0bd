"""Take in the events of one tenant's request."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from kernel.errors import NotFound
from metering.ingest.domain.events import Refusal, UsageEvent, read_event
from metering.ingest.queries import AppFacts, sender_facts
from metering.ingest.services.admit import IngestResult, Submission, Teller, admit
from metering.meters.queries import event_types_for


def ingest_events(
    *, tenant_id: UUID, events: Sequence[object], now: datetime, check_age: bool = True
) -> IngestResult:
    """Store each new event exactly once and tell what became of each, in the caller's transaction.

    Each of `events` is decoded JSON of a CloudEvent, a `UsageEvent`, or a `Refusal` of what could
    not be decoded. Nothing is acknowledged before the caller's scope has committed. Without
    `check_age`, as for imports by staff, any time is taken. Raises NotFound `unknown_tenant`.
    """
    types = event_types_for(each.get("type") for each in events if isinstance(each, Mapping))
    read = [
        event if isinstance(event, UsageEvent | Refusal) else read_event(event, types=types)
        for event in events
    ]
    facts = sender_facts(
        tenant_id=tenant_id,
        app_keys={each.subject for each in read if isinstance(each, UsageEvent)},
    )
    if facts is None:
        raise NotFound("unknown_tenant", "There is no such tenant.", field="tenant")
    tenant, apps = facts
    teller = Teller(tenant)
    return admit(
        submissions=[
            _submission(index, content=content, read=each, teller=teller, apps=apps)
            for index, (content, each) in enumerate(zip(events, read, strict=True))
        ],
        now=now,
        check_age=check_age,
        wake=tenant_id,
    )


def _submission(
    index: int,
    *,
    content: object,
    read: UsageEvent | Refusal,
    teller: Teller,
    apps: Mapping[str, AppFacts],
) -> Submission:
    if isinstance(read, Refusal):
        kept: Mapping[str, Any] | None = content if isinstance(content, Mapping) else None
        return Submission(index=index, teller=teller, refusal=read, content=kept)
    app = apps.get(read.subject)
    return Submission(
        index=index, teller=teller, event=read, app_id=None if app is None else app.id
    )
