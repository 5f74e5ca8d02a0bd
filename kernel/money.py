"""Money: an integer of the currency's minor unit and its ISO 4217 code, and the one rounding.

Amounts become `Money` at one point, `round_amount`, half away from zero, once per line. All else
is exact: sums and differences of equal currencies, and products with integers. Splitting is
`kernel.allocation.allocate`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from kernel.currencies import exponent
from kernel.decimals import Exact, nearest_units, parse_decimal
from kernel.errors import Invalid

MAX_MINOR = 2**63 - 1
"""Amounts are stored as 64-bit integers."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` units (cents, fen) of `currency`. Raises Invalid `unknown_currency`,
    `amount_out_of_range`."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if not -MAX_MINOR <= self.minor <= MAX_MINOR:
            raise Invalid(
                "amount_out_of_range",
                f"An amount in {self.currency} is beyond {MAX_MINOR} minor units; "
                "split it or lower the price or quantity.",
                field="amount",
            )

    @classmethod
    def of(cls, amount: str | int | Decimal, currency: str, *, field: str = "amount") -> "Money":
        """Money.of("12.30", "CNY"): the amount in major units, which the currency must be able
        to state exactly.

        Raises Invalid `too_many_decimals` and the codes of `kernel.decimals.parse_decimal`.
        """
        decimals = exponent(currency)
        number = parse_decimal(amount, field=field, places=decimals)
        return cls(int(number.scaleb(decimals)), currency)

    @classmethod
    def zero(cls, currency: str) -> "Money":
        return cls(0, currency)

    @property
    def amount(self) -> Decimal:
        """In major units, with the currency's decimals: Decimal("12.30")."""
        sign = 1 if self.minor < 0 else 0
        digits = tuple(int(digit) for digit in str(abs(self.minor)))
        return Decimal((sign, digits, -exponent(self.currency)))

    def __str__(self) -> str:
        return f"{self.amount:f} {self.currency}"

    def __bool__(self) -> bool:
        return self.minor != 0

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __abs__(self) -> "Money":
        return Money(abs(self.minor), self.currency)

    def __add__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        self._check_same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        if not isinstance(other, Money):
            return NotImplemented
        self._check_same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __mul__(self, factor: int) -> "Money":
        if type(factor) is not int:
            return NotImplemented
        return Money(self.minor * factor, self.currency)

    __rmul__ = __mul__

    def __lt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._check_same_currency(other)
        return self.minor < other.minor

    def __le__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        self._check_same_currency(other)
        return self.minor <= other.minor

    def __gt__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return other < self

    def __ge__(self, other: "Money") -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return other <= self

    def _check_same_currency(self, other: "Money") -> None:
        if self.currency != other.currency:
            raise Invalid(
                "currency_mismatch",
                f"{self.currency} and {other.currency} don't mix; "
                "use one currency in a plan and in a document.",
                field="currency",
            )


def round_amount(amount: Exact, currency: str) -> Money:
    """The exact amount, in major units, as Money: half away from zero to the minor unit.

    The only place where an amount is rounded. Mirrored amounts round to mirrored money, so that
    an invoice and its credit note cancel to nothing.
    """
    return Money(nearest_units(amount, places=exponent(currency)), currency)


def total(amounts: Iterable[Money], *, currency: str) -> Money:
    """The sum; zero in `currency` for no amounts. Raises Invalid `currency_mismatch`."""
    nothing = Money.zero(currency)
    minor = 0
    for amount in amounts:
        nothing._check_same_currency(amount)
        minor += amount.minor
    return Money(minor, currency)
