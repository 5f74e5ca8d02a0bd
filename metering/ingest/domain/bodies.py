"""From the bytes of a request to decoded events, within bounds whatever was sent. Pure.

Compressed bodies are inflated piece by piece, so that a bomb is refused before it takes memory.
Each event is decoded by itself: what is wrong with one rejects that one only.
"""

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
import zstandard

from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.ingest.domain.events import Refusal

_SAFE_INFLATED_BYTES: Final = 1024 * 1024
_HIGHEST_GZIP_RATIO: Final = 250
_HIGHEST_ZSTD_RATIO: Final = 1000
"""Usage events shrink to a thirtieth by gzip, a hundredth by zstd; zeros to a thousandth by gzip,
less than a ten-thousandth by zstd."""
_ZSTD_WINDOW_BYTES: Final = 8 * 1024 * 1024
_ZSTD_SLICE_BYTES: Final = 256
"""Four bytes of zstd may stand for 128 KiB, so that a slice inflates to 8 MiB at most."""
_ZLIB_OUTPUT_BYTES: Final = 256 * 1024

_JSON: Final = msgspec.json.Decoder()
_JSON_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_AS_IT_IS: Final = msgspec.json.Decoder(msgspec.Raw)
"""Looks whether a text is JSON and makes nothing of it."""
_LENIENT: Final = json.JSONDecoder(strict=False)
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_LINE: Final = re.compile(rb"\S[^\n]*")
_MOST_COMMAS: Final = 32 * limits.MOST_EVENTS
"""So many items may be read at once and counted afterwards; an event has about eight commas of its own."""
_BOM: Final = b"\xef\xbb\xbf"


class BodyTooLarge(Invalid):
    """The body, inflated or not, or its number of events is over the bound."""


class UnknownMedia(Invalid):
    """The body is of a type or under a coding that is not read."""


class Media(StrEnum):
    """The types of body that are read."""

    JSON = "application/json"
    CLOUDEVENT = "application/cloudevents+json"
    CLOUDEVENT_BATCH = "application/cloudevents-batch+json"
    LINES = "application/x-ndjson"


def media_of(content_type: str) -> Media:
    """The media type of a Content-Type header. Raises UnknownMedia `unsupported_media_type`."""
    name, _, parameters = content_type.partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]+)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in {"utf-8", "utf8", "us-ascii"}:
        raise UnknownMedia(
            "unsupported_media_type", f"Charset {charset[1][:40]} is not read; send UTF-8."
        )
    try:
        return Media(name.strip().lower())
    except ValueError:
        raise UnknownMedia(
            "unsupported_media_type",
            f"Content-Type {name.strip()[:80]!r} is not read; send one of {', '.join(Media)}.",
        ) from None


def read_body(chunks: Iterable[bytes], *, coding: str) -> bytes:
    """The whole body, inflated.

    `coding` is the Content-Encoding header: nothing, identity, gzip or zstd. Raises BodyTooLarge
    `body_too_large` over 5 MiB on the wire, `inflated_body_too_large` over 64 MiB inflated or for
    data that swells like a bomb; UnknownMedia `unsupported_content_encoding`; Invalid
    `bad_compression` for data that is torn or not what it says.
    """
    wire = _Wire(chunks)
    match coding.strip().lower():
        case "" | "identity":
            return b"".join(wire)
        case "gzip" | "x-gzip":
            pieces, highest_ratio = _gunzipped(wire), _HIGHEST_GZIP_RATIO
        case "zstd":
            pieces, highest_ratio = _unzstd(wire), _HIGHEST_ZSTD_RATIO
        case _:
            raise UnknownMedia(
                "unsupported_content_encoding",
                f"Content-Encoding {coding.strip()[:40]!r} is not read; send gzip or zstd.",
            )
    inflated = bytearray()
    for piece in pieces:
        inflated += piece
        size = len(inflated)
        if size > limits.MOST_INFLATED_BYTES or (
            size > _SAFE_INFLATED_BYTES and size > wire.taken * highest_ratio
        ):
            raise BodyTooLarge(
                "inflated_body_too_large",
                f"The body inflates beyond {limits.MOST_INFLATED_BYTES >> 20} MiB or more than "
                f"{highest_ratio} times; send fewer events at once.",
            )
    return bytes(inflated)


class _Wire:
    """The body's chunks as they come, counted and bounded."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.taken += len(chunk)
            if self.taken > limits.MOST_WIRE_BYTES:
                raise BodyTooLarge(
                    "body_too_large",
                    f"The body is over {limits.MOST_WIRE_BYTES >> 20} MiB; send fewer events at "
                    "once, or compressed.",
                )
            yield chunk


def _gunzipped(wire: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    started = False
    try:
        for chunk in wire:
            rest = chunk
            while rest:
                if inflater.eof:
                    # A gzip file may be several, one after another.
                    inflater = zlib.decompressobj(wbits=31)
                started = True
                yield inflater.decompress(rest, _ZLIB_OUTPUT_BYTES)
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        while not inflater.eof:
            piece = inflater.decompress(inflater.unconsumed_tail, _ZLIB_OUTPUT_BYTES)
            if not piece:
                break
            yield piece
    except zlib.error as error:
        raise _bad_compression("gzip") from error
    if started and not inflater.eof:
        raise _bad_compression("gzip")


def _unzstd(wire: Iterable[bytes]) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    inflater = decompressor.decompressobj()
    started = False
    try:
        for chunk in wire:
            for start in range(0, len(chunk), _ZSTD_SLICE_BYTES):
                rest = chunk[start : start + _ZSTD_SLICE_BYTES]
                while rest:
                    if inflater.eof:
                        inflater = decompressor.decompressobj()
                    started = True
                    yield inflater.decompress(rest)
                    rest = inflater.unused_data if inflater.eof else b""
    except zstandard.ZstdError as error:
        raise _bad_compression("zstd") from error
    if started and not inflater.eof:
        raise _bad_compression("zstd")


def _bad_compression(coding: str) -> Invalid:
    return Invalid(
        "bad_compression", f"The body is not whole {coding} data; compress and send it again."
    )


def decoded_events(body: bytes, *, media: Media) -> list[Any]:
    """The events of a body in their order: decoded JSON, or a Refusal where that is broken.

    Raises Invalid `empty_body`, `malformed_json` when the body as a whole can't be read,
    `json_too_deep`, the codes of `decoded_event` when the body is one event and not a list, and
    BodyTooLarge `too_many_events`.
    """
    if body.startswith(_BOM):
        body = body[len(_BOM) :]
    if not body or body.isspace():
        raise Invalid("empty_body", "The body is empty; send at least one event.")
    raws: Sequence[bytes | memoryview]
    if media is Media.LINES:
        raws = _lines(body)
    else:
        is_list = body.lstrip()[:1] == b"["
        if media is Media.CLOUDEVENT and is_list:
            raise Invalid(
                "malformed_json", f"A list of events is sent as {Media.CLOUDEVENT_BATCH}."
            )
        if media is Media.CLOUDEVENT_BATCH and not is_list:
            raise Invalid("malformed_json", f"{Media.CLOUDEVENT_BATCH} is a JSON list of events.")
        if not is_list:
            return [_only_event(body)]
        raws = _items(body)
    return [decoded_event(bytes(raw)) for raw in raws]


def decoded_event(raw: bytes) -> Any:
    """One event's JSON, decoded; or a Refusal.

    Refused: over 64 KiB, nested over 20 deep, a key twice in one object, NaN and infinities, numbers
    that no machine number holds, half surrogate pairs, bytes that are not UTF-8.
    """
    if len(raw) > limits.MOST_EVENT_BYTES:
        return Refusal(
            code="event_too_large",
            detail=f"The event has {len(raw)} bytes; at most {limits.MOST_EVENT_BYTES} are taken.",
        )
    try:
        content = _JSON.decode(raw)
    except msgspec.ValidationError:
        return Refusal(code="bad_number", detail="The event holds a number out of range.")
    except RecursionError:
        return _too_deep()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The error's text tells the place, never the content.
        reason = str(error) if isinstance(error, msgspec.DecodeError) else "it is not UTF-8"
        return Refusal(code="bad_json", detail=f"The event is not valid JSON: {reason[:200]}.")
    if raw.count(b"{") + raw.count(b"[") > limits.MOST_DEPTH and not _is_flat_enough(content):
        return _too_deep()
    if _colons_outside_strings(raw) != _keys_in(content):
        return Refusal(code="duplicate_key", detail="An object of the event names a key twice.")
    return content


def _only_event(body: bytes) -> Any:
    """The one event that is the whole body; it has no neighbours, so its faults are the body's."""
    try:
        _AS_IT_IS.decode(body)
    except RecursionError:
        raise _body_too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(error) from None
    content = decoded_event(body)
    if isinstance(content, Refusal):
        raise Invalid(content.code, content.detail)
    return content


def _lines(body: bytes) -> list[bytes]:
    """The lines that hold something. No more are taken apart than are allowed."""
    lines: list[bytes] = []
    for line in _LINE.finditer(body):
        if len(lines) == limits.MOST_EVENTS:
            raise _too_many()
        lines.append(line[0])
    return lines


def _items(body: bytes) -> list[bytes | memoryview]:
    """The items of a JSON list, undecoded."""
    fault: Exception
    try:
        if body.count(b",") <= _MOST_COMMAS:
            raws = _JSON_LIST.decode(body)
            if len(raws) > limits.MOST_EVENTS:
                raise _too_many()
            return [memoryview(raw) for raw in raws]
        # An object for each of millions of items would take a hundred times the body: only whether
        # this is JSON is found out here, and the items are taken one by one.
        _AS_IT_IS.decode(body)
    except RecursionError:
        raise _body_too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = error
    else:
        fault = ValueError("not a list")
    items = _items_leniently(body)
    if items is None:
        raise _malformed(fault) from None
    return items


def _items_leniently(body: bytes) -> list[bytes | memoryview] | None:
    """The items of a list of which one holds NaN, a control character or half a surrogate pair.

    Only finds where each ends, so that this one is rejected and its neighbours are not. None where
    the list itself is broken. Raises BodyTooLarge `too_many_events`.
    """
    # One character a byte: JSON's structure is ASCII, what lies in strings doesn't matter here.
    text = body.decode("latin-1")
    items: list[bytes | memoryview] = []
    at = _after_space(text, _after_space(text, 0) + 1)
    try:
        while True:
            _, end = _LENIENT.raw_decode(text, at)
            if len(items) == limits.MOST_EVENTS:
                raise _too_many()
            items.append(body[at:end])
            at = _after_space(text, end)
            if text[at : at + 1] == "]":
                return items if _after_space(text, at + 1) == len(text) else None
            if text[at : at + 1] != ",":
                return None
            at = _after_space(text, at + 1)
    except RecursionError:
        raise _body_too_deep() from None
    except ValueError:
        return None


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _too_many() -> BodyTooLarge:
    return BodyTooLarge(
        "too_many_events",
        f"The body holds over {limits.MOST_EVENTS:,} events; send it in several requests.",
    )


def _malformed(error: Exception) -> Invalid:
    reason = str(error)[:200] if isinstance(error, msgspec.DecodeError) else "not UTF-8"
    return Invalid("malformed_json", f"The body is not JSON: {reason}.")


def _body_too_deep() -> Invalid:
    return Invalid(
        "json_too_deep", f"The body is nested deeper than {limits.MOST_DEPTH} levels; flatten it."
    )


def _too_deep() -> Refusal:
    return Refusal(
        code="json_too_deep", detail=f"The event is nested deeper than {limits.MOST_DEPTH} levels."
    )


def _is_flat_enough(content: Any, levels: int = limits.MOST_DEPTH) -> bool:
    if isinstance(content, dict):
        children: Iterable[Any] = content.values()
    elif isinstance(content, list):
        children = content
    else:
        return True
    return levels > 0 and all(_is_flat_enough(child, levels - 1) for child in children)


def _colons_outside_strings(raw: bytes) -> int:
    """How many keys a valid JSON text writes, repeated ones included."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(raw.split(b'"')[::2]).count(b":")


def _keys_in(content: Any) -> int:
    if isinstance(content, dict):
        return len(content) + sum(
            _keys_in(value) for value in content.values() if isinstance(value, dict | list)
        )
    if isinstance(content, list):
        return sum(_keys_in(value) for value in content)
    return 0
