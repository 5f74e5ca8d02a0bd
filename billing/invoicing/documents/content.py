"""What an invoice says. Pure values; texts are literal and never markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billing.invoicing.documents.transfer_code import Transfer
from kernel.errors import Invalid
from kernel.money import Money, total

PDF = "application/pdf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Seller or buyer; `address` may have several lines. Empty fields are left out."""

    name: str
    address: str = ""
    country: str = ""
    tax_id: str = ""
    registration_id: str = ""
    email: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLine:
    """One amount. `first_day` and `last_day` are local days of service, both included.

    `unit_price` is None where quantity × unit price is not the amount; then `working` tells how it
    came about.
    """

    description: str
    detail: str = ""
    working: str = ""
    quantity: Decimal | None
    unit_price: Decimal | None
    amount: Money
    discount: Money | None = None
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSection:
    """The next so many lines are of one subscription; `subtotal` sums them."""

    title: str
    lines: int
    subtotal: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxLine:
    """Tax of one rate: what it was computed from and what it comes to.

    `code` is one of `billing.taxes.domain.rules.TaxCode`; `text` is what the law wants said of it.
    """

    rate_percent: Decimal
    code: str = "standard"
    text: str = ""
    taxable: Money
    tax: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDocument:
    """The whole content of an issued invoice.

    The fields follow article 226 of Directive 2006/112/EC: number, date of issue, both parties with
    their tax ids, quantity and nature, period of supply, unit price without tax, taxable amount and
    tax per rate. `issued_at` also dates the file, so that equal content gives equal bytes.

    Raises Invalid `document_does_not_add_up` when lines and totals disagree.
    """

    number: str
    language: str
    zone: str
    seller: Party
    buyer: Party
    issued_at: datetime
    issued_on: date
    due_on: date
    first_day: date
    last_day: date
    currency: str
    lines: Sequence[DocumentLine]
    sections: Sequence[DocumentSection] = ()
    subtotal: Money
    discount: Money
    taxes: Sequence[TaxLine] = ()
    tax: Money
    total: Money
    paid: Money
    due: Money
    payment_instructions: str = ""
    transfer: Transfer | None = None
    is_proforma: bool = False
    """It is no invoice: `number` is its own reference, `due_on` the last day on which it holds."""
    order_number: str = ""
    buyer_reference: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        lines = total((line.amount for line in self.lines), currency=self.currency)
        faults = [
            name
            for name, left, right in (
                ("lines and subtotal", lines, self.subtotal),
                (
                    "sections",
                    total((each.subtotal for each in self.sections), currency=self.currency),
                    self.subtotal if self.sections else Money.zero(self.currency),
                ),
                ("total", self.subtotal - self.discount + self.tax, self.total),
                ("amount due", self.total - self.paid, self.due),
                (
                    "tax lines",
                    total((each.tax for each in self.taxes), currency=self.currency),
                    self.tax if self.taxes else Money.zero(self.currency),
                ),
            )
            if left != right
        ]
        if faults:
            raise Invalid(
                "document_does_not_add_up",
                f"Invoice {self.number} does not add up: {', '.join(faults)}; "
                "its rows must be looked at before it is printed.",
                field="total",
                params={"number": self.number},
            )
