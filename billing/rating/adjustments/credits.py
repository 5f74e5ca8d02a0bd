"""Credits: money that the tenant has already, off the total after tax."""

from collections.abc import Sequence

from kernel.money import Money, total


def credited_lines(credit: Money, *, grosses: Sequence[Money]) -> list[Money]:
    """What of the credit each line uses: line by line in order, as far as it reaches.

    At most the sum of the lines is used, and none by a line that is itself a credit. The rest of
    the credit stays with the tenant.
    """
    none = Money.zero(credit.currency)
    usable = min(credit, max(none, total(grosses, currency=credit.currency)))
    used = []
    for gross in grosses:
        part = min(usable, max(none, gross))
        used.append(part)
        usable = usable - part
    return used
