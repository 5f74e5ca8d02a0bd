"""End a subscription, at once or when its period ends (contract section 4)."""

from datetime import datetime, timedelta
from uuid import UUID

from billing.invoicing.contracts import load_usage
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import (
    Contract,
    Draft,
    bills_usage,
    final_lines,
    is_middle_of_day,
)
from billing.invoicing.late_usage import last_day_values
from billing.invoicing.services.change_plan import (
    credit_unused,
    held_subscription,
    issue_at_once,
    opening_draft,
    unused_draft_lines,
)
from billing.subscriptions.domain import EffectiveWhen, ServicePeriod, SubscriptionStatus
from billing.subscriptions.models import Subscription, SubscriptionPhase
from kernel.errors import Conflict
from kernel.period import Period, local_day, local_midnight
from metering import queries as metering
from metering.queries import Span
from metering.services import close_days, roll_up
from tenants import audit

_ONE_DAY = timedelta(days=1)


def cancel_subscription(*, tenant_id: UUID, when: EffectiveWhen, now: datetime, actor: str) -> None:
    """End the tenant's subscription, in the caller's cross-tenant scope.

    At the period's end: the next document is its last and bills arrears only. Now: recurring fees end
    before this day, what a price with `prorate` billed in advance for the rest goes back to the cash
    balance, and usage up to this instant is billed at once. Raises NotFound `no_subscription`;
    Conflict `already_cancelled`, `not_started`, `billing_due`.
    """
    row, contract = held_subscription(tenant_id=tenant_id, now=now)
    if when is EffectiveWhen.PERIOD_END:
        if row.ends_at is not None:
            raise Conflict("already_cancelled", "The subscription ends with its period already.")
        row.ends_at = row.next_boundary_at
    else:
        if now <= row.starts_at:
            raise Conflict("not_started", "The subscription has not started; nothing to end.")
        _end_now(row, contract, now=now, actor=actor)
        row.ends_at, row.status, row.next_boundary_at = now, SubscriptionStatus.ENDED, None
    row.save(update_fields=["ends_at", "status", "next_boundary_at", "last_day_usage"])
    # A change that was planned for later will not happen.
    SubscriptionPhase.objects.filter(
        subscription=row, starts_on__gt=local_day(now, contract.cadence.zone)
    ).delete()
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.cancelled",
            target=f"subscription:{row.id}",
            after={"when": when.value, "ends_at": (row.ends_at or now).isoformat()},
        ),
        now=now,
    )


def _end_now(row: Subscription, contract: Contract, *, now: datetime, actor: str) -> None:
    zone = contract.cadence.zone
    day = local_day(now, zone)
    if day < row.starts_on:
        return  # on trial, nothing was billed
    service = contract.cadence.period_of(day)
    # A draft that opens the period is rated again and then bills no more than was served.
    if opening_draft(row, service) is None:
        _give_back(row, contract, service, now=now, actor=actor)
    usage_end = day if now == local_midnight(day, zone) else day + _ONE_DAY
    if usage_end <= service.served.first_day(zone):
        return
    roll_up(now=now, tenant_ids=[row.tenant_id], most_events=None, wait=True)
    # What comes for the days before this one is late usage from here on.
    close_days(now=now, tenant_ids=[row.tenant_id])
    counted = Period.of_days(service.served.first_day(zone), usage_end, zone)
    span = Span(
        tenant_id=row.tenant_id,
        from_day=counted.first_day(zone),
        to_day=counted.end_day(zone),
    )
    (corrections,) = metering.correction_counts(spans=[span])
    usage = load_usage(spans=[span], meters=contract.meters).get(row.tenant_id, {})
    if is_middle_of_day(contract=contract, instant=now):
        row.last_day_usage = last_day_values(usage, day=day)
    draft = Draft(
        boundary_at=now,
        finalize_at=now,
        period=counted,
        currency=contract.versions[0].terms.currency,
        lines=tuple(final_lines(contract=contract, counted=counted, ended_at=now, usage=usage)),
        waits_for_usage=False,
    )
    if not draft.is_empty or bills_usage(contract=contract, period=counted):
        # One of nothing is not issued, but late usage must find that the period was billed.
        issue_at_once(
            row, contract, draft, kind=InvoiceKind.FINAL, now=now, corrections=corrections
        )


def _give_back(
    row: Subscription, contract: Contract, service: ServicePeriod, *, now: datetime, actor: str
) -> None:
    zone = contract.cadence.zone
    day = local_day(now, zone)
    unused = Period.of_days(day, service.served.end_day(zone), zone)
    lines = unused_draft_lines(
        contract, contract.version_on(day), period=service.full, unused=unused
    )
    if lines:
        draft = Draft(
            boundary_at=now,
            finalize_at=now,
            period=unused,
            currency=contract.versions[0].terms.currency,
            lines=tuple(lines),
            waits_for_usage=False,
        )
        credit_unused(
            row, contract, draft, reason="Cancelled within the period", now=now, actor=actor
        )
