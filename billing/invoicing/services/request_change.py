"""Ask for a change of a subscription over the web: recorded at once, done by a job at once."""

from datetime import datetime
from uuid import UUID

from billing.discounts.coupon_file import coupon_code
from billing.invoicing.contracts import load_contracts
from billing.invoicing.services.decide_change import (
    decide_change,
    find_subscription,
    refuse_hidden_plan,
)
from billing.subscriptions.domain import AskedChange
from billing.subscriptions.models import SubscriptionChange
from kernel import ids
from tenants import audit
from work.connections import cursor
from work.jobs import enqueue

KIND = "billing.change_subscription"


def request_change(
    *,
    tenant_id: UUID,
    subscription_id: UUID,
    asked: AskedChange,
    now: datetime,
    actor: str,
    change_id: UUID | None = None,
    for_staff: bool = False,
) -> UUID:
    """Record what is asked, in the caller's scope; gives the id under which it can be read.

    With a `change_id`, made when the form was, the same form sent twice asks once. Private plans that
    were not offered to the tenant are open to staff only.

    The web makes no documents: a job does, with what is stored then. Refused here as it would be there,
    so that most faults are told at once: raises as `preview_change`.
    """
    if change_id is not None:
        # Two clicks at once: the second waits here, and finds what the first asked.
        with cursor() as db:
            db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [str(change_id)])
        if SubscriptionChange.objects.filter(tenant_id=tenant_id, id=change_id).exists():
            return change_id
    row = find_subscription(tenant_id=tenant_id, subscription_id=subscription_id, lock=False)
    if not for_staff:
        refuse_hidden_plan(tenant_id=tenant_id, asked=asked)
    decide_change(
        row=row, contract=load_contracts([row], with_taxes=True)[row.id], asked=asked, now=now
    )
    change = SubscriptionChange.objects.create(
        id=change_id or ids.new_id(),
        tenant_id=tenant_id,
        subscription=row,
        kind=asked.kind,
        effective=asked.when,
        plan_key=asked.plan,
        plan_number=asked.version,
        price_key=asked.price,
        quantity=asked.quantity,
        coupon_code=coupon_code(asked.coupon)[:40],
        requested_by=actor,
        requested_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.change_requested",
            target=f"subscription:{row.id}",
            after={"change": str(change.id), "kind": asked.kind.value, "when": asked.when.value},
        ),
        now=now,
    )
    enqueue(
        kind=KIND,
        key=str(change.id),
        payload={"change_id": str(change.id)},
        tenant_id=tenant_id,
        requested_by=actor,
    )
    return change.id
