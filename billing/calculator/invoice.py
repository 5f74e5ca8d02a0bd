"""`invoice`: lines, discounts, tax and credits become what is due."""

from decimal import Decimal

from billing.calculator.reading import Case
from billing.rating.adjustments.document import NetLine, SettledLine, settle
from billing.rating.adjustments.tax import TaxRounding
from kernel.decimals import plain_text
from kernel.money import Money, total

_NO_TAX = Decimal(0)
_HIGHEST_TAX_PERCENT = 100


def invoice(case: Case) -> dict[str, object]:
    """The document in the order of `billing.rating.adjustments`.

    A line's amount may be exact; it is rounded before all else. Lines may be negative.
    """
    currency = case.currency()
    lines = [_read_line(each, currency=currency) for each in case.items("lines")]
    discounts = case.discounts(currency=currency, line_keys={line.key for line in lines})
    credits_held = [_read_credit(*each, currency=currency) for each in case.elements("credits")]
    tax_rounding = case.choice("tax_rounding", TaxRounding, default=TaxRounding.PER_RATE)
    case.finish()

    settled = settle(
        lines,
        currency=currency,
        discounts=discounts,
        credit=total(credits_held, currency=currency),
        tax_rounding=tax_rounding,
    )
    return {
        "lines": [_line(line) for line in settled.lines],
        "discounts": [_text(taken) for taken in settled.discounts],
        "subtotal": _text(settled.subtotal),
        "discount_total": _text(settled.discount_total),
        "tax_total": _text(settled.tax_total),
        "total": _text(settled.total),
        "credit_total": _text(settled.credit_total),
        "due": _text(settled.due),
    }


def _read_line(fields: Case, *, currency: str) -> NetLine:
    fields.refuse_other_currency(currency)
    tax_percent = fields.figure("tax_percent", default=_NO_TAX)
    if tax_percent > _HIGHEST_TAX_PERCENT:
        fields.fault("tax_percent", "out_of_range", "is above 100; write a rate from 0 to 100.")
    line = NetLine(
        key=fields.text("key"),
        amount=fields.rounded_money("amount", currency=currency),
        tax_percent=tax_percent,
    )
    fields.refuse_unknown()
    return line


def _read_credit(fields: Case, name: str, *, currency: str) -> Money:
    credit = fields.money(name, currency=currency)
    if credit < Money.zero(currency):
        fields.fault(name, "negative", "is negative; write what the tenant has.")
    return credit


def _line(line: SettledLine) -> dict[str, object]:
    return {
        "key": line.key,
        "amount": _text(line.amount),
        "discount": _text(line.discount),
        "taxable": _text(line.taxable),
        "tax_percent": plain_text(line.tax_percent),
        "tax": _text(line.tax),
        "credits": _text(line.credits),
    }


def _text(money: Money) -> str:
    return f"{money.amount:f}"
