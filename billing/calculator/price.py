"""`price`: what one quantity costs by the terms of one price."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from billing.calculator.reading import Case
from billing.catalog.domain.price import read_price, refuse_minimum_above_maximum
from billing.rating.charges import ChargeLine
from billing.rating.pricing import price_quantity
from kernel.decimals import plain_text
from kernel.money import round_amount


def price(case: Case) -> dict[str, object]:
    """The amount after included quantity, charge, discounts, maximum and minimum, in this order.

    `amount` contains `true_up`, which is there if a minimum bit. Where both the case and the
    price's own terms give a minimum or maximum, both hold.
    """
    currency = case.currency()
    if not case.has("price"):
        case.missing("price")
        case.finish_early()
    price_fields = case.nested("price")
    price_fields.refuse_other_currency(currency)
    terms = read_price(price_fields, known_meters=None, default_key="price")
    quantity = case.figure("quantity")
    minimum = _stricter(max, case.optional_figure("minimum"), terms.minimum)
    maximum = _stricter(min, case.optional_figure("maximum"), terms.maximum)
    refuse_minimum_above_maximum(case, minimum, maximum)
    discounts = case.discounts(currency=currency)
    case.finish()

    bounded = replace(terms, minimum=minimum, maximum=maximum)
    priced = price_quantity(bounded, quantity, discounts=discounts)
    amount = round_amount(priced.total, currency)
    answer: dict[str, object] = {
        "amount": f"{amount.amount:f}",
        "exact": plain_text(priced.total),
        "lines": [_line(line) for line in priced.lines],
    }
    if discounts:
        answer["discounts"] = [plain_text(taken) for taken in priced.discounts]
    if priced.true_up:
        # As on a bill: both together are the minimum to the last minor unit.
        charged = round_amount(priced.amount, currency)
        answer["true_up"] = f"{(amount - charged).amount:f}"
    return answer


def _stricter(
    choose: Callable[[Decimal, Decimal], Decimal], one: Decimal | None, other: Decimal | None
) -> Decimal | None:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)


def _line(line: ChargeLine) -> dict[str, object]:
    return {
        "tier": line.tier,
        "quantity": plain_text(line.quantity),
        "unit_price": plain_text(line.unit_price),
        "flat_fee": plain_text(line.flat_fee),
        "amount": plain_text(line.amount),
    }
