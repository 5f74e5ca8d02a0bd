"""Bodies of requests: JSON, read without guessing."""

from collections.abc import Mapping
from typing import Any, Final

from rest_framework.parsers import BaseParser

from kernel.documents import parse_json
from kernel.errors import Invalid

MOST_BYTES: Final = 1024 * 1024
DEEPEST: Final = 20


class StrictJsonParser(BaseParser):
    """JSON of up to 1 MiB and 20 levels, without keys that stand twice or text that can't be kept.

    Raises Invalid `body_too_large`, `not_json`, `duplicate_key`, `nested_too_deep` or `bad_text`.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise Invalid("body_too_large", f"The body is over {MOST_BYTES >> 20} MiB; send less.")
        value = parse_json(content)
        _check(value, depth=1)
        return value


def refuse_unstorable(text: str) -> None:
    """Raises Invalid `bad_text` for text that no database or file takes."""
    if "\x00" in text:
        raise Invalid("bad_text", "A text holds the character NUL; leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(
            "bad_text", "A text holds half a surrogate pair; write whole characters."
        ) from None


def _check(value: Any, *, depth: int) -> None:
    if depth > DEEPEST:
        raise Invalid("nested_too_deep", f"The JSON nests over {DEEPEST} levels deep.")
    match value:
        case str():
            refuse_unstorable(value)
        case dict():
            for key, item in value.items():
                refuse_unstorable(key)
                _check(item, depth=depth + 1)
        case list():
            for item in value:
                _check(item, depth=depth + 1)
