"""Ask that a month of the books be closed, or opened again."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from billing.closing.domain import Hinder
from billing.closing.queries import PeriodState, PeriodView, period_view
from billing.ledger.domain import PeriodAction
from billing.ledger.models import AccountingPeriod, PeriodRequest
from kernel import ids
from kernel.errors import Conflict, Invalid
from tenants import audit


def request_period(
    *, month: date, action: PeriodAction, reason: str = "", now: datetime, actor: str
) -> UUID:
    """Ask for it, in the caller's cross-tenant transaction; somebody else approves. Gives the request's id.

    Raises NotFound `unknown_period`; Invalid `reason_missing` for opening without a reason; Conflict
    `period_waits`, `period_closed`, `period_open`, `later_period_closed`, `period_hindered`.
    """
    view = period_view(month=month, now=now)
    if view.waiting is not None:
        raise Conflict(
            "period_waits",
            f"Something was asked of {month:%Y-%m} already and waits for a second person.",
        )
    if action is PeriodAction.CLOSE:
        _check_close(view)
    else:
        if not reason.strip():
            raise Invalid("reason_missing", "Say why the month is opened again.", field="reason")
        check_reopen(view)
    row = PeriodRequest.objects.create(
        id=ids.new_id(),
        month=month,
        action=action,
        reason=reason.strip()[:200],
        requested_by=actor,
        requested_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action=f"period.{action}_requested",
            target=f"period:{month:%Y-%m}",
            reason=row.reason,
        ),
        now=now,
    )
    return row.id


def _check_close(view: PeriodView) -> None:
    if view.state is PeriodState.CLOSED:
        raise Conflict("period_closed", f"{view.month:%Y-%m} is closed already.")
    refuse_hindered(month=view.month, hinders=view.hinders)


def refuse_hindered(*, month: date, hinders: Sequence[Hinder]) -> None:
    """Raises Conflict `period_hindered`, which names what hinders the close, if anything does."""
    if hinders:
        told = ", ".join(f"{each.what.value} ({each.count}: {each.first})" for each in hinders)
        raise Conflict(
            "period_hindered",
            f"{month:%Y-%m} can't be closed yet: {told}. Mend these, then ask again.",
            params={"hinders": told},
        )


def check_reopen(view: PeriodView) -> None:
    """Raises Conflict `period_open` and, since months are opened in the reverse order, `later_period_closed`."""
    if view.state in {PeriodState.OPEN, PeriodState.CLOSING}:
        raise Conflict("period_open", f"{view.month:%Y-%m} is open.")
    later = AccountingPeriod.objects.filter(is_closed=True, month__gt=view.month).order_by("-month")
    found = later.first()
    if found is not None:
        raise Conflict(
            "later_period_closed",
            f"{found.month:%Y-%m} is closed too; months are opened in the reverse order, so open that "
            "one first.",
            params={"month": f"{found.month:%Y-%m}"},
        )
