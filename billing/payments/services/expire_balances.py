"""Let balances end whose time is over."""

from datetime import datetime

from billing.ledger.domain import BalanceKind, expiry_postings
from billing.ledger.models import BalanceLot
from billing.ledger.services import NewTransaction, post_transactions
from kernel.money import Money


def expire_balances(*, now: datetime) -> int:
    """Take back what is left of lots that ended by `now`, in the caller's cross-tenant scope; gives
    how many. Repeatable: an emptied lot is not found again."""
    lots = list(
        BalanceLot.objects.select_for_update()
        .filter(left_minor__gt=0, expires_at__lte=now)
        .order_by("tenant_id", "expires_at", "id")
    )
    post_transactions(
        transactions=[
            NewTransaction(
                tenant_id=lot.tenant_id,
                kind="balance_expiry",
                reference=f"lot:{lot.id}",
                description=f"Balance expired: {lot.kind}",
                postings=expiry_postings(
                    kind=BalanceKind(lot.kind), amount=Money(lot.left_minor, lot.currency)
                ),
            )
            for lot in lots
        ],
        now=now,
    )
    for lot in lots:
        lot.left_minor = 0
    BalanceLot.objects.bulk_update(lots, ["left_minor"], batch_size=500)
    return len(lots)
