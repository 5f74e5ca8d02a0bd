"""Ask for a statement of account."""

from datetime import date, datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.statements.domain.states import StatementOrigin, StatementState
from billing.statements.models import Statement
from kernel.currencies import exponent
from kernel.errors import Conflict, Invalid
from kernel.period import Period
from tenants import audit
from tenants.models import Tenant
from work.jobs import JobRequest, enqueue_many

KIND: Final = "billing.make_statement"


def request_statement(
    *,
    tenant_id: UUID,
    currency: str,
    starts_on: date,
    ends_on: date,
    now: datetime,
    actor: str,
) -> UUID:
    """Ask for the statement of the tenant's local days ``[starts_on, ends_on)``, in the caller's scope;
    gives its id. A job makes it. One of the same days that is still being made is not asked for twice.

    Raises Invalid `unknown_currency`, `end_before_start`, Conflict `statement_period_not_over`.
    """
    exponent(currency)
    tenant = Tenant.objects.get(id=tenant_id)
    zone = ZoneInfo(tenant.timezone)
    if ends_on <= starts_on:
        raise Invalid(
            "end_before_start",
            "The end is not after the start; a statement is of at least one day, and its end is the day "
            "after the last.",
            field="to",
        )
    period = Period.of_days(starts_on, ends_on, zone)
    if period.ends_at > now:
        raise Conflict(
            "statement_period_not_over",
            "A statement is of days that are over; let it end today or before.",
            field="to",
        )
    waiting = Statement.objects.filter(
        tenant_id=tenant_id,
        currency=currency,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        state=StatementState.REQUESTED,
    ).first()
    if waiting is not None:
        return waiting.id
    row = Statement.objects.create(
        tenant_id=tenant_id,
        currency=currency,
        starts_on=starts_on,
        ends_on=ends_on,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        timezone=tenant.timezone,
        language=tenant.language,
        origin=StatementOrigin.ASKED,
        requested_by=actor,
        requested_at=now,
    )
    make_later([row])
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="statement.requested",
            target=f"statement:{row.id}",
            after={
                "currency": currency,
                "starts_on": starts_on.isoformat(),
                "ends_on": ends_on.isoformat(),
            },
        ),
        now=now,
    )
    return row.id


def make_later(rows: list[Statement]) -> None:
    """Let a job make each, once the caller's transaction is committed."""
    enqueue_many(
        JobRequest(
            kind=KIND,
            key=str(row.id),
            payload={"statement_id": str(row.id)},
            tenant_id=row.tenant_id,
            requested_by=row.requested_by,
        )
        for row in rows
    )
