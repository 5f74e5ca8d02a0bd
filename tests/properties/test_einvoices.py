"""Electronic invoices of any lines keep the rules of EN 16931."""

import random
from decimal import Decimal
from fractions import Fraction
from typing import Final
from xml.etree import ElementTree as Xml

from billing.einvoices.domain.mapping import electronic_invoice
from billing.einvoices.domain.rules import broken_rules
from billing.einvoices.domain.ubl import ubl_bytes
from kernel.money import Money, round_amount, total
from tests.domain.issued_documents import (
    FRENCH,
    GERMAN,
    REVERSED,
    VAT_7,
    VAT_19,
    ZERO,
    Told,
    a_document,
    a_note,
)

_DOCUMENTS: Final = 10_000
_CURRENCIES: Final = ("EUR", "CNY", "JPY", "PLN", "HUF")


def some_lines(chance: random.Random, currency: str) -> tuple[list[Told], bool]:
    """One to five lines, charges and what gives back, priced or not, discounted or not."""
    is_reversed = chance.random() < 0.2  # one in five
    taxes = [REVERSED] if is_reversed else [VAT_19, VAT_7, ZERO]
    told: list[Told] = []
    for place in range(chance.randint(1, 5)):
        quantity = Decimal(chance.choice([1, 1, 3, 15_000, chance.randint(0, 10**9)]))
        price = Decimal(chance.randint(-(10**5), 10**6)).scaleb(-chance.randint(0, 12))
        amount = round_amount(Fraction(quantity) * Fraction(price), currency)
        is_priced = chance.random() < 0.5  # half of them
        if not is_priced:
            amount = Money(chance.randint(-(10**6), 10**8), currency)
        discount = Money(0, currency)
        if chance.random() < 0.3:  # three in ten
            share = Fraction(chance.randint(0, 100), 100)
            discount = round_amount(Fraction(amount.amount) * share, currency)
        told.append(
            (
                f"line {place}",
                f"{quantity:f}",
                f"{price:f}" if is_priced else None,
                f"{amount.amount:f}",
                f"{discount.amount:f}",
                chance.choice(taxes),
            )
        )
    return told, is_reversed


def test_ten_thousand_documents_add_up_and_keep_the_rules() -> None:
    chance = random.Random(16931)  # no secret: the same documents each time
    for place in range(_DOCUMENTS):
        currency = chance.choice(_CURRENCIES)
        told, is_reversed = some_lines(chance, currency)
        make = a_note if chance.random() < 0.2 else a_document  # one in five
        document = make(*told, currency=currency, recipient=FRENCH if is_reversed else GERMAN)
        invoice = electronic_invoice(document)
        assert list(broken_rules(invoice)) == [], place
        assert total((line.net for line in invoice.lines), currency=currency) == invoice.net
        assert total((group.tax for group in invoice.groups), currency=currency) == invoice.tax
        assert invoice.net + invoice.tax == invoice.total == document.total
        assert invoice.payable == invoice.total - invoice.prepaid
        if place % 100 == 0:
            assert Xml.fromstring(ubl_bytes(invoice)) is not None  # noqa: S314  # our own bytes
