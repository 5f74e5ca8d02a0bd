"""Issued documents of every kind that electronic ones are made of, by what is special of each."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Final

from billing.einvoices.domain.content import Preceding
from billing.einvoices.domain.source import SourceDocument, SourceLine
from billing.exchange.domain import ExchangeRate, NationalTax
from billing.parties.domain.party import Issuer, Recipient
from billing.rating.adjustments.document import NetLine, settle
from billing.rating.adjustments.tax import TaxRounding
from billing.taxes.domain.rules import LineTax, TaxCode
from kernel.money import Money

SELLER: Final = Issuer(
    name="Messaging GmbH",
    address="Am Platz 1\n10117 Berlin",
    street="Am Platz 1",
    city="Berlin",
    postal_code="10117",
    country="DE",
    tax_id="DE136695976",
    registration_id="HRB 1234",
    endpoint_scheme="9930",
    endpoint_id="DE136695976",
    email="bills@messaging.example",
    iban="DE89 3704 0044 0532 0130 00",
    bic="COBADEFFXXX",
)
GERMAN: Final = Recipient(
    key="acme",
    name="Acme & Söhne <GmbH>",
    address="Weg 5\n80331 München",
    street="Weg 5",
    city="München",
    postal_code="80331",
    country="DE",
    tax_id="DE129273398",
    endpoint_scheme="0088",
    endpoint_id="7300010000001",
    email="pay@acme.example",
    reference="Kostenstelle 7",
    order_number="PO 4711",
)
FRENCH: Final = replace(
    GERMAN, name="Acme SARL", country="FR", city="Paris", tax_id="FR40303265045"
)
CHINESE: Final = Recipient(
    key="yunshu",
    name="北京云枢信息技术有限公司",
    address="朝阳区\n望京街 10 号\n望京 SOHO\nT1 座",
    country="CN",
    tax_id="91350100M000100Y43",
)
VAT_19: Final = LineTax(percent=Decimal(19), code=TaxCode.STANDARD, said_by="plan")
VAT_7: Final = LineTax(percent=Decimal(7), code=TaxCode.STANDARD, said_by="price")
REVERSED: Final = LineTax(
    code=TaxCode.REVERSE_CHARGE,
    said_by="tenant",
    text={"en": "Article 196 of Directive 2006/112/EC"},
)
EXEMPT: Final = LineTax(code=TaxCode.EXEMPT, said_by="tenant")
ZERO: Final = LineTax(code=TaxCode.ZERO, said_by="plan")
NOBODY: Final = LineTax()

Told = tuple[str, str, str | None, str, str, LineTax]
"""(name, quantity, unit price, amount, discount, tax) of a line."""


def a_document(
    *told: Told,
    recipient: Recipient = GERMAN,
    currency: str = "EUR",
    rounding: TaxRounding = TaxRounding.PER_RATE,
    **changes: Any,
) -> SourceDocument:
    """One whose taxes are worked out as those of an invoice are."""
    settled = settle(
        [
            NetLine(
                key=name,
                amount=Money.of(amount, currency),
                tax_percent=tax.percent,
                discount=Money.of(discount, currency),
            )
            for name, _, _, amount, discount, tax in told
        ],
        currency=currency,
        tax_rounding=rounding,
    )
    lines = [
        SourceLine(
            position=place,
            name=name,
            description="highest day 15,000 on Mar 5, 2026",
            quantity=Decimal(quantity),
            unit_price=None if price is None else Decimal(price),
            amount=Money.of(amount, currency),
            discount=Money.of(discount, currency),
            tax=tax,
            tax_amount=of_line.tax,
            first_day=date(2026, 2, 1),
            last_day=date(2026, 2, 28),
        )
        for place, ((name, quantity, price, amount, discount, tax), of_line) in enumerate(
            zip(told, settled.lines, strict=True), start=1
        )
    ]
    return SourceDocument(
        number="INV-2026-000001",
        issued_on=date(2026, 3, 1),
        language="en",
        issuer=changes.pop("issuer", SELLER),
        recipient=recipient,
        currency=currency,
        lines=changes.pop("lines", lines),
        total=settled.total,
        **{
            "is_credit_note": False,
            "due_on": date(2026, 3, 16),
            "national_tax": None,
            **changes,
        },
    )


def a_note(*told: Told, **changes: Any) -> SourceDocument:
    """A credit note on the first invoice."""
    return replace(
        a_document(*told, is_credit_note=True, due_on=None, **changes),
        number="INV-CN-2026-000001",
        corrects=Preceding(number="INV-2026-000001", issued_on=date(2026, 3, 1)),
        reason="The service was down.",
    )


RATE: Final = ExchangeRate(
    base="EUR", quote="CNY", on=date(2026, 2, 27), rate=Decimal("7.8"), source="ECB"
)
BASE: Final[Told] = ("Pro · base", "1", "1299", "1299.00", "0", VAT_19)
CREDIT: Final[Told] = ("Pro · base", "1", None, "-419.03", "0", VAT_19)

EXPRESSIBLE: Final[Mapping[str, SourceDocument]] = {
    "domestic": a_document(BASE, ("Pro · dau", "15000", "0.0123456789", "185.19", "0", VAT_19)),
    "several rates": a_document(
        BASE, ("Pro · books", "3", "9.99", "29.97", "0", VAT_7), ("free", "0", None, "0", "0", ZERO)
    ),
    "reverse charge": a_document(
        (*BASE[:5], REVERSED), ("dau", "15000", None, "1000.00", "0", REVERSED), recipient=FRENCH
    ),
    "export": a_document((*BASE[:5], NOBODY), recipient=CHINESE),
    "export taxed at nothing": a_document((*BASE[:5], ZERO), recipient=CHINESE),
    "within the union": a_document((*BASE[:5], ZERO), recipient=FRENCH),
    "zero at home": a_document((*BASE[:5], ZERO)),
    "exempt": a_document(
        (*BASE[:5], EXEMPT),
        recipient=replace(
            GERMAN, exemption_reason="Article 132(1)(f)", exemption_code="VATEX-EU-132-1F"
        ),
    ),
    "representative": a_document(
        BASE,
        issuer=replace(
            SELLER,
            tax_id="",
            representative_name="Steuer AG",
            representative_street="Gasse 2",
            representative_city="Wien",
            representative_country="AT",
            representative_tax_id="ATU13585627",
        ),
    ),
    "discounts": a_document(
        ("base", "1", "1299", "1299.00", "129.90", VAT_19), ("dau", "2", "5", "10.00", "10", VAT_19)
    ),
    "lines that give back": a_document(
        BASE, CREDIT, ("seats", "1", "-10", "-10.00", "-1.00", VAT_19)
    ),
    "of nothing": a_document(BASE, ("back", "1", None, "-1299.00", "0", VAT_19)),
    "rounded by line": a_document(
        *[(f"dau {n}", "1", None, "0.17", "0", VAT_19) for n in range(12)],
        rounding=TaxRounding.PER_LINE,
    ),
    "tax told in EUR": a_document(
        BASE,
        currency="CNY",
        national_tax=NationalTax(tax=RATE.converted(Money(24681, "CNY")), rate=RATE),
    ),
    "yen": a_document(("base", "1", "12345", "12345", "0", VAT_19), currency="JPY"),
    "dinars of whole fils": a_document(
        ("base", "1", "12.340", "12.340", "0", NOBODY), currency="KWD", recipient=CHINESE
    ),
    "no account and a free address": a_document(
        BASE, issuer=replace(SELLER, iban="", bank_details="Cash to the porter", street="", city="")
    ),
    "a seller elsewhere": a_document(
        ("base", "1", "1299", "1299.00", "0", replace(VAT_19, percent=Decimal(6))),
        currency="CNY",
        issuer=replace(Issuer(
            name="即讯云", address="上海", country="CN", tax_id="91350100M000100Y43"
        ), iban="0000 1111"),
        recipient=CHINESE,
    ),
    "credit note": a_note(("base", "1", None, "100.00", "0", VAT_19)),
    "credit note with a charge": a_note(
        ("base", "1", None, "419.03", "0", VAT_19), ("base", "1", None, "-100.00", "0", VAT_19)
    ),
    "credit note of a reverse charge": a_note(
        ("base", "1", None, "100.00", "0", REVERSED), recipient=FRENCH
    ),
}  # fmt: skip
"""All that the norm has a place for."""

INEXPRESSIBLE: Final[Mapping[str, tuple[SourceDocument, str]]] = {
    "a third decimal": (
        a_document(
            ("base", "1", "12.345", "12.345", "0", NOBODY), currency="KWD", recipient=CHINESE
        ),
        "BR-DEC-09",
    ),
    "tax beside what is outside the tax": (
        a_document(BASE, ("setup", "1", "10", "10.00", "0", NOBODY)),
        "BR-O-11",
    ),
    "no reason of the exemption": (a_document((*BASE[:5], EXEMPT)), "BR-E-10"),
    "a buyer without a country": (a_document(BASE, recipient=replace(GERMAN, country="")), "BR-11"),
    "a seller without a country": (a_document(BASE, issuer=replace(SELLER, country="")), "BR-09"),
    "a seller without a number": (
        a_document(BASE, issuer=replace(SELLER, tax_id="")),
        "BR-S-02",
    ),
    "a buyer who owes the tax and is not known": (
        a_document((*BASE[:5], REVERSED), recipient=replace(FRENCH, tax_id="")),
        "BR-AE-02",
    ),
    "yen rounded by line until they differ by one": (
        a_document(
            *[(f"dau {n}", "1", None, "3", "0", VAT_19) for n in range(12)],
            currency="JPY",
            rounding=TaxRounding.PER_LINE,
        ),
        "BR-CO-17",
    ),
}
"""What it has no place for, and the first rule that says so."""
