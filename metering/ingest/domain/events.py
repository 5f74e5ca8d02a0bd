"""What a usage event is, and every reason for which one is not taken. Pure.

Content that came from outside is checked field by field, so that a refusal names the field, the
fault and the mend. A refusal never repeats the end user's id.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from kernel.decimals import parse_decimal
from kernel.dimensions import DIMENSIONS, canonical_dimensions, is_dimension_value
from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.meters.domain import EventTypes, event_types

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:[0-5]\d)", re.ASCII
)
_COUNT_TEXT: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_NAMED_IN_DIGEST: Final = frozenset({"user", "kind", "count"})
_BESIDES_KIND: Final = frozenset(DIMENSIONS) - {"kind"}
_BUILT_IN: Final = event_types()


class UsageEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One immutable fact that was reported: a user of an app did something, `count` times.

    `subject` is the app's key, `time` is in UTC. `user` and `device` are "" where none was told.
    `properties` is the canonical text (`kernel.dimensions`) of its dimensions but the kind, `value`
    what a gauge read. `extra` is all that its data held besides user, kind and count, as JSON with sorted
    keys: not kept, but part of the content by which a resend is told from another event.
    """

    source: str
    id: str
    type: str
    subject: str
    time: datetime
    user: str
    kind: str = ""
    count: int = 1
    device: str = ""
    value: Decimal | None = None
    properties: str = ""
    extra: bytes = b""

    @property
    def dimensions(self) -> str:
        """The canonical text of kind, direction, region and deployment."""
        return self.kind + self.properties


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why an event is not taken. `source` and `id` are there when they could be read, so that its
    identity can be looked up before its faults count."""

    code: str
    detail: str
    source: str | None = None
    id: str | None = None


class _Fault(Exception):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


def read_event(content: object, *, types: EventTypes = _BUILT_IN) -> UsageEvent | Refusal:
    """The event that decoded JSON describes (CloudEvents 1.0, contract section 6), or why it is none.

    `types` are those that the meters name, and what each must tell.
    """
    if not isinstance(content, Mapping):
        return Refusal(code="bad_event", detail="An event is a JSON object.")
    event_id = source = None
    try:
        # The identity is read first: it is looked up whatever else is wrong.
        event_id = _text(content, "id", limits.LONGEST_ID)
        source = _text(content, "source", limits.LONGEST_SOURCE)
        if content.get("specversion") != "1.0":
            raise _Fault("bad_specversion", 'specversion must be "1.0".')
        event_type = _text(content, "type", limits.LONGEST_TYPE)
        if event_type not in types.known:
            raise _Fault(
                "unknown_type",
                f"No meter counts events of type {event_type!r}; "
                f"known are {', '.join(sorted(types.known))}.",
            )
        data = content.get("data")
        if not isinstance(data, Mapping):
            raise _Fault("bad_data", "data must be an object with user, and maybe kind and count.")
        # Most events tell a user, a kind and a count, and need no look at more.
        is_plain = data.keys() <= _NAMED_IN_DIGEST
        return UsageEvent(
            source=source,
            id=event_id,
            type=event_type,
            subject=_text(content, "subject", limits.LONGEST_SUBJECT),
            time=_time(content.get("time")),
            user=_user(data.get("user"), is_needed=event_type in types.need_user),
            kind=_token(data.get("kind"), name="kind"),
            count=_count(data.get("count")),
            device=_device(data.get("device"), is_needed=event_type in types.need_device),
            value=_value(data.get("value"), is_needed=event_type in types.need_value),
            properties="" if is_plain else properties_of(data),
            extra=b"" if is_plain else extra_data(data),
        )
    except _Fault as fault:
        return Refusal(code=fault.code, detail=fault.detail, source=source, id=event_id)


def read_row(
    *, app: object, event_id: object, time: object, user: object, source: str, event_type: str
) -> UsageEvent | Refusal:
    """The event that one row of an imported file describes, or why it is none."""
    read_id: str | None = None
    try:
        read_id = checked_text(event_id, name="id", longest=limits.LONGEST_ID)
        return UsageEvent(
            source=source,
            id=read_id,
            type=event_type,
            subject=checked_text(
                app, name="app", longest=limits.LONGEST_SUBJECT, code="bad_subject"
            ),
            time=_time(time),
            user=_user(user),
        )
    except _Fault as fault:
        return Refusal(code=fault.code, detail=fault.detail, source=source, id=read_id)


def age_fault(*, time: datetime, now: datetime) -> Refusal | None:
    """Why a new event of that time is not taken at `now`: more than 35 days back, 5 minutes ahead."""
    if now - time > limits.OLDEST:
        return Refusal(
            code="event_too_old",
            detail=f"time {time.isoformat()} is more than {limits.OLDEST.days} days back; "
            "older usage comes in by an import.",
        )
    if time - now > limits.FURTHEST_AHEAD:
        return Refusal(
            code="event_in_future",
            detail=f"time {time.isoformat()} is more than 5 minutes ahead of "
            f"{now.isoformat(timespec='seconds')}; set the sender's clock.",
        )
    return None


def checked_text(value: object, *, name: str, longest: int, code: str = "") -> str:
    """`value` when it is a text of 1 to `longest` characters without control characters."""
    if not isinstance(value, str):
        fault = "is missing" if value is None else "must be a string"
        raise _Fault(code or f"bad_{name}", f"{name} {fault}.")
    if not value or len(value) > longest:
        raise _Fault(
            code or f"bad_{name}",
            f"{name} has {len(value)} characters; it must have 1 to {longest}.",
        )
    if not value.isprintable():
        character = unstorable_character(value)
        if character:
            raise _Fault(
                code or f"bad_{name}", f"{name} holds {character}, which is not allowed; remove it."
            )
    return value


def unstorable_character(text: str) -> str:
    """The first character of a text that no column takes or no screen shows, as U+…; or ""."""
    for character in text:
        point = ord(character)
        if point < 0x20 or 0x7F <= point < 0xA0:
            return f"the control character U+{point:04X}"
        if 0xDC80 <= point <= 0xDCFF:
            # How Python reads a byte that is no UTF-8 (surrogateescape).
            return f"the byte {point - 0xDC00:02X}, which is not UTF-8"
        if 0xD800 <= point <= 0xDFFF:
            return f"half a surrogate pair (U+{point:04X})"
    return ""


def _text(content: Mapping[str, Any], name: str, longest: int) -> str:
    return checked_text(content.get(name), name=name, longest=longest)


def _time(value: object) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise _Fault(
            "bad_time", "time must be an instant with an offset, like 2026-03-01T08:00:00+08:00."
        )
    try:
        # Digits beyond microseconds are cut off, which datetime does by itself from Python 3.11.
        instant = datetime.fromisoformat(value.upper())
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Fault("bad_time", f"time {value} is no date and time that exists.") from None
    if not limits.FIRST_INSTANT <= instant < limits.LAST_INSTANT:
        raise _Fault("bad_time", f"time {value} lies outside of 1970 to 2199.")
    return instant


def _user(value: object, *, is_needed: bool = True) -> str:
    if value is None and not is_needed:
        return ""
    return checked_text(value, name="user", longest=limits.LONGEST_USER)


def _device(value: object, *, is_needed: bool) -> str:
    if value is None and not is_needed:
        return ""
    return checked_text(value, name="device", longest=limits.LONGEST_USER)


def _token(value: object, *, name: str) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or not is_dimension_value(value):
        raise _Fault(
            f"bad_{name}",
            f"{name} must be 1 to {limits.LONGEST_KIND} letters, digits, '.', '_', ':' or '-'.",
        )
    return value


def properties_of(data: Mapping[str, Any]) -> str:
    """The canonical text of the dimensions in data besides the kind; see `UsageEvent.properties`."""
    return canonical_dimensions(
        {name: _token(data[name], name=name) for name in _BESIDES_KIND & data.keys()}
    )


def _value(value: object, *, is_needed: bool) -> Decimal | None:
    if value is None and not is_needed:
        return None
    try:
        read = parse_decimal(value, field="value")
    except Invalid:
        read = None
    if read is None or read < 0:
        if not is_needed:
            return None
        raise _Fault(
            "bad_value",
            "value must be from 0 to 10^18: a whole number, or a decimal in a text with at most "
            "12 decimals.",
        )
    return read


def _count(value: object) -> int:
    if value is None:
        return 1
    if isinstance(value, str) and _COUNT_TEXT.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Fault("bad_count", "count must be a positive whole number.")
    if not 1 <= value <= limits.MOST_COUNT:
        raise _Fault("bad_count", f"count must lie between 1 and {limits.MOST_COUNT}.")
    return value


def extra_data(data: Mapping[str, Any]) -> bytes:
    """What data holds besides user, kind and count, in its one form; see `UsageEvent.extra`."""
    # Also what is read by now stays in it: a resend of an event from before is still the same.
    extra = {name: value for name, value in data.items() if name not in _NAMED_IN_DIGEST}
    try:
        return msgspec.json.encode(extra, order="sorted")
    except UnicodeEncodeError:
        raise _Fault(
            "bad_data", "data holds half a surrogate pair; write whole characters."
        ) from None
