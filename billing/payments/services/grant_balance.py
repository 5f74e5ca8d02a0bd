"""Give a tenant a balance: cash that it paid in, a gift, or a voucher that ends."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.catalog.models import Plan, PlanVersion
from billing.ledger.domain import LOWEST_PRIORITY, BalanceKind, grant_postings
from billing.ledger.models import BalanceLot
from billing.ledger.services import NewTransaction, add_to_balance, post_transaction
from billing.rating.adjustments.credits import CreditScope
from kernel import ids
from kernel.errors import Conflict, Invalid
from kernel.money import MAX_MINOR, Money
from tenants import audit
from tenants.models import App
from work.connections import cursor

MOST_GRANTED: Final = MAX_MINOR // 10_000
"""Of one grant, in minor units, so that no tenant's sums leave what a column holds."""
ANYTHING = CreditScope()
"""No limit to what a balance may pay."""


def grant_balance(
    *,
    tenant_id: UUID,
    kind: BalanceKind,
    amount: Money,
    expires_at: datetime | None,
    reason: str,
    now: datetime,
    actor: str,
    priority: int = 0,
    scope: CreditScope = ANYTHING,
    grant_id: UUID | None = None,
) -> None:
    """Add a lot and post it, in the caller's scope; later invoices are paid from it.

    From `expires_at` on it pays nothing. Lots of a lower `priority` pay first, and one with a limited
    `scope` pays at most the share of an invoice's lines that it covers, their tax included.
    With a `grant_id` of the caller's it is granted once, however often this is called.

    Raises as `check_grant`, and Conflict `already_granted` for a `grant_id` that was used.
    """
    check_grant(
        tenant_id=tenant_id,
        amount=amount,
        expires_at=expires_at,
        now=now,
        priority=priority,
        scope=scope,
    )
    if grant_id is None:
        grant_id = ids.new_id()
    else:
        _refuse_repeated(tenant_id=tenant_id, grant_id=grant_id)
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
        priority=priority,
        scope=scope.told(),
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
                "priority": priority,
                "scope": scope.told(),
            },
            reason=reason,
        ),
        now=now,
    )


def check_grant(
    *,
    tenant_id: UUID,
    amount: Money,
    expires_at: datetime | None,
    now: datetime,
    priority: int = 0,
    scope: CreditScope = ANYTHING,
) -> None:
    """Raises for what can't be granted: Invalid `amount_not_positive`, `expires_in_past`,
    `out_of_range`, and `unknown_scope` for a key of a price, plan or app of this tenant that is nowhere
    known."""
    if amount.minor <= 0:
        raise Invalid("amount_not_positive", "amount is not above zero.", field="amount")
    if amount.minor > MOST_GRANTED:
        raise Invalid(
            "amount_out_of_range",
            f"amount is above {Money(MOST_GRANTED, amount.currency)}; grant less.",
            field="amount",
        )
    if expires_at is not None and expires_at <= now:
        raise Invalid("expires_in_past", "expires_at is not ahead.", field="expires_at")
    if abs(priority) > LOWEST_PRIORITY:
        raise Invalid(
            "out_of_range",
            f"priority is a whole number from -{LOWEST_PRIORITY} to {LOWEST_PRIORITY}.",
            field="priority",
        )
    _check_known(scope, tenant_id=tenant_id)


def _refuse_repeated(*, tenant_id: UUID, grant_id: UUID) -> None:
    with cursor() as execution:
        # Two at once: the second waits here until the first is committed, and then sees it.
        execution.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"grant:{grant_id}"]
        )
    if BalanceLot.objects.filter(tenant_id=tenant_id, source=f"grant:{grant_id}").exists():
        raise Conflict(
            "already_granted", "This was granted already; look at the balance.", field="grant"
        )


def _check_known(scope: CreditScope, *, tenant_id: UUID) -> None:
    """A key that is misspelt would be money that never pays anything."""
    for name, wanted, known in (
        ("apps", scope.apps, lambda: App.objects.filter(tenant_id=tenant_id, key__in=scope.apps)),
        ("plans", scope.plans, lambda: Plan.objects.filter(key__in=scope.plans)),
    ):
        missing = wanted - set(known().values_list("key", flat=True)) if wanted else set()
        if missing:
            raise _unknown(name, missing)
    if scope.prices:
        documents = PlanVersion.objects.values_list("document", flat=True)
        if scope.plans:
            documents = documents.filter(plan__key__in=scope.plans)
        priced = {price["key"] for document in documents for price in document["prices"]}
        missing = scope.prices - priced - {"plan:minimum"}
        if missing:
            raise _unknown("prices", missing)


def _unknown(name: str, missing: Iterable[str]) -> Invalid:
    keys = ", ".join(sorted(missing))
    return Invalid(
        "unknown_scope",
        f"scope.{name} names {keys[:200]}, which is not known.",
        field="scope",
        params={"part": name, "keys": keys[:200]},
    )
