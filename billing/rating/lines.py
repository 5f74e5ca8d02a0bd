"""What rating answers: lines with their money, and all that explains it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rating.adjustments.discounts import Taken
from kernel.money import Money, total
from kernel.period import Period


class LineKind(StrEnum):
    """What a line is for."""

    RECURRING = "recurring"
    """Due by time, not by usage."""
    USAGE = "usage"
    """Due for metered usage."""
    TRUE_UP = "true_up"
    """What is missing to an agreed minimum."""
    CREDIT = "credit"
    """What was billed in advance and is not used; negative."""
    CAP = "cap"
    """What is above the plan's maximum; negative."""
    ADJUSTMENT = "adjustment"
    """What late usage changes of a period that was billed before; of either sign."""
    CHARGE = "charge"
    """What was agreed apart from a plan."""
    TOP_UP = "top_up"
    """Money paid ahead, which is no supply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedLine:
    """One amount, rounded once, with its working.

    `unit_price` is None where quantity x unit price isn't the amount (tiers, part periods).
    `exact` is the amount before rounding. `phrase` and `params` name the description for
    translation; `description` is its English. `explanation` is ready for JSON: every number is a
    text, every date `YYYY-MM-DD`. `discounts` tell what each took off `amount`, in their order.
    """

    key: str
    kind: LineKind
    description: str
    phrase: str
    params: Mapping[str, str]
    quantity: Decimal
    unit_price: Decimal | None
    exact: Fraction
    amount: Money
    period: Period
    app_key: str | None
    explanation: Mapping[str, object]
    discounts: tuple[Taken, ...] = ()

    @property
    def discount(self) -> Money:
        """What all discounts take off."""
        return total((each.amount for each in self.discounts), currency=self.amount.currency)

    @property
    def net(self) -> Money:
        """What is left of the amount."""
        return self.amount - self.discount if self.discounts else self.amount
