"""What an invoice of a seller in the Union must say: each field, in each case, and who is not asked.

(Directive 2006/112/EC, articles 226 and 230.)
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.exchange.domain import ExchangeRate, NationalTax, newest
from billing.invoicing.required_fields import (
    ACCOUNT_REQUIRED_FROM,
    Case,
    ToBeIssued,
    missing_fields,
    refusal,
)
from billing.parties.domain.member_states import is_member_state, national_currency
from billing.parties.domain.party import Issuer, Recipient
from billing.parties.domain.vat_numbers import vat_number
from billing.taxes.domain.rules import LineTax, TaxCode
from kernel.errors import Invalid
from kernel.money import Money

DAY = date(2026, 3, 1)
SELLER = Issuer(
    name="Messaging GmbH",
    address="Am Platz 1\n10117 Berlin",
    street="Am Platz 1",
    city="Berlin",
    postal_code="10117",
    country="DE",
    tax_id="DE136695976",
    iban="DE89370400440532013000",
    representative_name="Steuer AG",
    representative_street="Gasse 2",
    representative_city="Wien",
    representative_country="AT",
    representative_tax_id="ATU13585627",
)
BUYER = Recipient(
    key="acme", name="Acme", address="1 Rue\n75001 Paris", street="1 Rue", city="Paris",
    exemption_reason="Article 132",
)  # fmt: skip
RATE = ExchangeRate(base="EUR", quote="CNY", on=DAY, rate=Decimal("7.8"), source="ECB")
STANDARD = LineTax(percent=Decimal(19), code=TaxCode.STANDARD, said_by="plan")
CASES: Mapping[str, tuple[dict[str, str], LineTax]] = {
    "domestic": ({"country": "DE", "tax_id": ""}, STANDARD),
    "reverse_charge": (
        {"country": "FR", "tax_id": "FR40303265045"},
        LineTax(code=TaxCode.REVERSE_CHARGE, said_by="tenant"),
    ),
    "export": ({"country": "CN", "tax_id": ""}, LineTax()),
    "exempt": ({"country": "DE"}, LineTax(code=TaxCode.EXEMPT, said_by="tenant")),
}


def a_document(case: str, **changes: Any) -> ToBeIssued:
    """One of the case that lacks nothing, with changes of its parties: `seller_city="…"`."""
    buyer, tax = CASES[case]
    money = Money(0 if tax.code is not TaxCode.STANDARD else 1900, "CNY")
    document = ToBeIssued(
        issuer=SELLER,
        recipient=replace(BUYER, **buyer),
        issued_on=DAY,
        taxes=[tax],
        tax=money,
        national_tax=NationalTax(tax=RATE.converted(money), rate=RATE),
    )
    of_seller = {
        k.removeprefix("seller_"): v for k, v in changes.items() if k.startswith("seller_")
    }
    of_buyer = {k.removeprefix("buyer_"): v for k, v in changes.items() if k.startswith("buyer_")}
    rest = {k: v for k, v in changes.items() if not k.startswith(("seller_", "buyer_"))}
    return replace(
        document,
        issuer=replace(document.issuer, **of_seller),
        recipient=replace(document.recipient, **of_buyer),
        **rest,
    )


def missing(document: ToBeIssued) -> list[str]:
    return [each.path for each in missing_fields(document)]


@pytest.mark.parametrize("case", CASES)
def test_what_says_everything_lacks_nothing(case: str) -> None:
    assert missing(a_document(case)) == []


EVERYWHERE: dict[str, dict[str, Any]] = {
    "seller.tax_id": {"seller_tax_id": "", "seller_representative_tax_id": "ATU0"},
    "seller.name": {"seller_name": ""},
    "seller.address": {"seller_address": ""},
    "buyer.name": {"buyer_name": ""},
    "buyer.address": {"buyer_address": ""},
    "representative.name": {"seller_representative_name": ""},
    "representative.address": {"seller_representative_city": ""},
    "representative.tax_id": {"seller_representative_tax_id": ""},
    "seller.iban": {"seller_iban": "", "issued_on": ACCOUNT_REQUIRED_FROM},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("field", EVERYWHERE)
def test_a_field_is_missed_in_every_case(field: str, case: str) -> None:
    assert missing(a_document(case, **EVERYWHERE[field])) == [field]


@pytest.mark.parametrize(
    ("field", "changes", "missed_in"),
    [
        ("buyer.tax_id", {"buyer_tax_id": ""}, {"reverse_charge"}),
        # Of a German business, not of the French one that the buyer is.
        ("buyer.tax_id", {"buyer_tax_id": "DE136695976"}, {"reverse_charge"}),
        ("buyer.tax_id", {"buyer_tax_id": "FR40303265046"}, {"reverse_charge"}),
        ("exemption_reason", {"buyer_exemption_reason": ""}, {"exempt"}),
        ("exchange_rate", {"national_tax": None}, {"domestic"}),
        ("tax", {"taxes": [LineTax()]}, {"domestic", "reverse_charge", "exempt"}),
    ],
)
def test_a_field_is_missed_where_the_case_asks_for_it(
    field: str, changes: dict[str, Any], missed_in: set[str]
) -> None:
    assert {case for case in CASES if field in missing(a_document(case, **changes))} == missed_in


def test_a_buyer_without_a_country_has_no_full_address() -> None:
    assert missing(a_document("domestic", buyer_country="")) == ["buyer.country"]


def test_half_a_structured_address_is_none() -> None:
    assert missing(a_document("domestic", buyer_city="")) == ["buyer.address"]
    lines = {"buyer_street": "", "buyer_city": "", "buyer_address": "1 Rue, 75001 Paris"}
    assert missing(a_document("domestic", **lines)) == []


def test_who_owes_tax_outside_the_union_names_itself_by_any_number() -> None:
    owed = [LineTax(code=TaxCode.REVERSE_CHARGE, said_by="tenant")]
    assert missing(a_document("export", taxes=owed)) == ["buyer.tax_id"]
    assert missing(a_document("export", taxes=owed, buyer_registration_id="91350100M")) == []


def test_a_supply_free_of_tax_within_the_union_names_the_buyer() -> None:
    free = [LineTax(code=TaxCode.ZERO, said_by="tenant")]
    document = a_document("reverse_charge", taxes=free, buyer_tax_id="")
    assert (document.case, missing(document)) == (Case.INTRA_UNION, ["buyer.tax_id"])
    assert missing(a_document("domestic", taxes=free)) == []


def test_the_reason_is_in_the_rates_text_too() -> None:
    said = LineTax(code=TaxCode.EXEMPT, said_by="plan", text={"en": "Article 135"})
    assert missing(a_document("exempt", taxes=[said], buyer_exemption_reason="")) == []


@pytest.mark.parametrize("country", ["", "CN", "US", "GB", "CH"])
def test_a_seller_elsewhere_is_asked_for_nothing(country: str) -> None:
    bare = ToBeIssued(
        issuer=Issuer(country=country),
        recipient=Recipient(),
        issued_on=DAY,
        taxes=[LineTax()],
        tax=Money(100, "CNY"),
    )
    assert missing_fields(bare) == ()
    assert not bare.needs_national_tax


def test_the_refusal_names_each_field_and_where_it_is_mended() -> None:
    found = missing_fields(a_document("reverse_charge", seller_address="", buyer_tax_id=""))
    refused = refusal(found)
    assert (refused.code, refused.params["fields"]) == (
        "invoice_fields_missing",
        "buyer.tax_id, seller.address",
    )
    for said in ("buyer.tax_id (in the tenant's tax standing)", "seller.address (in the seller's"):
        assert said in refused.message


class TestMemberStates:
    def test_membership_is_dated(self) -> None:
        assert is_member_state("GB", on=date(2020, 12, 31))
        assert not is_member_state("GB", on=date(2021, 1, 1))
        assert not is_member_state("HR", on=date(2013, 6, 30))
        assert sum(is_member_state(a + b, on=DAY) for a in LETTERS for b in LETTERS) == 27

    @pytest.mark.parametrize(
        ("country", "on", "currency"),
        [
            ("DE", DAY, "EUR"),
            ("PL", DAY, "PLN"),
            ("BG", date(2025, 12, 31), "BGN"),
            ("BG", date(2026, 1, 1), "EUR"),
            ("HR", date(2022, 12, 31), "HRK"),
            ("HR", date(2023, 1, 1), "EUR"),
        ],
    )
    def test_the_currency_is_dated(self, country: str, on: date, currency: str) -> None:
        assert national_currency(country, on=on) == currency


LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@pytest.mark.parametrize(
    ("tax_id", "country", "plain"),
    [
        ("DE 136 695 976", "DE", "DE136695976"),
        ("136695976", "DE", None),  # without the prefix
        ("DE136695977", "DE", None),  # check digit
        ("FR40303265045", "DE", None),  # of another country
        ("EL094259216", "GR", "EL094259216"),
        ("GR094259216", "GR", None),  # article 215: Greece's prefix is EL
        ("NL004495445B01", "NL", "NL004495445B01"),
        ("ATU13585627", "AT", "ATU13585627"),
        ("GB980780684", "GB", "GB980780684"),
        ("GB980780685", "GB", None),
        ("91350100M000100Y43", "CN", None),  # no prefix: a tax id, but no VAT number of this form
        ("", "DE", None),
        ("DE", "DE", None),
        ("", "", None),
    ],
)
def test_vat_numbers(tax_id: str, country: str, plain: str | None) -> None:
    assert vat_number(tax_id, country=country, on=DAY) == plain


class TestNationalTax:
    """Golden cases of tax told in another currency (article 230)."""

    @pytest.mark.parametrize(
        ("base", "quote", "rate", "money", "told"),
        [
            # 19.00 CNY at 1 EUR = 7.8 CNY are 2.4359 EUR.
            ("EUR", "CNY", "7.8", Money(1900, "CNY"), Money(244, "EUR")),
            # 23.00 USD at 1 USD = 3.9876 PLN are 91.7148 PLN.
            ("USD", "PLN", "3.9876", Money(2300, "USD"), Money(9171, "PLN")),
            # 1000 JPY at 1 EUR = 160 JPY are 6.25 EUR.
            ("EUR", "JPY", "160", Money(1000, "JPY"), Money(625, "EUR")),
            # 1.235 KWD at 1 EUR = 0.335 KWD are 3.6866 EUR.
            ("EUR", "KWD", "0.335", Money(1235, "KWD"), Money(369, "EUR")),
            # A credit mirrors its charge.
            ("EUR", "CNY", "7.8", Money(-1900, "CNY"), Money(-244, "EUR")),
        ],
    )
    def test_it_is_converted_and_rounded_once(
        self, base: str, quote: str, rate: str, money: Money, told: Money
    ) -> None:
        by = ExchangeRate(base=base, quote=quote, on=DAY, rate=Decimal(rate), source="ECB")
        assert by.converted(money) == told
        kept = NationalTax(tax=told, rate=by)
        assert NationalTax.read(kept.stored()) == kept

    def test_another_currency_is_refused(self) -> None:
        with pytest.raises(Invalid):
            RATE.converted(Money(1, "USD"))

    def test_the_newest_of_the_last_week_counts(self) -> None:
        rates = [replace(RATE, on=date(2026, 2, day)) for day in (1, 20, 27)]

        def on(day: date) -> date | None:
            found = newest(rates, currency="CNY", into="EUR", on=day)
            return None if found is None else found.on

        assert on(date(2026, 3, 1)) == date(2026, 2, 27)
        assert on(date(2026, 2, 26)) == date(2026, 2, 20)
        assert on(date(2026, 3, 6)) == date(2026, 2, 27)
        assert on(date(2026, 3, 7)) is None
        assert newest(rates, currency="CNY", into="PLN", on=DAY) is None
