"""An invoice's lines as the pages show them: of one that consolidates several, a section a subscription."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kernel.money import Money
from ui.plan_terms import plan_name
from ui.working import BilledLine, ShownLine, shown_line


class BilledSection(Protocol):
    """What a section must tell to be shown."""

    @property
    def plan_document(self) -> Mapping[str, Any] | None: ...
    @property
    def subtotal(self) -> Money: ...
    @property
    def lines(self) -> Sequence[BilledLine]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSection:
    """`title` is the plan's name, empty where an invoice is of one subscription."""

    title: str
    subtotal: Money
    lines: Sequence[ShownLine]


def shown_sections(sections: Sequence[BilledSection], *, language: str) -> list[ShownSection]:
    """The sections in their order."""
    return [
        ShownSection(
            title=""
            if each.plan_document is None
            else plan_name(each.plan_document, language=language),
            subtotal=each.subtotal,
            lines=[shown_line(line) for line in each.lines],
        )
        for each in sections
    ]
