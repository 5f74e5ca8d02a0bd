"""Files of usage, read in a stream: CSV or NDJSON, plain or gzipped, one event a line. Pure.

One line is one row, so that a stray quote or a broken row spoils no other. Memory stays flat
whatever the file: blocks of about a megabyte, and a line that is longer is refused unread.
"""

import csv
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TypeAlias

from kernel.errors import Invalid
from metering.ingest.domain.bodies import decoded_event
from metering.ingest.domain.events import Refusal, UsageEvent, read_row

COLUMNS: Final = ("app", "id", "time", "user")
"""What a row must tell."""

_SKIPPED: Final = "-"
_BLOCK_BYTES: Final = 1024 * 1024
_LONGEST_LINE: Final = 256 * 1024
_BOM: Final = b"\xef\xbb\xbf"

Line: TypeAlias = str | None
"""A line without its end; None for one that was too long to read."""


class TornFile(Invalid):
    """The file ends in the middle or is not what its name says; the rows before are good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a file is written."""

    is_csv: bool
    is_gzipped: bool


_FORMS: Final = {
    ".csv": Form(is_csv=True, is_gzipped=False),
    ".csv.gz": Form(is_csv=True, is_gzipped=True),
    ".ndjson": Form(is_csv=False, is_gzipped=False),
    ".ndjson.gz": Form(is_csv=False, is_gzipped=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that is no event; `content` is what it held, as far as it could be read."""

    refusal: Refusal
    content: Mapping[str, Any] | None


ReadRow: TypeAlias = UsageEvent | RefusedRow


def form_of(name: str) -> Form:
    """The form that a file's name tells. Raises Invalid `unknown_format`."""
    for ending, form in _FORMS.items():
        if name.lower().endswith(ending):
            return form
    raise Invalid(
        "unknown_format", f"The file's name must end in one of {', '.join(_FORMS)}.", field="file"
    )


def parse_columns(text: str) -> tuple[str, ...]:
    """The names of a file's columns, from a list like ``app,id,time,user``; ``-`` skips one.

    Raises Invalid `unknown_columns`, `missing_columns`, `repeated_columns`.
    """
    names = tuple(name.strip().lower() for name in text.split(","))
    unknown = [name for name in names if name not in (*COLUMNS, _SKIPPED)]
    if unknown:
        raise Invalid(
            "unknown_columns",
            f"columns names {', '.join(repr(name[:40]) for name in unknown)}; known are "
            f"{', '.join(COLUMNS)}, and - for one that is not read.",
            field="columns",
        )
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise Invalid(
            "missing_columns",
            f"columns lacks {', '.join(missing)}; name all four.",
            field="columns",
        )
    repeated = [name for name in COLUMNS if names.count(name) > 1]
    if repeated:
        raise Invalid(
            "repeated_columns", f"columns names {', '.join(repeated)} twice.", field="columns"
        )
    return names


def lines_of(stream: BinaryIO, *, form: Form) -> Iterator[list[Line]]:
    """The lines of a file, some thousands at a time; blank ones are left out.

    Raises TornFile `torn_file` after the last whole line of a gzip file that breaks off or is none.
    """
    blocks = _inflated(stream) if form.is_gzipped else iter(lambda: stream.read(_BLOCK_BYTES), b"")
    rest = b""
    too_long = False
    first = True
    for block in blocks:
        text = rest + block
        if first:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                rest = text
                continue
            text = text.removeprefix(_BOM)
            first = False
        whole, newline, rest = text.rpartition(b"\n")
        if newline:
            lines = _decoded(whole)
            if too_long:
                lines[0] = None
                too_long = False
            yield [line for line in lines if line is None or (line and not line.isspace())]
        if len(rest) > _LONGEST_LINE:
            rest = b""
            too_long = True
    if too_long:
        yield [None]
    elif rest and not rest.isspace():
        yield _decoded(rest)


def row_reader(
    *, form: Form, columns: Sequence[str], source: str, event_type: str
) -> Callable[[Sequence[Line]], list[ReadRow]]:
    """What turns the lines of a file into events; the file's first lines must come first.

    In CSV, `columns` names the columns by position, and a first line that repeats these names is a
    header and no row. In NDJSON the names are the keys of each object.
    """
    if not form.is_csv:
        return lambda lines: [_json_row(line, source, event_type) for line in lines]
    width = len(columns)
    app, event_id, time, user = (columns.index(name) for name in COLUMNS)
    header: list[str] | None = list(columns)

    def rows_of(lines: Sequence[Line]) -> list[ReadRow]:
        nonlocal header
        rows: list[ReadRow] = []
        for line in lines:
            fields = None if line is None else _fields(line)
            if header is not None:
                is_header = fields is not None and _is_header(fields, header)
                header = None
                if is_header:
                    continue
            if fields is None or len(fields) != width:
                rows.append(_bad_row(line, fields, width))
                continue
            row = read_row(
                app=fields[app],
                event_id=fields[event_id],
                time=fields[time],
                user=fields[user],
                source=source,
                event_type=event_type,
            )
            if isinstance(row, Refusal):
                content = {name: fields[columns.index(name)] for name in COLUMNS}
                rows.append(RefusedRow(refusal=row, content=content))
            else:
                rows.append(row)
        return rows

    return rows_of


def _inflated(stream: BinaryIO) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    rest = b""
    try:
        while True:
            data = rest or stream.read(_BLOCK_BYTES)
            if not data:
                break
            if inflater.eof:
                # Several gzip files one after another are one; zeros at the end are padding.
                data = data.lstrip(b"\0")
                if not data:
                    rest = b""
                    continue
                inflater = zlib.decompressobj(wbits=31)
            yield inflater.decompress(data, _BLOCK_BYTES)
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except zlib.error as error:
        raise TornFile(
            "torn_file",
            f"The file is not whole gzip data ({error}); what was read before stays.",
            field="file",
        ) from error
    if not inflater.eof:
        raise TornFile(
            "torn_file",
            "The gzip file breaks off; what was read before stays. Get the whole file and import "
            "it again: known rows are duplicates.",
            field="file",
        )


def _decoded(block: bytes) -> list[Line]:
    # A byte that is not UTF-8 becomes half a surrogate pair, which the row's check refuses.
    text = block.decode("utf-8", errors="surrogateescape")
    if "\r" in text:
        return [line.removesuffix("\r") for line in text.split("\n")]
    return list(text.split("\n"))


def _fields(line: str) -> list[str] | None:
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True), None)
    except csv.Error:
        return None


def _is_header(fields: Sequence[str], names: Sequence[str]) -> bool:
    return len(fields) == len(names) and all(
        name in (_SKIPPED, field.strip().lower()) for field, name in zip(fields, names, strict=True)
    )


def _bad_row(line: Line, fields: Sequence[str] | None, width: int) -> RefusedRow:
    if line is None:
        refusal = Refusal(
            code="row_too_long", detail=f"The line has more than {_LONGEST_LINE} bytes."
        )
    elif fields is None:
        refusal = Refusal(
            code="bad_row", detail="The row's quotes don't match; one line is one row."
        )
    else:
        refusal = Refusal(
            code="bad_row", detail=f"The row has {len(fields)} columns, {width} are named."
        )
    return RefusedRow(refusal=refusal, content=None)


def _json_row(line: Line, source: str, event_type: str) -> ReadRow:
    if line is None:
        return _bad_row(None, None, 0)
    content = decoded_event(line.encode(errors="surrogateescape"))
    if isinstance(content, Refusal):
        return RefusedRow(refusal=content, content=None)
    if not isinstance(content, Mapping):
        return RefusedRow(
            refusal=Refusal(code="bad_row", detail="The line is not a JSON object."), content=None
        )
    row = read_row(
        app=_as_text(content.get("app")),
        event_id=_as_text(content.get("id")),
        time=content.get("time"),
        user=_as_text(content.get("user")),
        source=source,
        event_type=event_type,
    )
    if isinstance(row, Refusal):
        return RefusedRow(refusal=row, content=content)
    return row


def _as_text(value: object) -> object:
    """Logs often write ids as numbers; a whole one is taken as its digits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 128 else value
    return value
