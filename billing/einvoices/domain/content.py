"""An electronic invoice in the terms of EN 16931-1 (BT, BG in the comments). Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from kernel.money import Money


class TypeCode(StrEnum):
    """BT-3, of the list UNTDID 1001."""

    INVOICE = "380"
    CREDIT_NOTE = "381"


class VatCategory(StrEnum):
    """BT-118 and BT-151, of the list UNCL 5305."""

    STANDARD = "S"
    ZERO = "Z"
    EXEMPT = "E"
    REVERSE_CHARGE = "AE"
    INTRA_COMMUNITY = "K"
    EXPORT = "G"
    OUTSIDE = "O"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trader:
    """Seller (BG-4) or buyer (BG-7); empty where nothing is said."""

    name: str
    identifier: str = ""  # BT-29, BT-46
    registration_id: str = ""  # BT-30, BT-47
    vat_id: str = ""  # BT-31, BT-48
    tax_registration_id: str = ""  # BT-32, of sellers alone
    endpoint_scheme: str = ""
    endpoint_id: str = ""  # BT-34, BT-49
    address_lines: Sequence[str] = ()  # BT-35, BT-36, BT-162; BT-50, BT-51, BT-163
    city: str = ""
    postal_code: str = ""
    subdivision: str = ""
    country: str = ""  # BT-40, BT-55
    email: str = ""  # BT-43, BT-58


@dataclass(frozen=True, slots=True, kw_only=True)
class Preceding:
    """The invoice that a credit note corrects (BG-3)."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Where a transfer goes (BG-17)."""

    means: str  # BT-81, of the list UNTDID 4461
    account: str  # BT-84
    name: str  # BT-85
    bank: str = ""  # BT-86


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxGroup:
    """What bears tax of one category and rate (BG-23); `percent` None: it has no rate."""

    category: VatCategory
    percent: Decimal | None
    taxable: Money  # BT-116
    tax: Money  # BT-117
    reason: str = ""  # BT-120
    reason_code: str = ""  # BT-121


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One amount (BG-25): price × quantity, less the allowance, with the charge, is its net."""

    identifier: str  # BT-126
    name: str  # BT-153
    description: str = ""  # BT-154
    quantity: Decimal  # BT-129
    unit: str  # BT-130, of UN/ECE recommendation 20
    price: Decimal  # BT-146
    discount: Money | None = None  # BT-136
    charge: Money | None = None  # BT-141
    net: Money  # BT-131
    category: VatCategory  # BT-151
    percent: Decimal | None  # BT-152
    starts_on: date  # BT-134
    ends_on: date  # BT-135


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectronicInvoice:
    """The whole document. `prepaid` is what was paid before it was issued."""

    type_code: TypeCode
    number: str  # BT-1
    issued_on: date  # BT-2
    due_on: date | None  # BT-9
    currency: str  # BT-5
    notes: Sequence[str] = ()  # BT-22
    buyer_reference: str = ""  # BT-10
    order_number: str = ""  # BT-13
    preceding: Preceding | None = None
    seller: Trader
    buyer: Trader
    representative: Trader | None = None  # BG-11
    delivery_country: str = ""  # BT-80
    starts_on: date  # BT-73
    ends_on: date  # BT-74
    account: Account | None = None
    payment_terms: str = ""  # BT-20
    groups: Sequence[TaxGroup]
    lines: Sequence[Line]
    lines_net: Money  # BT-106
    net: Money  # BT-109
    tax: Money  # BT-110
    national_tax: Money | None = None  # BT-111, in the currency BT-6
    total: Money  # BT-112
    prepaid: Money  # BT-113
    payable: Money  # BT-115
