"""What of an invoice's lines may still be credited, and the tax that goes back with it. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from billing.rating.adjustments.tax import TaxRounding, taxes_of_lines
from billing.taxes.domain.rules import LineTax
from kernel.errors import Conflict
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditableLine:
    """An issued line: what credit notes have left of its amount after discounts, and of its tax.

    All lines of one `group`, one line and what late usage adjusted of it, are together never credited
    beyond their sum: what an adjustment has given back is not there any more. `position` is the line's
    place on the invoice that is credited, 0 for a line of another one.
    """

    group: Hashable
    position: int
    net: Money
    tax: Money
    tax_terms: LineTax


def credited_taxes(
    wanted: Sequence[tuple[int, Money]],
    *,
    lines: Iterable[CreditableLine],
    rounding: TaxRounding,
    currency: str,
) -> list[Money]:
    """The tax that goes back with amounts of an invoice's lines: (position, net to credit).

    What takes the rest of a line takes the rest of its tax, so that a whole credit mirrors its invoice.
    Else the tax follows by the rate, and is never more than what is left of the line's. What one amount
    takes, of a line or of its group, is gone for those after it.

    Raises Conflict `above_line`.
    """
    nothing = Money.zero(currency)
    own: dict[int, CreditableLine] = {}
    nets: dict[Hashable, Money] = defaultdict(lambda: nothing)
    taxes: dict[Hashable, Money] = defaultdict(lambda: nothing)
    for line in lines:
        if line.position:
            own[line.position] = line
        for of in (line.group, ("line", line.position)):
            nets[of] = nets[of] + line.net
            taxes[of] = taxes[of] + line.tax
    by_rate = taxes_of_lines(
        [net for _, net in wanted],
        [own[position].tax_terms.percent for position, _ in wanted],
        rounding=rounding,
        currency=currency,
    )
    credited = []
    for (position, net), tax in zip(wanted, by_rate, strict=True):
        both = (own[position].group, ("line", position))
        net_left, tax_left = min(nets[of] for of in both), min(taxes[of] for of in both)
        if net > net_left:
            raise Conflict(
                "above_line",
                f"Line {position} has less than {net} left to credit.",
                field="lines",
            )
        taken = tax_left if net == net_left else min(tax, tax_left)
        for of in both:
            nets[of], taxes[of] = nets[of] - net, taxes[of] - taken
        credited.append(taken)
    return credited
