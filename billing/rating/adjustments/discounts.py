"""Discounts: a percentage or a fixed amount off, each on what the discounts before it left.

A percentage is taken from each line and rounded there. A fixed amount is spread over the lines in
proportion to what is left of them, by largest remainder, and never takes more than is left.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rating.charges.checks import at_least_zero
from kernel.allocation import allocate
from kernel.decimals import exact
from kernel.errors import Invalid
from kernel.money import Money, round_amount, total

_WHOLE_PERCENT = 100


class DiscountType(StrEnum):
    PERCENTAGE = "percentage"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discount:
    """`value` is a percentage from 0 to 100, or an amount in major units. `keys` name the lines
    that it is for; None means all.

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


def taken_in_turn(discounts: Iterable[Discount], amount: Fraction) -> tuple[Fraction, ...]:
    """What each discount takes off one exact amount, which is not negative; `keys` don't count."""
    taken = []
    left = amount
    for discount in discounts:
        value = exact(discount.value)
        if discount.type is DiscountType.PERCENTAGE:
            share = left * value / _WHOLE_PERCENT
        else:
            share = min(value, left)
        taken.append(share)
        left -= share
    return tuple(taken)


def taken_from_lines(
    discount: Discount, *, keys: Sequence[str], left: Sequence[Money], currency: str
) -> list[Money]:
    """What the discount takes off each line, of which `left` is what discounts before it left.

    A percentage counts on credit lines too, so that it reduces them alike. A fixed amount is spread
    over the lines above zero, up to what all its lines together come to.

    Raises Invalid `too_many_decimals` for a fixed amount that the currency cannot state.
    """
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
