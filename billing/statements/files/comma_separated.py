"""CSV: RFC 4180 in UTF-8 with a byte order mark, so that Chinese opens right in a spreadsheet."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Protocol

from billing.statements.domain.tables import Cell, ColumnKind, Row, TableShape

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class RowWriter(Protocol):
    """Takes the rows of one table, one after the other."""

    def __call__(self, row: Row) -> None: ...


@contextmanager
def csv_rows(path: Path, shape: TableShape, *, for_people: bool = True) -> Iterator[RowWriter]:
    """Writes a header, then each row. For people, texts that a spreadsheet would take for a formula get
    an apostrophe before them; for the next program they stay as they are, without a byte order mark."""
    encoding = "utf-8-sig" if for_people else "utf-8"
    is_text = [column.kind is ColumnKind.TEXT for column in shape.columns]
    with path.open("w", newline="", encoding=encoding) as target:
        writer = csv.writer(target, lineterminator="\r\n")
        writer.writerow([column.name for column in shape.columns])

        def write(row: Row) -> None:
            writer.writerow(
                _guarded(cell) if text and for_people else plain(cell)
                for cell, text in zip(row, is_text, strict=True)
            )

        yield write


def plain(cell: Cell) -> str:
    """The cell as a text: decimals without an exponent, instants with their offset."""
    match cell:
        case None:
            return ""
        case Decimal():
            return f"{cell:f}"
        case datetime() | date():
            return cell.isoformat()
        case _:
            return str(cell)


def _guarded(cell: Cell) -> str:
    text = plain(cell)
    return f"'{text}" if text.startswith(_FORMULA) else text
