"""The detail tables: their columns, the same in every format.

A cell is None, or a text, a whole number, a decimal, a date or an aware instant by its column's kind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from billing.statements.domain.states import DetailTable

Cell: TypeAlias = str | int | Decimal | date | datetime | None
Row: TypeAlias = Sequence[Cell]

QUANTITY_PLACES: Final = 18
"""As many decimals as the working of an amount has (`kernel.decimals.plain_text`)."""


class ColumnKind(StrEnum):
    TEXT = "text"
    WHOLE = "whole"
    AMOUNT = "amount"
    QUANTITY = "quantity"
    DAY = "day"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. Amounts have the currency's decimals, quantities up to `QUANTITY_PLACES`."""

    name: str
    kind: ColumnKind = ColumnKind.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """The columns of a table, and the one whose sum is compared with the summary."""

    columns: Sequence[Column]
    checked: str

    @property
    def checked_at(self) -> int:
        return [column.name for column in self.columns].index(self.checked)


def _text(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name) for name in names)


def _of(kind: ColumnKind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name=name, kind=kind) for name in names)


SHAPES: Final[Mapping[DetailTable, TableShape]] = {
    DetailTable.MOVEMENTS: TableShape(
        columns=(
            *_of(ColumnKind.INSTANT, "posted_at"),
            *_text("transaction", "kind", "document", "description"),
            *_of(ColumnKind.DAY, "document_on", "due_on"),
            *_text("currency"),
            *_of(ColumnKind.AMOUNT, "amount", "balance"),
        ),
        checked="amount",
    ),
    DetailTable.BALANCE: TableShape(
        columns=(
            *_of(ColumnKind.INSTANT, "posted_at"),
            *_text("transaction", "kind", "balance_kind", "document", "description", "currency"),
            *_of(ColumnKind.AMOUNT, "amount"),
        ),
        checked="amount",
    ),
    DetailTable.LINES: TableShape(
        columns=(
            *_text("document", "document_kind"),
            *_of(ColumnKind.WHOLE, "position"),
            *_text("app", "price", "meter", "line_kind", "description"),
            *_of(ColumnKind.DAY, "first_day", "last_day"),
            *_of(ColumnKind.QUANTITY, "quantity", "unit_price"),
            *_text("currency"),
            *_of(ColumnKind.AMOUNT, "amount", "discount"),
            *_of(ColumnKind.QUANTITY, "tax_percent"),
            *_of(ColumnKind.AMOUNT, "tax", "total"),
        ),
        checked="total",
    ),
    DetailTable.DAYS: TableShape(
        columns=(
            *_text("document"),
            *_of(ColumnKind.WHOLE, "position"),
            *_text("app", "meter"),
            *_of(ColumnKind.DAY, "day"),
            *_of(ColumnKind.QUANTITY, "quantity"),
        ),
        checked="quantity",
    ),
}
