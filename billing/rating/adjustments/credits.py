"""Credits: money that the tenant has already, off the total after tax."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kernel.allocation import allocate
from kernel.errors import Invalid
from kernel.money import Money, total

_DIMENSIONS = ("prices", "plans", "apps")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditScope:
    """What a credit may pay: lines of these prices, plans and apps, by their keys.

    An empty dimension is no limit; a line must fit all that are given.
    """

    prices: frozenset[str] = frozenset()
    plans: frozenset[str] = frozenset()
    apps: frozenset[str] = frozenset()

    @property
    def is_limited(self) -> bool:
        return bool(self.prices or self.plans or self.apps)

    def covers(self, line: "PayableLine") -> bool:
        return (
            (not self.prices or line.price in self.prices)
            and (not self.plans or line.plan in self.plans)
            and (not self.apps or line.app in self.apps)
        )

    def told(self) -> dict[str, list[str]]:
        """Ready for JSON, as `read_scope` reads it; empty for no limit."""
        return {name: sorted(keys) for name in _DIMENSIONS if (keys := getattr(self, name))}


@dataclass(frozen=True, slots=True, kw_only=True)
class PayableLine:
    """A line of an invoice with its tax; negative for one that gives back. `app` is "" for none."""

    price: str
    plan: str
    app: str
    gross: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopedCredit:
    """What is left of a credit, and what it may pay."""

    left: Money
    scope: CreditScope


def read_scope(value: object) -> CreditScope:
    """The scope that decoded JSON tells: `{"prices": [...], "plans": [...], "apps": [...]}`, each left
    out where it is no limit; None is no limit at all. Raises Invalid `bad_scope`."""
    if value is None:
        return CreditScope()
    if not isinstance(value, dict) or not set(value) <= set(_DIMENSIONS):
        raise _bad_scope(f"an object with {', '.join(_DIMENSIONS)}")
    found: dict[str, Any] = {}
    for name, keys in value.items():
        if (
            not isinstance(keys, list)
            or not keys
            or not all(isinstance(key, str) and key for key in keys)
        ):
            raise _bad_scope(f"{name} as a list of keys, or without it")
        found[name] = frozenset(keys)
    return CreditScope(**found)


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


def drawn_credits(
    held: Sequence[ScopedCredit], *, lines: Sequence[PayableLine], outstanding: Money
) -> list[Money]:
    """What each credit pays, in their order: at most what is left of it, of the lines that it covers,
    and of what is outstanding.

    What lines give back lowers first what like lines cost, then all others in proportion. A credit
    takes first what no later credit could pay, so that a voucher for everything leaves to one for a
    single price what only that one may pay; among equals, line by line in order.
    """
    none = Money.zero(outstanding.currency)
    left = _payable(lines, currency=outstanding.currency)
    covering = [
        [place for place, line in enumerate(lines) if credit.scope.covers(line)] for credit in held
    ]
    drawn = []
    for index, credit in enumerate(held):
        usable = max(none, min(credit.left, outstanding))
        wanted_later = [
            sum(place in later for later in covering[index + 1 :]) for place in range(len(lines))
        ]
        paid = none
        for place in sorted(covering[index], key=lambda place: (wanted_later[place], place)):
            part = min(usable - paid, left[place])
            left[place] = left[place] - part
            paid = paid + part
        outstanding = outstanding - paid
        drawn.append(paid)
    return drawn


def _payable(lines: Sequence[PayableLine], *, currency: str) -> list[Money]:
    """What of each line is to be paid, when what others give back is taken off; sums to their total,
    or to zero where more is given back than charged."""
    none = Money.zero(currency)
    left = [max(none, line.gross) for line in lines]
    rest = none
    for line in lines:
        back = max(none, -line.gross)
        for place, other in enumerate(lines):
            if (other.price, other.plan, other.app) == (line.price, line.plan, line.app):
                part = min(back, left[place])
                left[place], back = left[place] - part, back - part
        rest = rest + back
    whole = total(left, currency=currency)
    if rest >= whole:
        return [none] * len(lines)
    if rest:
        shares = allocate(rest, [amount.minor for amount in left])
        left = [amount - share for amount, share in zip(left, shares, strict=True)]
    return left


def _bad_scope(wanted: str) -> Invalid:
    return Invalid("bad_scope", f"scope is not understood; write {wanted}.", field="scope")
