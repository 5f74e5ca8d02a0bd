"""Figures and dates as a document prints them (CLDR data by Babel)."""

import unicodedata
from datetime import date
from decimal import Decimal
from typing import Final

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from babel.numbers import format_decimal
from django.utils.translation import to_locale

from billing.invoicing.documents.words import CHINESE, ENGLISH, document_language, words_of
from kernel.currencies import exponent
from kernel.decimals import trimmed
from kernel.money import Money

_MINUS: Final = "−"
_LONGEST_WORD: Final = 24
_BREAK: Final = "\u200b"
_KEPT_FORMAT: Final = frozenset("\u200c\u200d")
"""Joiners that scripts such as Persian need; all other invisible format characters are dropped,
since reversing or hiding text on an invoice serves only fraud."""


def locale_of(language: str) -> Locale:
    """What CLDR knows of the document's language; of one it doesn't know, English."""
    written_in = document_language(language)
    try:
        return Locale.parse("zh_Hans_CN" if written_in == CHINESE else to_locale(written_in))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(ENGLISH)


def amount_text(amount: Money, *, language: str) -> str:
    """1,299.00: with the currency's own decimals and without its sign."""
    return _grouped(amount.amount, places=exponent(amount.currency), language=language)


def money_text(amount: Money, *, language: str) -> str:
    """CNY 1,299.00."""
    return f"{amount.currency} {amount_text(amount, language=language)}"


def unit_price_text(price: Decimal, *, currency: str, language: str) -> str:
    """At least the currency's decimals, and all that the price has."""
    return _grouped(price, places=max(exponent(currency), _places(price)), language=language)


def quantity_text(quantity: Decimal, *, language: str) -> str:
    return _grouped(quantity, places=_places(quantity), language=language)


def date_text(day: date, *, language: str) -> str:
    """Mar 1, 2026 or 2026年3月1日."""
    return str(format_date(day, "medium", locale=locale_of(language)))


def days_text(first: date, last: date, *, language: str) -> str:
    """Both days included: Mar 1 to Mar 31, 2026."""
    if first == last:
        return date_text(first, language=language)
    locale, same_year = locale_of(language), first.year == last.year
    between = words_of(language)["to"]
    if document_language(language) == CHINESE:
        tail = format_date(last, "M月d日" if same_year else "y年M月d日", locale=locale)
        return f"{date_text(first, language=language)}{between}{tail}"
    if document_language(language) != ENGLISH:
        return f"{date_text(first, language=language)}{between}{date_text(last, language=language)}"
    head = format_date(first, "MMM d" if same_year else "MMM d, y", locale=locale)
    return f"{head}{between}{date_text(last, language=language)}"


def country_name(code: str, *, language: str) -> str:
    """China or 中国 for CN; a code that CLDR doesn't know as it is."""
    return str(locale_of(language).territories.get(code.upper(), literal(code)))


def literal(text: str, *, breakable: bool = True) -> str:
    """The text as it may be printed: no control or hidden characters, and long words breakable.

    Line breaks stay. Words of more than 24 characters get places where a line may break, so that
    an app key of 100 characters stays in its column; not so where people copy from.
    """
    shown = "".join(_shown(character) for character in unicodedata.normalize("NFC", text))
    if not breakable:
        return shown.strip()
    return "\n".join(
        " ".join(_breakable(word) for word in line.split(" ")) for line in shown.split("\n")
    ).strip()


def _shown(character: str) -> str:
    if character in "\n\t":
        return "\n" if character == "\n" else " "
    category = unicodedata.category(character)
    if category in {"Cc", "Cs", "Cn", "Co"}:
        return "\ufffd"
    if category == "Cf" and character not in _KEPT_FORMAT:
        return ""
    return character


def _breakable(word: str) -> str:
    if len(word) <= _LONGEST_WORD or not word.isascii():
        return word
    return _BREAK.join(
        word[start : start + _LONGEST_WORD // 2]
        for start in range(0, len(word), _LONGEST_WORD // 2)
    )


def _places(number: Decimal) -> int:
    return max(0, -int(trimmed(number).as_tuple().exponent))


def _grouped(number: Decimal, *, places: int, language: str) -> str:
    pattern = "#,##0." + "0" * places if places else "#,##0"
    text = format_decimal(number, pattern, locale=locale_of(language), decimal_quantization=True)
    return str(text).replace("-", _MINUS)
