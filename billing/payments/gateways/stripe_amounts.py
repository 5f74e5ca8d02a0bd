"""Stripe's idea of a currency's smallest unit, which is not always ISO 4217's. Pure.

Source: docs.stripe.com/currencies (zero-decimal and three-decimal currencies, special cases); verify
it before offering a new currency.
"""

from typing import Final

from kernel.currencies import exponent
from kernel.errors import Invalid
from kernel.money import Money

_ZERO_DECIMAL: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "JPY",
        "KMF",
        "KRW",
        "MGA",
        "PYG",
        "RWF",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE_DECIMAL: Final = frozenset(["BHD", "JOD", "KWD", "OMR", "TND"])
_NOT_OFFERED: Final = frozenset(["CLF", "UYW", "UYI", "IQD", "LYD", "UGX"])
"""Not Stripe's, or, for UGX, listed both as a zero-decimal currency and as a special case with two:
a charge a hundred times too high is worse than none."""
_POWERS: Final = (1, 10, 100, 1_000, 10_000)


def stripe_decimals(currency: str) -> int:
    """Decimals of the integer that Stripe's API takes. Raises Invalid `currency_not_chargeable`."""
    if currency in _NOT_OFFERED:
        raise Invalid(
            "currency_not_chargeable",
            f"{currency} can't be paid by card; pay by bank transfer.",
            field="currency",
            params={"currency": currency},
        )
    if currency in _ZERO_DECIMAL:
        return 0
    # ISK has no decimals since 2023, but Stripe's integer still counts hundredths; amounts must be
    # whole krónur. So `exponent` is not asked for it.
    if currency == "ISK":
        return 2
    return exponent(currency)


def to_stripe(amount: Money) -> int:
    """The integer for Stripe: 1 JPY is 1, 1 ISK is 100, 1 MGA is 1 though ISO gives it
    decimals.

    Raises Invalid `currency_not_chargeable`; `amount_not_chargeable` where Stripe's unit can't state
    the amount: cards take whole ariary, and dinars to two decimals only.
    """
    decimals, own = stripe_decimals(amount.currency), exponent(amount.currency)
    units, rest = divmod(amount.minor * _POWERS[decimals], _POWERS[own])
    if rest:
        raise _not_chargeable(amount)
    if amount.currency in _THREE_DECIMAL and units % 10:
        raise _not_chargeable(amount)
    return units


def from_stripe(units: int, currency: str) -> Money:
    """The money behind Stripe's integer; `currency` in either case of letters.

    Raises Invalid for a currency that is not offered, or for an amount below its smallest unit.
    """
    code = currency.upper()
    minor, rest = divmod(units * _POWERS[exponent(code)], _POWERS[stripe_decimals(code)])
    if rest:
        raise Invalid(
            "amount_not_representable",
            f"Stripe's amount {units} in {code} is below the currency's smallest unit.",
            field="amount",
        )
    return Money(minor, code)


def _not_chargeable(amount: Money) -> Invalid:
    return Invalid(
        "amount_not_chargeable",
        f"Cards can't be charged {amount} exactly; pay by bank transfer.",
        field="amount",
        params={"amount": str(amount)},
    )
