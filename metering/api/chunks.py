"""Large bodies of requests, taken piece by piece."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from django.http import HttpRequest

from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.ingest.domain.bodies import BodyTooLarge

_CHUNK_BYTES = 64 * 1024
_MOST_READ_AWAY = 32 * 1024 * 1024
_one_reads_away: Final = threading.Lock()


def body_chunks(request: HttpRequest) -> Iterator[bytes]:
    """The body as it comes in, unbuffered; refused unread when its length is told and too large.

    Raises BodyTooLarge, and Invalid `incomplete_body` at its end when less came than was told.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    told = int(length) if length.isascii() and length.isdigit() else 0
    if told > limits.MOST_WIRE_BYTES:
        raise BodyTooLarge(
            "body_too_large",
            f"The body is over {limits.MOST_WIRE_BYTES >> 20} MiB; send fewer events at once, or "
            "compressed.",
        )
    source = _source(request)
    taken = 0
    while chunk := source.read(_CHUNK_BYTES):
        taken += len(chunk)
        yield chunk
    if taken < told and not _is_chunked(request):
        # Cut off between two lines, it would pass for a shorter one.
        raise Invalid(
            "incomplete_body",
            f"Of the body's {told} bytes {taken} came; nothing was stored. Send it again.",
        )


def _is_chunked(request: HttpRequest) -> bool:
    return "chunked" in request.headers.get("Transfer-Encoding", "").lower()


def _source(request: HttpRequest) -> Any:
    if _is_chunked(request):
        # Django takes a body without a length for empty.
        return request.META.get("wsgi.input", request)
    return request


def read_away(request: HttpRequest) -> None:
    """Take what is still coming of a refused body and drop it, within bounds.

    Many clients look for the answer only when all is sent; cut off before, they tell of a broken
    connection, and try again, where they should tell that the body is too large. One thread of a process
    does that at a time, since what is still coming may never come.
    """
    if not _one_reads_away.acquire(blocking=False):
        return
    try:
        source = _source(request)
        left = _MOST_READ_AWAY
        with suppress(OSError):  # the client went away
            while left > 0 and (chunk := source.read(_CHUNK_BYTES)):
                left -= len(chunk)
    finally:
        _one_reads_away.release()
