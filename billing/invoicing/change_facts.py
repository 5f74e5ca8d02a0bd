"""What a change depends on: a running subscription, and what was billed of its present period. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from billing.discounts.domain import DiscountTerms
from billing.invoicing.drafting import Contract, HeldVersion
from billing.rating.adjustments.discounts import Taken
from billing.rating.usage import Usage
from kernel.money import Money

ChargedKey = tuple[str, int, str]
"""Plan, number of its version, price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledAhead:
    """A line that billed a part of the present period in advance, or gave it back: negative then."""

    document: object
    plan: str
    version: int
    price: str
    amount: Money
    discounts: tuple[Taken, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDiscount:
    """A discount that is to be held, by the id that it will have."""

    id: UUID
    terms: DiscountTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A running subscription, and what was billed of its present period.

    `charged` tells how much of a price was billed in advance; `ahead` are the lines that did, the
    newest document first, so far as discounts are held. `left` is what is left, after discounts, of the
    prices of which a credit note took something back. `is_opening_draft`: the document that
    bills the advance of the present period is not issued yet; `is_advance_billed`: it is, or there is
    none. `new` is the version that a change of plan asks for, `discount` what a coupon gives. `usage` is that of the present period.
    """

    contract: Contract
    starts_at: datetime
    ends_at: datetime | None
    next_boundary_at: datetime | None
    charged: Mapping[ChargedKey, Decimal] = field(default_factory=dict)
    ahead: Sequence[BilledAhead] = ()
    left: Mapping[ChargedKey, Money] = field(default_factory=dict)
    is_opening_draft: bool = False
    is_advance_billed: bool = False
    new: HeldVersion | None = None
    discount: NewDiscount | None = None
    usage: Usage = field(default_factory=dict)

    def is_on_trial(self, day: date) -> bool:
        """Whether nothing is billed yet on the day: a trial runs, or it has not started."""
        return day < self.contract.cadence.starts_on
