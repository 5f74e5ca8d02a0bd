"""The rules of EN 16931 that a document of ours could break, checked before it is handed out. Pure.

Source: EN 16931-1 section 6.4 and the rules that CEN publishes with it (BR, BR-CO, BR-DEC, and those of each
category of tax). Rules of terms that we never use (document allowances, attachments, cards, payees) are not
here; those that our values keep by construction are, so that a change of the mapping is noticed.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.catalog.domain.faults import Fault
from billing.einvoices.domain.content import (
    ElectronicInvoice,
    Line,
    TaxGroup,
    Trader,
    TypeCode,
    VatCategory,
)
from kernel.errors import Conflict
from kernel.money import Money, round_amount, total

_ONE: Final = 1
_NOTHING: Final = Decimal(0)
_CODE_OF_CATEGORY: Final = {
    VatCategory.STANDARD: "S",
    VatCategory.ZERO: "Z",
    VatCategory.EXEMPT: "E",
    VatCategory.REVERSE_CHARGE: "AE",
    VatCategory.INTRA_COMMUNITY: "IC",
    VatCategory.EXPORT: "G",
    VatCategory.OUTSIDE: "O",
}
"""How the rules of a category begin: BR-S-01."""
_WITH_BUYERS_NUMBER: Final = {VatCategory.REVERSE_CHARGE, VatCategory.INTRA_COMMUNITY}


def refuse_broken_rules(invoice: ElectronicInvoice) -> None:
    """Raises Conflict `einvoice_breaks_rules` with every rule that the document would break."""
    faults = list(broken_rules(invoice))
    if faults:
        told = "; ".join(fault.message for fault in faults[:10])
        raise Conflict(
            "einvoice_breaks_rules",
            f"{invoice.number} can't be written in the form of EN 16931: {told}.",
            field="invoice",
            params={"rules": ", ".join(dict.fromkeys(fault.code for fault in faults))},
        )


def broken_rules(invoice: ElectronicInvoice) -> Iterator[Fault]:
    """Every rule that the document breaks: `code` is the rule's name, `message` says what it wants."""
    yield from _presence(invoice)
    yield from _parties(invoice)
    yield from _payment(invoice)
    yield from _decimals(invoice)
    for place, line in enumerate(invoice.lines):
        yield from _line(f"lines[{place}]", line)
    yield from _sums(invoice)
    for category in VatCategory:
        yield from _category(category, invoice)


def _unless(holds: object, rule: str, path: str, wants: str) -> Iterator[Fault]:
    if not holds:
        yield Fault(path=path, code=rule, message=f"{rule}: {path} {wants}")


def _presence(invoice: ElectronicInvoice) -> Iterator[Fault]:
    yield from _unless(invoice.number, "BR-02", "number", "is missing")
    yield from _unless(invoice.currency, "BR-05", "currency", "is missing")
    yield from _unless(invoice.lines, "BR-16", "lines", "has none")
    yield from _unless(invoice.groups, "BR-CO-18", "groups", "has none")
    yield from _unless(
        invoice.starts_on <= invoice.ends_on, "BR-29", "ends_on", "is before its start"
    )
    if invoice.preceding is not None:
        yield from _unless(invoice.preceding.number, "BR-55", "preceding", "has no number")
    yield from _unless(
        invoice.preceding is None or invoice.type_code is TypeCode.CREDIT_NOTE,
        "BR-55",
        "preceding",
        "stands on an invoice",
    )


def _parties(invoice: ElectronicInvoice) -> Iterator[Fault]:
    seller, buyer, other = invoice.seller, invoice.buyer, invoice.representative
    yield from _unless(seller.name, "BR-06", "seller.name", "is missing")
    yield from _unless(buyer.name, "BR-07", "buyer.name", "is missing")
    yield from _unless(seller.country, "BR-09", "seller.country", "is missing")
    yield from _unless(buyer.country, "BR-11", "buyer.country", "is missing")
    for rule, path, party in (("BR-62", "seller", seller), ("BR-63", "buyer", buyer)):
        has_scheme = bool(party.endpoint_scheme) == bool(party.endpoint_id)
        yield from _unless(has_scheme, rule, f"{path}.endpoint_id", "lacks its scheme")
    yield from _unless(
        seller.identifier or seller.registration_id or seller.vat_id,
        "BR-CO-26",
        "seller.tax_id",
        "and every other identifier are missing",
    )
    if other is not None:
        yield from _unless(other.name, "BR-18", "representative.name", "is missing")
        yield from _unless(other.country, "BR-20", "representative.country", "is missing")
        yield from _unless(other.vat_id, "BR-56", "representative.vat_id", "is missing")
    for path, trader in (("seller", seller), ("buyer", buyer), ("representative", other)):
        if trader is not None and trader.vat_id:
            yield from _unless(
                trader.vat_id[:2].isalpha() and trader.vat_id[:2].isupper(),
                "BR-CO-09",
                f"{path}.vat_id",
                "does not begin with a country's code",
            )


def _payment(invoice: ElectronicInvoice) -> Iterator[Fault]:
    if invoice.payable.minor > 0:
        has_terms = invoice.due_on is not None or invoice.payment_terms
        yield from _unless(has_terms, "BR-CO-25", "due_on", "and terms of payment are missing")
    if invoice.account is not None:
        yield from _unless(invoice.account.means, "BR-49", "account.means", "is missing")
        yield from _unless(invoice.account.account, "BR-50", "account.account", "is missing")
    if invoice.national_tax is not None:
        same = invoice.national_tax.currency == invoice.currency
        yield from _unless(not same, "BR-53", "national_tax", "is in the document's currency")


def _decimals(invoice: ElectronicInvoice) -> Iterator[Fault]:
    """No amount has more than two decimals: one of a currency with three only where the third is 0."""
    amounts: list[tuple[str, str, Money | None]] = [
        ("BR-DEC-09", "lines_net", invoice.lines_net),
        ("BR-DEC-12", "net", invoice.net),
        ("BR-DEC-13", "tax", invoice.tax),
        ("BR-DEC-14", "total", invoice.total),
        ("BR-DEC-15", "national_tax", invoice.national_tax),
        ("BR-DEC-16", "prepaid", invoice.prepaid),
        ("BR-DEC-18", "payable", invoice.payable),
    ]
    for place, group in enumerate(invoice.groups):
        amounts.append(("BR-DEC-19", f"groups[{place}].taxable", group.taxable))
        amounts.append(("BR-DEC-20", f"groups[{place}].tax", group.tax))
    for place, line in enumerate(invoice.lines):
        amounts.append(("BR-DEC-23", f"lines[{place}].net", line.net))
        amounts.append(("BR-DEC-24", f"lines[{place}].discount", line.discount))
        amounts.append(("BR-DEC-27", f"lines[{place}].charge", line.charge))
    for rule, path, money in amounts:
        has_two = money is None or money.amount * 100 % 1 == 0
        yield from _unless(has_two, rule, path, "has more than two decimals")


def _line(path: str, line: Line) -> Iterator[Fault]:
    yield from _unless(line.identifier, "BR-21", f"{path}.identifier", "is missing")
    yield from _unless(line.unit, "BR-23", f"{path}.unit", "is missing")
    yield from _unless(line.name, "BR-25", f"{path}.name", "is missing")
    yield from _unless(line.price >= 0, "BR-27", f"{path}.price", "is below zero")
    yield from _unless(
        line.starts_on <= line.ends_on, "BR-30", f"{path}.ends_on", "is before its start"
    )
    for name, money in (("discount", line.discount), ("charge", line.charge)):
        is_positive = money is None or money.minor > 0
        yield from _unless(is_positive, "BR-41", f"{path}.{name}", "is not above zero")
    # Of the norm's formula for BT-131; its published rules leave it to the receiver.
    gross = round_amount(Fraction(line.price) * Fraction(line.quantity), line.net.currency)
    zero = Money.zero(line.net.currency)
    net = gross - (line.discount or zero) + (line.charge or zero)
    yield from _unless(net == line.net, "BT-131", f"{path}.net", "is not price × quantity")


def _sums(invoice: ElectronicInvoice) -> Iterator[Fault]:
    currency = invoice.currency
    lines = total((line.net for line in invoice.lines), currency=currency)
    taxes = total((group.tax for group in invoice.groups), currency=currency)
    for rule, path, said, wanted in (
        ("BR-CO-10", "lines_net", invoice.lines_net, lines),
        ("BR-CO-13", "net", invoice.net, invoice.lines_net),
        ("BR-CO-14", "tax", invoice.tax, taxes),
        ("BR-CO-15", "total", invoice.total, invoice.net + invoice.tax),
        ("BR-CO-16", "payable", invoice.payable, invoice.total - invoice.prepaid),
    ):
        yield from _unless(said == wanted, rule, path, f"is {said}, not {wanted}")
    for place, group in enumerate(invoice.groups):
        exact = abs(Fraction(group.taxable.amount)) * Fraction(group.percent or 0) / 100
        rounded = round_amount(exact, currency).amount
        differs = abs(abs(group.tax.amount) - rounded)
        yield from _unless(
            differs < _ONE, "BR-CO-17", f"groups[{place}].tax", f"is {differs} from taxable × rate"
        )


def _category(category: VatCategory, invoice: ElectronicInvoice) -> Iterator[Fault]:
    code = _CODE_OF_CATEGORY[category]
    lines = [line for line in invoice.lines if line.category is category]
    groups = [group for group in invoice.groups if group.category is category]
    if not lines and not groups:
        return
    yield from _unless(
        bool(lines) == bool(groups) and (category is VatCategory.STANDARD or len(groups) <= 1),
        f"BR-{code}-01",
        "groups",
        "are not those of the lines",
    )
    yield from _numbers(category, invoice)
    for place, line in enumerate(invoice.lines):
        if line.category is category:
            yield from _unless(
                _has_rate(category, line.percent), f"BR-{code}-05", f"lines[{place}].percent",
                "is not the category's",
            )  # fmt: skip
    for group in groups:
        yield from _group(code, category, group, lines, invoice.currency)
    if category is VatCategory.INTRA_COMMUNITY:
        yield from _unless(invoice.delivery_country, "BR-IC-12", "delivery_country", "is missing")
    if category is VatCategory.OUTSIDE:
        alone = all(group.category is category for group in invoice.groups)
        yield from _unless(alone, "BR-O-11", "groups", "has others beside what is outside the tax")


def _has_rate(category: VatCategory, percent: Decimal | None) -> bool:
    if category is VatCategory.OUTSIDE:
        return percent is None
    if percent is None:
        return False
    return percent > 0 if category is VatCategory.STANDARD else percent == _NOTHING


def _group(
    code: str, category: VatCategory, group: TaxGroup, lines: Sequence[Line], currency: str
) -> Iterator[Fault]:
    path = f"groups.{category}"
    of_group = total(
        (line.net for line in lines if line.percent == group.percent), currency=currency
    )
    yield from _unless(_has_rate(category, group.percent), "BR-48", f"{path}.percent", "is missing")
    yield from _unless(
        group.taxable == of_group, f"BR-{code}-08", f"{path}.taxable", "is not its lines' sum"
    )
    if category is not VatCategory.STANDARD:
        yield from _unless(not group.tax, f"BR-{code}-09", f"{path}.tax", "is not zero")
    if category in {VatCategory.STANDARD, VatCategory.ZERO}:
        has_none = not (group.reason or group.reason_code)
        yield from _unless(has_none, f"BR-{code}-10", f"{path}.reason", "stands where there is tax")
    else:
        has_reason = group.reason or group.reason_code
        yield from _unless(has_reason, f"BR-{code}-10", f"{path}.reason", "is missing")


def _numbers(category: VatCategory, invoice: ElectronicInvoice) -> Iterator[Fault]:
    """Which numbers of the parties a category wants, or forbids."""
    code = _CODE_OF_CATEGORY[category]
    seller, buyer, other = invoice.seller, invoice.buyer, invoice.representative
    if category is VatCategory.OUTSIDE:
        has_vat_id = seller.vat_id or buyer.vat_id or other is not None
        yield from _unless(not has_vat_id, "BR-O-02", "vat_id", "stands beside what is outside VAT")
        return
    represented = other is not None and bool(other.vat_id)
    needs_vat_id = category in {VatCategory.INTRA_COMMUNITY, VatCategory.EXPORT}
    has_number = seller.vat_id or represented or (not needs_vat_id and seller.tax_registration_id)
    yield from _unless(has_number, f"BR-{code}-02", "seller.tax_id", "is missing, or is none")
    if category in _WITH_BUYERS_NUMBER:
        yield from _unless(
            _is_known(buyer, only_vat=category is VatCategory.INTRA_COMMUNITY),
            f"BR-{code}-02",
            "buyer.tax_id",
            "is missing, or is none",
        )


def _is_known(buyer: Trader, *, only_vat: bool) -> bool:
    return bool(buyer.vat_id or (buyer.registration_id and not only_vat))
