"""Approve or refuse a correction that somebody else asked for."""

from datetime import datetime
from uuid import UUID

from kernel.errors import Conflict, NotFound
from metering.corrections.models import CorrectionRequest
from metering.corrections.queries import day_value
from metering.rollup.services.set_usage import set_usage
from tenants import audit, two_people
from work.connections import cursor


def approve_correction(*, correction_id: UUID, now: datetime, actor: str) -> None:
    """Record the correction, once, in the caller's cross-tenant transaction.

    Raises NotFound `unknown_correction`, Forbidden `same_person`, Conflict `already_decided`,
    `request_expired`, and `usage_changed` when the day's usage is no longer what it was.
    """
    row = _waiting(correction_id)
    two_people.refuse_unless_second(row, now=now, actor=actor)
    with cursor() as execution:
        # Roll-up of the tenant waits, so that what is checked is what is corrected.
        execution.execute(
            "SELECT 1 FROM metering_watermark WHERE tenant_id = %s::uuid FOR UPDATE",
            [str(row.tenant_id)],
        )
    present = day_value(
        tenant_id=row.tenant_id, app_id=row.app_id, meter=row.meter, day=row.day, kind=row.kind
    )
    if present != row.value_before:
        raise Conflict(
            "usage_changed",
            f"The day's usage was {row.value_before:f} when this was asked for and is {present:f} now; "
            "refuse it and ask for it anew.",
            params={"before": format(row.value_before, "f"), "now": format(present, "f")},
        )
    set_usage(
        tenant_id=row.tenant_id,
        app_id=row.app_id,
        meter=row.meter,
        day=row.day,
        kind=row.kind,
        value=row.value,
        now=now,
        reason=row.reason,
    )
    _decide(row, state="applied", action="usage.corrected", now=now, actor=actor)


def refuse_correction(*, correction_id: UUID, now: datetime, actor: str) -> None:
    """Nothing is changed; also who asked may take it back so. Raises NotFound `unknown_correction`,
    Conflict `already_decided`."""
    row = _waiting(correction_id)
    _decide(row, state="refused", action="usage.correction_refused", now=now, actor=actor)


def _waiting(correction_id: UUID) -> CorrectionRequest:
    return two_people.lock_waiting(
        CorrectionRequest.objects.filter(id=correction_id),
        missing=NotFound("unknown_correction", "There is no such correction.", field="correction"),
    )


def _decide(row: CorrectionRequest, *, state: str, action: str, now: datetime, actor: str) -> None:
    two_people.decide(row, state=state, now=now, actor=actor)
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=actor,
            action=action,
            target=f"correction:{row.id}",
            before={"value": format(row.value_before, "f")},
            after={
                "value": format(row.value, "f"),
                "meter": row.meter,
                "day": row.day.isoformat(),
                "kind": row.kind,
                "requested_by": row.requested_by,
            },
            reason=row.reason,
        ),
        now=now,
    )
