"""Which tax a price bears for a tenant on a day. Pure; no rate stands here, rates are dated data.

There is no tax unless somebody says so. Who is asked, in this order:

1. the tenant, where it is `exempt`, or where it owes the tax itself (`reverse_charge`): nothing is
   charged, whatever plan or price say
2. the price: its own percentage, or a category, whose rate is looked up
3. the plan: the same
4. the tenant's own percentage
5. the tenant, where it is `taxable`: the rate of the price's or plan's category, else the seller's

A looked-up rate follows from where seller and tenant are: in one country its `domestic` rate; else
what the tenant's country wants of sellers abroad (`inbound_business` with a tax id,
`inbound_consumer` without); else what the seller's country wants of sales abroad (`outbound`). A
tenant without a country counts as in the seller's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from billing.rating.adjustments.tax import TaxRounding
from billing.rating.terms import TaxTerms
from kernel.decimals import plain_text
from kernel.errors import Invalid
from tenants.domain import TaxTreatment

_NOTHING = Decimal(0)
_NO_TERMS = TaxTerms()


class TaxCode(StrEnum):
    """What a rate is, as an invoice must name it."""

    STANDARD = "standard"
    """A percentage above zero."""
    ZERO = "zero"
    """Taxed, at nothing."""
    EXEMPT = "exempt"
    """Free of tax by law."""
    REVERSE_CHARGE = "reverse_charge"
    """The recipient owes the tax."""
    NONE = "none"
    """Nobody says that there is tax."""


class Supply(StrEnum):
    """Where seller and tenant are, seen from the jurisdiction that a rate belongs to."""

    DOMESTIC = "domestic"
    INBOUND_BUSINESS = "inbound_business"
    """The seller is abroad; the tenant is in the jurisdiction and has a tax id."""
    INBOUND_CONSUMER = "inbound_consumer"
    """The seller is abroad; the tenant is in the jurisdiction and has no tax id."""
    OUTBOUND = "outbound"
    """The seller is in the jurisdiction, the tenant abroad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One dated rate: in force from `valid_from` to before `valid_to` (None: open).

    `jurisdiction` is the ISO 3166 code of a country; `text` maps languages to what the law wants
    printed on an invoice.
    """

    jurisdiction: str
    category: str
    supply: Supply
    code: TaxCode
    percent: Decimal
    valid_from: date
    valid_to: date | None = None
    text: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def identity(self) -> tuple[str, str, Supply]:
        """Of one identity at most one rate is in force on a day."""
        return (self.jurisdiction, self.category, self.supply)

    def holds_on(self, day: date) -> bool:
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def overlaps(self, other: "Rate") -> bool:
        """Whether both are in force on some day, of one identity."""
        return (
            self.identity == other.identity
            and (other.valid_to is None or self.valid_from < other.valid_to)
            and (self.valid_to is None or other.valid_from < self.valid_to)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """What the tenant's record says of its taxes; empty and None where it says nothing."""

    country: str = ""
    tax_id: str = ""
    treatment: TaxTreatment = TaxTreatment.UNSAID
    percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTax:
    """The tax that a line bears, and why; `said_by` is empty where nobody says that there is any."""

    percent: Decimal = _NOTHING
    code: TaxCode = TaxCode.NONE
    said_by: str = ""
    category: str = ""
    jurisdiction: str = ""
    supply: str = ""
    text: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def document(self) -> dict[str, object]:
        """The same for a line's explanation; empty where there is nothing to say."""
        if not self.said_by:
            return {}
        told: dict[str, object] = {
            "percent": plain_text(self.percent),
            "code": self.code.value,
            "said_by": self.said_by,
        }
        for name in ("category", "jurisdiction", "supply"):
            if value := getattr(self, name):
                told[name] = str(value)
        if self.text:
            told["text"] = dict(self.text)
        return told


NO_TAX = LineTax()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxing:
    """All that decides the taxes of one tenant's documents.

    `rates` hold at least those of the seller's and the tenant's country.
    """

    seller_country: str = ""
    seller_category: str = ""
    rounding: TaxRounding = TaxRounding.PER_RATE
    buyer: Buyer = field(default_factory=Buyer)
    rates: Sequence[Rate] = ()

    def tax_on(self, day: date, *, price: TaxTerms = _NO_TERMS, plan: TaxTerms) -> LineTax:
        """The tax of a price of a plan on a local day.

        Raises Invalid `no_tax_rate` where a rate is to be looked up and none is in force,
        `no_seller_country` where the seller doesn't say where it is.
        """
        buyer = self.buyer
        category = price.category or plan.category or self.seller_category
        if buyer.treatment is TaxTreatment.EXEMPT:
            return LineTax(code=TaxCode.EXEMPT, said_by="tenant")
        if buyer.treatment is TaxTreatment.REVERSE_CHARGE:
            return self._reverse_charge(day, category)
        for said_by, terms in (("price", price), ("plan", plan)):
            if terms.percent is not None:
                return _given(terms.percent, said_by=said_by)
            if terms.category:
                return self._looked_up(day, terms.category, said_by=said_by)
        if buyer.percent is not None:
            return _given(buyer.percent, said_by="tenant")
        if buyer.treatment is TaxTreatment.TAXABLE:
            return self._looked_up(day, category, said_by="tenant")
        return NO_TAX

    def taxes_over(
        self, first: date, end: date, *, price: TaxTerms = _NO_TERMS, plan: TaxTerms
    ) -> list[tuple[LineTax, date, date]]:
        """The taxes of the days from `first` to before `end`, cut where they change."""
        at_first = self.tax_on(first, price=price, plan=plan)
        if not at_first.category:
            return [(at_first, first, end)]  # not from the dated rates
        found: list[tuple[LineTax, date, date]] = []
        for starts_on, ends_on in pairwise([first, *self._changes(first, end), end]):
            tax = self.tax_on(starts_on, price=price, plan=plan)
            if found and found[-1][0] == tax:
                found[-1] = (tax, found[-1][1], ends_on)
            else:
                found.append((tax, starts_on, ends_on))
        return found

    def _changes(self, first: date, end: date) -> list[date]:
        """The days within on which any rate begins or ends."""
        days = {rate.valid_from for rate in self.rates}
        days.update(rate.valid_to for rate in self.rates if rate.valid_to is not None)
        return sorted(day for day in days if first < day < end)

    def _looked_up(self, day: date, category: str, *, said_by: str) -> LineTax:
        if not self.seller_country:
            raise Invalid(
                "no_seller_country",
                "The seller's country is not set, so no tax rate can be found; set it.",
                field="country",
            )
        rate = self._rate_on(day, category)
        if rate is None:
            where = f"{self.seller_country} to {self.buyer.country or self.seller_country}"
            raise Invalid(
                "no_tax_rate",
                f"No rate of {category or 'any category'!r} is in force from {where} on "
                f"{day.isoformat()}; load one.",
                field="tax_category",
            )
        return LineTax(
            percent=rate.percent,
            code=rate.code,
            said_by=said_by,
            category=rate.category,
            jurisdiction=rate.jurisdiction,
            supply=rate.supply.value,
            text=rate.text,
        )

    def _reverse_charge(self, day: date, category: str) -> LineTax:
        """Nothing is charged; what the law wants said is the rate's text where there is one."""
        rate = self._rate_on(day, category)
        if rate is None or rate.code is not TaxCode.REVERSE_CHARGE:
            return LineTax(code=TaxCode.REVERSE_CHARGE, said_by="tenant")
        return self._looked_up(day, category, said_by="tenant")

    def _rate_on(self, day: date, category: str) -> Rate | None:
        for jurisdiction, supply in self._places():
            for rate in self.rates:
                if rate.identity == (jurisdiction, category, supply) and rate.holds_on(day):
                    return rate
        return None

    def _places(self) -> Iterator[tuple[str, Supply]]:
        """Whose rates count, the first that is found."""
        seller, buyer = self.seller_country, self.buyer.country or self.seller_country
        if not seller:
            return
        if buyer == seller:
            yield seller, Supply.DOMESTIC
            return
        yield (
            buyer,
            Supply.INBOUND_BUSINESS if self.buyer.tax_id.strip() else Supply.INBOUND_CONSUMER,
        )
        yield seller, Supply.OUTBOUND


def _given(percent: Decimal, *, said_by: str) -> LineTax:
    code = TaxCode.STANDARD if percent else TaxCode.ZERO
    return LineTax(percent=percent, code=code, said_by=said_by)
