"""Pro-formas as a table, for both fronts."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from kernel.money import Money
from ui.cells import Instant, Link
from ui.tables import Column


class Paper(Protocol):
    """What a pro-forma must tell to be listed."""

    @property
    def id(self) -> UUID: ...
    @property
    def reference(self) -> str: ...
    @property
    def total(self) -> Money: ...
    @property
    def valid_until(self) -> date: ...
    @property
    def is_printed(self) -> bool: ...
    @property
    def created_at(self) -> datetime: ...


def proforma_columns(*, url: Callable[[Any], str], zone: str) -> Sequence[Column[Paper]]:
    """The columns; `url` is where the paper is, instants are read in `zone`."""
    return (
        Column(
            key="reference",
            label=_("Reference"),
            value=lambda row: (
                Link(text=row.reference, url=url(row))
                if row.is_printed
                else _("%(reference)s is being made") % {"reference": row.reference}
            ),
        ),
        Column(key="valid", label=_("Valid until"), value=lambda row: row.valid_until),
        Column(
            key="made",
            label=_("Made"),
            value=lambda row: Instant(at=row.created_at, zone=zone),
            minor=True,
        ),
        Column(key="total", label=_("Total"), value=lambda row: row.total, numeric=True),
    )
