"""Keep what a tenant has to its credit; the caller posts where it came from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from billing.ledger.domain import BalanceKind
from billing.ledger.models import BalanceLot
from kernel import ids
from kernel.money import Money


def add_to_balance(
    *,
    tenant_id: UUID,
    kind: BalanceKind,
    amount: Money,
    source: str,
    now: datetime,
    expires_at: datetime | None = None,
    priority: int = 0,
    scope: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Add a lot in the caller's scope; nothing for a zero amount.

    `source` names its origin ("payment:…"); IntegrityError for one that was added before. The caller
    posts the same amount to the kind's account in the same transaction.
    """
    if not amount:
        return
    BalanceLot.objects.create(
        id=ids.new_id(),
        tenant_id=tenant_id,
        kind=kind,
        source=source,
        currency=amount.currency,
        amount_minor=amount.minor,
        left_minor=amount.minor,
        granted_at=now,
        expires_at=expires_at,
        priority=priority,
        scope=dict(scope),
    )
