"""From the amounts of an invoice or a credit note to the lines of a fapiao. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.fapiao.domain.content import FapiaoLine, FapiaoProduct
from billing.taxes.domain.rules import TaxCode
from kernel.errors import Conflict
from kernel.money import round_amount

CNY: Final = "CNY"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedAmount:
    """A part of a document: its category of products, its tax, and net and tax in fen; of a credit the
    amounts are negative."""

    category: str
    code: TaxCode
    rate_percent: Decimal
    net: int
    tax: int


def fapiao_lines(
    amounts: Iterable[TaxedAmount], *, products: Mapping[str, FapiaoProduct]
) -> list[FapiaoLine]:
    """A line for each product and rate, with charges and credits of them netted; zero ones are left out.

    Products are told by category; "" stands for every category that has none of its own. Raises
    Conflict `no_fapiao_product` where a category has no product, `fapiao_below_zero` where a rate's
    credits are above its charges, `fapiao_untaxed` where nobody says what tax an amount bears.
    """
    sums: dict[tuple[FapiaoProduct, Decimal, bool], tuple[int, int]] = {}
    for each in amounts:
        if each.code in {TaxCode.NONE, TaxCode.REVERSE_CHARGE} and (each.net or each.tax):
            raise Conflict(
                "fapiao_untaxed",
                "An amount of the document bears no tax of China, so no fapiao can be issued for it; "
                "set the tenant's tax standing before the next invoice.",
                field="tax",
            )
        product = products.get(each.category) or products.get("")
        if product is None:
            raise Conflict(
                "no_fapiao_product",
                f"The category {each.category!r} has no product of the tax classification; name one.",
                field="product",
                params={"category": each.category},
            )
        key = (product, each.rate_percent, each.code is not TaxCode.STANDARD)
        net, tax = sums.get(key, (0, 0))
        sums[key] = (net + each.net, tax + each.tax)
    lines = []
    for (product, rate, is_preferential), (net, tax) in sums.items():
        if net < 0 or tax < 0:
            raise Conflict(
                "fapiao_below_zero",
                f"At {rate.normalize():f} % more is given back than is charged; a fapiao can't be below zero.",
                field="lines",
            )
        if net or tax:
            lines.append(
                FapiaoLine(
                    product=product,
                    rate_percent=rate,
                    net=net,
                    tax=tax,
                    is_preferential=is_preferential,
                )
            )
    return lines


def split_gross(gross: int, *, rate_percent: Decimal) -> tuple[int, int]:
    """Net and tax of an amount that holds its tax, in the same unit: 500000 fen at 6 % are 471698 and
    28302. They sum to it, and the tax is within one unit of net × rate."""
    whole = Fraction(gross) / (100 + Fraction(rate_percent))
    net = round_amount(whole, CNY).minor
    return net, gross - net
