"""From the lines of a document to what is due: discounts, then tax, then credits.

Each line's amount is rounded once, before all else; every sum is a sum of rounded amounts, so a
document always adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.rating.adjustments.credits import credited_lines
from billing.rating.adjustments.discounts import Discount, taken_from_lines
from billing.rating.adjustments.tax import TaxRounding, taxes_of_lines
from kernel.money import Money, total


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLine:
    """A line before tax; `tax_percent` 6 means 6 %. Credit lines are negative. `discount` is what was
    taken off when it was rated (None: nothing)."""

    key: str
    amount: Money
    tax_percent: Decimal = Decimal(0)
    discount: Money | None = None

    @property
    def net(self) -> Money:
        return self.amount if self.discount is None else self.amount - self.discount


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledLine:
    """A line with what each step did to it: taxable = amount - discount; credits pay for taxable
    + tax. `discount` is what was taken off before and by the document's own discounts together."""

    key: str
    amount: Money
    discount: Money
    taxable: Money
    tax_percent: Decimal
    tax: Money
    credits: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """A document's totals: total = subtotal - discount_total + tax_total; due = total -
    credit_total. `discounts` holds what each of the document's own discounts took, in their order."""

    lines: tuple[SettledLine, ...]
    discounts: tuple[Money, ...]
    subtotal: Money
    discount_total: Money
    tax_total: Money
    total: Money
    credit_total: Money
    due: Money


def settle(
    lines: Sequence[NetLine],
    *,
    currency: str,
    discounts: Sequence[Discount] = (),
    credit: Money | None = None,
    tax_rounding: TaxRounding = TaxRounding.PER_RATE,
) -> Settlement:
    """The document's lines and totals; its own `discounts` are for what lines have left.

    Raises Invalid `currency_mismatch` where a line or the credit is in another currency, and
    `too_many_decimals` for a fixed discount that the currency cannot state.
    """
    keys = [line.key for line in lines]
    left = [line.net for line in lines]
    taken: list[Money] = []
    for discount in discounts:
        parts = taken_from_lines(discount, keys=keys, left=left, currency=currency)
        left = [amount - part for amount, part in zip(left, parts, strict=True)]
        taken.append(total(parts, currency=currency))
    taxes = taxes_of_lines(
        left, [line.tax_percent for line in lines], rounding=tax_rounding, currency=currency
    )
    grosses = [net + tax for net, tax in zip(left, taxes, strict=True)]
    used = credited_lines(credit or Money.zero(currency), grosses=grosses)
    subtotal = total((line.amount for line in lines), currency=currency)
    gross = total(grosses, currency=currency)
    credit_total = total(used, currency=currency)
    return Settlement(
        lines=tuple(
            SettledLine(
                key=line.key,
                amount=line.amount,
                discount=line.amount - taxable,
                taxable=taxable,
                tax_percent=line.tax_percent,
                tax=tax,
                credits=paid,
            )
            for line, taxable, tax, paid in zip(lines, left, taxes, used, strict=True)
        ),
        discounts=tuple(taken),
        subtotal=subtotal,
        discount_total=subtotal - total(left, currency=currency),
        tax_total=total(taxes, currency=currency),
        total=gross,
        credit_total=credit_total,
        due=gross - credit_total,
    )
