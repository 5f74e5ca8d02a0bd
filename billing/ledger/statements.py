"""The books as of any instant: the trial balance, and each account's entries with the balance after them.

All need a cross-tenant scope.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from kernel.money import Money
from work.connections import cursor

_TRANSACTIONS_AT_A_TIME: Final = 2_000

_STATEMENT: Final = """
    FROM billing_journalentry e
    JOIN billing_journaltransaction t ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id
    JOIN tenants_tenant tenant ON tenant.id = e.tenant_id
   WHERE e.account = %(account)s AND e.currency = %(currency)s AND t.posted_at <= %(at)s
     AND (%(tenant)s = '' OR tenant.key = %(tenant)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """An account's turnover and balance in one currency; debits and credits are both positive."""

    account: str
    currency: str
    debits: Money
    credits: Money
    balance: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementRow:
    """One entry of an account with the balance after it; debit positive."""

    posted_at: datetime
    transaction_id: UUID
    kind: str
    description: str
    tenant: str
    amount: Money
    balance: Money


def trial_balance(*, at: datetime) -> list[TrialRow]:
    """Every account as of an instant, which is included, by currency and account: what was posted later
    counts not. The balances of a currency sum to zero."""
    with cursor() as db:
        db.execute(
            """
            SELECT e.account, e.currency,
                   coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0)::bigint,
                   coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0)::bigint
              FROM billing_journaltransaction t
              JOIN billing_journalentry e ON e.tenant_id = t.tenant_id AND e.transaction_id = t.id
             WHERE t.posted_at <= %s
             GROUP BY e.account, e.currency ORDER BY e.currency, e.account
            """,
            [at],
        )
        return [
            TrialRow(
                account=account,
                currency=currency,
                debits=Money(debited, currency),
                credits=Money(credited, currency),
                balance=Money(debited - credited, currency),
            )
            for account, currency, debited, credited in db.fetchall()
        ]


def statement_count(*, account: str, currency: str, at: datetime, tenant_key: str = "") -> int:
    """How many entries `account_statement` has."""
    with cursor() as db:
        db.execute(
            f"SELECT count(*) {_STATEMENT}",  # nothing from outside
            {"account": account, "currency": currency, "at": at, "tenant": tenant_key},
        )
        (count,) = db.fetchone()
    return int(count)


def account_statement(
    *,
    account: str,
    currency: str,
    at: datetime,
    limit: int,
    offset: int = 0,
    tenant_key: str = "",
) -> list[StatementRow]:
    """The entries of an account in a currency up to an instant, newest first, each with the balance
    after it; of one tenant or of all."""
    with cursor() as db:
        db.execute(
            f"""
            SELECT * FROM (
                SELECT t.posted_at, t.id, t.kind, t.description, tenant.key, e.amount_minor,
                       (sum(e.amount_minor) OVER (ORDER BY t.posted_at, t.id, e.id))::bigint,
                       e.id AS entry_id
                  {_STATEMENT}
            ) AS entries
             ORDER BY posted_at DESC, id DESC, entry_id DESC LIMIT %(limit)s OFFSET %(offset)s
            """,  # noqa: S608  # nothing from outside
            {
                "account": account,
                "currency": currency,
                "at": at,
                "tenant": tenant_key,
                "limit": limit,
                "offset": offset,
            },
        )
        return [
            StatementRow(
                posted_at=posted_at,
                transaction_id=transaction_id,
                kind=kind,
                description=description,
                tenant=tenant,
                amount=Money(minor, currency),
                balance=Money(balance, currency),
            )
            for posted_at, transaction_id, kind, description, tenant, minor, balance, _ in db.fetchall()
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRow:
    """One entry of the journal with all that tells its transaction; debit positive."""

    posted_at: datetime
    transaction_id: UUID
    tenant: str
    kind: str
    reference: str
    description: str
    account: str
    amount: Money


def journal(*, starts_at: datetime, ends_at: datetime) -> Iterator[JournalRow]:
    """Every entry posted in ``[starts_at, ends_at)``, by time and transaction, debits first; read some
    thousand transactions at a time, so that memory stays flat."""
    after: tuple[datetime, UUID] | None = None
    while True:
        with cursor() as db:
            db.execute(
                """
                WITH page AS (
                    SELECT * FROM billing_journaltransaction
                     WHERE posted_at >= %(starts_at)s AND posted_at < %(ends_at)s
                       AND (%(after_at)s::timestamptz IS NULL
                            OR (posted_at, id) > (%(after_at)s::timestamptz, %(after_id)s::uuid))
                     ORDER BY posted_at, id LIMIT %(limit)s
                )
                SELECT t.posted_at, t.id, tenant.key, t.kind, t.reference, t.description,
                       e.account, e.currency, e.amount_minor
                  FROM page t
                  JOIN tenants_tenant tenant ON tenant.id = t.tenant_id
                  JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                       AND e.transaction_id = t.id
                 ORDER BY t.posted_at, t.id, e.amount_minor DESC, e.account
                """,
                {
                    "starts_at": starts_at,
                    "ends_at": ends_at,
                    "after_at": after[0] if after else None,
                    "after_id": after[1] if after else None,
                    "limit": _TRANSACTIONS_AT_A_TIME,
                },
            )
            rows = db.fetchall()
        if not rows:
            return
        for (
            posted_at,
            transaction_id,
            tenant,
            kind,
            reference,
            told,
            account,
            currency,
            minor,
        ) in rows:
            yield JournalRow(
                posted_at=posted_at,
                transaction_id=transaction_id,
                tenant=tenant,
                kind=kind,
                reference=reference,
                description=told,
                account=account,
                amount=Money(minor, currency),
            )
        after = (rows[-1][0], rows[-1][1])
