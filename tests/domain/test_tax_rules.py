"""Who says that there is tax, and which dated rate it is."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from billing.catalog.domain import PlanFaults, parse_plan
from billing.catalog.examples import tax_rates
from billing.invoicing.creditable import CreditableLine, credited_taxes
from billing.rating.adjustments.tax import TaxRounding
from billing.rating.terms import TaxTerms
from billing.taxes.domain.rate_file import TaxFaults, parse_rates
from billing.taxes.domain.rules import NO_TAX, Buyer, LineTax, Supply, TaxCode, Taxing
from kernel.errors import Conflict, Invalid
from kernel.money import Money
from tenants.domain import TaxTreatment

RATES = parse_rates(tax_rates())
SOFTWARE = TaxTerms(category="software_service")
NOTHING = TaxTerms()
MAY = date(2026, 5, 1)


def taxing(seller: str = "DE", *, category: str = "", **buyer: Any) -> Taxing:
    return Taxing(
        seller_country=seller, seller_category=category, buyer=Buyer(**buyer), rates=RATES
    )


def percent(value: str) -> TaxTerms:
    return TaxTerms(percent=Decimal(value))


class TestWhoSaysSo:
    def test_nobody_so_there_is_none(self) -> None:
        assert taxing(country="FR").tax_on(MAY, plan=NOTHING) == NO_TAX

    def test_the_price_before_the_plan_before_the_tenant(self) -> None:
        asked = taxing(percent=Decimal(3))
        found = [
            asked.tax_on(MAY, price=percent("9"), plan=percent("6")),
            asked.tax_on(MAY, plan=percent("6")),
            asked.tax_on(MAY, plan=NOTHING),
        ]
        assert [(each.percent, each.said_by) for each in found] == [
            (Decimal(9), "price"),
            (Decimal(6), "plan"),
            (Decimal(3), "tenant"),
        ]

    def test_a_percentage_of_zero_says_so_too(self) -> None:
        found = taxing().tax_on(MAY, price=percent("0"), plan=percent("6"))
        assert (found.percent, found.code, found.said_by) == (Decimal(0), TaxCode.ZERO, "price")

    @pytest.mark.parametrize("treatment", [TaxTreatment.EXEMPT, TaxTreatment.REVERSE_CHARGE])
    def test_a_tenant_of_whom_nothing_may_be_charged(self, treatment: TaxTreatment) -> None:
        """Its standing is a matter of law, so it comes before what a price list says."""
        found = taxing(treatment=treatment).tax_on(MAY, price=percent("9"), plan=SOFTWARE)
        assert (found.percent, found.code.value) == (Decimal(0), treatment.value)

    def test_a_taxable_tenant_bears_the_rate_of_the_sellers_category(self) -> None:
        asked = taxing(category="software_service", treatment=TaxTreatment.TAXABLE)
        assert asked.tax_on(MAY, plan=NOTHING).percent == Decimal(19)

    def test_without_the_rate_nothing_is_guessed(self) -> None:
        with pytest.raises(Invalid) as refused:
            taxing().tax_on(MAY, plan=TaxTerms(category="books"))
        assert refused.value.code == "no_tax_rate"
        with pytest.raises(Invalid) as refused:
            taxing(seller="").tax_on(MAY, plan=SOFTWARE)
        assert refused.value.code == "no_seller_country"


class TestWhichRate:
    @pytest.mark.parametrize(
        ("seller", "country", "tax_id", "code", "rate", "supply"),
        [
            ("DE", "", "", TaxCode.STANDARD, 19, Supply.DOMESTIC),
            ("DE", "DE", "DE1", TaxCode.STANDARD, 19, Supply.DOMESTIC),
            ("DE", "FR", "FR1", TaxCode.REVERSE_CHARGE, 0, Supply.INBOUND_BUSINESS),
            ("DE", "FR", " ", TaxCode.STANDARD, 20, Supply.INBOUND_CONSUMER),
            ("CN", "DE", "DE1", TaxCode.REVERSE_CHARGE, 0, Supply.INBOUND_BUSINESS),
            ("DE", "CN", "9131", TaxCode.NONE, 0, Supply.OUTBOUND),
            ("CN", "US", "", TaxCode.ZERO, 0, Supply.OUTBOUND),
        ],
    )
    def test_follows_from_where_both_are(
        self, seller: str, country: str, tax_id: str, code: TaxCode, rate: int, supply: Supply
    ) -> None:
        found = taxing(seller, country=country, tax_id=tax_id).tax_on(MAY, plan=SOFTWARE)
        assert (found.code, found.percent, found.supply) == (code, Decimal(rate), supply.value)

    def test_a_reverse_charge_carries_its_text(self) -> None:
        found = taxing(country="FR", tax_id="FR1").tax_on(MAY, plan=SOFTWARE)
        assert "Article 196" in found.text["en"]
        assert "第 196 条" in found.text["zh-hans"]

    @pytest.mark.parametrize(
        ("day", "rate"),
        [
            (date(2020, 6, 30), 19),
            (date(2020, 7, 1), 16),
            (date(2020, 12, 31), 16),
            (date(2021, 1, 1), 19),
        ],
    )
    def test_german_rates_of_2020(self, day: date, rate: int) -> None:
        """Zweites Corona-Steuerhilfegesetz: 16 % for supplies from 1 July to 31 December 2020."""
        assert taxing().tax_on(day, plan=SOFTWARE).percent == Decimal(rate)

    def test_products_of_one_seller_differ(self) -> None:
        """Information services 6 %; messages 9 % since 2026, 6 % before."""
        asked = taxing("CN")
        found = [
            asked.tax_on(day, plan=TaxTerms(category=category)).percent
            for category, day in (
                ("software_service", MAY),
                ("sms", MAY),
                ("sms", date(2025, 12, 31)),
            )
        ]
        assert found == [Decimal(6), Decimal(9), Decimal(6)]

    def test_days_are_cut_where_the_rate_changes(self) -> None:
        found = taxing().taxes_over(date(2020, 6, 15), date(2021, 1, 2), plan=SOFTWARE)
        assert [(tax.percent, first, end) for tax, first, end in found] == [
            (Decimal(19), date(2020, 6, 15), date(2020, 7, 1)),
            (Decimal(16), date(2020, 7, 1), date(2021, 1, 1)),
            (Decimal(19), date(2021, 1, 1), date(2021, 1, 2)),
        ]

    def test_a_change_of_another_category_cuts_nothing(self) -> None:
        found = taxing("CN").taxes_over(date(2025, 12, 1), date(2026, 2, 1), plan=SOFTWARE)
        assert len(found) == 1


class TestTheFileOfRates:
    def test_the_example_is_whole(self) -> None:
        assert {rate.jurisdiction for rate in RATES} >= {"CN", "DE", "FR"}
        assert len({rate.jurisdiction for rate in RATES}) >= 27

    def test_every_fault_is_listed(self) -> None:
        with pytest.raises(TaxFaults) as refused:
            parse_rates(
                [
                    {"jurisdiction": "Germany", "category": "a", "percent": "19", "valid_from": "2020-01-01"},
                    {"jurisdiction": "DE", "percent": "190", "valid_from": "2020-13-01"},
                    {"jurisdiction": "DE", "category": "a", "percent": "0", "valid_from": "2020-01-01", "valid_to": "2020-01-01"},
                    {"jurisdiction": "DE", "category": "a", "code": "reverse_charge", "percent": "5", "valid_from": "2020-01-01"},
                    {"jurisdiction": [], "category": "a", "percent": 1.5, "rate": "1"},
                ]
            )  # fmt: skip
        assert refused.value.code == "invalid_taxes"
        assert [(fault.path, fault.code) for fault in refused.value.faults] == [
            ("rates[0].jurisdiction", "not_a_country"),
            ("rates[1].category", "missing"),
            ("rates[1].percent", "out_of_range"),
            ("rates[1].valid_from", "not_a_date"),
            ("rates[2].percent", "not_positive"),
            ("rates[2].valid_to", "end_before_start"),
            ("rates[3].percent", "not_zero"),
            ("rates[3].text", "needs_text"),
            ("rates[4].jurisdiction", "missing"),
            ("rates[4].percent", "not_a_decimal"),
            ("rates[4].valid_from", "missing"),
            ("rates[4].rate", "unknown_field"),
        ]

    def test_overlapping_rates_are_refused(self) -> None:
        row = {"jurisdiction": "DE", "category": "a", "percent": "19"}
        with pytest.raises(TaxFaults) as refused:
            parse_rates([{**row, "valid_from": "2020-01-01"}, {**row, "valid_from": "2020-07-01"}])
        assert [fault.code for fault in refused.value.faults] == ["rates_overlap"]

    def test_one_may_begin_where_the_other_ends(self) -> None:
        row = {"jurisdiction": "DE", "category": "a", "percent": "19"}
        found = parse_rates(
            [
                {**row, "valid_from": "2020-01-01", "valid_to": "2020-07-01"},
                {**row, "valid_from": "2020-07-01"},
            ]
        )
        assert len(found) == 2

    @pytest.mark.parametrize("document", [None, 3, "x", {}, {"rates": 1}, []])
    def test_what_is_no_list_of_rates(self, document: object) -> None:
        with pytest.raises(TaxFaults):
            parse_rates(document)


class TestPlans:
    PRICE: dict[str, Any] = {"key": "base", "model": "flat", "amount": "1"}

    def plan(self, price: dict[str, Any] | None = None, **fields: Any) -> Any:
        return parse_plan(
            {"key": "p", "currency": "CNY", "prices": [{**self.PRICE, **(price or {})}], **fields},
            known_meters=None,
        )

    def test_price_and_plan_say_it(self) -> None:
        terms = self.plan({"tax_percent": "9.0"}, tax_category="software_service")
        assert terms.tax_of("base") == percent("9")
        assert terms.tax_of("plan:minimum") == NOTHING
        assert terms.tax == SOFTWARE
        assert terms.document["tax_category"] == "software_service"
        assert terms.document["prices"][0]["tax_percent"] == "9"

    def test_what_says_nothing_keeps_its_hash(self) -> None:
        assert "tax" not in str(self.plan().document)
        assert self.plan().content_hash != self.plan(tax_percent="0").content_hash

    def test_every_fault_is_listed(self) -> None:
        with pytest.raises(PlanFaults) as refused:
            self.plan({"tax_percent": "101"}, tax_percent="6", tax_category="software_service")
        assert [(fault.path, fault.code) for fault in refused.value.faults] == [
            ("prices[0].tax_percent", "out_of_range"),
            ("tax_category", "percent_and_category"),
        ]


class TestCreditedTaxes:
    SIX = LineTax(percent=Decimal(6), code=TaxCode.STANDARD, said_by="plan")

    def line(self, net: int, tax: int, *, group: str = "", position: int = 1) -> CreditableLine:
        return CreditableLine(
            group=group or position,
            position=position,
            net=Money(net, "CNY"),
            tax=Money(tax, "CNY"),
            tax_terms=self.SIX,
        )

    def taken(self, *wanted: tuple[int, int], of: list[CreditableLine]) -> list[int]:
        """(position, net) → taxes, all at 6 %, in fen."""
        found = credited_taxes(
            [(position, Money(net, "CNY")) for position, net in wanted],
            lines=of,
            rounding=TaxRounding.PER_RATE,
            currency="CNY",
        )
        return [tax.minor for tax in found]

    def credited(self, net: int, net_left: int, tax_left: int) -> list[int]:
        return self.taken((1, net), of=[self.line(net_left, tax_left)])

    def test_a_part_follows_by_the_rate(self) -> None:
        assert self.credited(5000, 10000, 600) == [300]

    def test_the_rest_of_a_line_takes_the_rest_of_its_tax(self) -> None:
        """A line of 0.25 bears 0.02 (0.015 rounds up); half by half that is 0.01 and 0.01."""
        assert self.credited(12, 25, 2) == [1]
        assert self.credited(13, 13, 1) == [1]

    def test_never_more_than_is_left(self) -> None:
        assert self.credited(99, 100, 5) == [5]

    def test_a_line_named_twice_gives_its_tax_back_once(self) -> None:
        """Half and half of 100.00 with 6.00: the second takes the rest, which is 3.00."""
        lines = [self.line(10000, 600), self.line(10000, 600, position=2)]
        assert self.taken((1, 5000), (1, 5000), of=lines) == [300, 300]

    def test_lines_that_adjust_one_another_are_together_not_credited_beyond_their_sum(self) -> None:
        """40.00 and 10.00 more, of which another document took 30.00 back: 20.00 are left."""
        lines = [
            self.line(4000, 240, group="peak"),
            self.line(1000, 60, group="peak", position=2),
            self.line(-3000, -180, group="peak", position=0),
        ]
        assert self.taken((1, 1500), (2, 500), of=lines) == [90, 30]
        with pytest.raises(Conflict) as refused:
            self.taken((1, 1500), (2, 501), of=lines)
        assert (refused.value.code, refused.value.field) == ("above_line", "lines")
