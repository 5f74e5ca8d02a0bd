"""An issued document as it was kept, from which an electronic one is made. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from billing.einvoices.domain.content import Preceding
from billing.exchange.domain import NationalTax
from billing.parties.domain.party import Issuer, Recipient
from billing.taxes.domain.rules import LineTax
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLine:
    """One line. `unit_price` is None where quantity × unit price is not the amount, `amount` is before the
    discount; `interval` is that of which a quantity of 1 is a whole one, "" where it is none.

    Of a credit note amounts are in the tenant's favour.
    """

    position: int
    name: str
    description: str = ""
    quantity: Decimal
    unit_price: Decimal | None
    amount: Money
    discount: Money
    tax: LineTax
    tax_amount: Money
    first_day: date
    last_day: date
    interval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    """An issued invoice or credit note; `total` is with tax."""

    number: str
    is_credit_note: bool
    issued_on: date
    due_on: date | None
    language: str
    currency: str
    issuer: Issuer
    recipient: Recipient
    national_tax: NationalTax | None
    lines: Sequence[SourceLine]
    total: Money
    corrects: Preceding | None = None
    reason: str = ""
