"""From an issued document to the terms of EN 16931. Pure.

What the norm knows otherwise than we:

- **No price is below zero** (BR-27): a line that gives back has a negative quantity.
- **Price × quantity is the amount.** Where it isn't (tiers, packages, minimums, part periods, what a change
  of tax split) the line is one unit at the amount, and its description tells the working.
- **A discount of a line is its allowance**; that of a line which gives back is a charge.
- **What nobody says to be taxed is outside the tax** (category O). Then no VAT number may stand on the
  document (BR-O-02), so the seller's is its tax registration, and its representative is left out.
- **A tax id without a country's prefix is no VAT number** (BR-CO-9): it is a registration.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from stdnum import iban

from billing.einvoices.domain.content import (
    Account,
    ElectronicInvoice,
    Line,
    TaxGroup,
    Trader,
    TypeCode,
    VatCategory,
)
from billing.einvoices.domain.source import SourceDocument, SourceLine
from billing.parties.domain.member_states import is_member_state
from billing.parties.domain.party import Issuer, LegalParty
from billing.parties.domain.vat_numbers import vat_number
from billing.taxes.domain.rules import LineTax, TaxCode
from kernel.money import Money, round_amount, total

ONE: Final = "C62"
"""UN/ECE recommendation 20: one, of whatever is counted."""
_INTERVALS: Final = {"day": "DAY", "week": "WEE", "month": "MON", "quarter": "QAN", "year": "ANN"}
_TRANSFER: Final = "30"
_SEPA_TRANSFER: Final = "58"

_REASONS: Final = {
    VatCategory.REVERSE_CHARGE: ("VATEX-EU-AE", "Reverse charge"),
    VatCategory.INTRA_COMMUNITY: ("VATEX-EU-IC", "Intra-Community supply"),
    VatCategory.EXPORT: ("VATEX-EU-G", "Export outside the EU"),
    VatCategory.OUTSIDE: ("VATEX-EU-O", "Not subject to VAT"),
}


def electronic_invoice(document: SourceDocument) -> ElectronicInvoice:
    """The document in the norm's terms; `billing.einvoices.domain.rules` tells whether it may be sent."""
    zero = Money.zero(document.currency)
    categories = [category_of(line.tax, document) for line in document.lines]
    is_outside = VatCategory.OUTSIDE in categories
    lines = [
        _line(line, category) for line, category in zip(document.lines, categories, strict=True)
    ]
    net = total((line.net for line in lines), currency=document.currency)
    tax = total((line.tax_amount for line in document.lines), currency=document.currency)
    issuer = document.issuer
    return ElectronicInvoice(
        type_code=TypeCode.CREDIT_NOTE if document.is_credit_note else TypeCode.INVOICE,
        number=document.number,
        issued_on=document.issued_on,
        due_on=document.due_on,
        currency=document.currency,
        notes=[document.reason] if document.reason else [],
        buyer_reference=document.recipient.reference,
        order_number=document.recipient.order_number,
        preceding=document.corrects,
        seller=_trader(issuer, document, is_seller=True, is_outside=is_outside),
        buyer=_trader(document.recipient, document, is_seller=False, is_outside=is_outside),
        representative=None if is_outside else _representative(issuer, document),
        delivery_country=document.recipient.country
        if VatCategory.INTRA_COMMUNITY in categories
        else "",
        starts_on=min(line.first_day for line in document.lines),
        ends_on=max(line.last_day for line in document.lines),
        account=None if document.is_credit_note else _account(issuer, document),
        payment_terms=_terms(document),
        groups=_groups(document, categories),
        lines=lines,
        lines_net=net,
        net=net,
        tax=tax,
        national_tax=None if document.national_tax is None else document.national_tax.tax,
        total=document.total,
        prepaid=zero,
        payable=document.total,
    )


def category_of(tax: LineTax, document: SourceDocument) -> VatCategory:
    """The category by which the norm knows the tax of a line."""
    match tax.code:
        case TaxCode.STANDARD:
            return VatCategory.STANDARD
        case TaxCode.EXEMPT:
            return VatCategory.EXEMPT
        case TaxCode.REVERSE_CHARGE:
            return VatCategory.REVERSE_CHARGE
        case TaxCode.ZERO:
            return _free_of_tax(document)
        case TaxCode.NONE:
            return VatCategory.OUTSIDE


def _free_of_tax(document: SourceDocument) -> VatCategory:
    """Taxed at nothing: at home by its rate; from the Union abroad as an export, to a business of another
    member state as a supply within it."""
    seller, buyer, on = document.issuer, document.recipient, document.issued_on
    if not is_member_state(seller.country, on=on) or buyer.country in {"", seller.country}:
        return VatCategory.ZERO
    if not is_member_state(buyer.country, on=on):
        return VatCategory.EXPORT
    if vat_number(buyer.tax_id, country=buyer.country, on=on) is None:
        return VatCategory.ZERO
    return VatCategory.INTRA_COMMUNITY


def _line(line: SourceLine, category: VatCategory) -> Line:
    quantity, price = _priced(line)
    whole = line.interval if quantity == 1 else ""
    zero = Money.zero(line.amount.currency)
    return Line(
        identifier=str(line.position),
        name=line.name,
        description=line.description,
        quantity=quantity,
        unit=_INTERVALS.get(whole, ONE),
        price=price,
        discount=line.discount if line.discount > zero else None,
        charge=-line.discount if line.discount < zero else None,
        net=line.amount - line.discount,
        category=category,
        percent=_percent(line.tax, category),
        starts_on=line.first_day,
        ends_on=line.last_day,
    )


def _priced(line: SourceLine) -> tuple[Decimal, Decimal]:
    """Quantity and price, the price not below zero, whose product is the amount."""
    quantity, price = line.quantity, line.unit_price
    if price is not None and quantity:
        exact = Fraction(quantity) * Fraction(price)
        if round_amount(exact, line.amount.currency) == line.amount:
            return (quantity, price) if price >= 0 else (-quantity, -price)
    one = Decimal(-1 if line.amount.minor < 0 else 1)
    return one, abs(line.amount.amount)


def _percent(tax: LineTax, category: VatCategory) -> Decimal | None:
    if category is VatCategory.OUTSIDE:
        return None
    return tax.percent if category is VatCategory.STANDARD else Decimal(0)


def _groups(document: SourceDocument, categories: Sequence[VatCategory]) -> list[TaxGroup]:
    """One group for each category and rate, in the order of the lines."""
    found: dict[tuple[VatCategory, Decimal | None], list[SourceLine]] = {}
    for line, category in zip(document.lines, categories, strict=True):
        percent = _percent(line.tax, category)
        key = (category, None if percent is None else percent.normalize())
        found.setdefault(key, []).append(line)
    groups = []
    for (category, percent), lines in found.items():
        code, reason = _reason(category, lines, document)
        groups.append(
            TaxGroup(
                category=category,
                percent=percent,
                taxable=total(
                    (line.amount - line.discount for line in lines), currency=document.currency
                ),
                tax=total((line.tax_amount for line in lines), currency=document.currency),
                reason=reason,
                reason_code=code,
            )
        )
    return groups


def _reason(
    category: VatCategory, lines: Sequence[SourceLine], document: SourceDocument
) -> tuple[str, str]:
    """Why there is no tax, as a code and in words."""
    if category in {VatCategory.STANDARD, VatCategory.ZERO}:
        return "", ""
    texts = dict.fromkeys(
        text
        for line in lines
        if (text := line.tax.text.get(document.language) or line.tax.text.get("en", ""))
    )
    said = " ".join(texts)
    if category is VatCategory.EXEMPT:
        return document.recipient.exemption_code, said or document.recipient.exemption_reason
    code, words = _REASONS[category]
    if not said:
        return code, words
    return code, said if words.lower() in said.lower() else f"{words}. {said}"


def _trader(
    party: LegalParty, document: SourceDocument, *, is_seller: bool, is_outside: bool
) -> Trader:
    number = vat_number(party.tax_id, country=party.country, on=document.issued_on)
    vat_id = "" if is_outside or number is None else number
    other = "" if vat_id else party.tax_id
    registration_id = party.registration_id or ("" if is_seller else other)
    return Trader(
        name=party.name,
        # Who has neither number is told by its tax id all the same (BR-CO-26).
        identifier=other if is_seller and not (registration_id or vat_id) else "",
        registration_id=registration_id,
        vat_id=vat_id,
        tax_registration_id=other if is_seller else "",
        endpoint_scheme=party.endpoint_scheme,
        endpoint_id=party.endpoint_id,
        address_lines=_address_lines(party),
        city=party.city,
        postal_code=party.postal_code,
        subdivision=party.subdivision,
        country=party.country,
        email=party.email,
    )


def _address_lines(party: LegalParty) -> list[str]:
    """The street, or the lines of an address that is one text: at most three, the rest in the last."""
    if party.street:
        return [party.street]
    lines = [line.strip() for line in party.address.splitlines() if line.strip()]
    return [*lines[:2], ", ".join(lines[2:])] if len(lines) > 2 else lines


def _representative(issuer: Issuer, document: SourceDocument) -> Trader | None:
    if not issuer.has_representative:
        return None
    number = vat_number(
        issuer.representative_tax_id, country=issuer.representative_country, on=document.issued_on
    )
    return Trader(
        name=issuer.representative_name,
        vat_id=number or issuer.representative_tax_id,
        address_lines=[issuer.representative_street] if issuer.representative_street else [],
        city=issuer.representative_city,
        postal_code=issuer.representative_postal_code,
        country=issuer.representative_country,
    )


def _account(issuer: Issuer, document: SourceDocument) -> Account | None:
    if not issuer.iban:
        return None
    plain = issuer.iban.replace(" ", "")
    is_sepa = document.currency == "EUR" and iban.is_valid(plain)
    return Account(
        means=_SEPA_TRANSFER if is_sepa else _TRANSFER,
        account=plain,
        name=issuer.name,
        bank=issuer.bic,
    )


def _terms(document: SourceDocument) -> str:
    """What an amount due needs beside a date (BR-CO-25): a credit note has none."""
    if not document.is_credit_note:
        return document.issuer.bank_details
    return "The amount is set off against what is owed or credited to the account."
