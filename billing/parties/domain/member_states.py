"""The member states of the European Union and their currencies, by day. Pure.

Sources: the accession treaties; Council decisions on the adoption of the euro, of which those after 2020
are Croatia (2023-01-01) and Bulgaria (2026-01-01). The United Kingdom's transition ended with 2020.
Northern Ireland counts as a member state for goods alone (prefix XI), so not here.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final

_FOREVER: Final = date.max
_EARLIEST: Final = date.min

_MEMBERS: Final[Mapping[str, tuple[date, date]]] = {
    **dict.fromkeys(
        [
            "AT",
            "BE",
            "BG",
            "CY",
            "CZ",
            "DE",
            "DK",
            "EE",
            "ES",
            "FI",
            "FR",
            "GR",
            "HU",
            "IE",
            "IT",
            "LT",
            "LU",
            "LV",
            "MT",
            "NL",
            "PL",
            "PT",
            "RO",
            "SE",
            "SI",
            "SK",
        ],
        (_EARLIEST, _FOREVER),
    ),
    "HR": (date(2013, 7, 1), _FOREVER),
    "GB": (_EARLIEST, date(2021, 1, 1)),
}
"""From the first day to before the second; accessions before 2013 count as always."""

_OWN_CURRENCY: Final[Mapping[str, tuple[str, date]]] = {
    "BG": ("BGN", date(2026, 1, 1)),
    "CZ": ("CZK", _FOREVER),
    "DK": ("DKK", _FOREVER),
    "GB": ("GBP", _FOREVER),
    "HR": ("HRK", date(2023, 1, 1)),
    "HU": ("HUF", _FOREVER),
    "PL": ("PLN", _FOREVER),
    "RO": ("RON", _FOREVER),
    "SE": ("SEK", _FOREVER),
}
"""Who has or had a currency of its own until before a day; adoptions of the euro before 2020 count as
always."""

VAT_PREFIX: Final[Mapping[str, str]] = {"GR": "EL"}
"""Where the prefix of VAT numbers is not the country's code (article 215 of Directive 2006/112/EC)."""


def is_member_state(country: str, *, on: date) -> bool:
    """Whether the country of that ISO 3166 code is in the Union on the day."""
    span = _MEMBERS.get(country)
    return span is not None and span[0] <= on < span[1]


def national_currency(country: str, *, on: date) -> str:
    """The currency in which a member state takes its tax on the day."""
    currency, until = _OWN_CURRENCY.get(country, ("EUR", _EARLIEST))
    return currency if on < until else "EUR"
