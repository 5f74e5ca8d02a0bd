"""The short way takes the same events as the long one, or none at all."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from metering.ingest.domain.bodies import Media, decoded_events
from metering.ingest.domain.events import UsageEvent, extra_data, properties_of, read_event
from metering.ingest.domain.plain_events import PlainEvents, plain_events


def an_event(**changes: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "gateway:7",
        "type": "message.sent",
        "subject": "chat",
        "time": "2026-03-01T08:00:00+08:00",
        "data": {"user": "u:1", "kind": "single", "count": 2},
    }
    return {name: value for name, value in (event | changes).items() if value is not None}


def lines(*events: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(event).encode() for event in events)


def as_usage(plain: PlainEvents) -> list[UsageEvent]:
    return [
        UsageEvent(
            source=sort.source,
            id=plain.ids[place],
            type=sort.type,
            subject=sort.subject,
            time=plain.instants[place],
            user=plain.users[place],
            kind=sort.kind,
            count=plain.counts[place],
            properties=properties_of(dict(sort.dimensions)),
            extra=extra_data(dict(sort.dimensions)) if sort.dimensions else b"",
        )
        for place, sort in enumerate(plain.sorts)
    ]


def read_the_long_way(body: bytes, media: Media) -> Sequence[object]:
    return [read_event(event) for event in decoded_events(body, media=media)]


PLAIN: list[dict[str, Any]] = [
    {},
    {"data": {"user": "u"}},
    {"data": {"user": "u", "kind": "", "count": 1_000_000_000}},
    {"data": {"user": "u", "direction": "up", "region": "eu-1", "deployment": "shared"}},
    {"data": {"user": "u", "direction": ""}},
    {"data": {"user": "消息-é-😀 u"}},
    {"data": {"user": 'a"b\\c:d'}},
    {"data": {"user": ":::"}},
    {"id": "x" * 200, "source": "s" * 200},
    {"type": "user.active"},
    {"type": "nobody.knows"},
    {"datacontenttype": "application/json"},
    {"time": "2026-03-01T00:00:00Z"},
    {"time": "2026-03-01T00:00:00.123Z"},
    {"time": "2026-03-01T00:00:00.123456Z"},
    {"time": "2026-03-01T00:00:00.123-03:30"},
    {"time": "2026-03-01T00:00:00.123456+14:00"},
    {"time": "2024-02-29T23:59:59Z"},
]


@pytest.mark.parametrize("changes", PLAIN)
def test_what_is_plain_is_read_alike(changes: dict[str, Any]) -> None:
    other = an_event(id="e-2", data={"user": "u2", "kind": "group"})
    body = lines(an_event(**changes), other)
    plain = plain_events(body, media=Media.LINES)
    assert plain is not None
    read = read_the_long_way(body, Media.LINES)
    if changes.get("type") == "nobody.knows":  # types are for the service to know
        read = [as_usage(plain)[0], *read[1:]]
    assert as_usage(plain) == read
    whole = json.dumps([an_event(**changes), other], ensure_ascii=False, indent=1).encode()
    assert plain_events(body.replace(b"\n", b" \r\n") + b"\r\n", media=Media.LINES) == plain
    listed = plain_events(whole, media=Media.JSON)
    assert listed is not None
    assert as_usage(listed) == as_usage(plain)


def written(event: str) -> bytes:
    """An event in this text, with another after it."""
    return event.encode() + b"\n" + lines(an_event(id="e-2"))


WHOLE = json.dumps(an_event())
DOUBTFUL: list[bytes] = [
    # A key twice, wherever it stands and however it is hidden.
    written(WHOLE.replace('"id"', '"id": "e-0", "id"', 1)),
    written(WHOLE.replace('"user"', '"user": "u0", "user"', 1)),
    written(WHOLE.replace('"id"', '"id" : "e-0", "id"', 1)),
    written(WHOLE.replace('"id": "e-1"', '"id": "e-0", "id": "\\u003a"', 1)),
    written(WHOLE.replace('"id": "e-1"', '"id": "e:0", "id": "\\u003A\\u003a"', 1)),
    # Fields that are not known, of another type, missing, too long or too short.
    lines(an_event(note="x")),
    lines(an_event(data={"user": "u", "text": "x"})),
    lines(an_event(data={"user": "u", "value": "1"})),
    lines(an_event(data={"user": "u", "count": "2"})),
    lines(an_event(data={"user": "u", "count": 0})),
    lines(an_event(data={"user": "u", "count": True})),
    lines(an_event(data={"user": "u", "kind": "a b"})),
    lines(an_event(data={"user": "u", "kind": "x" * 65})),
    lines(an_event(data={"user": "u", "region": ";"})),
    lines(an_event(data={"kind": "single"})),
    lines(an_event(data={"user": ""})),
    lines(an_event(data={"user": "u" * 257})),
    lines(an_event(id=7)),
    lines(an_event(id="x" * 201)),
    lines(an_event(specversion="0.3")),
    lines(an_event(subject="")),
    # Characters that no column takes.
    lines(an_event(id="a\x00b")),
    lines(an_event(data={"user": "a\x7fb"})),
    lines(an_event(data={"user": "a\x85b"})),
    json.dumps(an_event(source="a\x85b"), ensure_ascii=False).encode(),
    json.dumps(an_event(subject="\x7f"), ensure_ascii=False).encode(),
    lines(an_event(id="\ud800")),
    WHOLE.replace("e-1", "e\x01").encode(),
    WHOLE.encode().replace(b"e-1", b"\xff"),
    # Times that are written otherwise, or none.
    *(
        lines(an_event(time=time))
        for time in (
            "2026-03-01t08:00:00z",
            "2026-03-01 08:00:00Z",
            "2026-03-01T08:00:00+0800",
            "2026-03-01T08:00:00.1234567Z",
            "2026-03-01T08:00:00.12345678Z",
            "2026-03-01T08:00:00.123456789Z",
            "2026-03-01T08:00:00.12Z",
            "2026-02-30T08:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T08:00:60Z",
            "2026-W09-7T08:00:00Z",
            "20260301T080000.123Z",
            "２026-03-01T08:00:00Z",
            "2026-03-01T08:00:00+99:00",
            # Instants, but with offsets that the database does not read.
            "2026-03-01T08:00:00+16:00",
            "2026-02-28T08:00:00.123-23:59",
            "2026-03-01T14:00:00.123456+14:60",
            "0001-01-01T00:00:00+14:00",
        )
    ),
    # More or less than an event a line.
    WHOLE.encode() + WHOLE.encode(),
    WHOLE.replace('"data": ', '"data":\n').encode() + WHOLE.encode(),
    WHOLE.encode() + b"\n[]",
    b"\xef\xbb\xbf" + WHOLE.encode(),
    WHOLE.encode() + b"\n" + b" " * 70_000 + WHOLE.encode(),
    b"",
    b"[]",
    lines(*[an_event(id=str(n)) for n in range(10_001)]),
]


@pytest.mark.parametrize("body", DOUBTFUL)
def test_what_is_doubtful_is_left_to_the_long_way(body: bytes) -> None:
    assert plain_events(body, media=Media.LINES) is None


def test_a_list_is_no_lines_and_one_event_no_list() -> None:
    assert plain_events(b"[" + WHOLE.encode() + b"]", media=Media.LINES) is None
    assert plain_events(WHOLE.encode(), media=Media.JSON) is None
    assert plain_events(b'[{"id": 1}, 2]', media=Media.CLOUDEVENT_BATCH) is None
    padded = b"[" + b" " * 70_000 + WHOLE.encode() + b"]"
    assert plain_events(padded, media=Media.JSON) is None


def test_sorts_are_told_apart_and_shared() -> None:
    events = [an_event(id=str(n), data={"user": "u", "kind": "ab"[n % 2]}) for n in range(6)]
    plain = plain_events(lines(*events), media=Media.LINES)
    assert plain is not None
    assert [sort.kind for sort in plain.sorts] == ["a", "b"] * 3
    assert len({id(sort) for sort in plain.sorts}) == len(plain.distinct_sorts) == 2
