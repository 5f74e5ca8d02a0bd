"""The figures of a statement, and what keeps it from being handed out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.ledger.domain import BalanceKind
from billing.statements.domain.ageing import AgeBucket
from billing.statements.domain.states import DetailTable
from kernel.money import Money, total


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementSum:
    """What all movements of a kind come to; positive: the tenant owes more."""

    kind: str
    count: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSum:
    """A kind of the prepaid balance over the period; positive: the tenant has it to its credit.

    `kept` is what the balance's own rows say is left at the end: what came, less what was drawn and ended.
    """

    kind: BalanceKind
    opening: Money
    movements: Money
    count: int
    closing: Money
    kept: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """How many rows a table has, and what its checked column comes to."""

    rows: int
    sum: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What the documents of the period come to by the ledger, and how many of them there are."""

    documents: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A statement's figures; all but `open_items` and what a `BalanceSum` says is kept are the ledger's."""

    currency: str
    opening: Money
    movements: Sequence[MovementSum]
    closing: Money
    open_items: Mapping[AgeBucket, Money]
    balance: Sequence[BalanceSum]
    billed: Billed
    details: Mapping[DetailTable, Detail]

    @property
    def open_total(self) -> Money:
        return total(self.open_items.values(), currency=self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Why a statement is not handed out."""

    code: str
    detail: str


def difference_in(figures: Figures) -> Difference | None:
    """The first sum that two sources tell differently; None where all agree.

    - opening + movements = closing, which is the receivable account of the tenant at the end;
    - closing = what is open of the invoices, from the documents;
    - the same for each kind of the prepaid balance, whose lots are the other source;
    - the rows of the movements, of the balance and of the billed lines come to the ledger's sums.
    """
    moved = total((each.amount for each in figures.movements), currency=figures.currency)
    if figures.opening + moved != figures.closing:
        return Difference(
            code="movements_differ",
            detail=(
                f"Opening and movements come to {figures.opening + moved}, the closing balance to "
                f"{figures.closing}."
            ),
        )
    if figures.open_total != figures.closing:
        return Difference(
            code="open_items_differ",
            detail=(
                f"What is open of the invoices comes to {figures.open_total}, the closing balance to "
                f"{figures.closing}."
            ),
        )
    for each in figures.balance:
        if not each.opening + each.movements == each.closing == each.kept:
            return Difference(
                code="balance_differs",
                detail=(
                    f"The {each.kind} balance with its movements comes to "
                    f"{each.opening + each.movements}, its closing to {each.closing}, and what is "
                    f"kept of it to {each.kept}."
                ),
            )
    expected = {
        DetailTable.MOVEMENTS: (sum(each.count for each in figures.movements), moved),
        DetailTable.BALANCE: (
            sum(each.count for each in figures.balance),
            total((each.movements for each in figures.balance), currency=figures.currency),
        ),
        DetailTable.LINES: (figures.details[DetailTable.LINES].rows, figures.billed.amount),
    }
    for table, (rows, amount) in expected.items():
        if figures.details[table] != Detail(rows=rows, sum=amount.amount):
            return detail_differs(
                table, told=Detail(rows=rows, sum=amount.amount), found=figures.details[table]
            )
    return None


def detail_differs(
    table: DetailTable, *, told: Detail, found: Detail, where: str = ""
) -> Difference:
    """The rows of a table, or of a file read back, are not what the summary says."""
    return Difference(
        code="file_differs" if where else "detail_differs",
        detail=(
            f"{where or table} has {found.rows} rows with a sum of {found.sum:f}, the summary "
            f"{told.rows} with {told.sum:f}."
        ),
    )


def told_figures(figures: Figures) -> dict[str, object]:
    """The figures as they are kept and told: amounts as texts in the statement's currency."""

    def text(amount: Money) -> str:
        return f"{amount.amount:f}"

    return {
        "opening": text(figures.opening),
        "movements": [
            {"kind": each.kind, "count": each.count, "amount": text(each.amount)}
            for each in figures.movements
        ],
        "closing": text(figures.closing),
        "open_items": {bucket.value: text(each) for bucket, each in figures.open_items.items()},
        "balance": [
            {
                "kind": each.kind.value,
                "opening": text(each.opening),
                "movements": text(each.movements),
                "closing": text(each.closing),
            }
            for each in figures.balance
        ],
        "billed": {"documents": figures.billed.documents, "amount": text(figures.billed.amount)},
        "details": {
            table.value: {"rows": each.rows, "sum": f"{each.sum:f}"}
            for table, each in figures.details.items()
        },
    }
