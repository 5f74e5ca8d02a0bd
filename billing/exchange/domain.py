"""Exchange rates of a day and what an amount comes to by one. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from kernel.decimals import plain_text
from kernel.errors import Invalid
from kernel.money import Money, round_amount

OLDEST: Final = timedelta(days=7)
"""How old the newest rate may be: banks publish none on holidays, of which at most five follow each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRate:
    """On that day one unit of `base` was worth `rate` units of `quote`, as `source` published it."""

    base: str
    quote: str
    on: date
    rate: Decimal
    source: str

    def converted(self, money: Money) -> Money:
        """The amount in the other currency, rounded once. Raises Invalid `currency_mismatch` where it is
        in neither."""
        exact = Fraction(money.amount)
        if money.currency == self.base:
            return round_amount(exact * Fraction(self.rate), self.quote)
        if money.currency == self.quote:
            return round_amount(exact / Fraction(self.rate), self.base)
        raise Invalid(
            "currency_mismatch",
            f"A rate of {self.base} and {self.quote} says nothing of {money.currency}.",
            field="currency",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NationalTax:
    """A document's tax in the currency in which the seller's member state takes it, and by which rate
    (articles 91 and 230 of Directive 2006/112/EC)."""

    tax: Money
    rate: ExchangeRate

    def stored(self) -> dict[str, str]:
        """The same for a document to keep."""
        return {
            "currency": self.tax.currency,
            "tax": f"{self.tax.amount:f}",
            "base": self.rate.base,
            "quote": self.rate.quote,
            "rate": plain_text(self.rate.rate),
            "on": self.rate.on.isoformat(),
            "source": self.rate.source,
        }

    @classmethod
    def read(cls, document: dict[str, Any]) -> "NationalTax":
        """What `stored` gave."""
        return cls(
            tax=Money.of(document["tax"], document["currency"]),
            rate=ExchangeRate(
                base=document["base"],
                quote=document["quote"],
                on=date.fromisoformat(document["on"]),
                rate=Decimal(document["rate"]),
                source=document["source"],
            ),
        )


def newest(
    rates: Iterable[ExchangeRate], *, currency: str, into: str, on: date
) -> ExchangeRate | None:
    """The newest rate of the two currencies on that day, in whichever direction it was published; None
    where there is none that is not too old."""
    found = [
        each
        for each in rates
        if {each.base, each.quote} == {currency, into} and on - OLDEST <= each.on <= on
    ]
    return max(found, key=lambda each: (each.on, each.base == currency), default=None)
