"""From a request's bytes to events: codings, bounds, broken parts beside whole ones."""

import gzip
import json
import resource
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
import zstandard

from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.ingest.domain.bodies import (
    BodyTooLarge,
    Media,
    UnknownMedia,
    decoded_events,
    media_of,
    read_body,
)
from metering.ingest.domain.events import Refusal


def chunks(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def codes(events: list[Any]) -> list[str]:
    return [each.code if isinstance(each, Refusal) else "" for each in events]


BODY = json.dumps([{"id": str(n), "data": {"user": f"u{n % 7}"}} for n in range(3000)]).encode()


@pytest.mark.parametrize("coding", ["", "identity", "gzip", "GZIP", "zstd"])
@pytest.mark.parametrize("size", [1, 7, 16384, 10_000_000])
def test_a_body_is_inflated(coding: str, size: int) -> None:
    wire = {
        "gzip": gzip.compress(BODY),
        "zstd": zstandard.ZstdCompressor().compress(BODY),
    }.get(coding.lower(), BODY)
    assert read_body(chunks(wire, size), coding=coding) == BODY


def test_several_members_are_one_body() -> None:
    parts = (BODY[:5000], BODY[5000:])
    gzipped = b"".join(gzip.compress(part) for part in parts)
    assert read_body(chunks(gzipped), coding="gzip") == BODY
    framed = b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)
    assert read_body(chunks(framed), coding="zstd") == BODY


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_torn_false_and_garbled_data_is_refused(coding: str) -> None:
    checked = zstandard.ZstdCompressor(write_checksum=True)
    whole = {"gzip": gzip.compress(BODY), "zstd": checked.compress(BODY)}[coding]
    garbled = whole[:200] + bytes(byte ^ 0x55 for byte in whole[200:260]) + whole[260:]
    for wire in (whole[:-5], whole[: len(whole) // 2], BODY, garbled, whole + b"rest"):
        with pytest.raises(Invalid) as caught:
            read_body(chunks(wire), coding=coding)
        assert caught.value.code == "bad_compression"


def test_other_codings_are_not_read() -> None:
    for coding in ("br", "deflate", "gzip, gzip"):
        with pytest.raises(UnknownMedia) as caught:
            read_body([BODY], coding=coding)
        assert caught.value.code == "unsupported_content_encoding"


def test_the_wire_is_bounded_at_5_mib() -> None:
    most = b" " * (5 << 20)
    assert len(read_body(chunks(most, 65536), coding="")) == 5 << 20
    with pytest.raises(BodyTooLarge) as caught:
        read_body(chunks(most + b" ", 65536), coding="")
    assert caught.value.code == "body_too_large"


def a_gzip_bomb() -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = b"\0" * (1 << 20)
    return b"".join(deflater.compress(zeros) for _ in range(1000)) + deflater.flush()


def a_zstd_bomb() -> bytes:
    deflater = zstandard.ZstdCompressor().compressobj()
    zeros = b"\0" * (1 << 20)
    return b"".join(deflater.compress(zeros) for _ in range(1000)) + deflater.flush()


@pytest.mark.parametrize(("coding", "bomb"), [("gzip", a_gzip_bomb), ("zstd", a_zstd_bomb)])
def test_a_bomb_is_refused_fast_and_in_flat_memory(coding: str, bomb: Any) -> None:
    wire = bomb()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    with pytest.raises(BodyTooLarge) as caught:
        read_body(chunks(wire, 16384), coding=coding)
    assert caught.value.code == "inflated_body_too_large"
    assert time.perf_counter() - started < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024


def test_the_inflated_size_is_bounded_at_64_mib() -> None:
    # Swells 60 times only, so that the size and not the ratio refuses it.
    line = b'{"padding":"' + b"x" * 3000 + b'","random":"%032x"}\n'
    body = b"".join(line % (n * 0x9E3779B97F4A7C15F39CC0605CEDC834) for n in range(30_000))
    assert len(body) > 64 << 20
    with pytest.raises(BodyTooLarge) as caught:
        read_body(chunks(gzip.compress(body), 16384), coding="gzip")
    assert caught.value.code == "inflated_body_too_large"


@pytest.mark.parametrize(
    ("header", "media"),
    [
        ("application/json", Media.JSON),
        ("Application/JSON; charset=UTF-8", Media.JSON),
        ("application/cloudevents+json", Media.CLOUDEVENT),
        ("application/cloudevents-batch+json; charset=utf-8", Media.CLOUDEVENT_BATCH),
        ("application/x-ndjson", Media.LINES),
    ],
)
def test_four_media_types_are_read(header: str, media: Media) -> None:
    assert media_of(header) is media


@pytest.mark.parametrize(
    "header", ["", "text/plain", "application/xml", "application/json; charset=gbk"]
)
def test_others_are_not(header: str) -> None:
    with pytest.raises(UnknownMedia) as caught:
        media_of(header)
    assert caught.value.code == "unsupported_media_type"


def test_one_object_a_list_and_lines_are_read() -> None:
    assert decoded_events(b'{"id":"1"}', media=Media.JSON) == [{"id": "1"}]
    assert decoded_events(b'\xef\xbb\xbf{"id":"1"}', media=Media.CLOUDEVENT) == [{"id": "1"}]
    assert decoded_events(b' [{"id":"1"}, 2] ', media=Media.JSON) == [{"id": "1"}, 2]
    assert decoded_events(b"[]", media=Media.CLOUDEVENT_BATCH) == []
    assert decoded_events(b'{"id":"1"}\r\n\n{"id":"2"}', media=Media.LINES) == [
        {"id": "1"},
        {"id": "2"},
    ]


@pytest.mark.parametrize(
    ("body", "media", "code"),
    [
        (b"", Media.JSON, "empty_body"),
        (b" \n", Media.LINES, "empty_body"),
        (b"[1,2", Media.JSON, "malformed_json"),
        (b"[1]x", Media.JSON, "malformed_json"),
        (b"[1,]", Media.JSON, "malformed_json"),
        (b'{"a":1', Media.JSON, "malformed_json"),
        (b'{"a":NaN}', Media.JSON, "malformed_json"),
        (b"\xff", Media.JSON, "malformed_json"),
        (b"[{}]", Media.CLOUDEVENT, "malformed_json"),
        (b"{}", Media.CLOUDEVENT_BATCH, "malformed_json"),
        (b'{"a":1e400}', Media.JSON, "bad_number"),
        (b'{"a":1,"a":2}', Media.JSON, "duplicate_key"),
        (b"[" * 10_000, Media.JSON, "json_too_deep"),
        (b'{"a":' * 10_000, Media.JSON, "json_too_deep"),
        (b'{"a":' * 30 + b"1" + b"}" * 30, Media.JSON, "json_too_deep"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_as_a_whole(
    body: bytes, media: Media, code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        decoded_events(body, media=media)
    assert caught.value.code == code


BROKEN = [
    (b'{"a":1e400}', "bad_number"),
    (b'{"a":-1e400}', "bad_number"),
    (b'{"a":1,"b":{"c":1,"c":1}}', "duplicate_key"),
    (b'{"a\\"":1,"a\\"":2}', "duplicate_key"),
    (b'{"a":"\\ud800"}', "bad_json"),
    (b'{"a":"\xff"}', "bad_json"),
    (b'{"a":NaN}', "bad_json"),
    (b'{"a":-Infinity}', "bad_json"),
    (b'{"a":"\x01"}', "bad_json"),
    (b"[" * 25 + b"]" * 25, "json_too_deep"),
    (b'{"a":"' + b"x" * 70_000 + b'"}', "event_too_large"),
]


@pytest.mark.parametrize(("broken", "code"), BROKEN)
def test_a_broken_event_rejects_itself_only(broken: bytes, code: str) -> None:
    good = b'{"id":"1","text":"a\\\\\\":,{["}'
    for body, media in (
        (b"[" + b" , ".join([good, broken, good]) + b"]", Media.JSON),
        (b"\n".join([good, broken, good]), Media.LINES),
    ):
        assert codes(decoded_events(body, media=media)) == ["", code, ""]


def test_a_torn_line_rejects_itself_only() -> None:
    events = decoded_events(b'{"id":"1"}\n{"id":\n{"id":"2"}', media=Media.LINES)
    assert codes(events) == ["", "bad_json", ""]


@pytest.mark.parametrize("media", [Media.JSON, Media.LINES])
def test_ten_thousand_events_are_the_most(media: Media) -> None:
    def body(count: int) -> bytes:
        if media is Media.LINES:
            return b"{}\n" * count
        return b"[" + b",".join([b"{}"] * count) + b"]"

    assert len(decoded_events(body(10_000), media=media)) == 10_000
    with pytest.raises(BodyTooLarge) as caught:
        decoded_events(body(10_001), media=media)
    assert caught.value.code == "too_many_events"


@pytest.mark.parametrize(
    ("media", "begin", "item", "end"),
    [
        (Media.JSON, b"[", b"1,", b"1]"),
        (Media.JSON, b"[", b"{},", b"{}]"),
        (Media.JSON, b" [", b"NaN,", b"1]"),
        (Media.LINES, b"", b"1\n", b"1"),
    ],
)
def test_millions_of_items_are_refused_in_little_memory(
    media: Media, begin: bytes, item: bytes, end: bytes
) -> None:
    body = begin + item * (limits.MOST_WIRE_BYTES // len(item) - 4) + end
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge) as caught:
            decoded_events(body, media=media)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == "too_many_events"
    assert peak < 4 * limits.MOST_WIRE_BYTES


def test_an_event_of_very_many_values_is_read_beside_others() -> None:
    # More commas than the items of any list may have: the way that counts items one by one.
    many = b'{"id":"0","data":{"list":[' + b",".join([b"1"] * 30_000) + b"]}}"
    body = b"[" + b",".join([many] * 12) + b', {"id": NaN}, {"id": "2"}]'
    events = decoded_events(body, media=Media.JSON)
    assert codes(events) == [""] * 12 + ["bad_json", ""]
    assert len(events[0]["data"]["list"]) == 30_000
    with pytest.raises(Invalid) as caught:
        decoded_events(body[:-1], media=Media.JSON)
    assert caught.value.code == "malformed_json"


def test_blank_lines_are_no_events_however_many() -> None:
    body = b'{"id":"1"}\r\n' + b" \n" * 300_000 + b'{"id":"2"}'
    assert codes(decoded_events(body, media=Media.LINES)) == ["", ""]
