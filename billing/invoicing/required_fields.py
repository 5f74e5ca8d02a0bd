"""What an invoice of a seller in the European Union must say, checked before it is issued. Pure.

Source: Directive 2006/112/EC, articles 226 (the fields), 230 (the tax in the national currency) and 219
(a credit note is treated as an invoice); for the account and the corrected invoice's number Directive (EU)
2025/516, from 1 July 2030. Number, dates, quantities, amounts and rates are there by construction; what
can be missing is what people have to say of the parties, of exemptions and of exchange rates.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from billing.exchange.domain import NationalTax
from billing.parties.domain.member_states import is_member_state, national_currency
from billing.parties.domain.party import Issuer, LegalParty, Recipient
from billing.parties.domain.vat_numbers import vat_number
from billing.taxes.domain.rules import LineTax, TaxCode
from kernel.errors import Conflict
from kernel.money import Money

CODE: Final = "invoice_fields_missing"
ACCOUNT_REQUIRED_FROM: Final = date(2030, 7, 1)


class Case(StrEnum):
    """Where the buyer is, seen from a seller in a member state."""

    DOMESTIC = "domestic"
    INTRA_UNION = "intra_union"
    EXPORT = "export"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToBeIssued:
    """A document as it would be issued on that local day. `taxes` are those of its lines, `tax` is their
    sum; `national_tax` None: no exchange rate was found, or none is needed."""

    issuer: Issuer
    recipient: Recipient
    issued_on: date
    taxes: Sequence[LineTax]
    tax: Money
    national_tax: NationalTax | None = None

    @property
    def is_ruled(self) -> bool:
        """Whether the seller is in a member state on the day, so that the Directive asks for the fields."""
        return is_member_state(self.issuer.country, on=self.issued_on)

    @property
    def case(self) -> Case:
        buyer = self.recipient.country
        if buyer in {"", self.issuer.country}:
            return Case.DOMESTIC
        return Case.INTRA_UNION if is_member_state(buyer, on=self.issued_on) else Case.EXPORT

    @property
    def national_currency(self) -> str:
        """In which currency the seller's member state takes the tax."""
        return national_currency(self.issuer.country, on=self.issued_on)

    @property
    def needs_national_tax(self) -> bool:
        """Whether the tax must be told in another currency than the document's (article 230)."""
        return (
            self.is_ruled and bool(self.tax.minor) and self.tax.currency != self.national_currency
        )

    def says(self, code: TaxCode) -> bool:
        """Whether a line bears tax of that kind."""
        return any(each.code is code for each in self.taxes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingField:
    """A field that is not there, and where it is mended."""

    path: str
    mend: str


_SELLER: Final = "in the seller's details"
_BUYER: Final = "in the tenant's billing details"
_STANDING: Final = "in the tenant's tax standing"


def missing_fields(document: ToBeIssued) -> tuple[MissingField, ...]:
    """Every field that the document lacks, in the Directive's order; none for a seller elsewhere."""
    if not document.is_ruled:
        return ()
    return tuple(
        MissingField(path=path, mend=mend)
        for path, (mend, is_missing) in _FIELDS.items()
        if is_missing(document)
    )


def refusal(missing: Sequence[MissingField]) -> Conflict:
    """The reason for which the document is not issued, with each field and where to mend it."""
    fields = ", ".join(f"{each.path} ({each.mend})" for each in missing)
    return Conflict(
        CODE,
        f"The invoice would lack what the law wants on it: {fields}; give that and run billing again.",
        field=missing[0].path,
        params={"fields": ", ".join(each.path for each in missing)},
    )


def _has_address(party: LegalParty) -> bool:
    """A whole address: street and city, or lines in one text."""
    return bool(party.address) and bool(party.street) == bool(party.city)


def _has_vat_number(party: LegalParty, *, on: date) -> bool:
    return vat_number(party.tax_id, country=party.country, on=on) is not None


def _lacks_seller_number(document: ToBeIssued) -> bool:
    on, issuer = document.issued_on, document.issuer
    return not (
        _has_vat_number(issuer, on=on)
        or vat_number(issuer.representative_tax_id, country=issuer.representative_country, on=on)
    )


def _lacks_buyer_number(document: ToBeIssued) -> bool:
    """Where the buyer owes the tax, or the supply is free of it for another member state's business."""
    owes = document.says(TaxCode.REVERSE_CHARGE)
    is_free = document.case is Case.INTRA_UNION and document.says(TaxCode.ZERO)
    if not (owes or is_free):
        return False
    buyer = document.recipient
    if not is_member_state(buyer.country, on=document.issued_on):
        return not (buyer.tax_id or buyer.registration_id)
    return not _has_vat_number(buyer, on=document.issued_on)


def _lacks_reason(document: ToBeIssued) -> bool:
    return not document.recipient.exemption_reason and any(
        each.code is TaxCode.EXEMPT and not each.text for each in document.taxes
    )


def _lacks_tax(document: ToBeIssued) -> bool:
    """Nobody says what tax there is; outside the Union that is as the law wants it (article 44)."""
    return document.case is not Case.EXPORT and document.says(TaxCode.NONE)


def _lacks_of_representative(
    pick: Callable[[Issuer], str],
) -> Callable[[ToBeIssued], bool]:
    return lambda document: document.issuer.has_representative and not pick(document.issuer)


_FIELDS: Final[Mapping[str, tuple[str, Callable[[ToBeIssued], bool]]]] = {
    "seller.tax_id": (_SELLER, _lacks_seller_number),
    "buyer.tax_id": (_STANDING, _lacks_buyer_number),
    "seller.name": (_SELLER, lambda document: not document.issuer.name),
    "seller.address": (_SELLER, lambda document: not _has_address(document.issuer)),
    "buyer.name": (_BUYER, lambda document: not document.recipient.name),
    "buyer.address": (_BUYER, lambda document: not _has_address(document.recipient)),
    "buyer.country": (_STANDING, lambda document: not document.recipient.country),
    "tax": ("in the tenant's tax standing, or in the plan", _lacks_tax),
    "exemption_reason": (_BUYER, _lacks_reason),
    "representative.name": (
        _SELLER,
        _lacks_of_representative(lambda issuer: issuer.representative_name),
    ),
    "representative.address": (
        _SELLER,
        _lacks_of_representative(
            lambda issuer: (
                issuer.representative_street
                and issuer.representative_city
                and issuer.representative_country
            )
        ),
    ),
    "representative.tax_id": (
        _SELLER,
        _lacks_of_representative(lambda issuer: issuer.representative_tax_id),
    ),
    "seller.iban": (
        _SELLER,
        lambda document: (
            document.issued_on >= ACCOUNT_REQUIRED_FROM
            and not (document.issuer.iban or document.issuer.bank_details)
        ),
    ),
    "exchange_rate": (
        "in the exchange rates",
        lambda document: document.needs_national_tax and document.national_tax is None,
    ),
}
"""Of each field where it is mended, and whether a document lacks it."""
