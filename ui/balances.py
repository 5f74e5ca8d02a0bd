"""Balances as tables, for both fronts."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from kernel.money import Money
from ui import words
from ui.cells import Cell, Instant, Link, Text
from ui.tables import Column


class Scope(Protocol):
    """What a balance may pay; an empty part is no limit."""

    @property
    def prices(self) -> frozenset[str]: ...
    @property
    def plans(self) -> frozenset[str]: ...
    @property
    def apps(self) -> frozenset[str]: ...


class Lot(Protocol):
    """One grant or other credit."""

    @property
    def kind(self) -> str: ...
    @property
    def origin(self) -> str: ...
    @property
    def amount(self) -> Money: ...
    @property
    def drawn(self) -> Money: ...
    @property
    def expired(self) -> Money: ...
    @property
    def left(self) -> Money: ...
    @property
    def granted_at(self) -> datetime: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def scope(self) -> Scope: ...


class Draw(Protocol):
    """What a grant paid of an invoice."""

    @property
    def invoice_id(self) -> UUID: ...
    @property
    def invoice_number(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def granted_at(self) -> datetime: ...
    @property
    def amount(self) -> Money: ...
    @property
    def drawn_at(self) -> datetime: ...


def scope_text(scope: Scope) -> Text:
    """What it pays: everything, or the keys that limit it."""
    parts = [
        f"{label}: {', '.join(sorted(keys))}"
        for label, keys in (
            (_("prices"), scope.prices),
            (_("plans"), scope.plans),
            (_("apps"), scope.apps),
        )
        if keys
    ]
    return "; ".join(parts) or _("everything")


def lot_columns(*, zone: str) -> Sequence[Column[Lot]]:
    """The grants' columns; instants are read in `zone`."""

    def ends(row: Lot) -> Cell:
        return None if row.expires_at is None else Instant(at=row.expires_at, zone=zone)

    def place(row: Lot) -> Cell:
        return Decimal(row.priority)

    return (
        Column(
            key="granted",
            label=gettext_lazy("Granted"),
            value=lambda row: Instant(at=row.granted_at, zone=zone),
        ),
        Column(
            key="kind",
            label=gettext_lazy("Kind"),
            value=lambda row: words.word("balance", row.kind),
        ),
        Column(
            key="origin",
            label=gettext_lazy("From"),
            value=lambda row: words.word("balance_origin", row.origin),
            minor=True,
        ),
        Column(
            key="amount",
            label=gettext_lazy("Amount"),
            value=lambda row: row.amount,
            numeric=True,
        ),
        Column(
            key="drawn",
            label=gettext_lazy("Paid with it"),
            value=lambda row: row.drawn or None,
            numeric=True,
        ),
        Column(
            key="expired",
            label=gettext_lazy("Ended unused"),
            value=lambda row: row.expired or None,
            numeric=True,
            minor=True,
        ),
        Column(key="left", label=gettext_lazy("Left"), value=lambda row: row.left, numeric=True),
        Column(key="ends", label=gettext_lazy("Ends"), value=ends),
        Column(
            key="scope",
            label=gettext_lazy("Pays"),
            value=lambda row: scope_text(row.scope),
            minor=True,
        ),
        Column(
            key="priority", label=gettext_lazy("Priority"), value=place, numeric=True, minor=True
        ),
    )


def draw_columns(*, zone: str, invoice_url: Callable[[UUID], str]) -> Sequence[Column[Draw]]:
    """The columns of what was paid; `invoice_url` gives an invoice's page."""
    return (
        Column(
            key="drawn",
            label=gettext_lazy("Paid"),
            value=lambda row: Instant(at=row.drawn_at, zone=zone),
        ),
        Column(
            key="invoice",
            label=gettext_lazy("Invoice"),
            value=lambda row: Link(
                text=row.invoice_number, url=invoice_url(row.invoice_id), whole=True
            ),
        ),
        Column(
            key="kind",
            label=gettext_lazy("Kind"),
            value=lambda row: words.word("balance", row.kind),
        ),
        Column(
            key="granted",
            label=gettext_lazy("Granted"),
            value=lambda row: Instant(at=row.granted_at, zone=zone),
            minor=True,
        ),
        Column(
            key="amount",
            label=gettext_lazy("Amount"),
            value=lambda row: row.amount,
            numeric=True,
        ),
    )


def kinds_left(left: Mapping[Any, Money]) -> list[tuple[Text, Money]]:
    """What is left of each kind, by its word, in the order in which they pay; empty ones left out."""
    return [(words.word("balance", kind), amount) for kind, amount in left.items() if amount]
