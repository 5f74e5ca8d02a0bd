"""Why an event was refused, with what was kept of it to open."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from django.utils.translation import gettext_lazy as _

from ui.cells import Cell, Folded


class Refused(Protocol):
    """A refused event."""

    @property
    def detail(self) -> str: ...
    @property
    def content(self) -> Mapping[str, Any] | None: ...


def why_cell(row: Refused) -> Cell:
    """The reason, above what was sent where it is known: users and devices in it are hashes."""
    if row.content is None:
        return row.detail
    text = json.dumps(row.content, ensure_ascii=False, indent=2)
    return Folded(text=row.detail, title=_("What was sent"), content=text)
