"""The journal as files that other books read: CSV, and the plain text of beancount."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date
from itertools import groupby

from billing.ledger.domain import CHART, Account, AccountKind
from billing.ledger.statements import JournalRow

_ROOT_OF_KIND = {
    AccountKind.ASSET: "Assets",
    AccountKind.LIABILITY: "Liabilities",
    AccountKind.INCOME: "Income",
    AccountKind.EXPENSE: "Expenses",
    AccountKind.EQUITY: "Equity",
}
_BEGINS_FORMULA = frozenset("=+-@\t\r")
_AMOUNT = re.compile(r"-\d+(\.\d+)?", re.ASCII)
HEADER = (
    "posted_at", "transaction", "tenant", "kind", "reference", "description", "account",
    "currency", "amount",
)  # fmt: skip


def csv_lines(rows: Iterable[JournalRow]) -> Iterator[str]:
    """A header, then one line an entry; debits are positive. Texts that a spreadsheet would take for a
    formula are given as texts."""
    yield _csv_line(HEADER)
    for row in rows:
        yield _csv_line(
            (
                row.posted_at.astimezone(UTC).isoformat(),
                str(row.transaction_id),
                row.tenant,
                row.kind,
                row.reference,
                row.description,
                row.account,
                row.amount.currency,
                f"{row.amount.amount:f}",
            )
        )


def beancount_lines(rows: Iterable[JournalRow], *, opened_on: date) -> Iterator[str]:
    """A beancount file: the accounts, opened on a day before all entries, then each transaction with its
    entries by the UTC day on which it was posted."""
    yield 'option "title" "Summit"\n\n'
    for account in Account:
        yield f"{opened_on.isoformat()} open {beancount_name(account)}\n"
    for _, entries in groupby(rows, key=lambda row: row.transaction_id):
        first, *others = entries
        day = first.posted_at.astimezone(UTC).date()
        yield f"\n{day.isoformat()} * {_quoted(first.tenant)} {_quoted(first.description)}\n"
        yield f"  transaction: {_quoted(str(first.transaction_id))}\n"
        yield f"  kind: {_quoted(first.kind)}\n"
        yield f"  reference: {_quoted(first.reference)}\n"
        for entry in (first, *others):
            name = beancount_name(Account(entry.account))
            yield f"  {name}  {entry.amount.amount:f} {entry.amount.currency}\n"


def beancount_name(account: Account) -> str:
    """`deferred_revenue` is ``Liabilities:DeferredRevenue``."""
    words = "".join(word.capitalize() for word in account.value.split("_"))
    return f"{_ROOT_OF_KIND[CHART[account]]}:{words}"


def _quoted(text: str) -> str:
    plain = " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"'


def _csv_line(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(
        f"'{cell}" if cell[:1] in _BEGINS_FORMULA and not _AMOUNT.fullmatch(cell) else cell
        for cell in cells
    )
    return line.getvalue()
