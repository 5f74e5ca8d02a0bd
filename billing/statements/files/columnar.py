"""Parquet: typed columns in groups of rows, made from the rows as text.

Amounts and quantities are exact decimals of 38 digits, days dates, instants microseconds in UTC.
"""

from contextlib import closing
from pathlib import Path
from typing import Final

import duckdb

from billing.statements.domain.tables import QUANTITY_PLACES, ColumnKind, TableShape
from kernel.currencies import exponent

_ROWS_A_GROUP: Final = 20_480
_CONFIG: Final = {
    "threads": "1",
    "memory_limit": "256MB",
    # Nothing is fetched, and nothing but what it is told to read is read.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def column_types(shape: TableShape, *, currency: str) -> dict[str, str]:
    """The SQL type of each column."""
    types = {
        ColumnKind.TEXT: "VARCHAR",
        ColumnKind.WHOLE: "BIGINT",
        ColumnKind.AMOUNT: f"DECIMAL(38,{exponent(currency)})",
        ColumnKind.QUANTITY: f"DECIMAL(38,{QUANTITY_PLACES})",
        ColumnKind.DAY: "DATE",
        ColumnKind.INSTANT: "TIMESTAMPTZ",
    }
    return {column.name: types[column.kind] for column in shape.columns}


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """An engine that keeps nothing and spills into `directory`."""
    return duckdb.connect(":memory:", config={**_CONFIG, "temp_directory": str(directory)})


def csv_source(path: Path, shape: TableShape, *, currency: str) -> tuple[str, list[str]]:
    """What to read a CSV file of ours by: the expression, and its parameters."""
    types = ", ".join(
        f"'{name}': '{kind}'" for name, kind in column_types(shape, currency=currency).items()
    )
    options = (
        "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"',"
        " new_line = '\\r\\n', nullstr = ''"
    )
    return f"read_csv(?, {options}, columns = {{{types}}})", [str(path)]


def write_parquet(*, source: Path, target: Path, shape: TableShape, currency: str) -> None:
    """Make a Parquet file of the rows in the CSV file `source`, in their order."""
    expression, given = csv_source(source, shape, currency=currency)
    with closing(connect(target.parent)) as engine:
        engine.execute(
            f"COPY (SELECT * FROM {expression}) TO ?"  # noqa: S608  # columns of the code
            f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_A_GROUP})",
            [*given, str(target)],
        )
