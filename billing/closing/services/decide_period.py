"""Approve or refuse what somebody else asked of a month of the books."""

from datetime import datetime
from uuid import UUID

from billing.closing.queries import figures_of, hinders, period_view
from billing.closing.services.request_period import check_reopen, refuse_hindered
from billing.ledger.domain import PeriodAction
from billing.ledger.models import AccountingPeriod, PeriodRequest
from kernel.errors import NotFound
from tenants import audit, two_people
from work.connections import cursor


def approve_period(*, request_id: UUID, now: datetime, actor: str) -> None:
    """Close the month, or open it again, in the caller's cross-tenant transaction.

    Who posts waits meanwhile, and what was being posted is waited for: what is looked at is what is
    closed. Raises NotFound `unknown_period_request`; Forbidden `same_person`; Conflict `already_decided`,
    `request_expired`, `period_hindered`, `period_open`, `later_period_closed`.
    """
    row = _waiting(request_id)
    two_people.refuse_unless_second(row, now=now, actor=actor)
    is_closing = row.action == PeriodAction.CLOSE
    if is_closing:
        with cursor() as db:
            db.execute(
                "SELECT pg_advisory_xact_lock('billing_journaltransaction'::regclass::oid::int, 1)"
            )
        refuse_hindered(month=row.month, hinders=hinders(month=row.month, now=now))
    else:
        check_reopen(period_view(month=row.month, now=now))
    _decide(row, state="done", action=f"period.{row.action}", now=now, actor=actor)
    figures = figures_of(month=row.month) if is_closing else []
    AccountingPeriod.objects.update_or_create(
        month=row.month,
        defaults={
            "is_closed": is_closing,
            "request_id": row.id,
            "changed_at": now,
            "figures": figures,
        },
    )


def refuse_period(*, request_id: UUID, now: datetime, actor: str) -> None:
    """Nothing changes; who asked may take it back so. Raises NotFound `unknown_period_request`, Conflict
    `already_decided`."""
    row = _waiting(request_id)
    _decide(row, state="refused", action=f"period.{row.action}_refused", now=now, actor=actor)


def _waiting(request_id: UUID) -> PeriodRequest:
    return two_people.lock_waiting(
        PeriodRequest.objects.filter(id=request_id),
        missing=NotFound("unknown_period_request", "There is no such request.", field="request"),
    )


def _decide(row: PeriodRequest, *, state: str, action: str, now: datetime, actor: str) -> None:
    two_people.decide(row, state=state, now=now, actor=actor)
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action=action,
            target=f"period:{row.month:%Y-%m}",
            after={"requested_by": row.requested_by},
            reason=row.reason,
        ),
        now=now,
    )
