"""What a table cell may hold, and its two faces: HTML on the page and text in an export.

A column gives a typed value once; both faces come from it, so that an export equals the screen.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from kernel.money import Money
from kernel.period import Period
from ui import formats

Text = str | Promise


class Tone(StrEnum):
    """What a coloured label means; the words beside the colour always say it too."""

    NEUTRAL = "neutral"
    GOOD = "good"
    ACTIVE = "active"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Text that leads somewhere, with a second quiet line where `note` is given."""

    text: Text
    url: str
    note: Text = ""
    whole: bool = False
    """Never broken over two lines: for numbers and the like."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A state as a coloured label."""

    label: Text
    tone: Tone = Tone.NEUTRAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """An instant as read in a zone."""

    at: datetime
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """A period as the days of a zone, with a second quiet line where `note` is given."""

    period: Period
    zone: str
    note: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A key or number that is read letter by letter."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """Text above something long that opens under `title`; an export holds the text alone."""

    text: Text
    title: Text
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A box to choose the row with; `label` names the row to who can't see it, `form` is the id of the form that
    the box is of."""

    name: str
    value: str
    label: Text
    form: str


Cell = (
    Text
    | int
    | Decimal
    | Money
    | date
    | Instant
    | Days
    | Link
    | Status
    | Code
    | Folded
    | Choice
    | None
)

NUMERIC: Final = (int, Decimal, Money)
_NOTHING: Final = "—"


def is_numeric(value: Cell) -> bool:
    return isinstance(value, NUMERIC)


def as_text(value: Cell, *, language: str) -> str:
    """The value as a person reads it, without markup."""
    match value:
        case None:
            return _NOTHING
        case Money():
            return formats.money_text(value, language=language)
        case int() | Decimal():
            return formats.quantity_text(value, language=language)
        case Instant(at=at, zone=zone):
            return formats.instant_text(at, zone=zone, language=language)
        case Days(period=period, zone=zone):
            return formats.period_text(period, zone=zone, language=language)
        case date():
            return formats.date_text(value, language=language)
        case Link(text=text) | Code(text=text) | Folded(text=text):
            return str(text)
        case Status(label=label) | Choice(label=label):
            return str(label)
        case _:
            return str(value)


def as_html(value: Cell) -> SafeString:
    """The value as markup in the active language; all text in it is escaped."""
    text = as_text(value, language=get_language() or "en")
    match value:
        case None:
            return format_html('<span class="text-secondary">{}</span>', text)
        case Link(url=url, note=note, whole=whole):
            css = "cell-link whole" if whole else "cell-link"
            link = format_html('<a class="{}" href="{}">{}</a>', css, url, text)
            return (
                format_html('{}<small class="cell-note">{}</small>', link, note) if note else link
            )
        case Status(tone=tone):
            return format_html('<span class="state state-{}">{}</span>', tone.value, text)
        case Folded(title=title, content=content):
            return format_html(
                '{}<details class="cell-fold"><summary>{}</summary><pre>{}</pre></details>',
                text,
                title,
                content,
            )
        case Choice(name=name, value=chosen, form=form):
            return format_html(
                '<input class="form-check-input" type="checkbox" name="{}" value="{}" form="{}" aria-label="{}">',
                name,
                chosen,
                form,
                text,
            )
        case Code():
            return format_html("<code>{}</code>", text)
        case Days(note=note) if note:
            return format_html(
                '<span class="whole">{}</span><small class="cell-note">{}</small>', text, note
            )
        case Days() | date():
            return format_html('<span class="whole">{}</span>', text)
        case Instant(at=at):
            return format_html('<time datetime="{}">{}</time>', at.isoformat(), text)
        case _:
            return format_html("{}", text)


def as_export(value: Cell) -> str:
    """The value in an export: machine-readable, the same in every language, free of formulas.

    A text that a spreadsheet could take for a formula is prefixed with a single quote (CWE-1236);
    amounts and quantities are plain numbers, so that negative ones stay numbers.
    """
    match value:
        case None:
            return ""
        case Money():
            return f"{value.amount:f}"
        case int() | Decimal():
            return f"{Decimal(value):f}"
        case Instant(at=at, zone=zone):
            return formats.local(at, zone=zone).isoformat(timespec="seconds")
        case Days(period=period, zone=zone):
            starts_at = formats.local(period.starts_at, zone=zone)
            ends_at = formats.local(period.ends_at, zone=zone)
            return f"{starts_at.date()}/{ends_at.date()}"
        case date():
            return value.isoformat()
        case _:
            return neutralised(as_text(value, language="en"))


def neutralised(text: str) -> str:
    """The text with a single quote before it where it begins like a formula."""
    if text.startswith(
        ("=", "+", "-", "−", "@", "\t", "\r", "\n", "\0")
    ):  # the minus sign is meant
        return "'" + text
    return text
