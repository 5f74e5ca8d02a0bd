"""A statement's figures from the ledger, and from the documents what they must agree with.

Each by its own statement, in the caller's scope, which sees one instant of the database. What was posted
in the period belongs to it, and with it the document, the draw or the lot that it posts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from billing.ledger.domain import BALANCE_ACCOUNTS, Account, BalanceKind
from billing.statements.domain.ageing import OpenItem
from billing.statements.domain.figures import BalanceSum, Billed, MovementSum
from kernel.money import Money, total
from kernel.period import Period
from work.connections import cursor

_CLOSING: Final = """
    SELECT e.account, sum(e.amount_minor)::bigint
      FROM billing_journalentry e
      JOIN billing_journaltransaction t ON t.tenant_id = e.tenant_id AND t.id = e.transaction_id
     WHERE e.tenant_id = %(tenant)s AND e.currency = %(currency)s
       AND t.posted_at < %(at)s AND e.account = ANY(%(accounts)s)
     GROUP BY 1
"""

_MOVED: Final = """
    SELECT t.kind, count(*), sum(e.amount_minor)::bigint
      FROM billing_journaltransaction t
      JOIN LATERAL (
           SELECT sum(amount_minor) AS amount_minor FROM billing_journalentry
            WHERE tenant_id = t.tenant_id AND transaction_id = t.id
              AND currency = %(currency)s AND account = %(account)s
           HAVING count(*) > 0) e ON true
     WHERE t.tenant_id = %(tenant)s
       AND t.posted_at >= %(starts_at)s AND t.posted_at < %(ends_at)s
     GROUP BY 1 ORDER BY 1
"""

# A credit note's total is what it takes off the receivable and what it leaves as cash; of the kinds of
# the journal only these two have lines.
_BILLED: Final = """
    SELECT count(DISTINCT t.id), coalesce(sum(e.amount_minor), 0)::bigint
      FROM billing_journaltransaction t
      JOIN billing_journalentry e ON e.tenant_id = t.tenant_id AND e.transaction_id = t.id
     WHERE t.tenant_id = %(tenant)s AND e.currency = %(currency)s
       AND t.posted_at >= %(starts_at)s AND t.posted_at < %(ends_at)s
       AND (t.kind = 'invoice' AND e.account = 'receivable'
            OR t.kind = 'credit_note' AND e.account IN ('receivable', 'customer_credit'))
"""

# From the documents: of each issued invoice its total, less what credit notes, payments and the balance
# took off it. Other kinds of postings that name an invoice (it is given up as lost, say) have no document.
_OPEN: Final = """
    WITH posted AS MATERIALIZED (
        SELECT t.id, t.kind, t.reference FROM billing_journaltransaction t
         WHERE t.tenant_id = %(tenant)s AND t.posted_at < %(at)s
    ), parts AS (
        SELECT i.id AS invoice_id, i.total_minor AS amount
          FROM posted p JOIN billing_invoice i
            ON i.tenant_id = %(tenant)s AND i.currency = %(currency)s
           AND p.reference = 'invoice:' || i.id
         WHERE p.kind = 'invoice'
        UNION ALL
        SELECT n.invoice_id, -n.to_receivable_minor
          FROM posted p JOIN billing_creditnote n
            ON n.tenant_id = %(tenant)s AND n.currency = %(currency)s
           AND p.reference = 'credit_note:' || n.id
         WHERE p.kind = 'credit_note' AND n.to_receivable_minor > 0
        UNION ALL
        SELECT a.invoice_id, -a.amount_minor
          FROM posted p
          JOIN billing_payment m ON m.tenant_id = %(tenant)s AND m.currency = %(currency)s
           AND p.reference = 'payment:' || m.id
          JOIN billing_paymentallocation a ON a.tenant_id = m.tenant_id AND a.payment_id = m.id
         WHERE p.kind = 'payment'
        UNION ALL
        SELECT d.invoice_id, -d.amount_minor
          FROM posted p
          JOIN billing_balancedraw d ON d.tenant_id = %(tenant)s
           AND p.reference = 'invoice:' || d.invoice_id
          JOIN billing_balancelot l ON l.tenant_id = d.tenant_id AND l.id = d.lot_id
           AND l.currency = %(currency)s
         WHERE p.kind = 'balance_draw'
        UNION ALL
        SELECT i.id, e.amount_minor
          FROM posted p
          JOIN billing_invoice i ON i.tenant_id = %(tenant)s AND p.reference = 'invoice:' || i.id
          JOIN billing_journalentry e ON e.tenant_id = i.tenant_id AND e.transaction_id = p.id
           AND e.account = 'receivable' AND e.currency = %(currency)s
         WHERE p.kind NOT IN ('invoice', 'balance_draw')
        UNION ALL
        SELECT i.id, e.amount_minor
          FROM posted p
          JOIN billing_invoice i ON i.tenant_id = %(tenant)s
           AND i.id::text = split_part(p.reference, ':', 2)
          JOIN billing_journalentry e ON e.tenant_id = i.tenant_id AND e.transaction_id = p.id
           AND e.account = 'receivable' AND e.currency = %(currency)s
         WHERE p.kind = 'recovery'
    )
    SELECT coalesce(i.number, ''), coalesce(i.due_on, %(at)s::date), sum(parts.amount)::bigint
      FROM parts JOIN billing_invoice i
        ON i.tenant_id = %(tenant)s AND i.id = parts.invoice_id
     GROUP BY i.id, i.number, i.due_on HAVING sum(parts.amount) <> 0
     ORDER BY i.due_on, i.number
"""

# From the lots: what came, less what was drawn and what ended.
_KEPT: Final = """
    WITH posted AS MATERIALIZED (
        SELECT t.id, t.kind, t.reference FROM billing_journaltransaction t
         WHERE t.tenant_id = %(tenant)s AND t.posted_at < %(at)s
    ), parts AS (
        SELECT l.kind, l.amount_minor AS amount
          FROM billing_balancelot l
         WHERE l.tenant_id = %(tenant)s AND l.currency = %(currency)s
           AND EXISTS (SELECT 1 FROM posted p WHERE p.reference = l.source)
        UNION ALL
        SELECT l.kind, -d.amount_minor
          FROM posted p
          JOIN billing_balancedraw d ON d.tenant_id = %(tenant)s
           AND p.reference = 'invoice:' || d.invoice_id
          JOIN billing_balancelot l ON l.tenant_id = d.tenant_id AND l.id = d.lot_id
           AND l.currency = %(currency)s
         WHERE p.kind = 'balance_draw'
        UNION ALL
        SELECT l.kind, e.amount_minor * -1
          FROM posted p
          JOIN billing_balancelot l ON l.tenant_id = %(tenant)s AND l.currency = %(currency)s
           AND p.reference = 'lot:' || l.id
          JOIN billing_journalentry e ON e.tenant_id = l.tenant_id AND e.transaction_id = p.id
           AND e.account = ANY(%(accounts)s)
    )
    SELECT kind, sum(amount)::bigint FROM parts GROUP BY kind
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReader:
    """Whose ledger, in which currency, over which period."""

    tenant_id: UUID
    currency: str
    period: Period

    def receivable(self) -> tuple[Money, Sequence[MovementSum], Money]:
        """What was owed before the period, what moved it by kind, and what is owed at its end."""
        account = Account.RECEIVABLE.value
        return (
            self._balances([account], at=self.period.starts_at).get(account, self._zero),
            self._moved(account),
            self._balances([account], at=self.period.ends_at).get(account, self._zero),
        )

    def balance(self) -> Sequence[BalanceSum]:
        """The prepaid balance by kind, as the tenant sees it: what it has is positive."""
        accounts = {kind: account.value for kind, account in BALANCE_ACCOUNTS.items()}
        opening = self._balances([*accounts.values()], at=self.period.starts_at)
        closing = self._balances([*accounts.values()], at=self.period.ends_at)
        kept = self._kept([*accounts.values()])
        sums = []
        for kind, account in accounts.items():
            moved = self._moved(account)
            sums.append(
                BalanceSum(
                    kind=kind,
                    opening=-opening.get(account, self._zero),
                    movements=-total((each.amount for each in moved), currency=self.currency),
                    count=sum(each.count for each in moved),
                    closing=-closing.get(account, self._zero),
                    kept=kept.get(kind, self._zero),
                )
            )
        return sums

    def billed(self) -> Billed:
        """What invoices less credit notes come to."""
        ((documents, minor),) = self._rows(_BILLED)
        return Billed(documents=documents, amount=Money(minor, self.currency))

    def open_items(self) -> list[OpenItem]:
        """What is left of each invoice at the end of the period, as its documents say."""
        return [
            OpenItem(number=number, due_on=due_on, left=Money(minor, self.currency))
            for number, due_on, minor in self._rows(_OPEN, at=self.period.ends_at)
        ]

    @property
    def _zero(self) -> Money:
        return Money.zero(self.currency)

    def _moved(self, account: str) -> Sequence[MovementSum]:
        return [
            MovementSum(kind=kind, count=count, amount=Money(minor, self.currency))
            for kind, count, minor in self._rows(_MOVED, account=account)
        ]

    def _balances(self, accounts: Sequence[str], *, at: object) -> Mapping[str, Money]:
        rows = self._rows(_CLOSING, at=at, accounts=list(accounts))
        return {account: Money(minor, self.currency) for account, minor in rows}

    def _kept(self, accounts: Sequence[str]) -> Mapping[BalanceKind, Money]:
        rows = self._rows(_KEPT, at=self.period.ends_at, accounts=list(accounts))
        return {BalanceKind(kind): Money(minor, self.currency) for kind, minor in rows}

    def _rows(self, statement: str, **given: Any) -> list[Any]:
        with cursor() as db:
            db.execute(
                statement,
                {
                    "tenant": self.tenant_id,
                    "currency": self.currency,
                    "starts_at": self.period.starts_at,
                    "ends_at": self.period.ends_at,
                    **given,
                },
            )
            return list(db.fetchall())
