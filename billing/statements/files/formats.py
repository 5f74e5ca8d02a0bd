"""Which files a statement has."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from billing.statements.domain.states import DetailTable


class FileFormat(StrEnum):
    CSV = "csv"
    XLSX = "xlsx"
    PARQUET = "parquet"


PDF_NAME: Final = "statement.pdf"
WORKBOOK_NAME: Final = "details.xlsx"

MEDIA_TYPES: Final = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailFile:
    """A file and the tables that are in it."""

    name: str
    format: FileFormat
    tables: Sequence[DetailTable]

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]


def detail_files() -> list[DetailFile]:
    """A workbook with a sheet a table, and one file a table in the other formats."""
    every = list(DetailTable)
    return [
        *(DetailFile(name=f"{t}.csv", format=FileFormat.CSV, tables=[t]) for t in every),
        DetailFile(name=WORKBOOK_NAME, format=FileFormat.XLSX, tables=every),
        *(DetailFile(name=f"{t}.parquet", format=FileFormat.PARQUET, tables=[t]) for t in every),
    ]
