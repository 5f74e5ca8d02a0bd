"""Values as people read them: money, quantities, dates and instants in the reader's language.

Pure: the language is an argument. The template filters in `ui.templatetags.summit` pass the active one.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime
from babel.numbers import format_currency, format_decimal
from django.utils.translation import to_locale

from kernel.currencies import exponent
from kernel.decimals import half_away_from_zero
from kernel.money import Money
from kernel.period import Period

_LOCALES: Final = {"zh-hans": "zh_Hans_CN", "zh-cn": "zh_Hans_CN", "zh": "zh_Hans_CN"}


def locale_of(language: str) -> Locale:
    """What CLDR knows of a language, by Django's code of it; of one that it doesn't know, English."""
    try:
        return Locale.parse(_LOCALES.get(language.lower()) or to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale.parse("en")


def local(instant: datetime, *, zone: str) -> datetime:
    """The instant with the clock of `zone`; UTC where none is given."""
    return instant.astimezone(ZoneInfo(zone) if zone else UTC)


def money_text(value: Money, *, language: str) -> str:
    """CN¥1,299.00 in English, ¥1,299.00 in Chinese; always with the currency's own decimals."""
    locale = locale_of(language)
    text: str = format_currency(value.amount, value.currency, locale=locale, currency_digits=True)
    return text.replace("-", "−")


def price_text(amount: Decimal, currency: str, *, language: str) -> str:
    """A unit price: at least the currency's decimals, up to 12, with none lost."""
    locale = locale_of(language)
    places = max(exponent(currency), -int(amount.normalize().as_tuple().exponent))
    pattern = f"¤#,##0.{'0' * places}" if places else "¤#,##0"
    return str(
        format_currency(amount, currency, pattern, locale=locale, currency_digits=False)
    ).replace("-", "−")


def quantity_text(value: Decimal | int, *, language: str) -> str:
    """A quantity with all its decimals and grouped thousands."""
    number = Decimal(value)
    number = number.normalize() if number else Decimal(0)
    places = max(0, -int(number.as_tuple().exponent))
    pattern = "#,##0." + "0" * places if places else "#,##0"
    return str(format_decimal(number, pattern, locale=locale_of(language))).replace("-", "−")


def change_text(old: Decimal, new: Decimal, *, language: str) -> str:
    """By how much `old`, which is not zero, became `new`: +12.5 %, to one decimal."""
    thousandths = half_away_from_zero((Fraction(new) - Fraction(old)) / abs(Fraction(old)) * 1000)
    percent = Decimal(thousandths) / 10
    sign = "+" if percent > 0 else ""
    return f"{sign}{quantity_text(percent, language=language)} %"


def short_quantity_text(value: Decimal, *, language: str) -> str:
    """A quantity to four decimals, for where the exact one stands beside or below it."""
    rounded = value.quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)
    return quantity_text(rounded, language=language)


def date_text(value: date, *, language: str) -> str:
    """Mar 1, 2026 or 2026年3月1日."""
    return str(format_date(value, "medium", locale=locale_of(language)))


def short_date_text(value: date, *, language: str) -> str:
    """Mar 1 or 3月1日, where the year is known from elsewhere."""
    pattern = "M月d日" if locale_of(language).language == "zh" else "MMM d"
    return str(format_date(value, pattern, locale=locale_of(language)))


def short_month_text(value: date, *, language: str) -> str:
    """Mar or 3月, where the year is known from elsewhere."""
    pattern = "M月" if locale_of(language).language == "zh" else "MMM"
    return str(format_date(value, pattern, locale=locale_of(language)))


def month_text(value: date, *, language: str) -> str:
    """March 2026 or 2026年3月."""
    pattern = "y年M月" if locale_of(language).language == "zh" else "MMMM y"
    return str(format_date(value, pattern, locale=locale_of(language)))


def year_text(value: date, *, language: str) -> str:
    """2026 or 2026年."""
    pattern = "y年" if locale_of(language).language == "zh" else "y"
    return str(format_date(value, pattern, locale=locale_of(language)))


def instant_text(value: datetime, *, zone: str, language: str) -> str:
    """Date and time to the minute in `zone`."""
    there = local(value, zone=zone)
    pattern = "y年M月d日 HH:mm" if locale_of(language).language == "zh" else "MMM d, y, HH:mm"
    return str(format_datetime(there, pattern, tzinfo=there.tzinfo, locale=locale_of(language)))


def period_text(period: Period, *, zone: str, language: str) -> str:
    """First and last day of a half-open period, as the days of `zone`: Mar 1 – Mar 31, 2026."""
    first = period.starts_at.astimezone(ZoneInfo(zone)).date()
    last = (period.ends_at.astimezone(ZoneInfo(zone)) - timedelta(microseconds=1)).date()
    if first == last:
        return date_text(first, language=language)
    if locale_of(language).language == "zh":
        tail = "M月d日" if first.year == last.year else "y年M月d日"
        return (
            f"{date_text(first, language=language)}至"
            f"{format_date(last, tail, locale=locale_of(language))}"
        )
    head = "MMM d" if first.year == last.year else "MMM d, y"
    return (
        f"{format_date(first, head, locale=locale_of(language))} – "
        f"{date_text(last, language=language)}"
    )
