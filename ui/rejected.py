"""Why an event was refused, with what was kept of it to open."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from ui import words
from ui.cells import Cell, Folded


class Refused(Protocol):
    """A refused event."""

    @property
    def code(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def content(self) -> Mapping[str, Any] | None: ...


def why_text(*, code: str, detail: str) -> str:
    """The reason as it was kept, which is in English; before it, in other languages, what the code means."""
    if (get_language() or "en").startswith("en"):
        return detail
    meaning = str(words.word("rejection", code))
    if meaning == code:
        if not code.startswith("bad_"):
            return detail
        meaning = _("%(field)s is missing or wrong.") % {"field": code.removeprefix("bad_")}
    return f"{meaning} {detail}"


def why_cell(row: Refused) -> Cell:
    """The reason, above what was sent where it is known: users and devices in it are hashes."""
    text = why_text(code=row.code, detail=row.detail)
    if row.content is None:
        return text
    content = json.dumps(row.content, ensure_ascii=False, indent=2)
    return Folded(text=text, title=_("What was sent"), content=content)
