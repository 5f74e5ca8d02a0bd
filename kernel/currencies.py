"""ISO 4217: which currencies there are and how many decimals their minor unit has.

Source: ISO 4217 list one (currencies and funds in use) with the amendments to 2026-01; the
withdrawn ones stay, because documents issued in them stay. Codes without a minor unit (metals,
test codes, units of account such as XAU, XDR, XXX) are not money that a tenant can owe.

A payment gateway may count otherwise (Stripe knows its own zero-decimal list): its adapter
converts, this table doesn't bend.
"""

from datetime import date
from typing import Final

from kernel.errors import Invalid

_TWO_DECIMALS: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
"""

_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS: Final = "CLF UYW"

_EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
    **dict.fromkeys(_FOUR_DECIMALS.split(), 4),
}

_WITHDRAWN: Final[dict[str, tuple[int, date]]] = {
    "ANG": (2, date(2025, 7, 1)),
    "BGN": (2, date(2026, 2, 1)),
    "BYR": (0, date(2017, 1, 1)),
    "CUC": (2, date(2021, 7, 1)),
    "HRK": (2, date(2023, 1, 15)),
    "LTL": (2, date(2015, 1, 16)),
    "MRO": (2, date(2018, 1, 1)),
    "SLL": (2, date(2024, 1, 1)),
    "STD": (2, date(2018, 4, 1)),
    "VEF": (2, date(2018, 8, 20)),
    "ZMK": (2, date(2013, 1, 1)),
    "ZWL": (2, date(2024, 9, 1)),
}


def exponent(code: str) -> int:
    """How many decimals the currency's minor unit has: JPY 0, CNY 2, KWD 3, CLF 4.

    Raises Invalid `unknown_currency`.
    """
    decimals = _EXPONENTS.get(code)
    if decimals is not None:
        return decimals
    if code in _WITHDRAWN:
        return _WITHDRAWN[code][0]
    raise Invalid(
        "unknown_currency",
        f"currency {str(code)[:12]!r} is not an ISO 4217 code; write one such as CNY or EUR.",
        field="currency",
    )


def is_in_use(code: str, *, on: date) -> bool:
    """Whether new prices and documents of that day may be in the currency."""
    if code in _EXPONENTS:
        return True
    return code in _WITHDRAWN and on < _WITHDRAWN[code][1]


def current_codes() -> tuple[str, ...]:
    """All currencies in use, in the order of their codes."""
    return tuple(sorted(_EXPONENTS))
