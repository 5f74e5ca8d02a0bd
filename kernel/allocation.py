"""Splitting an amount so that the parts sum to it exactly: the largest remainder method.

Used wherever one amount is spread: discounts over lines, payments over invoices, a cost over
tenants. Each part is within one minor unit of its exact share.
"""

from collections.abc import Sequence
from fractions import Fraction

from kernel.decimals import Exact
from kernel.errors import Invalid
from kernel.money import Money


def allocate(money: Money, weights: Sequence[Exact]) -> list[Money]:
    """The parts of `money` in proportion to `weights`, in their order.

    Each part gets its exact share rounded towards zero; the minor units left over go one each to
    the largest remainders, ties to the earlier. Negative amounts mirror positive ones. A weight
    of zero gets nothing.

    Raises Invalid `no_weights`, `negative_weight`, `weights_all_zero`.
    """
    if not weights:
        raise Invalid("no_weights", "weights is empty; give at least one.", field="weights")
    fractions = [Fraction(weight) for weight in weights]
    for index, fraction in enumerate(fractions):
        if fraction < 0:
            field = f"weights[{index}]"
            raise Invalid(
                "negative_weight", f"{field} is negative; write zero or more.", field=field
            )
    whole = sum(fractions)
    if whole == 0:
        raise Invalid(
            "weights_all_zero",
            "weights are all zero, so no share is defined; give one that is above zero.",
            field="weights",
        )
    shares = [abs(money.minor) * fraction / whole for fraction in fractions]
    parts = [share.numerator // share.denominator for share in shares]
    left_over = abs(money.minor) - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: parts[index] - shares[index])
    for index in by_remainder[:left_over]:
        parts[index] += 1
    sign = -1 if money.minor < 0 else 1
    return [Money(sign * part, money.currency) for part in parts]
