"""The detail tables written as files in one go, and each file compared with the summary."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Final

from billing.statements.documents.content import FileTold
from billing.statements.domain.figures import Detail, Difference, detail_differs
from billing.statements.domain.states import DetailTable
from billing.statements.domain.tables import SHAPES, Row
from billing.statements.files.columnar import write_parquet
from billing.statements.files.comma_separated import csv_rows
from billing.statements.files.formats import WORKBOOK_NAME, DetailFile
from billing.statements.files.reading_back import read_back
from billing.statements.files.workbook import DetailWorkbook, detail_workbook
from billing.statements.rows import DetailReader

MOST_PRINTED: Final = 1_000
"""So many movements stand on the paper; all of them are in the files."""

_DIGITS: Final = 120
_READ_AT_A_TIME: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFile:
    """A file as it will be kept."""

    name: str
    media_type: str
    path: Path
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: rows and sums by table, and the first movements, which are printed."""

    details: Mapping[DetailTable, Detail]
    printed: Sequence[Row]


def write_details(
    folder: Path, reader: DetailReader, *, currency: str, made_at: datetime
) -> Written:
    """Write every table in every format into the folder, a row at a time."""
    details: dict[DetailTable, Detail] = {}
    printed: list[Row] = []
    with detail_workbook(folder / WORKBOOK_NAME, currency=currency, made_at=made_at) as workbook:
        for table in DetailTable:
            source = folder / f"{table}.rows"
            details[table] = _write(
                table, reader, source=source, folder=folder, workbook=workbook, printed=printed
            )
            write_parquet(
                source=source,
                target=folder / f"{table}.parquet",
                shape=SHAPES[table],
                currency=currency,
            )
            source.unlink()
    return Written(details=details, printed=printed)


def compare_file(
    file: DetailFile, folder: Path, *, details: Mapping[DetailTable, Detail], currency: str
) -> tuple[KeptFile, FileTold] | Difference:
    """Read a file back; gives it with what is told of it, or the first table that differs."""
    path = folder / file.name
    found = read_back(file, path, currency=currency)
    for table in file.tables:
        if found[table] != details[table]:
            return detail_differs(
                table, told=details[table], found=found[table], where=f"{file.name} ({table})"
            )
    kept = kept_file(path, media_type=file.media_type)
    return kept, FileTold(
        name=file.name,
        rows=sum(found[table].rows for table in file.tables),
        size=kept.size,
        sha256=kept.sha256.hex(),
    )


def kept_file(path: Path, *, media_type: str) -> KeptFile:
    """The file with its digest and size."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while some := source.read(_READ_AT_A_TIME):
            digest.update(some)
    return KeptFile(
        name=path.name,
        media_type=media_type,
        path=path,
        size=path.stat().st_size,
        sha256=digest.digest(),
    )


def _write(
    table: DetailTable,
    reader: DetailReader,
    *,
    source: Path,
    folder: Path,
    workbook: DetailWorkbook,
    printed: list[Row],
) -> Detail:
    shape = SHAPES[table]
    at, count, sum_ = shape.checked_at, 0, Decimal(0)
    with ExitStack() as open_files, localcontext(prec=_DIGITS):
        writers = [
            open_files.enter_context(csv_rows(folder / f"{table}.csv", shape)),
            open_files.enter_context(csv_rows(source, shape, for_people=False)),
            open_files.enter_context(workbook.rows(table, shape)),
        ]
        for row in reader.rows(table):
            for write in writers:
                write(row)
            count += 1
            sum_ += Decimal(str(row[at]))
            if table is DetailTable.MOVEMENTS and len(printed) < MOST_PRINTED:
                printed.append(row)
    return Detail(rows=count, sum=sum_)
