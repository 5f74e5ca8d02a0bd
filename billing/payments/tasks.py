"""Payment jobs.

The event's own row, the payment's key and the attempt's state guard the effects, so done jobs need not
be kept for ever as the memory of theirs.
"""

from datetime import timedelta
from uuid import UUID

from billing.payments.services.expire_balances import expire_balances
from billing.payments.services.pay_from_balance import pay_from_balance
from billing.payments.services.settle_card_payment import settle_card_payment
from billing.payments.services.sweep_pending_payments import sweep_pending_payments
from billing.payments.services.withdraw_card_payment import withdraw_card_payment
from billing.payments.services.work_gateway_event import work_gateway_event
from tenants.scope import system_scope, tenant_scope
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule, subscriber


@job_kind(
    "payments.work_gateway_event",
    lease_seconds=120,
    max_attempts=12,
    backoff_seconds=5,
    keep_days=30,
)
def work_event(job: JobRun) -> Result:
    outcome = work_gateway_event(
        name=str(job.payload["gateway"]),
        event_id=str(job.payload["event_id"]),
        intent_id=str(job.payload["intent_id"]),
        now=job.now,
    )
    return {"outcome": outcome}


@job_kind(
    "payments.settle_attempt", lease_seconds=120, max_attempts=5, backoff_seconds=30, keep_days=14
)
def settle_attempt(job: JobRun) -> Result:
    view = settle_card_payment(
        tenant_id=_tenant(job), attempt_id=UUID(str(job.payload["attempt_id"])), now=job.now
    )
    return {"state": view.state.value}


@job_kind(
    "payments.withdraw_attempt",
    lease_seconds=120,
    max_attempts=12,
    backoff_seconds=5,
    keep_days=14,
)
def withdraw_attempt(job: JobRun) -> Result:
    view = withdraw_card_payment(
        tenant_id=_tenant(job), attempt_id=UUID(str(job.payload["attempt_id"])), now=job.now
    )
    return {"state": view.state.value}


@job_kind("payments.sweep_pending", lease_seconds=300, max_attempts=3)
def sweep_pending(job: JobRun) -> Result:
    slot = str(job.payload.get("slot_at", job.key))
    return {"attempts": sweep_pending_payments(slot=slot, now=job.now)}


@subscriber("invoice.finalized", kind="payments.pay_from_balance")
def pay_issued_from_balance(job: JobRun) -> Result:
    """Let the tenant's balance pay an invoice as it is issued."""
    tenant_id = UUID(str(job.payload["tenant_id"]))
    with tenant_scope(tenant_id):
        drawn = pay_from_balance(
            tenant_id=tenant_id, invoice_id=UUID(str(job.payload["invoice_id"])), now=job.now
        )
    return {"drawn": drawn.minor}


@job_kind("payments.expire_balances", lease_seconds=300, max_attempts=3)
def expire(job: JobRun) -> Result:
    with system_scope(purpose="expire balances"):
        return {"lots": expire_balances(now=job.now)}


schedule(
    name="payments.expire_balances",
    every=timedelta(hours=1),
    kind="payments.expire_balances",
    catch_up="last",
    offset=timedelta(minutes=3),
)

schedule(
    name="payments.sweep_pending",
    every=timedelta(hours=1),
    kind="payments.sweep_pending",
    catch_up="last",
    offset=timedelta(minutes=7),
)


def _tenant(job: JobRun) -> UUID:
    if job.tenant_id is None:
        raise LookupError(f"job {job.key} names no tenant")
    return job.tenant_id
