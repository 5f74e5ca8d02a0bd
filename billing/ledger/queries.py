"""Reading the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.ledger.domain import BALANCE_ACCOUNTS
from billing.ledger.models import JournalEntry
from kernel.money import Money
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRow:
    """One entry with its transaction; debit positive."""

    transaction_id: UUID
    posted_at: datetime
    kind: str
    description: str
    account: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Imbalance:
    """A journal transaction whose entries do not sum to zero, or that has none."""

    transaction_id: UUID
    currency: str
    rest_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceDrift:
    """A tenant's balance of which the lots say something else than the ledger."""

    tenant_id: UUID
    kind: str
    currency: str
    lots_minor: int
    ledger_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """An issued invoice whose posting does not say what the invoice says."""

    invoice_id: UUID
    number: str
    invoice_minor: int
    posted_minor: int


def entries_of(*, tenant_id: UUID, references: Sequence[str]) -> list[EntryRow]:
    """The entries of the transactions with these references, oldest first."""
    rows = (
        JournalEntry.objects.filter(tenant_id=tenant_id, transaction__reference__in=references)
        .select_related("transaction")
        .order_by("transaction__posted_at", "transaction_id", "-amount_minor", "account_id")
    )
    return [
        EntryRow(
            transaction_id=row.transaction_id,
            posted_at=row.transaction.posted_at,
            kind=row.transaction.kind,
            description=row.transaction.description,
            account=row.account_id,
            amount=Money(row.amount_minor, row.currency),
        )
        for row in rows
    ]


def account_balances(*, tenant_id: UUID | None = None) -> dict[tuple[str, str], Money]:
    """Balance per (account, currency), debit positive; of one tenant or of all.

    Raises Invalid `amount_out_of_range` for one that no amount can hold.
    """
    with cursor() as db:
        db.execute(
            "SELECT account, currency, sum(amount_minor) FROM billing_journalentry"
            " WHERE %s::uuid IS NULL OR tenant_id = %s GROUP BY account, currency"
            " ORDER BY account, currency",
            [tenant_id, tenant_id],
        )
        return {
            (account, currency): Money(int(minor), currency)
            for account, currency, minor in db.fetchall()
        }


def first_imbalance() -> Imbalance | None:
    """The first transaction that does not balance; None when the whole journal does."""
    with cursor() as db:
        db.execute(
            """
            SELECT t.id, coalesce(e.currency, ''), coalesce(sum(e.amount_minor), 0)::bigint
              FROM billing_journaltransaction t
              LEFT JOIN billing_journalentry e ON e.transaction_id = t.id
             GROUP BY t.id, e.currency
            HAVING coalesce(sum(e.amount_minor), 0) <> 0
             ORDER BY t.id LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return Imbalance(transaction_id=row[0], currency=row[1], rest_minor=row[2])


def first_drift() -> Drift | None:
    """The first issued invoice whose receivable posting differs from its total."""
    with cursor() as db:
        db.execute(
            """
            SELECT i.id, i.number, i.total_minor, coalesce(sum(e.amount_minor), 0)::bigint
              FROM billing_invoice i
              LEFT JOIN billing_journaltransaction t ON t.tenant_id = i.tenant_id
                   AND t.kind = 'invoice' AND t.reference = 'invoice:' || i.id
              LEFT JOIN billing_journalentry e ON e.transaction_id = t.id
                   AND e.account = 'receivable' AND e.currency = i.currency
             WHERE i.number IS NOT NULL
             GROUP BY i.id, i.number, i.total_minor
            HAVING i.total_minor <> coalesce(sum(e.amount_minor), 0)
             ORDER BY i.number LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return Drift(invoice_id=row[0], number=row[1], invoice_minor=row[2], posted_minor=row[3])


def first_balance_drift() -> BalanceDrift | None:
    """The first tenant whose lots of a kind don't sum to what the kind's account says it is owed."""
    accounts = {account.value: kind.value for kind, account in BALANCE_ACCOUNTS.items()}
    with cursor() as db:
        db.execute(
            """
            WITH parts AS (
                SELECT tenant_id, kind, currency, left_minor AS lots, 0 AS ledger
                  FROM billing_balancelot WHERE left_minor > 0
                UNION ALL
                SELECT e.tenant_id, a.kind, e.currency, 0, -e.amount_minor
                  FROM billing_journalentry e
                  JOIN unnest(%s::text[], %s::text[]) AS a (account, kind) ON a.account = e.account
            )
            SELECT tenant_id, kind, currency, sum(lots)::bigint, sum(ledger)::bigint
              FROM parts GROUP BY tenant_id, kind, currency
            HAVING sum(lots) <> sum(ledger) ORDER BY 1, 2, 3 LIMIT 1
            """,
            [list(accounts), list(accounts.values())],
        )
        row = db.fetchone()
    return (
        None
        if row is None
        else BalanceDrift(
            tenant_id=row[0], kind=row[1], currency=row[2], lots_minor=row[3], ledger_minor=row[4]
        )
    )
