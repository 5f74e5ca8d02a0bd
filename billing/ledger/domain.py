"""Accounts and balanced postings. Pure.

Amounts are minor units, debit positive and credit negative, so that a transaction balances when
its entries sum to zero in every currency.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from kernel.errors import Invalid
from kernel.money import Money


class Account(StrEnum):
    """The chart of accounts."""

    RECEIVABLE = "receivable"
    BANK = "bank"
    STRIPE_CLEARING = "stripe_clearing"
    CUSTOMER_CREDIT = "customer_credit"
    TOP_UPS_DUE = "top_ups_due"
    GIFT_CREDIT = "gift_credit"
    VOUCHER_CREDIT = "voucher_credit"
    PROMOTION = "promotion"
    BAD_DEBT = "bad_debt"
    DEFERRED_REVENUE = "deferred_revenue"
    REVENUE = "revenue"
    TAX_PAYABLE = "tax_payable"


class BalanceKind(StrEnum):
    """What a tenant's balance is made of, in the order in which it pays."""

    VOUCHER = "voucher"
    GIFT = "gift"
    CASH = "cash"


LOWEST_PRIORITY = 1000
"""The last place in which a balance may pay; 0 is the usual one, below it comes earlier."""


def draw_order(
    *,
    priority: int,
    kind: BalanceKind,
    expires_at: datetime | None,
    granted_at: datetime,
) -> tuple[int, int, bool, datetime, datetime]:
    """Sorts lots into the order in which they pay: the lower priority first, then voucher, gift, cash
    (contract section 4); of one kind what ends first, then the oldest."""
    return (
        priority,
        list(BalanceKind).index(kind),
        expires_at is None,
        expires_at or granted_at,
        granted_at,
    )


BALANCE_ACCOUNTS: dict[BalanceKind, Account] = {
    BalanceKind.VOUCHER: Account.VOUCHER_CREDIT,
    BalanceKind.GIFT: Account.GIFT_CREDIT,
    BalanceKind.CASH: Account.CUSTOMER_CREDIT,
}
"""The accounts that hold what we owe to tenants."""


class PeriodAction(StrEnum):
    """What is asked of a month of the books."""

    CLOSE = "close"
    REOPEN = "reopen"


def month_after(month: date) -> date:
    """The first day of the month that follows."""
    return (month + timedelta(days=32)).replace(day=1)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return (month - timedelta(days=1)).replace(day=1)


def month_end(month: date) -> datetime:
    """The first instant after the month, by the clock of the books (UTC)."""
    return datetime.combine(month_after(month), time(), tzinfo=UTC)


class AccountKind(StrEnum):
    ASSET = "asset"
    LIABILITY = "liability"
    INCOME = "income"
    EXPENSE = "expense"
    EQUITY = "equity"


CHART: dict[Account, AccountKind] = {
    Account.RECEIVABLE: AccountKind.ASSET,
    Account.BANK: AccountKind.ASSET,
    Account.STRIPE_CLEARING: AccountKind.ASSET,
    Account.CUSTOMER_CREDIT: AccountKind.LIABILITY,
    Account.TOP_UPS_DUE: AccountKind.LIABILITY,
    Account.GIFT_CREDIT: AccountKind.LIABILITY,
    Account.VOUCHER_CREDIT: AccountKind.LIABILITY,
    Account.PROMOTION: AccountKind.EXPENSE,
    Account.BAD_DEBT: AccountKind.EXPENSE,
    Account.DEFERRED_REVENUE: AccountKind.LIABILITY,
    Account.REVENUE: AccountKind.INCOME,
    Account.TAX_PAYABLE: AccountKind.LIABILITY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """One entry: `amount` positive debits the account, negative credits it."""

    account: Account
    amount: Money


def debit(account: Account, amount: Money) -> Posting:
    return Posting(account=account, amount=amount)


def credit(account: Account, amount: Money) -> Posting:
    return Posting(account=account, amount=-amount)


def balanced(postings: Sequence[Posting]) -> tuple[Posting, ...]:
    """The postings without those of zero; raises Invalid `unbalanced_transaction`.

    The database checks the same at commit; here it is said while the cause is on the stack.
    """
    sums: dict[str, int] = defaultdict(int)
    for posting in postings:
        sums[posting.amount.currency] += posting.amount.minor
    wrong = {currency: rest for currency, rest in sums.items() if rest}
    if wrong:
        raise Invalid(
            "unbalanced_transaction",
            f"The postings do not sum to zero: {wrong} minor units are left.",
        )
    return tuple(posting for posting in postings if posting.amount.minor)


def invoice_postings(
    *, recurring_in_advance: Money, arrears: Money, tax: Money, topped_up: Money | None = None
) -> tuple[Posting, ...]:
    """What an issued invoice posts.

    `recurring_in_advance` and `arrears` are after discounts and before tax, which is owed to the
    state. The tenant owes the total; what was billed ahead of its service is deferred until it is
    delivered, what was billed after it is revenue (accrual accounting). `topped_up` is no revenue: once it is
    paid it is the tenant's credit.
    """
    prepaid = topped_up or Money.zero(tax.currency)
    total = recurring_in_advance + arrears + prepaid + tax
    return balanced(
        [
            debit(Account.RECEIVABLE, total),
            credit(Account.DEFERRED_REVENUE, recurring_in_advance),
            credit(Account.REVENUE, arrears),
            credit(Account.TOP_UPS_DUE, prepaid),
            credit(Account.TAX_PAYABLE, tax),
        ]
    )


def top_up_postings(*, paid: Money) -> tuple[Posting, ...]:
    """Money that was billed to be paid ahead came in: it is the tenant's credit now."""
    return balanced([debit(Account.TOP_UPS_DUE, paid), credit(Account.CUSTOMER_CREDIT, paid)])


def recognition_postings(*, earned: Money) -> tuple[Posting, ...]:
    """Days of service were delivered: what was billed ahead for them is deferred no longer.

    Negative where more had been earned than a credit note leaves.
    """
    return balanced([debit(Account.DEFERRED_REVENUE, earned), credit(Account.REVENUE, earned)])


def grant_postings(*, kind: BalanceKind, amount: Money) -> tuple[Posting, ...]:
    """A balance comes into being: cash was paid in, gifts and vouchers are what we spend on it."""
    origin = Account.BANK if kind is BalanceKind.CASH else Account.PROMOTION
    return balanced([debit(origin, amount), credit(BALANCE_ACCOUNTS[kind], amount)])


def expiry_postings(*, kind: BalanceKind, amount: Money) -> tuple[Posting, ...]:
    """What is left of a grant is no longer owed: unspent promotion, or for cash, income."""
    gain = Account.REVENUE if kind is BalanceKind.CASH else Account.PROMOTION
    return balanced([debit(BALANCE_ACCOUNTS[kind], amount), credit(gain, amount)])


def draw_postings(*, drawn: Sequence[tuple[BalanceKind, Money]]) -> tuple[Posting, ...]:
    """A balance settles an invoice: we owe the tenant less, and it owes us less."""
    return balanced(
        [
            *(debit(BALANCE_ACCOUNTS[kind], amount) for kind, amount in drawn),
            *(credit(Account.RECEIVABLE, amount) for _, amount in drawn),
        ]
    )


def write_off_postings(*, lost: Money) -> tuple[Posting, ...]:
    """What an invoice still owed is given up: a loss, with its tax. Whether the state gives tax back for it
    is decided by a tax adviser and posted by hand."""
    return balanced([debit(Account.BAD_DEBT, lost), credit(Account.RECEIVABLE, lost)])


def recovery_reference(*, invoice_id: object, settled_by: object) -> str:
    """What names a recovery in the journal: the invoice, and what settles it."""
    return f"recovery:{invoice_id}:{settled_by}"


def recovery_postings(*, recovered: Money) -> tuple[Posting, ...]:
    """A part of what was written off comes in after all: it is owed again, so that it can be settled, and
    the loss is smaller."""
    return balanced([debit(Account.RECEIVABLE, recovered), credit(Account.BAD_DEBT, recovered)])


def credit_note_postings(
    *,
    deferred: Money,
    earned: Money,
    tax: Money,
    to_receivable: Money,
    to_balance: Money,
    topped_up: Money | None = None,
) -> tuple[Posting, ...]:
    """A credit note takes back what an invoice posted; what was paid already is owed as cash."""
    return balanced(
        [
            debit(Account.DEFERRED_REVENUE, deferred),
            debit(Account.REVENUE, earned),
            debit(Account.TOP_UPS_DUE, topped_up or Money.zero(tax.currency)),
            debit(Account.TAX_PAYABLE, tax),
            credit(Account.RECEIVABLE, to_receivable),
            credit(Account.CUSTOMER_CREDIT, to_balance),
        ]
    )
