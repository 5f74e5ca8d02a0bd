"""Statements of account in both fronts: the columns of their list, and the form that asks for one."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from kernel.money import Money
from ui import words
from ui.cells import Cell, Instant, Link
from ui.tables import Column


class FileRow(Protocol):
    """What a file must tell."""

    @property
    def name(self) -> str: ...


class StatementRow(Protocol):
    """What a statement must tell."""

    @property
    def id(self) -> UUID: ...
    @property
    def currency(self) -> str: ...
    @property
    def first_day(self) -> date: ...
    @property
    def last_day(self) -> date: ...
    @property
    def origin(self) -> StrEnum: ...
    @property
    def state(self) -> StrEnum: ...
    @property
    def requested_at(self) -> datetime: ...
    @property
    def closing(self) -> Money | None: ...
    @property
    def printed(self) -> FileRow | None: ...


class StatementForm(forms.Form):
    """Of which currency and days a statement is asked for."""

    currency = forms.ChoiceField(label=_("Currency"))
    starts_on = forms.DateField(
        label=_("First day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last_day = forms.DateField(
        label=_("Last day"),
        help_text=_("Yesterday or before."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (code, code) for code in currencies
        ]

    def ends_on(self) -> date:
        """The day after the last."""
        last: date = self.cleaned_data["last_day"]
        return last + timedelta(days=1)


def last_month(today: date) -> dict[str, date]:
    """What the form proposes: the whole month before the present one."""
    last = today.replace(day=1) - timedelta(days=1)
    return {"starts_on": last.replace(day=1), "last_day": last}


def statement_columns(
    *,
    zone: str,
    url: Callable[[Any], str],
    pdf_url: Callable[[Any], str],
    before: tuple[Column[Any], ...] = (),
) -> tuple[Column[Any], ...]:
    """The columns; `before` stand in front."""

    def pdf(row: StatementRow) -> Cell:
        return Link(text="PDF", url=pdf_url(row)) if row.printed else None

    def opened(row: StatementRow) -> Cell:
        return Link(
            text=f"{row.currency} {row.first_day:%Y-%m-%d} – {row.last_day:%Y-%m-%d}",
            url=url(row),
            whole=True,
        )

    return (
        Column(key="statement", label=_("Statement"), value=opened),
        *before,
        Column(
            key="state", label=_("State"), value=lambda row: words.status("statement", row.state)
        ),
        Column(
            key="closing", label=_("Closing balance"), value=lambda row: row.closing, numeric=True
        ),
        Column(
            key="origin",
            label=_("Asked by"),
            value=lambda row: words.word("statement_origin", row.origin),
            minor=True,
        ),
        Column(
            key="requested",
            label=_("Asked for"),
            value=lambda row: Instant(at=row.requested_at, zone=zone),
            minor=True,
        ),
        Column(key="pdf", label=_("File"), value=pdf),
    )
