"""What is kept of an event that was not taken: enough to see why, nothing that names a person. Pure."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kernel.dimensions import dimensions_of
from metering.ingest.domain.events import UsageEvent, unstorable_character

_LONGEST_TEXT: Final = 200
_ENVELOPE: Final = ("specversion", "id", "source", "type", "subject", "app", "time")
_DATA: Final = ("kind", "count", "value", "direction", "region", "deployment")
_HASHED: Final = ("user", "device")


def kept_content(content: object, *, hash_of: Callable[[str], bytes]) -> dict[str, Any] | None:
    """The known fields of a refused event, the end user's id replaced by its keyed hash.

    Unknown fields are left out and objects in the wrong place are told by their type only, since
    an id may stand anywhere in them. None when the event is not an object at all.
    """
    if not isinstance(content, Mapping):
        return None
    kept = {name: _plain(content[name]) for name in _ENVELOPE if name in content}
    for name in _HASHED:
        if name in content:
            kept[name] = _hashed(content[name], hash_of=hash_of)
    data = content.get("data")
    if isinstance(data, Mapping):
        known = {name: _plain(data[name]) for name in _DATA if name in data}
        for name in _HASHED:
            if name in data:
                known[name] = _hashed(data[name], hash_of=hash_of)
        kept["data"] = known
    elif "data" in content:
        kept["data"] = _type_of(data)
    return kept


def kept_event(event: UsageEvent, *, hash_of: Callable[[str], bytes]) -> dict[str, Any]:
    """The same of an event that was whole, but not taken."""
    return {
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "data": {
            **{
                name: hash_of(told).hex()
                for name, told in (("user", event.user), ("device", event.device))
                if told
            },
            **({} if event.value is None else {"value": str(event.value)}),
            "kind": event.kind,
            "count": event.count,
            **dimensions_of(event.properties),
        },
    }


def _hashed(user: object, *, hash_of: Callable[[str], bytes]) -> str:
    if not isinstance(user, str):
        user = msgspec.json.encode(user).decode()
    return hash_of(user).hex()


def _plain(value: object) -> object:
    if isinstance(value, str):
        # A column of JSON takes no NUL and no half surrogate pair.
        return "".join(
            "\ufffd" if unstorable_character(character) else character
            for character in value[:_LONGEST_TEXT]
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    return _type_of(value)


def _type_of(value: object) -> dict[str, str]:
    return {"type": type(value).__name__}
