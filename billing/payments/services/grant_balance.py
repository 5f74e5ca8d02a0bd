"""Give a tenant a balance: cash that it paid in, a gift, or a voucher that ends."""

from datetime import datetime
from uuid import UUID

from billing.ledger.domain import BalanceKind, grant_postings
from billing.ledger.services import NewTransaction, add_to_balance, post_transaction
from kernel import ids
from kernel.errors import Invalid
from kernel.money import Money
from tenants import audit


def grant_balance(
    *,
    tenant_id: UUID,
    kind: BalanceKind,
    amount: Money,
    expires_at: datetime | None,
    reason: str,
    now: datetime,
    actor: str,
) -> None:
    """Add a lot and post it, in the caller's scope; later invoices are paid from it.

    From `expires_at` on it pays nothing. Raises Invalid `amount_not_positive`, `expires_in_past`.
    """
    if amount.minor <= 0:
        raise Invalid("amount_not_positive", "amount is not above zero.", field="amount")
    if expires_at is not None and expires_at <= now:
        raise Invalid("expires_in_past", "expires_at is not ahead.", field="expires_at")
    grant_id = ids.new_id()
    post_transaction(
        transaction=NewTransaction(
            tenant_id=tenant_id,
            kind="balance_grant",
            reference=f"grant:{grant_id}",
            description=reason or f"Balance granted: {kind}",
            postings=grant_postings(kind=kind, amount=amount),
        ),
        now=now,
    )
    add_to_balance(
        tenant_id=tenant_id,
        kind=kind,
        amount=amount,
        source=f"grant:{grant_id}",
        now=now,
        expires_at=expires_at,
    )
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="balance.granted",
            target=f"grant:{grant_id}",
            after={
                "kind": kind.value,
                "amount": f"{amount}",
                "expires_at": expires_at.isoformat() if expires_at else None,
            },
            reason=reason,
        ),
        now=now,
    )
