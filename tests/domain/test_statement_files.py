"""Amounts in files are exact to the minor unit, however large, and read back by another program."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import arro3.io
import openpyxl
import pytest

from billing.statements.domain.ageing import AgeBucket, bucket_of
from billing.statements.domain.figures import Detail
from billing.statements.domain.states import DetailTable
from billing.statements.domain.tables import SHAPES, Row
from billing.statements.files.columnar import write_parquet
from billing.statements.files.comma_separated import csv_rows
from billing.statements.files.formats import DetailFile, FileFormat
from billing.statements.files.reading_back import read_back
from billing.statements.files.workbook import detail_workbook

MADE = datetime(2026, 6, 1, tzinfo=UTC)
TABLE = DetailTable.MOVEMENTS
SHAPE = SHAPES[TABLE]
LARGE = ["92233720368547758.07", "-92233720368547758.08", "9999999999999.99", "0.01", "-0.01"]
"""What a bigint of minor units holds; the largest that a spreadsheet holds exactly; the least."""


def movement(amount: str, description: str = "Invoice") -> Row:
    value = Decimal(amount)
    return (
        MADE, "x", "invoice", "INV-1", description, date(2026, 3, 1), None, "CNY", value, value,
    )  # fmt: skip


def written(folder: Path, rows: list[Row], *, most_rows: int = 1_000) -> dict[FileFormat, Path]:
    paths = {each: folder / f"{TABLE}.{each}" for each in FileFormat}
    source = folder / "rows"
    with (
        csv_rows(paths[FileFormat.CSV], SHAPE) as for_people,
        csv_rows(source, SHAPE, for_people=False) as plain,
        detail_workbook(
            paths[FileFormat.XLSX], currency="CNY", made_at=MADE, most_rows=most_rows
        ) as workbook,
        workbook.rows(TABLE, SHAPE) as sheet,
    ):
        for row in rows:
            for write in (for_people, plain, sheet):
                write(row)
    write_parquet(source=source, target=paths[FileFormat.PARQUET], shape=SHAPE, currency="CNY")
    return paths


@pytest.mark.parametrize("made_as", FileFormat)
def test_no_cent_is_lost(tmp_path: Path, made_as: FileFormat) -> None:
    path = written(tmp_path, [movement(each) for each in LARGE])[made_as]
    file = DetailFile(name=path.name, format=made_as, tables=[TABLE])
    # The two largest leave -0.01; in binary floating point they would leave nothing.
    assert read_back(file, path, currency="CNY") == {
        TABLE: Detail(rows=5, sum=Decimal("9999999999999.98"))
    }


def test_a_spreadsheet_has_numbers_as_far_as_it_holds_them(tmp_path: Path) -> None:
    path = written(tmp_path, [movement(each) for each in LARGE])[FileFormat.XLSX]
    sheet = openpyxl.load_workbook(path)["movements"]
    column = SHAPE.checked_at + 1
    assert [sheet.cell(row=at, column=column).value for at in range(2, 7)] == [
        "92233720368547758.07", "-92233720368547758.08", 9999999999999.99, 0.01, -0.01,
    ]  # fmt: skip
    assert sheet.cell(row=4, column=column).number_format == "#,##0.00"


def test_parquet_has_types(tmp_path: Path) -> None:
    path = written(tmp_path, [movement("1.00")])[FileFormat.PARQUET]
    schema = arro3.io.read_parquet(path).schema
    assert str(schema.field("amount").type).startswith("arro3.core.DataType<Decimal128(38, 2)>")
    assert "Date32" in str(schema.field("document_on").type)
    assert "Timestamp" in str(schema.field("posted_at").type)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx"])
def test_no_text_is_a_formula(tmp_path: Path, text: str) -> None:
    paths = written(tmp_path, [movement("-1.00", text)])
    assert f"'{text}" in paths[FileFormat.CSV].read_text("utf-8-sig")
    cell = openpyxl.load_workbook(paths[FileFormat.XLSX])["movements"].cell(row=2, column=5)
    assert (cell.value, cell.data_type) == (text, "s")
    (batch,) = arro3.io.read_parquet(paths[FileFormat.PARQUET])
    assert batch.column("description")[0].as_py() == text


def test_a_table_goes_on_in_the_next_sheet(tmp_path: Path) -> None:
    path = written(tmp_path, [movement("1.00")] * 7, most_rows=4)[FileFormat.XLSX]
    assert openpyxl.load_workbook(path).sheetnames == ["movements", "movements_2", "movements_3"]
    file = DetailFile(name=path.name, format=FileFormat.XLSX, tables=[TABLE])
    assert read_back(file, path, currency="CNY")[TABLE] == Detail(rows=7, sum=Decimal(7))


@pytest.mark.parametrize(
    ("days", "bucket"),
    [
        (-5, AgeBucket.NOT_DUE),
        (0, AgeBucket.NOT_DUE),
        (1, AgeBucket.UP_TO_30),
        (30, AgeBucket.UP_TO_30),
        (31, AgeBucket.UP_TO_60),
        (60, AgeBucket.UP_TO_60),
        (61, AgeBucket.UP_TO_90),
        (90, AgeBucket.UP_TO_90),
        (91, AgeBucket.OVER_90),
    ],
)
def test_ages(days: int, bucket: AgeBucket) -> None:
    on = date(2026, 6, 1)
    assert bucket_of(due_on=date.fromordinal(on.toordinal() - days), on=on) == bucket
