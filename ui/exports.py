"""CSV files for spreadsheets: RFC 4180, with a byte order mark so that Chinese opens right in Excel."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final, cast

from django.http import HttpResponse, StreamingHttpResponse

from ui.cells import Cell, as_export, neutralised

MAX_ROWS: Final = 5_000
"""More than this is not made while a person waits."""


def csv_text(*, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The table as CSV; every cell goes through `ui.cells.as_export`."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow([neutralised(label) for label in header])
    for row in rows:
        writer.writerow([as_export(value) for value in row])
    return target.getvalue()


def csv_response(
    *, name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]
) -> HttpResponse:
    """A download whose file name holds only letters, digits and dashes."""
    safe = re.sub(r"[^a-zA-Z0-9-]+", "-", name).strip("-") or "export"
    response = HttpResponse(
        "\ufeff" + csv_text(header=header, rows=rows), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{safe}.csv"'
    return response


def xml_response(*, name: str, content: bytes) -> HttpResponse:
    """A data file to keep; `name` is the program's own, never a tenant's text."""
    response = HttpResponse(content, content_type="application/xml")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def file_stream(
    *, name: str, media_type: str, size: int, sha256: str, parts: Iterable[bytes]
) -> HttpResponse:
    """A file whose parts are read while it is sent; `name` is the program's own."""
    shown = "inline" if media_type == "application/pdf" else "attachment"
    streamed = StreamingHttpResponse(
        parts,
        content_type=media_type,
        headers={
            "Content-Disposition": f'{shown}; filename="{name}"',
            "Content-Length": str(size),
            "ETag": f'"{sha256}"',
        },
    )
    # A view may answer in a stream as well; the doors pass it on untouched.
    return cast("HttpResponse", streamed)


def pdf_response(*, name: str, content: bytes) -> HttpResponse:
    """A document to read or keep; `name` is the program's own, never a tenant's text."""
    response = HttpResponse(content, content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    return response
