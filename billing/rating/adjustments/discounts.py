"""Discounts: a quantity that is free, a percentage or a fixed amount off, each on what the discounts
before it left.

A percentage is taken from each line and rounded there. A fixed amount is spread over the lines in
proportion to what is left of them, by largest remainder, and never takes more than is left. A usage
discount lowers the quantity that is charged, and takes off what the charge falls by
(`billing.rating.pricing`); it comes before the others, since it belongs to the charge.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import assert_never

from billing.rating.charges.checks import at_least_zero
from kernel.allocation import allocate
from kernel.decimals import exact, plain_text
from kernel.errors import Invalid
from kernel.money import Money, round_amount, total

_WHOLE_PERCENT = 100


class DiscountType(StrEnum):
    PERCENTAGE = "percentage"
    FIXED = "fixed"
    USAGE = "usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """`value` is a percentage from 0 to 100, an amount in major units, or a quantity of usage. `keys`
    name the prices or lines that it is for; None means all.

    Raises Invalid `negative`, `out_of_range`.
    """

    type: DiscountType
    value: Decimal
    keys: frozenset[str] | None = None

    def __post_init__(self) -> None:
        at_least_zero(self.value, field="value")
        if self.type is DiscountType.PERCENTAGE and self.value > _WHOLE_PERCENT:
            raise Invalid(
                "out_of_range",
                "value is above 100 percent; write a percentage from 0 to 100.",
                field="value",
            )

    def covers(self, key: str) -> bool:
        """Whether the discount is for lines of that key."""
        return self.keys is None or key in self.keys


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodDiscount:
    """A discount that counts for the period being rated; `id` and `name` tell it apart in workings."""

    id: str
    name: str
    discount: Discount


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one discount takes off one line; negative on a line that gives back."""

    id: str
    name: str
    type: DiscountType
    value: Decimal
    amount: Money

    def told(self) -> dict[str, str]:
        """Ready for JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type.value,
            "value": plain_text(exact(self.value)),
            "amount": f"{self.amount.amount:f}",
        }


def read_taken(told: Mapping[str, str], *, currency: str) -> Taken:
    """What `Taken.told` told."""
    return Taken(
        id=told["id"],
        name=told["name"],
        type=DiscountType(told["type"]),
        value=Decimal(told["value"]),
        amount=Money.of(told["amount"], currency),
    )


def taken_in_turn(discounts: Iterable[Discount], amount: Fraction) -> tuple[Fraction, ...]:
    """What each discount of an amount takes off one exact amount, which is not negative; `keys` don't
    count, and usage discounts take nothing here."""
    taken = []
    left = amount
    for discount in discounts:
        value = exact(discount.value)
        match discount.type:
            case DiscountType.PERCENTAGE:
                share = left * value / _WHOLE_PERCENT
            case DiscountType.FIXED:
                share = min(value, left)
            case DiscountType.USAGE:
                share = Fraction(0)
            case _:
                assert_never(discount.type)
        taken.append(share)
        left -= share
    return tuple(taken)


def taken_from_lines(
    discount: Discount, *, keys: Sequence[str], left: Sequence[Money], currency: str
) -> list[Money]:
    """What the discount of an amount takes off each line, of which `left` is what discounts before it
    left.

    A percentage counts on credit lines too, so that it reduces them alike. A fixed amount is spread
    over the lines above zero, up to what all its lines together come to.

    Raises Invalid `too_many_decimals` for a fixed amount that the currency cannot state; ValueError for a
    usage discount, which is a matter of pricing.
    """
    if discount.type is DiscountType.USAGE:
        raise ValueError("a usage discount takes nothing off an amount")
    none = Money.zero(currency)
    covered = [
        amount if discount.covers(key) else none for key, amount in zip(keys, left, strict=True)
    ]
    if discount.type is DiscountType.PERCENTAGE:
        rate = exact(discount.value) / _WHOLE_PERCENT
        return [round_amount(exact(amount.amount) * rate, currency) for amount in covered]
    wanted = Money.of(discount.value, currency, field="value")
    taken = min(wanted, max(none, total(covered, currency=currency)))
    if not taken:
        return [none] * len(covered)
    return allocate(taken, [max(0, amount.minor) for amount in covered])
