"""Fapiao in both fronts: the columns of their list."""

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from kernel.money import Money
from ui import words
from ui.cells import Cell, Code, Instant, Link, Text
from ui.tables import Column


class FapiaoRow(Protocol):
    """What a request must tell."""

    @property
    def id(self) -> UUID: ...
    @property
    def invoice_id(self) -> UUID: ...
    @property
    def invoice_number(self) -> str: ...
    @property
    def color(self) -> StrEnum: ...
    @property
    def kind(self) -> StrEnum: ...
    @property
    def buyer(self) -> str: ...
    @property
    def total(self) -> Money: ...
    @property
    def state(self) -> StrEnum: ...
    @property
    def number(self) -> str: ...
    @property
    def issued_on(self) -> date | None: ...
    @property
    def requested_at(self) -> datetime: ...
    @property
    def failure(self) -> str: ...
    @property
    def has_file(self) -> bool: ...
    @property
    def has_paper(self) -> bool: ...


def fapiao_columns(
    *,
    zone: str,
    invoice_url: Callable[[UUID], str],
    file_url: Callable[[UUID], str],
    paper_url: Callable[[UUID], str],
    before: tuple[Column[Any], ...] = (),
) -> tuple[Column[Any], ...]:
    """The columns; `before` stand between the number and the rest."""

    def number(row: FapiaoRow) -> Cell:
        if row.has_file:
            return Link(text=row.number, url=file_url(row.id), note="XML")
        return Code(text=row.number) if row.number else None

    def kind(row: FapiaoRow) -> Text:
        return words.word("fapiao", f"{row.color}_{row.kind}")

    return (
        Column(key="number", label=_("Fapiao number"), value=number),
        Column(
            key="paper",
            label=_("To read"),
            value=lambda row: (
                Link(text=f"{row.number}.pdf", url=paper_url(row.id)) if row.has_paper else None
            ),
            minor=True,
        ),
        *before,
        Column(
            key="invoice",
            label=_("Invoice"),
            value=lambda row: Link(text=row.invoice_number, url=invoice_url(row.invoice_id)),
        ),
        Column(key="kind", label=_("Kind"), value=kind),
        Column(key="buyer", label=_("Issued to"), value=lambda row: row.buyer, minor=True),
        Column(key="total", label=_("Total"), value=lambda row: row.total, numeric=True),
        Column(key="state", label=_("State"), value=lambda row: words.status("fapiao", row.state)),
        Column(key="issued", label=_("Issued on"), value=lambda row: row.issued_on),
        Column(
            key="requested",
            label=_("Asked for"),
            value=lambda row: Instant(at=row.requested_at, zone=zone),
            minor=True,
        ),
        Column(key="failure", label=_("Why it failed"), value=lambda row: row.failure or None),
    )
