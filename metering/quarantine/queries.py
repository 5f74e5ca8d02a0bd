"""What is in quarantine: counts by tenant and code with a sample, and the events themselves in pages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from metering.reports.queries import sealed_counts
from work.connections import cursor

REPLAYABLE: Final = frozenset({"unknown_app", "unknown_type", "event_in_future", "event_too_old"})
"""Codes whose cause may be mended on our side, and whose events are kept whole: the others' content is
itself at fault, and only the sender can mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedGroup:
    """Refused events of one tenant and code. `waiting` could still be taken in."""

    tenant_id: UUID | None
    tenant_key: str
    code: str
    count: int
    waiting: int
    replayed: int
    first_at: datetime
    last_at: datetime
    sample_subject: str
    sample_source: str
    sample_id: str
    sample_detail: str

    @property
    def can_replay(self) -> bool:
        """Whether there is anything to take in."""
        return self.tenant_id is not None and self.waiting > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedGroups:
    """One page of groups, and how many there are."""

    rows: list[RejectedGroup]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """One refused event. `replayed_at` is None unless it was taken in after all."""

    id: UUID
    received_at: datetime
    subject: str
    source: str
    event_id: str
    code: str
    detail: str
    content: Mapping[str, Any] | None
    replayed_at: datetime | None


def rejected_groups(
    *, since: datetime, limit: int, offset: int = 0, tenant_id: UUID | None = None
) -> RejectedGroups:
    """What was refused since then, by tenant and code, the latest first, with the latest event as a
    sample; of one tenant or of all that the scope shows."""
    with cursor() as execution:
        execution.execute(
            """
            WITH refused AS MATERIALIZED (
                SELECT refused.tenant_id, code, refused.received_at, refused.id, digest,
                       replay.rejected_id IS NOT NULL AS was_replayed
                  FROM metering_rejected_event refused
                  LEFT JOIN metering_event_replay replay
                    ON replay.tenant_id = refused.tenant_id AND replay.rejected_id = refused.id
                 WHERE refused.received_at >= %(since)s
                   AND (%(tenant)s::uuid IS NULL OR refused.tenant_id = %(tenant)s::uuid)
            ), groups AS (
                SELECT tenant_id, code, count(*) AS events,
                       count(*) FILTER (WHERE NOT was_replayed AND digest IS NOT NULL
                                          AND code = ANY (%(replayable)s)) AS waiting,
                       count(*) FILTER (WHERE was_replayed) AS replayed,
                       min(received_at) AS first_at, max(received_at) AS last_at,
                       (array_agg(id ORDER BY received_at DESC, id DESC))[1] AS latest,
                       count(*) OVER () AS groups
                  FROM refused GROUP BY tenant_id, code
                 ORDER BY last_at DESC, tenant_id, code LIMIT %(limit)s OFFSET %(offset)s
            )
            SELECT groups.tenant_id, coalesce(tenant.key, ''), groups.code, events, waiting, replayed,
                   first_at, last_at, sample.subject, sample.source, sample.event_id, sample.detail,
                   groups.groups
              FROM groups JOIN metering_rejected_event sample ON sample.id = groups.latest
              LEFT JOIN tenants_tenant tenant ON tenant.id = groups.tenant_id
             ORDER BY last_at DESC, groups.tenant_id, groups.code
            """,
            {
                "since": since,
                "tenant": None if tenant_id is None else str(tenant_id),
                "replayable": sorted(REPLAYABLE),
                "limit": limit,
                "offset": offset,
            },
        )
        found = execution.fetchall()
    rows = [
        RejectedGroup(
            tenant_id=None if row[0] is None else UUID(str(row[0])),
            tenant_key=row[1],
            code=row[2],
            count=row[3],
            waiting=row[4],
            replayed=row[5],
            first_at=row[6],
            last_at=row[7],
            sample_subject=row[8],
            sample_source=row[9],
            sample_id=row[10],
            sample_detail=row[11],
        )
        for row in found
    ]
    return RejectedGroups(
        rows=[_with_reports(row, since=since) for row in rows],
        total=found[0][-1] if found else 0,
    )


def _with_reports(row: RejectedGroup, *, since: datetime) -> RejectedGroup:
    """With what reports told of unknown apps, which belongs to nobody before they are made."""
    if row.tenant_id is not None or row.code != "unknown_app":
        return row
    waiting, replayed = sealed_counts(since=since)
    return replace(row, waiting=row.waiting + waiting, replayed=row.replayed + replayed)


def rejected_page(
    *,
    tenant_id: UUID,
    limit: int,
    code: str = "",
    before: tuple[datetime, UUID] | None = None,
    offset: int = 0,
) -> list[RejectedRow]:
    """Refused events of one tenant, the newest first, from before the given instant and id on."""
    at, last = (None, None) if before is None else (before[0], str(before[1]))
    with cursor() as execution:
        execution.execute(
            """
            SELECT refused.id, refused.received_at, subject, source, event_id, code, detail,
                   content::text, replay.replayed_at
              FROM metering_rejected_event refused
              LEFT JOIN metering_event_replay replay
                ON replay.tenant_id = refused.tenant_id AND replay.rejected_id = refused.id
             WHERE refused.tenant_id = %(tenant)s::uuid
               AND (%(code)s = '' OR code = %(code)s)
               AND (%(at)s::timestamptz IS NULL
                    OR (refused.received_at, refused.id) < (%(at)s::timestamptz, %(last)s::uuid))
             ORDER BY refused.received_at DESC, refused.id DESC LIMIT %(limit)s OFFSET %(offset)s
            """,
            {
                "tenant": str(tenant_id),
                "code": code,
                "at": at,
                "last": last,
                "limit": limit,
                "offset": offset,
            },
        )
        return [
            RejectedRow(
                id=UUID(str(row[0])),
                received_at=row[1],
                subject=row[2],
                source=row[3],
                event_id=row[4],
                code=row[5],
                detail=row[6],
                content=None if row[7] is None else msgspec.json.decode(row[7]),
                replayed_at=row[8],
            )
            for row in execution.fetchall()
        ]


def rejected_codes(*, tenant_id: UUID) -> dict[str, int]:
    """How many of the tenant's events were refused, by code."""
    with cursor() as execution:
        execution.execute(
            "SELECT code, count(*) FROM metering_rejected_event"
            " WHERE tenant_id = %s::uuid GROUP BY code ORDER BY code",
            [str(tenant_id)],
        )
        return dict(execution.fetchall())
