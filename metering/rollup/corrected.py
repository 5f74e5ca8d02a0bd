"""Corrections of closed days, read set-based."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from kernel.array_literals import plain_array
from metering.rollup.queries import Span
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionRow:
    """A change of a closed day."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    kind: str
    day: date
    delta: Decimal
    recorded_at: datetime
    reason: str


def corrections(
    *, tenant_ids: Sequence[UUID], recorded_from: datetime, recorded_to: datetime
) -> list[CorrectionRow]:
    """The changes of closed days that were recorded in ``[recorded_from, recorded_to)``."""
    if not tenant_ids:
        return []
    with cursor() as execution:
        execution.execute(
            """
            SELECT tenant_id, app_id, meter, kind, day, trim_scale(delta), recorded_at, reason
              FROM metering_correction
             WHERE tenant_id = ANY (%s::uuid[]) AND recorded_at >= %s AND recorded_at < %s
             ORDER BY tenant_id, app_id, meter, day, kind, recorded_at, id
            """,
            [plain_array(tenant_ids), recorded_from, recorded_to],
        )
        return [
            CorrectionRow(
                tenant_id=tenant_id,
                app_id=app_id,
                meter=meter,
                kind=kind,
                day=day,
                delta=delta,
                recorded_at=recorded_at,
                reason=reason,
            )
            for tenant_id, app_id, meter, kind, day, delta, recorded_at, reason in execution.fetchall()
        ]


def tenants_with_corrections(*, tenant_ids: Sequence[UUID]) -> set[UUID]:
    """Which of the tenants have a correction of any day."""
    if not tenant_ids:
        return set()
    with cursor() as execution:
        execution.execute(
            """
            SELECT DISTINCT tenant_id FROM metering_correction WHERE tenant_id = ANY (%s::uuid[])
            """,
            [plain_array(sorted(set(tenant_ids)))],
        )
        return {tenant_id for (tenant_id,) in execution.fetchall()}


def correction_counts(*, spans: Sequence[Span]) -> list[int]:
    """How many corrections each span has, in the order of the spans.

    Corrections are never changed or removed, so the count only grows: who keeps the count that was
    read before the usage can tell later, by the count alone and whatever clocks said, that the usage
    may have changed since.
    """
    if not spans:
        return []
    with cursor() as execution:
        execution.execute(
            """
            SELECT asked.place, count(*)
              FROM unnest(%(tenants)s::uuid[], %(from)s::date[], %(to)s::date[])
                   WITH ORDINALITY AS asked (tenant_id, from_day, to_day, place)
              JOIN metering_correction c ON c.tenant_id = asked.tenant_id
                   AND c.day >= asked.from_day AND c.day < asked.to_day
             GROUP BY asked.place
            """,
            {
                "tenants": plain_array(span.tenant_id for span in spans),
                "from": plain_array(span.from_day for span in spans),
                "to": plain_array(span.to_day for span in spans),
            },
        )
        counts = dict(execution.fetchall())
    return [counts.get(place, 0) for place in range(1, len(spans) + 1)]
