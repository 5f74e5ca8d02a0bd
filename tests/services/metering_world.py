"""What metering's tests say events with, and an independent count of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from metering.ingest.stored import EVENTS
from metering.queries import UsageRow, usage
from metering.services import IngestResult, ingest_events
from tenants.scope import system_scope, tenant_scope
from tests.factories import NOW
from work.connections import cursor

Counted: TypeAlias = dict[tuple[UUID, str, str, date], Decimal]
"""(app, meter, kind, day) -> value"""


def message(
    event_id: str,
    user: str = "u1",
    time: str | datetime = NOW,
    *,
    app: str = "chat",
    kind: str | None = None,
    count: int | None = None,
    source: str = "sdk",
    type: str = "message.sent",  # noqa: A002  # as CloudEvents calls it
    **properties: str,
) -> dict[str, Any]:
    """A CloudEvent as a tenant sends it."""
    data: dict[str, Any] = {"user": user, **properties}
    if kind is not None:
        data["kind"] = kind
    if count is not None:
        data["count"] = count
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": type,
        "subject": app,
        "time": time if isinstance(time, str) else time.isoformat(),
        "data": data,
    }


def send(
    tenant_id: UUID,
    events: Sequence[object],
    *,
    now: datetime = NOW,
    check_age: bool = True,
) -> IngestResult:
    """Ingest as the restricted role of that tenant."""
    with tenant_scope(tenant_id):
        return ingest_events(tenant_id=tenant_id, events=events, now=now, check_age=check_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An accepted event as it is stored."""

    event_id: str
    app_id: UUID
    source: str
    type: str
    kind: str
    count: int
    occurred_at: datetime
    received_at: datetime
    day: date
    user_hash: bytes | None


def stored_events() -> list[StoredEvent]:
    """All accepted events, by their ids; inside a cross-tenant scope."""
    names = [field.name for field in fields(StoredEvent)]
    with cursor() as execution:
        execution.execute(
            f"SELECT {', '.join(names)} FROM {EVENTS} AS event ORDER BY event_id"  # our own names
        )
        rows = [dict(zip(names, row, strict=True)) for row in execution.fetchall()]
    return [
        StoredEvent(
            **{
                **row,
                "user_hash": None if row["user_hash"] is None else bytes(row["user_hash"]),
            }
        )
        for row in rows
    ]


def codes(result: IngestResult) -> list[tuple[int, str]]:
    return [(item.index, item.code) for item in result.rejected]


def counted_by_hand(
    events: Sequence[dict[str, Any]], *, zone: str, apps: dict[str, UUID]
) -> Counted:
    """Sets and sums in plain Python, of events of distinct identities."""
    users: dict[tuple[UUID, date], set[str]] = defaultdict(set)
    messages: Counter[tuple[UUID, str, date]] = Counter()
    for event in events:
        app = apps[event["subject"]]
        time = datetime.fromisoformat(event["time"].replace("Z", "+00:00"))
        day = time.astimezone(ZoneInfo(zone)).date()
        users[app, day].add(event["data"]["user"])
        if event["type"] == "message.sent":
            messages[app, event["data"].get("kind", ""), day] += event["data"].get("count", 1)
    counted: Counted = {
        (app, "dau", "", day): Decimal(len(who)) for (app, day), who in users.items()
    }
    for (app, kind, day), sent in messages.items():
        counted[app, "messages", kind, day] = Decimal(sent)
    return counted


def stored_usage(
    tenant_id: UUID,
    *,
    from_day: date = date(1970, 1, 1),
    to_day: date = date(2200, 1, 1),
) -> Counted:
    """What the one door says."""
    with system_scope(purpose="test"):
        return as_counted(
            usage(
                tenant_ids=[tenant_id], meters=["dau", "messages"], from_day=from_day, to_day=to_day
            )
        )


def as_counted(rows: Sequence[UsageRow]) -> Counted:
    return {(row.app_id, row.meter, row.kind, row.day): row.value for row in rows}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)
