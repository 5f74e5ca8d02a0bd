"""Ask for a top-up of the cash balance: a charge that is issued at once, and paid like any invoice."""

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.models import Charge
from billing.invoicing.services.issue_charges import KIND
from billing.invoicing.services.write_charge import AskedCharge, ask_charge
from kernel.errors import Invalid
from kernel.money import MAX_MINOR, Money
from work.jobs import enqueue

MOST_TOPPED_UP: Final = MAX_MINOR // 10_000
"""In minor units, so that no tenant's sums leave what a column holds."""
_DESCRIPTION: Final = {"en": "Top-up of the prepaid balance", "zh-hans": "预付余额充值"}


def request_top_up(
    *,
    tenant_id: UUID,
    amount: Money,
    reference: str,
    now: datetime,
    actor: str,
    issue: bool = True,
) -> UUID:
    """Record it in the caller's scope, and have a job make its invoice at once (unless it is to stay a draft, for
    a pro-forma); gives the charge's id.

    Under one `reference` it is asked for once. The money is on the balance when, and as far as, the invoice is
    paid. Raises Invalid `amount_not_positive`, `amount_out_of_range`, and as `ask_charge`.
    """
    if amount.minor <= 0:
        raise Invalid("amount_not_positive", "amount is not above zero.", field="amount")
    if amount.minor > MOST_TOPPED_UP:
        raise Invalid(
            "amount_out_of_range",
            f"amount is above {Money(MOST_TOPPED_UP, amount.currency)}; top up less.",
            field="amount",
        )
    charge_id = ask_charge(
        tenant_id=tenant_id,
        asked=AskedCharge(
            kind=InvoiceKind.TOP_UP,
            reference=reference,
            currency=amount.currency,
            lines=[{"description": _DESCRIPTION, "amount": f"{amount.amount:f}"}],
        ),
        now=now,
        actor=actor,
    )
    if not issue:
        return charge_id
    # Should the job be lost for good, the next billing run issues it.
    Charge.objects.filter(
        tenant_id=tenant_id, id=charge_id, state=ChargeState.DRAFT, issue_at=None
    ).update(issue_at=now)
    enqueue(
        kind=KIND,
        key=str(charge_id),
        payload={"charge_id": str(charge_id)},
        tenant_id=tenant_id,
        requested_by=actor,
    )
    return charge_id
