"""What of an invoice's lines may still be credited, and the tax that goes back with it. Pure."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

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


class _Left:
    """What is left of lines, of their groups, and of the invoice's own lines of each rate.

    Its own lines of a rate count together, since a credit on an invoice (of a plan left behind) takes
    part of what its charges came to: no credit note goes beyond what the invoice billed at a rate.
    """

    def __init__(self, lines: Iterable[CreditableLine], *, currency: str) -> None:
        nothing = Money.zero(currency)
        self.own: dict[int, CreditableLine] = {}
        self.nets: dict[Hashable, Money] = defaultdict(lambda: nothing)
        self.taxes: dict[Hashable, Money] = defaultdict(lambda: nothing)
        for line in lines:
            places = [line.group]
            if line.position:
                self.own[line.position] = line
                places += [("line", line.position), ("rate", line.tax_terms.percent)]
            for of in places:
                self.nets[of] = self.nets[of] + line.net
                self.taxes[of] = self.taxes[of] + line.tax

    def _places(self, position: int) -> tuple[Hashable, Hashable]:
        return (self.own[position].group, ("line", position))

    def of(self, position: int) -> tuple[Money, Money]:
        """Net and tax that are left of the line."""
        places = self._places(position)
        return min(self.nets[of] for of in places), min(self.taxes[of] for of in places)

    def take(self, position: int, *, net: Money, tax: Money) -> None:
        """Raises Conflict `above_line`, `above_invoice`, `above_invoice_tax`."""
        percent = self.own[position].tax_terms.percent
        net_left, tax_left = self.of(position)
        if net > net_left or tax > tax_left:
            raise Conflict(
                "above_line",
                f"Line {position} has less than {net} left to credit.",
                field="lines",
                params={"line": position, "left": f"{net_left}"},
            )
        for of in (*self._places(position), ("rate", percent)):
            self.nets[of], self.taxes[of] = self.nets[of] - net, self.taxes[of] - tax
        if tax and self.taxes["rate", percent].minor < 0:
            raise _above_rate("above_invoice_tax", "tax", percent)
        if self.nets["rate", percent].minor < 0:
            raise _above_rate("above_invoice", "amount", percent)


def _above_rate(code: str, what: str, percent: Decimal) -> Conflict:
    return Conflict(
        code,
        f"The invoice has less {what} of {percent.normalize():f} percent left than goes back with these "
        "amounts; credit less.",
        field="lines",
    )


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

    Raises Conflict `above_line`, `above_invoice`, `above_invoice_tax`.
    """
    left = _Left(lines, currency=currency)
    by_rate = taxes_of_lines(
        [net for _, net in wanted],
        [left.own[position].tax_terms.percent for position, _ in wanted],
        rounding=rounding,
        currency=currency,
    )
    credited = []
    for (position, net), tax in zip(wanted, by_rate, strict=True):
        net_left, tax_left = left.of(position)
        taken = tax_left if net == net_left else min(tax, tax_left)
        left.take(position, net=net, tax=taken)
        credited.append(taken)
    return credited


def refuse_beyond(
    wanted: Sequence[tuple[int, Money, Money]],
    *,
    lines: Iterable[CreditableLine],
    currency: str,
) -> None:
    """(position, net, tax) that was agreed before must still fit. Raises as `credited_taxes`."""
    left = _Left(lines, currency=currency)
    for position, net, tax in wanted:
        left.take(position, net=net, tax=tax)


def left_to_credit(
    lines: Iterable[CreditableLine], *, currency: str
) -> dict[int, tuple[Money, Money]]:
    """By position, net and tax that are left of each line; never below nothing."""
    left = _Left(lines, currency=currency)
    nothing = Money.zero(currency)
    found = {}
    for position, line in left.own.items():
        of_rate = left.nets["rate", line.tax_terms.percent]
        net, tax = left.of(position)
        found[position] = (max(min(net, of_rate), nothing), max(tax, nothing))
    return found
