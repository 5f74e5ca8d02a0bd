"""Template tags and filters of console and portal. Load with ``{% load summit %}``."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from kernel import ids
from kernel.money import Money
from kernel.period import Period
from ui import charts, formats, words
from ui.cells import Cell, as_html
from ui.plan_terms import plan_name, price_title

register = template.Library()


def _language() -> str:
    return get_language() or "en"


@register.filter
def money(value: Money | int, currency: str = "") -> str:
    """An amount: `{{ total|money }}` of a Money, or `{{ minor|money:currency }}`."""
    amount = value if isinstance(value, Money) else Money(value, currency)
    return formats.money_text(amount, language=_language())


@register.filter
def unsigned(value: Money) -> Money:
    """The amount without its sign, where a column already says which side it is on."""
    return abs(value)


@register.filter
def price(value: Decimal, currency: str) -> str:
    """A unit price with all its decimals."""
    return formats.price_text(value, currency, language=_language())


@register.filter
def quantity(value: Decimal | int | None) -> str:
    """A quantity with all its decimals; a dash for none."""
    return "—" if value is None else formats.quantity_text(value, language=_language())


@register.filter
def day(value: date | None) -> str:
    """A date; a dash for none."""
    return "—" if value is None else formats.date_text(value, language=_language())


@register.filter
def instant(value: datetime | None, zone: str = "UTC") -> SafeString:
    """An instant in a zone, as a `<time>` element; a dash for none."""
    if value is None:
        return format_html("{}", "—")
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        value.isoformat(),
        zone,
        formats.instant_text(value, zone=zone, language=_language()),
    )


@register.filter
def period(value: Period, zone: str = "UTC") -> str:
    """The first and last day of a period in a zone."""
    return formats.period_text(value, zone=zone, language=_language())


@register.filter
def tax_rate(tax: Any) -> str:
    """A tax as the reader's words: its percentage, or why nothing is charged."""
    if str(tax.code) in {"standard", "zero"}:
        return f"{formats.quantity_text(tax.percent, language=_language())} %"
    return str(words.word("tax_code", str(tax.code)))


@register.filter
def legal_text(tax: Any) -> str:
    """What the law wants said of a tax, in the reader's language, else in English."""
    return str(tax.text.get(_language()) or tax.text.get("en", ""))


@register.filter
def cell(value: Cell) -> SafeString:
    """Any value that a table may hold, as markup."""
    return as_html(value)


@register.filter
def state(code: str, kind: str) -> SafeString:
    """A status code as a coloured label: `{{ invoice.status|state:"invoice" }}`."""
    return as_html(words.status(kind, code))


@register.filter
def word(code: str, kind: str) -> str:
    """A code as the reader's word: `{{ member.role|word:"role" }}`."""
    return str(words.word(kind, code))


@register.filter
def public_id(id_: UUID, prefix: str) -> str:
    """The id as addresses and the API show it."""
    return ids.public_id(prefix, id_)


@register.filter
def plan_title(document: Mapping[str, Any]) -> str:
    """A plan document's name in the reader's language."""
    return plan_name(document, language=_language())


@register.filter
def price_name(document: Mapping[str, Any]) -> str:
    """What a price of a plan document is for."""
    return str(price_title(document))


@register.simple_tag
def icon(name: str) -> SafeString:
    """One of the icons of `ui.vendor_assets.ICONS`; decorative, so hidden from screen readers."""
    return format_html(
        '<svg class="icon" width="20" height="20" aria-hidden="true" focusable="false">'
        '<use href="{}#{}"/></svg>',
        static("vendor/icons.svg"),
        name,
    )


@register.inclusion_tag("ui/_chart.html")
def chart(figure: charts.Figure) -> dict[str, Any]:
    """A chart with its data table."""
    return {"figure": figure, "data_id": f"chart-{figure.key}"}


@register.simple_tag
def sparkline(values: Sequence[int | Decimal], label: str) -> SafeString:
    """A small line without axes."""
    return charts.sparkline(values, label=label)


@register.inclusion_tag("ui/_table.html")
def table(shown: Any) -> dict[str, Any]:
    """A `ui.tables.Table` with its pages."""
    return {"table": shown}


@register.inclusion_tag("ui/_field.html")
def field(bound: BoundField, unlabeled: bool = False) -> dict[str, Any]:
    """A form field with label, help and errors, tied together for screen readers."""
    widget = bound.field.widget
    kind = getattr(widget, "input_type", "select" if hasattr(widget, "choices") else "textarea")
    described = []
    if bound.help_text:
        described.append(f"{bound.auto_id}_help")
    if bound.errors:
        described.append(f"{bound.auto_id}_errors")
    css = {"select": "form-select", "checkbox": "form-check-input", "radio": "form-check-input"}
    attributes: dict[str, str | bool] = {
        "class": css.get(kind, "form-control") + (" is-invalid" if bound.errors else "")
    }
    if described:
        attributes["aria-describedby"] = " ".join(described)
    if bound.errors:
        attributes["aria-invalid"] = "true"
    if unlabeled:
        # A placeholder is no label: it goes away when one types.
        widget.attrs.pop("placeholder", None)
    return {"field": bound, "kind": kind, "control": bound.as_widget(attrs=attributes)}


@register.inclusion_tag("ui/states/_empty.html")
def empty(title: str, text: str = "", action_url: str = "", action: str = "") -> dict[str, Any]:
    """What stands where nothing is yet, with the next step."""
    return {"title": title, "text": text, "action_url": action_url, "action": action}
