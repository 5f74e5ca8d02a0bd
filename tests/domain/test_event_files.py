"""Files of usage: forms, columns, headers, broken rows, torn files, flat memory."""

import gzip
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import BinaryIO, cast

import pytest

from kernel.errors import Invalid
from metering.ingest.domain.events import UsageEvent
from metering.ingest.domain.usage_files import (
    Form,
    RefusedRow,
    TornFile,
    form_of,
    lines_of,
    parse_columns,
    row_reader,
)

CSV = Form(is_csv=True, is_gzipped=False)
CSV_GZ = Form(is_csv=True, is_gzipped=True)
NDJSON = Form(is_csv=False, is_gzipped=False)


def read(data: bytes, form: Form = CSV, columns: str = "app,id,time,user") -> list[str]:
    """Each row as "id@app" or as the code of its refusal."""
    rows_of = row_reader(
        form=form, columns=parse_columns(columns), source="import", event_type="message.sent"
    )
    shown = []
    for lines in lines_of(io.BytesIO(data), form=form):
        shown += [
            row.refusal.code if isinstance(row, RefusedRow) else f"{row.id}@{row.subject}"
            for row in rows_of(lines)
        ]
    return shown


def rows(count: int) -> bytes:
    return b"".join(b"chat,%d,2026-03-01T00:00:00Z,u%d\n" % (n, n % 9) for n in range(count))


def test_the_name_tells_the_form() -> None:
    assert form_of("a/log.csv") == CSV
    assert form_of("LOG.CSV.GZ") == CSV_GZ
    assert form_of("log.ndjson") == NDJSON
    assert form_of("log.ndjson.gz") == Form(is_csv=False, is_gzipped=True)
    with pytest.raises(Invalid) as caught:
        form_of("log.txt")
    assert caught.value.code == "unknown_format"


def test_columns_are_named_once_each_in_any_order() -> None:
    assert parse_columns(" user, TIME,-,id,app ") == ("user", "time", "-", "id", "app")
    for text, code in (
        ("app,id,when,user", "unknown_columns"),
        ("app,id,time", "missing_columns"),
        ("app,id,time,user,user", "repeated_columns"),
        ("", "unknown_columns"),
    ):
        with pytest.raises(Invalid) as caught:
            parse_columns(text)
        assert caught.value.code == code


def test_a_row_is_a_message_of_its_app_and_user() -> None:
    rows_of = row_reader(
        form=CSV,
        columns=parse_columns("-,user,time,id,app"),
        source="import",
        event_type="message.sent",
    )
    (event,) = rows_of(["x,u1,2026-03-01T08:00:00+08:00,7,chat"])
    assert event == UsageEvent(
        source="import",
        id="7",
        type="message.sent",
        subject="chat",
        time=datetime(2026, 3, 1, tzinfo=UTC),
        user="u1",
    )


def test_a_header_is_no_row_and_none_is_needed() -> None:
    assert read(b"App,ID,time,user\n" + rows(1)) == ["0@chat"]
    assert read(rows(1)) == ["0@chat"]
    assert read(b"\xef\xbb\xbfapp,id,time,user\r\n" + rows(1)) == ["0@chat"]
    # Only the first line may be one.
    assert read(rows(1) + b"app,id,time,user\n") == ["0@chat", "bad_time"]


def test_each_bad_row_rejects_itself_only() -> None:
    data = (
        b"chat,1,2026-03-01T00:00:00Z,u1\n"
        b"\n"
        b"chat,2,2026-03-01,u1\n"
        b"chat,3,2026-03-01T00:00:00Z\n"
        b"chat,4,2026-03-01T00:00:00Z,u1,more\n"
        b'"chat,5,2026-03-01T00:00:00Z,u1\n'
        b'"chat","6","2026-03-01T00:00:00Z","u ""1"", x"\r\n'
        b"chat,\x00,2026-03-01T00:00:00Z,u1\n"
        b"chat,8,2026-03-01T00:00:00Z,\xff\xfe\n"
        b"chat,9,2026-03-01T00:00:00Z," + b"u" * 300_000 + b"\n"
        b",10,2026-03-01T00:00:00Z,u1\n"
        b"chat,11,2026-03-01T00:00:00Z,\n"
        b"chat,12,2026-03-01T00:00:00Z,u1"
    )
    assert read(data) == [
        "1@chat",
        "bad_time",
        "bad_row",
        "bad_row",
        "bad_row",
        "6@chat",
        "bad_id",
        "bad_user",
        "bad_user",
        "bad_subject",
        "bad_user",
        "12@chat",
    ]


def test_ndjson_rows_name_the_keys() -> None:
    data = (
        b'{"app":"chat","id":"1","time":"2026-03-01T00:00:00Z","user":"u1","more":[1]}\n'
        b'{"app":287929,"id":2,"time":"2026-03-01T00:00:00Z","user":7}\n'
        b'{"app":"chat","id":"3"\n'
        b"[]\n"
        b'{"app":"chat","id":true,"time":"2026-03-01T00:00:00Z","user":"u1"}\n'
        b'{"app":"chat","id":"6","id":"7","time":"2026-03-01T00:00:00Z","user":"u1"}\n'
        b'{"app":"chat","id":"8","time":1,"user":"u1"}'
    )
    assert read(data, NDJSON) == [
        "1@chat",
        "2@287929",
        "bad_json",
        "bad_row",
        "bad_id",
        "duplicate_key",
        "bad_time",
    ]


def test_gzip_in_one_or_more_members_with_padding() -> None:
    data = (
        gzip.compress(rows(50_000)) + gzip.compress(b"chat,x,2026-03-01T00:00:00Z,u1") + b"\0" * 9
    )
    shown = read(data, CSV_GZ)
    assert len(shown) == 50_001
    assert shown[-1] == "x@chat"


@pytest.mark.parametrize("cut", [30, 5_000, 100_000])
def test_a_torn_gzip_gives_its_whole_lines_and_then_says_so(cut: int) -> None:
    whole = gzip.compress(rows(200_000))
    seen: list[str] = []

    def take() -> None:
        for block in lines_of(io.BytesIO(whole[:cut]), form=CSV_GZ):
            seen.extend(line or "" for line in block)

    with pytest.raises(TornFile) as caught:
        take()
    assert caught.value.code == "torn_file"
    assert all(line.count(",") == 3 and line.split(",")[3][1:].isdigit() for line in seen)
    assert seen == rows(200_000).decode().split("\n")[: len(seen)]
    assert cut < 1_000 or len(seen) > 100


@pytest.mark.parametrize("data", [b"", b"not gzip at all", rows(9)])
def test_what_is_no_gzip_is_torn(data: bytes) -> None:
    with pytest.raises(TornFile):
        list(lines_of(io.BytesIO(data), form=CSV_GZ))


def test_an_empty_file_has_no_rows() -> None:
    assert read(b"") == []
    assert read(gzip.compress(b""), CSV_GZ) == []


class _Endless:
    """A stream that gives a line without an end, then one row."""

    def __init__(self, megabytes: int) -> None:
        self._blocks: Iterator[bytes] = iter(
            [b"x" * (1 << 20)] * megabytes + [b"\nchat,1,2026-03-01T00:00:00Z,u1\n"]
        )

    def read(self, size: int = -1) -> bytes:
        return next(self._blocks, b"")


def test_a_line_without_an_end_takes_no_memory() -> None:
    stream = cast("BinaryIO", _Endless(200))
    blocks = list(lines_of(stream, form=CSV))
    assert [line for block in blocks for line in block] == [None, "chat,1,2026-03-01T00:00:00Z,u1"]
