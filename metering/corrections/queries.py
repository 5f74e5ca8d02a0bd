"""Corrections that were asked for, and the value that one would change."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from kernel.errors import NotFound
from metering.corrections.models import CorrectionRequest
from metering.rollup.queries import usage
from tenants.models import App


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedCorrection:
    """A correction as somebody asked for it, and what became of it: `state` is waiting, applied or
    refused."""

    id: UUID
    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    app_id: UUID
    app: str
    meter: str
    day: date
    kind: str
    value_before: Decimal
    value: Decimal
    reason: str
    requested_by: str
    requested_at: datetime
    state: str
    decided_by: str
    decided_at: datetime | None

    @property
    def delta(self) -> Decimal:
        return self.value - self.value_before


def requested_corrections(*, limit: int, offset: int = 0) -> tuple[list[RequestedCorrection], int]:
    """The newest first, and how many there are; in a cross-tenant scope."""
    rows = CorrectionRequest.objects.order_by("-requested_at", "-id")
    return _told(list(rows[offset : offset + limit])), rows.count()


def requested_correction(*, correction_id: UUID) -> RequestedCorrection:
    """One of them. Raises NotFound `unknown_correction`."""
    row = CorrectionRequest.objects.filter(id=correction_id).first()
    if row is None:
        raise NotFound("unknown_correction", "There is no such correction.", field="correction")
    return _told([row])[0]


def day_value(*, tenant_id: UUID, app_id: UUID, meter: str, day: date, kind: str) -> Decimal:
    """The usage of that day as it stands, corrections included."""
    rows = usage(
        tenant_ids=[tenant_id], meters=[meter], from_day=day, to_day=day + timedelta(days=1)
    )
    return next((row.value for row in rows if (row.app_id, row.kind) == (app_id, kind)), Decimal(0))


def _told(rows: list[CorrectionRequest]) -> list[RequestedCorrection]:
    apps = {
        app_id: (key, tenant_key, tenant_name)
        for app_id, key, tenant_key, tenant_name in App.objects.filter(
            id__in=[row.app_id for row in rows]
        ).values_list("id", "key", "tenant__key", "tenant__name")
    }
    return [
        RequestedCorrection(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant_key=apps[row.app_id][1],
            tenant_name=apps[row.app_id][2],
            app_id=row.app_id,
            app=apps[row.app_id][0],
            meter=row.meter,
            day=row.day,
            kind=row.kind,
            value_before=row.value_before,
            value=row.value,
            reason=row.reason,
            requested_by=row.requested_by,
            requested_at=row.requested_at,
            state=row.state,
            decided_by=row.decided_by,
            decided_at=row.decided_at,
        )
        for row in rows
    ]
