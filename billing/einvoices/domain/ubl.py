"""An electronic invoice written as UBL 2.1. Pure: equal invoices give equal bytes.

Source: EN 16931-3-2 (the binding of the norm's terms to UBL) and the sequences of OASIS UBL 2.1.
"""

import re
from datetime import date
from decimal import Decimal
from typing import Final
from xml.etree import ElementTree as Xml

from billing.einvoices.domain.content import (
    Account,
    ElectronicInvoice,
    Line,
    TaxGroup,
    Trader,
    TypeCode,
)
from kernel.decimals import plain_text
from kernel.money import Money

MEDIA_TYPE: Final = "application/xml"
_UBL: Final = "urn:oasis:names:specification:ubl:schema:xsd"
_NORM: Final = "urn:cen.eu:en16931:2017"
_MOST_DECIMALS: Final = 2
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for."""


def ubl_bytes(invoice: ElectronicInvoice) -> bytes:
    """The document as UTF-8 XML."""
    is_note = invoice.type_code is TypeCode.CREDIT_NOTE
    name = "CreditNote" if is_note else "Invoice"
    root = Xml.Element(
        name,
        {
            "xmlns": f"{_UBL}:{name}-2",
            "xmlns:cac": f"{_UBL}:CommonAggregateComponents-2",
            "xmlns:cbc": f"{_UBL}:CommonBasicComponents-2",
        },
    )
    _head(root, invoice, is_note=is_note)
    _party(_group(root, "AccountingSupplierParty", "Party"), invoice.seller)
    _party(_group(root, "AccountingCustomerParty", "Party"), invoice.buyer)
    if invoice.representative is not None:
        _representative(_group(root, "TaxRepresentativeParty"), invoice.representative)
    if invoice.delivery_country:
        country = _group(root, "Delivery", "DeliveryLocation", "Address", "Country")
        _text(country, "IdentificationCode", invoice.delivery_country)
    if invoice.account is not None:
        _account(_group(root, "PaymentMeans"), invoice.account, number=invoice.number)
    if invoice.payment_terms:
        _text(_group(root, "PaymentTerms"), "Note", invoice.payment_terms)
    _taxes(root, invoice)
    sums = _group(root, "LegalMonetaryTotal")
    for tag, money in (
        ("LineExtensionAmount", invoice.lines_net),
        ("TaxExclusiveAmount", invoice.net),
        ("TaxInclusiveAmount", invoice.total),
        ("PrepaidAmount", invoice.prepaid if invoice.prepaid else None),
        ("PayableAmount", invoice.payable),
    ):
        if money is not None:
            _amount(sums, tag, money)
    for line in invoice.lines:
        _line(_group(root, f"{name}Line"), line, is_note=is_note)
    Xml.indent(root)
    return bytes(Xml.tostring(root, encoding="UTF-8", xml_declaration=True)) + b"\n"


def _head(root: Xml.Element, invoice: ElectronicInvoice, *, is_note: bool) -> None:
    _text(root, "CustomizationID", _NORM)
    _text(root, "ID", invoice.number)
    _day(root, "IssueDate", invoice.issued_on)
    if not is_note and invoice.due_on is not None:
        _day(root, "DueDate", invoice.due_on)
    _text(root, "CreditNoteTypeCode" if is_note else "InvoiceTypeCode", invoice.type_code)
    for note in invoice.notes:
        _text(root, "Note", note)
    _text(root, "DocumentCurrencyCode", invoice.currency)
    if invoice.national_tax is not None:
        _text(root, "TaxCurrencyCode", invoice.national_tax.currency)
    _text(root, "BuyerReference", invoice.buyer_reference)
    _period(root, invoice.starts_on, invoice.ends_on)
    if invoice.order_number:
        _text(_group(root, "OrderReference"), "ID", invoice.order_number)
    if invoice.preceding is not None:
        reference = _group(root, "BillingReference", "InvoiceDocumentReference")
        _text(reference, "ID", invoice.preceding.number)
        _day(reference, "IssueDate", invoice.preceding.issued_on)


def _party(party: Xml.Element, trader: Trader) -> None:
    if trader.endpoint_id:
        _text(party, "EndpointID", trader.endpoint_id, schemeID=trader.endpoint_scheme)
    if trader.identifier:
        _text(_group(party, "PartyIdentification"), "ID", trader.identifier)
    _address(_group(party, "PostalAddress"), trader)
    for number, scheme in ((trader.vat_id, "VAT"), (trader.tax_registration_id, "TAX")):
        if number:
            _tax_scheme(party, number, scheme=scheme)
    entity = _group(party, "PartyLegalEntity")
    _text(entity, "RegistrationName", trader.name)
    _text(entity, "CompanyID", trader.registration_id)
    if trader.email:
        _text(_group(party, "Contact"), "ElectronicMail", trader.email)


def _representative(party: Xml.Element, trader: Trader) -> None:
    _text(_group(party, "PartyName"), "Name", trader.name)
    _address(_group(party, "PostalAddress"), trader)
    _tax_scheme(party, trader.vat_id, scheme="VAT")


def _address(address: Xml.Element, trader: Trader) -> None:
    street, additional, rest = (*trader.address_lines, "", "", "")[:3]
    _text(address, "StreetName", street)
    _text(address, "AdditionalStreetName", additional)
    _text(address, "CityName", trader.city)
    _text(address, "PostalZone", trader.postal_code)
    _text(address, "CountrySubentity", trader.subdivision)
    if rest:
        _text(_group(address, "AddressLine"), "Line", rest)
    if trader.country:
        _text(_group(address, "Country"), "IdentificationCode", trader.country)


def _tax_scheme(party: Xml.Element, number: str, *, scheme: str) -> None:
    of_tax = _group(party, "PartyTaxScheme")
    _text(of_tax, "CompanyID", number)
    _text(_group(of_tax, "TaxScheme"), "ID", scheme)


def _account(means: Xml.Element, account: Account, *, number: str) -> None:
    _text(means, "PaymentMeansCode", account.means)
    _text(means, "PaymentID", number)
    payee = _group(means, "PayeeFinancialAccount")
    _text(payee, "ID", account.account)
    _text(payee, "Name", account.name)
    if account.bank:
        _text(_group(payee, "FinancialInstitutionBranch"), "ID", account.bank)


def _taxes(root: Xml.Element, invoice: ElectronicInvoice) -> None:
    taxes = _group(root, "TaxTotal")
    _amount(taxes, "TaxAmount", invoice.tax)
    for each in invoice.groups:
        subtotal = _group(taxes, "TaxSubtotal")
        _amount(subtotal, "TaxableAmount", each.taxable)
        _amount(subtotal, "TaxAmount", each.tax)
        _category(_group(subtotal, "TaxCategory"), each)
    if invoice.national_tax is not None:
        _amount(_group(root, "TaxTotal"), "TaxAmount", invoice.national_tax)


def _category(category: Xml.Element, of: TaxGroup | Line) -> None:
    _text(category, "ID", of.category)
    if of.percent is not None:
        _text(category, "Percent", plain_text(of.percent))
    if isinstance(of, TaxGroup):
        _text(category, "TaxExemptionReasonCode", of.reason_code)
        _text(category, "TaxExemptionReason", of.reason)
    _text(_group(category, "TaxScheme"), "ID", "VAT")


def _line(element: Xml.Element, line: Line, *, is_note: bool) -> None:
    _text(element, "ID", line.identifier)
    _text(
        element,
        "CreditedQuantity" if is_note else "InvoicedQuantity",
        plain_text(line.quantity),
        unitCode=line.unit,
    )
    _amount(element, "LineExtensionAmount", line.net)
    _period(element, line.starts_on, line.ends_on)
    for is_charge, money in ((False, line.discount), (True, line.charge)):
        if money is not None:
            change = _group(element, "AllowanceCharge")
            _text(change, "ChargeIndicator", "true" if is_charge else "false")
            _text(change, "AllowanceChargeReason", "Discount")
            _amount(change, "Amount", money)
    item = _group(element, "Item")
    _text(item, "Description", line.description)
    _text(item, "Name", line.name)
    _category(_group(item, "ClassifiedTaxCategory"), line)
    _text(
        _group(element, "Price"),
        "PriceAmount",
        plain_text(line.price),
        currencyID=line.net.currency,
    )


def _period(parent: Xml.Element, starts_on: date, ends_on: date) -> None:
    period = _group(parent, "InvoicePeriod")
    _day(period, "StartDate", starts_on)
    _day(period, "EndDate", ends_on)


def _group(parent: Xml.Element, *path: str) -> Xml.Element:
    for tag in path:
        parent = Xml.SubElement(parent, f"cac:{tag}")
    return parent


def _text(parent: Xml.Element, tag: str, text: str, **attributes: str) -> None:
    """A field; empty ones are left out, as an empty element is none."""
    plain = _NOT_XML.sub("", text).strip()
    if plain:
        Xml.SubElement(parent, f"cbc:{tag}", attributes).text = plain


def _day(parent: Xml.Element, tag: str, day: date) -> None:
    _text(parent, tag, day.isoformat())


def _amount(parent: Xml.Element, tag: str, money: Money) -> None:
    _text(parent, tag, amount_text(money.amount), currencyID=money.currency)


def amount_text(amount: Decimal) -> str:
    """With the decimals of its currency, but no more than the norm's two unless they say something."""
    shown = f"{amount:f}"
    whole, point, decimals = shown.partition(".")
    kept = decimals[:_MOST_DECIMALS] + decimals[_MOST_DECIMALS:].rstrip("0")
    return f"{whole}{point}{kept}" if kept else whole
