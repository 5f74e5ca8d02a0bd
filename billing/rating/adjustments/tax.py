"""Tax: from rounded nets, once per rate (the default) or once per line.

Per rate, the tax of a rate is worked out from the sum of its nets, rounded once, and split over its
lines, so that the lines' taxes sum to it. Sources: EN 16931 (BR-CO-17: tax per category and rate
from the sum of rounded nets); per line where a jurisdiction or an invoicing platform wants it.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import assert_never

from kernel.allocation import allocate
from kernel.decimals import exact
from kernel.money import Money, round_amount, total


class TaxRounding(StrEnum):
    PER_RATE = "per_rate"
    PER_LINE = "per_line"


def taxes_of_lines(
    nets: Sequence[Money],
    tax_percents: Sequence[Decimal],
    *,
    rounding: TaxRounding = TaxRounding.PER_RATE,
    currency: str,
) -> list[Money]:
    """The tax of each line, in their order. Rates that are equal in value are one rate."""
    match rounding:
        case TaxRounding.PER_LINE:
            return [
                _tax(net, tax_percent) for net, tax_percent in zip(nets, tax_percents, strict=True)
            ]
        case TaxRounding.PER_RATE:
            taxes = [Money.zero(currency)] * len(nets)
            for tax_percent in filter(None, dict.fromkeys(tax_percents)):
                indices = [i for i, each in enumerate(tax_percents) if each == tax_percent]
                split = _split_over([nets[i] for i in indices], tax_percent, currency=currency)
                for index, tax in zip(indices, split, strict=True):
                    taxes[index] = tax
            return taxes
        case _:
            assert_never(rounding)


def _split_over(nets: Sequence[Money], tax_percent: Decimal, *, currency: str) -> list[Money]:
    """The tax of the nets' sum, split so that its parts sum to it.

    Among charges and credits the side that weighs more gets its own rounded tax and the other side
    the rest: within a side all parts have one sign, and mirrored nets have mirrored taxes.
    """
    none = Money.zero(currency)
    charges = [max(none, net) for net in nets]
    credit_notes = [min(none, net) for net in nets]
    tax = _tax(total(nets, currency=currency), tax_percent)
    heavy, light = charges, credit_notes
    if -total(credit_notes, currency=currency) > total(charges, currency=currency):
        heavy, light = credit_notes, charges
    of_heavy = tax
    if any(light):
        of_heavy = _tax(total(heavy, currency=currency), tax_percent)
    return [
        one + other
        for one, other in zip(
            _allocated(of_heavy, heavy), _allocated(tax - of_heavy, light), strict=True
        )
    ]


def _allocated(tax: Money, nets: Sequence[Money]) -> list[Money]:
    if not tax:
        return [tax] * len(nets)
    return allocate(tax, [abs(net.minor) for net in nets])


def _tax(net: Money, tax_percent: Decimal) -> Money:
    return round_amount(exact(net.amount) * exact(tax_percent) / Fraction(100), net.currency)
