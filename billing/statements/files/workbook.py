"""XLSX: one sheet a table, in constant memory.

A spreadsheet counts in binary floating point, which holds 15 digits and no more. So a number of up to 15
digits is a number, which shows and sums exactly to the minor unit, and a longer one is a text: no cent is
lost, and no cell says another amount than the statement.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from billing.statements.domain.states import DetailTable
from billing.statements.domain.tables import Cell, ColumnKind, Row, TableShape
from billing.statements.files.comma_separated import RowWriter, plain
from kernel.currencies import exponent

MOST_ROWS: Final = 1_048_576
"""Of a sheet, its head included; what is more goes on in another one."""
MOST_DIGITS: Final = 15
_LONGEST_TEXT: Final = 32_767
_WIDTHS: Final = {
    ColumnKind.TEXT: 22,
    ColumnKind.WHOLE: 9,
    ColumnKind.AMOUNT: 16,
    ColumnKind.QUANTITY: 16,
    ColumnKind.DAY: 12,
    ColumnKind.INSTANT: 26,
}


class DetailWorkbook:
    """A workbook whose tables are written one after the other."""

    def __init__(self, workbook: Workbook, *, currency: str, most_rows: int) -> None:
        self._workbook = workbook
        self._most_rows = most_rows
        places = exponent(currency)
        self._formats: dict[ColumnKind, Format] = {
            ColumnKind.AMOUNT: workbook.add_format(
                {"num_format": "#,##0" + ("." + "0" * places if places else "")}
            ),
            ColumnKind.QUANTITY: workbook.add_format({"num_format": "#,##0.############"}),
            ColumnKind.DAY: workbook.add_format({"num_format": "yyyy-mm-dd"}),
        }
        self._head = workbook.add_format({"bold": True, "bottom": 1})

    @contextmanager
    def rows(self, table: DetailTable, shape: TableShape) -> Iterator[RowWriter]:
        """Writes the table's rows below a head that stays in sight."""
        sheet, at, sheets = self._sheet(table, shape, 1), 0, 1

        def write(row: Row) -> None:
            nonlocal sheet, at, sheets
            at += 1
            if at >= self._most_rows:
                sheets += 1
                sheet, at = self._sheet(table, shape, sheets), 1
            for position, (cell, column) in enumerate(zip(row, shape.columns, strict=True)):
                self._write(sheet, at, position, cell, column.kind)

        yield write

    def _sheet(self, table: DetailTable, shape: TableShape, number: int) -> Worksheet:
        sheet: Worksheet = self._workbook.add_worksheet(
            table.value if number == 1 else f"{table}_{number}"
        )
        for position, column in enumerate(shape.columns):
            sheet.set_column(position, position, _WIDTHS[column.kind])
        sheet.freeze_panes(1, 0)
        for position, column in enumerate(shape.columns):
            sheet.write_string(0, position, column.name, self._head)
        return sheet

    def _write(
        self, sheet: Worksheet, at: int, position: int, cell: Cell, kind: ColumnKind
    ) -> None:
        style = self._formats.get(kind)
        match cell:
            case None:
                return
            case Decimal() if len(cell.normalize().as_tuple().digits) > MOST_DIGITS:
                sheet.write_string(at, position, plain(cell), style)
            case Decimal() | int():
                sheet.write_number(at, position, cell, style)
            case date() if not isinstance(cell, datetime):
                sheet.write_datetime(at, position, cell, style)
            case _:
                sheet.write_string(at, position, plain(cell)[:_LONGEST_TEXT], style)


@contextmanager
def detail_workbook(
    path: Path, *, currency: str, made_at: datetime, most_rows: int = MOST_ROWS
) -> Iterator[DetailWorkbook]:
    """A new workbook; equal rows and `made_at` give equal bytes."""
    with xlsxwriter.Workbook(
        str(path),
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
        },
    ) as workbook:
        workbook.set_properties({"created": made_at.astimezone(UTC).replace(tzinfo=None)})
        yield DetailWorkbook(workbook, currency=currency, most_rows=most_rows)
