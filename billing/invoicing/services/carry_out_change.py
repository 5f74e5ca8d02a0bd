"""Do a change that was asked for over the web, once, and record what became of it."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.change_subscription import Changed, change_subscription
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.tenant_ranges import TenantRange
from billing.subscriptions.domain import AskedChange, ChangeKind, ChangeState, EffectiveWhen
from billing.subscriptions.models import Subscription, SubscriptionChange
from kernel.errors import DomainError
from tenants.scope import system_scope


def carry_out_change(*, change_id: UUID, now: datetime) -> ChangeState:
    """Change the subscription as it was asked, as of `now`; a change that is concluded stays so.

    A period that ended meanwhile is drafted first. The documents and the outcome commit together, so that
    a run that is killed and started again bills nothing twice. What the subscription's state refuses
    becomes the outcome, with its code.
    """
    with system_scope(purpose=f"change {change_id}"):
        change = SubscriptionChange.objects.get(id=change_id)
        if change.state != ChangeState.PENDING:
            return ChangeState(change.state)
        tenants = TenantRange.of_one(change.tenant_id)
        is_due = Subscription.objects.filter(
            id=change.subscription_id, next_boundary_at__lte=now
        ).exists()
    while is_due and draft_due(at=now, tenants=tenants).subscriptions:
        pass
    try:
        with system_scope(purpose=f"change {change_id}"):
            return _carry_out(change_id, now=now)
    except DomainError as error:
        with system_scope(purpose=f"change {change_id}"):
            SubscriptionChange.objects.filter(id=change_id, state=ChangeState.PENDING).update(
                state=ChangeState.REFUSED,
                error_code=error.code,
                error_detail=error.message,
                concluded_at=now,
            )
        return ChangeState.REFUSED


def _carry_out(change_id: UUID, *, now: datetime) -> ChangeState:
    change = SubscriptionChange.objects.select_for_update().get(id=change_id)
    if change.state != ChangeState.PENDING:
        return ChangeState(change.state)
    changed = change_subscription(
        tenant_id=change.tenant_id,
        subscription_id=change.subscription_id,
        asked=AskedChange(
            kind=ChangeKind(change.kind),
            when=EffectiveWhen(change.effective),
            plan=change.plan_key,
            version=change.plan_number,
            price=change.price_key,
            quantity=change.quantity,
            coupon=change.coupon_code,
        ),
        now=now,
        actor=change.requested_by,
    )
    change.state, change.concluded_at = ChangeState.DONE, now
    change.documents = _documents(changed)
    change.save(update_fields=["state", "concluded_at", "documents"])
    return ChangeState.DONE


def _documents(changed: Changed) -> list[dict[str, str]]:
    """The ids of what was issued, with the numbers."""
    invoices = Invoice.objects.filter(id__in=[each.id for each in changed.invoices])
    notes = CreditNote.objects.filter(id__in=[each.id for each in changed.credit_notes])
    return [
        *(
            {"kind": "credit_note", "id": str(id_), "number": number}
            for id_, number in notes.order_by("number").values_list("id", "number")
        ),
        *(
            {"kind": "invoice", "id": str(id_), "number": number or ""}
            for id_, number in invoices.order_by("number").values_list("id", "number")
        ),
    ]
