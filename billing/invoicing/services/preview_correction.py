"""What a correction of usage would change on documents, before it is applied."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing.invoicing.late_listing import PendingLate, PendingPeriod, pending_late_usage
from billing.invoicing.services.preview_next_invoice import NextInvoice, preview_next_invoices
from kernel.money import Money
from metering.corrections.services.request_correction import CheckedCorrection
from metering.services import set_usage
from work.connections import current_alias

_MOST_SUBSCRIPTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPeriod:
    """A billed period of a subscription with the correction: `before` is the difference that waits to
    be settled without it, `late.policy` tells what becomes of it."""

    late: PendingLate
    period: PendingPeriod
    before: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionEffect:
    """What the correction changes: periods that are billed, and the total of the next document that it
    changes, of the first one if it changes none (None where nothing will be billed)."""

    periods: Sequence[ChangedPeriod]
    next_before: Money | None
    next_after: Money | None

    @property
    def is_none(self) -> bool:
        """Whether no amount changes."""
        return self.next_before == self.next_after and all(
            each.before == each.period.amount for each in self.periods
        )


def preview_correction(*, correction: CheckedCorrection, now: datetime) -> CorrectionEffect:
    """Rate as a billing run would with the correction and without; in the caller's cross-tenant
    transaction, of which nothing stays: the correction is recorded and taken back."""
    tenant_id = correction.tenant_id
    waiting = {
        (late.subscription_id, period.period): period.amount
        for late in pending_late_usage(tenant_id=tenant_id, limit=_MOST_SUBSCRIPTIONS).rows
        for period in late.periods
    }
    before = preview_next_invoices(tenant_id=tenant_id, now=now)
    with transaction.atomic(using=current_alias()):
        set_usage(
            tenant_id=tenant_id,
            app_id=correction.app_id,
            meter=correction.meter,
            day=correction.day,
            kind=correction.kind,
            value=correction.value,
            now=now,
            reason="preview",
        )
        late = pending_late_usage(tenant_id=tenant_id, limit=_MOST_SUBSCRIPTIONS).rows
        after = preview_next_invoices(tenant_id=tenant_id, now=now)
        transaction.set_rollback(True, using=current_alias())
    next_before, next_after = _changed(before, after)
    return CorrectionEffect(
        periods=[
            ChangedPeriod(
                late=each,
                period=period,
                before=waiting.get(
                    (each.subscription_id, period.period), Money(0, period.amount.currency)
                ),
            )
            for each in late
            for period in each.periods
        ],
        next_before=next_before,
        next_after=next_after,
    )


def _changed(
    before: Sequence[NextInvoice], after: Sequence[NextInvoice]
) -> tuple[Money | None, Money | None]:
    """A meter is priced by one subscription, so that one document changes at most."""
    old = {each.subscription_id: each.total for each in before}
    new = {each.subscription_id: each.total for each in after}
    pairs = [(old.get(key), new.get(key)) for key in {**old, **new}]
    return next((pair for pair in pairs if pair[0] != pair[1]), (pairs or [(None, None)])[0])
