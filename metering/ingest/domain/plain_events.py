"""The short way through a request: events as nearly all senders write them, column by column. Pure.

A request of thousands of events that are all well-formed needs no look at each of them alone: the
decoder checks types and lengths, and what else could be wrong is looked for in all events at once.
Whatever is not plainly right makes `plain_events` answer None, and the events are then read one by
one (`metering.ingest.domain.bodies`, `events`), which finds out what is wrong with which. Both ways
take the same events and read the same content from them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from metering.ingest.domain import limits
from metering.ingest.domain.bodies import Media

_Id = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_ID)]
_Source = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_SOURCE)]
_Type = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_TYPE)]
_Subject = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_SUBJECT)]
_User = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_USER)]
_Token = Annotated[str, Meta(max_length=limits.LONGEST_KIND)] | UnsetType
_Count = Annotated[int, Meta(ge=1, le=limits.MOST_COUNT)] | UnsetType
_Time = Annotated[str, Meta(min_length=20, max_length=32)]


class _Data(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    user: _User
    kind: _Token = UNSET
    count: _Count = UNSET
    direction: _Token = UNSET
    region: _Token = UNSET
    deployment: _Token = UNSET


class _Event(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    specversion: Literal["1.0"]
    id: _Id
    source: _Source
    type: _Type
    subject: _Subject
    time: _Time
    data: _Data
    datacontenttype: Annotated[str, Meta(max_length=100)] | UnsetType = UNSET


_KEYS_OF_EACH: Final = 8  # the envelope's seven, and the user
_ROOMY_BYTES: Final = 4096
_ONE_A_LINE: Final = msgspec.json.Decoder(_Event)
_LIST: Final = msgspec.json.Decoder(list[_Event])
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_MARKS_OF_TIME: Final = {
    len("2026-03-01T08:00:00Z"): {19: "Z"},
    len("2026-03-01T08:00:00+08:00"): {19: "+-", 22: ":"},
    len("2026-03-01T08:00:00.123Z"): {19: ".", 23: "Z"},
    len("2026-03-01T08:00:00.123456Z"): {19: ".", 26: "Z"},
    len("2026-03-01T08:00:00.123+08:00"): {19: ".", 23: "+-", 26: ":"},
    len("2026-03-01T08:00:00.123456+08:00"): {19: ".", 26: "+-", 29: ":"},
}
"""Where which characters stand in a time of each usual length, besides those of date and time."""
_DATE_AND_TIME: Final = {4: "-", 7: "-", 10: "T", 13: ":", 16: ":"}
_OFFSET: Final = re.compile(r"[+-](?:0\d|1[0-5]):[0-5]\d", re.ASCII)
"""Offsets that the database reads as well: below 16 hours, though those up to 24 are instants too."""
_LENGTH_OF_OFFSET: Final = len("+08:00")


class Sort(NamedTuple):
    """What many events of a request share, as it was written; "" is a field that was not."""

    source: str
    type: str
    subject: str
    kind: str
    dimensions: tuple[tuple[str, str], ...]
    """Direction, region and deployment, those that were written."""


class PlainEvents(msgspec.Struct, kw_only=True):
    """Events by their columns, all in the order in which they were sent."""

    ids: list[str]
    times: list[str]
    """As they were written, in a form that the database reads as well."""
    instants: list[datetime]
    users: list[str]
    counts: list[int]
    sorts: list[Sort]
    """The sort of each event; equal ones are the same object."""
    distinct_sorts: list[Sort]


def plain_events(body: bytes, *, media: Media) -> PlainEvents | None:
    """The events of a body, if it is a list or lines of plainly right ones; else None.

    Not checked here: whether type and subject are known, ages, and whether identities repeat.
    """
    events = _decoded(body, media=media)
    if not events or len(events) > limits.MOST_EVENTS:
        return None
    data = [event.data for event in events]
    written = [
        (
            event.source,
            event.type,
            event.subject,
            each.kind,
            each.direction,
            each.region,
            each.deployment,
        )
        for event, each in zip(events, data, strict=True)
    ]
    told_counts = [each.count for each in data]
    ids, users = [event.id for event in events], [each.user for each in data]
    combinations = Counter(written)
    known = {each: _sort(each) for each in combinations}
    keys = (
        _KEYS_OF_EACH * len(events)
        + sum(times * (4 - each.count(UNSET)) for each, times in combinations.items())
        + len(events) - told_counts.count(UNSET)
        + len(events) - [event.datacontenttype for event in events].count(UNSET)
    )  # fmt: skip
    distinct_sorts = [sort for sort in known.values() if sort is not None]
    if len(distinct_sorts) < len(known) or not _is_storable(
        body, texts=(ids, users, {text for sort in distinct_sorts for text in sort[:3]})
    ):
        return None
    times = [event.time for event in events]
    instants = _instants(times)
    colons = (
        sum(map(_colons_in, (ids, users, times)))
        + sum(count * _colons_in(map(str, each)) for each, count in combinations.items())
        + _colons_in([str(event.datacontenttype) for event in events])
    )
    if instants is None or not _every_key_once(body, colons=keys + colons):
        return None
    return PlainEvents(
        ids=ids,
        times=times,
        instants=instants,
        users=users,
        counts=[1 if count is UNSET else count for count in told_counts],
        sorts=[known[each] for each in written],  # type: ignore[misc]  # None was refused above
        distinct_sorts=distinct_sorts,
    )


def _decoded(body: bytes, *, media: Media) -> Sequence[_Event] | None:
    # Far too many would take many times the body before they could be counted.
    if len(body) > limits.MOST_WIRE_BYTES:
        told_by = b"\n" if media is Media.LINES else b'"specversion"'
        if body.count(told_by) > limits.MOST_EVENTS:
            return None
    try:
        if media is Media.LINES:
            lines = body.strip().split(b"\n")
            events = _ONE_A_LINE.decode_lines(body)
            return events if len(lines) == len(events) and _hold_one_each(lines) else None
        events = _LIST.decode(body)
        # Padded with space beyond its bound? What else it holds can't reach it.
        return events if len(body) < len(events) * _ROOMY_BYTES + limits.MOST_EVENT_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _hold_one_each(lines: Sequence[bytes]) -> bool:
    """Whether no line holds a part of an event, given that they hold as many as there are lines, and
    none is beyond the bound."""
    if b"\r" in lines[0]:
        lines = [line.rstrip() for line in lines]
    begin, end = {line[:1] for line in lines}, {line[-1:] for line in lines}
    return (begin, end) == ({b"{"}, {b"}"}) and max(map(len, lines)) <= limits.MOST_EVENT_BYTES


def _sort(written: tuple[str | UnsetType, ...]) -> Sort | None:
    source, event_type, subject, kind, *others = written
    for token in (kind, *others):
        if token is not UNSET and token != "" and not _TOKEN.fullmatch(str(token)):
            return None
    return Sort(
        source=str(source),
        type=str(event_type),
        subject=str(subject),
        kind="" if kind is UNSET else str(kind),
        dimensions=tuple(
            (name, str(value))
            for name, value in zip(("direction", "region", "deployment"), others, strict=True)
            if value is not UNSET
        ),
    )


def _colons_in(texts: Iterable[str]) -> int:
    return "".join(texts).count(":")


def _every_key_once(body: bytes, *, colons: int) -> bool:
    """Whether the body writes no more keys than were read: then none stands twice in an object.

    Each key that is written has its colon; `colons` are those of the keys that were read and of the
    texts. An escaped colon would stand for one that is not there.
    """
    return body.count(b":") == colons and not (b"\\" in body and b"\\u003" in body)


def _is_storable(body: bytes, *, texts: Sequence[Sequence[str] | set[str]]) -> bool:
    """Whether no text holds a control character. JSON has them escaped only, but for those from
    U+007F to U+009F, whose bytes are looked for."""
    if b"\\" not in body and b"\x7f" not in body and b"\xc2" not in body:
        return True
    return all("".join(each).isprintable() for each in texts)


def _instants(times: list[str]) -> list[datetime] | None:
    """The instants in UTC, if all times are written in usual forms; else None."""
    for length in set(map(len, times)):
        marks = _MARKS_OF_TIME.get(length)
        joined = "".join([time for time in times if len(time) == length])
        if marks is None or not joined.isascii():
            return None
        for place, known in (*_DATE_AND_TIME.items(), *marks.items()):
            if joined[place::length].strip(known):
                return None
    offsets = {time[-_LENGTH_OF_OFFSET:] for time in times if time[-1] != "Z"}
    if not all(map(_OFFSET.fullmatch, offsets)):
        return None
    try:
        read = datetime.fromisoformat
        return [read(time).astimezone(UTC) for time in times]
    except (ValueError, OverflowError):
        return None
