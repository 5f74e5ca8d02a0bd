"""Files read back by other programs than those that wrote them, to compare them with the summary.

CSV is written by Python and read by DuckDB; Parquet is written by DuckDB and read by the Rust
implementation of Arrow; XLSX is written by XlsxWriter and read by openpyxl.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

import arro3.io
import openpyxl

from billing.statements.domain.figures import Detail
from billing.statements.domain.states import DetailTable
from billing.statements.domain.tables import SHAPES
from billing.statements.files.columnar import connect, csv_source
from billing.statements.files.formats import DetailFile, FileFormat

_ROWS_AT_A_TIME: Final = 10_000
_DIGITS: Final = 120
"""Enough for any sum: no digit is rounded away on the way."""


def read_back(file: DetailFile, path: Path, *, currency: str) -> Mapping[DetailTable, Detail]:
    """How many rows each table of the file has, and what its checked column comes to."""
    match file.format:
        case FileFormat.CSV:
            (table,) = file.tables
            return {table: _summed(_of_csv(path, table, currency=currency))}
        case FileFormat.PARQUET:
            (table,) = file.tables
            return {table: _summed(_of_parquet(path, table))}
        case FileFormat.XLSX:
            return _of_workbook(path, file.tables)


def _summed(values: Iterable[Decimal]) -> Detail:
    rows, sum_ = 0, Decimal(0)
    with localcontext(prec=_DIGITS):
        for value in values:
            rows += 1
            sum_ += value
    return Detail(rows=rows, sum=sum_)


def _of_csv(path: Path, table: DetailTable, *, currency: str) -> Iterator[Decimal]:
    shape = SHAPES[table]
    expression, given = csv_source(path, shape, currency=currency)
    with closing(connect(path.parent)) as engine:
        found = engine.execute(f"SELECT {shape.checked} FROM {expression}", given)  # noqa: S608
        while rows := found.fetchmany(_ROWS_AT_A_TIME):
            yield from (value for (value,) in rows)


def _of_parquet(path: Path, table: DetailTable) -> Iterator[Decimal]:
    for batch in arro3.io.read_parquet(path):
        column = batch.column(SHAPES[table].checked)
        yield from (column[at].as_py() for at in range(len(column)))


def _of_workbook(path: Path, tables: Iterable[DetailTable]) -> dict[DetailTable, Detail]:
    workbook = openpyxl.load_workbook(path, read_only=True)
    try:
        return {table: _summed(_of_sheets(workbook, table)) for table in tables}
    finally:
        workbook.close()


def _of_sheets(workbook: openpyxl.Workbook, table: DetailTable) -> Iterator[Decimal]:
    """The table's sheet and those in which it goes on."""
    at = SHAPES[table].checked_at + 1
    for name in workbook.sheetnames:
        if name == table or name.startswith(f"{table}_"):
            for (value,) in workbook[name].iter_rows(
                min_row=2, min_col=at, max_col=at, values_only=True
            ):
                # The shortest decimal that is this binary number: what was written, to the last digit.
                yield Decimal(str(value))
