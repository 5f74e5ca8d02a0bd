"""Keep what a tenant has to its credit; the caller posts where it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from billing.ledger.domain import BalanceKind
from billing.ledger.models import BalanceLot
from kernel import ids
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLot:
    """An amount that a tenant gets to its credit. `source` names its origin ("payment:…")."""

    tenant_id: UUID
    kind: BalanceKind
    amount: Money
    source: str
    expires_at: datetime | None = None
    priority: int = 0
    scope: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
    """Add one lot in the caller's scope; see `add_lots`."""
    lot = NewLot(
        tenant_id=tenant_id,
        kind=kind,
        amount=amount,
        source=source,
        expires_at=expires_at,
        priority=priority,
        scope=scope,
    )
    add_lots(lots=[lot], now=now)


def add_lots(*, lots: Sequence[NewLot], now: datetime) -> None:
    """Add lots in the caller's scope, in one statement; nothing for a zero amount.

    IntegrityError for a source that was added before. The caller posts the same amounts to the kinds'
    accounts in the same transaction.
    """
    BalanceLot.objects.bulk_create(
        [
            BalanceLot(
                id=ids.new_id(),
                tenant_id=lot.tenant_id,
                kind=lot.kind,
                source=lot.source,
                currency=lot.amount.currency,
                amount_minor=lot.amount.minor,
                left_minor=lot.amount.minor,
                granted_at=now,
                expires_at=lot.expires_at,
                priority=lot.priority,
                scope=dict(lot.scope),
            )
            for lot in lots
            if lot.amount
        ],
        batch_size=1000,
    )
