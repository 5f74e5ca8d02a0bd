"""End a subscription, at once or when its period ends (contract section 4)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from billing.invoicing.contracts import load_usage
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Contract, Draft, DraftLine, HeldVersion, rated_lines
from billing.invoicing.services.change_plan import (
    credit_unused,
    held_subscription,
    issue_at_once,
    opening_draft,
    unused_draft_lines,
)
from billing.rating.terms import PlanTerms, PriceTerms, Timing
from billing.rating.usage import Usage
from billing.subscriptions.domain import EffectiveWhen, ServicePeriod, SubscriptionStatus
from billing.subscriptions.models import Subscription, SubscriptionPhase
from kernel.errors import Conflict
from kernel.period import Period, local_day, local_midnight
from metering.queries import Span
from metering.services import roll_up
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
    row.save(update_fields=["ends_at", "status", "next_boundary_at"])
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
    counted = Period.of_days(service.served.first_day(zone), usage_end, zone)
    span = Span(
        tenant_id=row.tenant_id,
        from_day=counted.first_day(zone),
        to_day=counted.end_day(zone),
    )
    usage = load_usage(spans=[span], meters=contract.meters).get(row.tenant_id, {})
    draft = Draft(
        boundary_at=now,
        finalize_at=now,
        period=counted,
        currency=contract.versions[0].terms.currency,
        lines=tuple(_arrears(contract, service, counted, usage, now=now)),
        waits_for_usage=False,
    )
    if not draft.is_empty:
        issue_at_once(row, contract, draft, kind=InvoiceKind.FINAL, now=now)


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


def _arrears(
    contract: Contract, service: ServicePeriod, counted: Period, usage: Usage, *, now: datetime
) -> list[DraftLine]:
    """Usage of all days up to the instant, recurring fees of those before its day."""
    zone = contract.cadence.zone
    lines: list[DraftLine] = []
    for held, part in contract.parts_of(counted):
        lines.extend(
            rated_lines(
                contract,
                _with(held, lambda price: not _is_recurring_arrears(price), bounds=True),
                period=service.full,
                served=part,
                usage=usage,
                timing=Timing.IN_ARREARS,
            )
        )
    day = local_day(now, zone)
    if day > service.served.first_day(zone):
        before = Period.of_days(service.served.first_day(zone), day, zone)
        for held, part in contract.parts_of(before):
            lines.extend(
                rated_lines(
                    contract,
                    _with(held, _is_recurring_arrears, bounds=False),
                    period=service.full,
                    served=part,
                    usage=usage,
                    timing=Timing.IN_ARREARS,
                )
            )
    return lines


def _is_recurring_arrears(price: PriceTerms) -> bool:
    return price.metering is None and price.timing is Timing.IN_ARREARS


def _with(held: HeldVersion, chosen: Callable[[PriceTerms], bool], *, bounds: bool) -> HeldVersion:
    """The version with some of its prices, and with or without the plan's own bounds."""
    terms: PlanTerms = held.terms
    return replace(
        held,
        terms=replace(
            terms,
            prices=tuple(price for price in terms.prices if chosen(price)),
            minimum=terms.minimum if bounds else None,
            maximum=terms.maximum if bounds else None,
        ),
    )
