"""Seller and buyer as a document keeps them. Pure.

Fields follow the terms of EN 16931 (BT, BG), so that a document can be written in its form later from
what it kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class LegalParty:
    """What a document says of one of its parties; empty where nothing is given.

    `address` is the whole address in lines, as it is printed, without the country. `endpoint_scheme` is
    the code of the list EAS that tells what `endpoint_id`, the address for electronic invoices, is.
    """

    name: str = ""
    address: str = ""
    street: str = ""
    city: str = ""
    postal_code: str = ""
    subdivision: str = ""
    country: str = ""
    tax_id: str = ""
    registration_id: str = ""
    endpoint_scheme: str = ""
    endpoint_id: str = ""
    email: str = ""

    def stored(self) -> dict[str, str]:
        """All that is given, for a document to keep."""
        return {
            each.name: value for each in fields(self) if (value := getattr(self, each.name)) != ""
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """What `stored` gave, also where an older or newer version had other fields."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer(LegalParty):
    """The seller. `iban` may be any account identifier where `bic` is empty; the representative is who
    owes the tax in the seller's place (article 204 of Directive 2006/112/EC)."""

    bank_details: str = ""
    iban: str = ""
    bic: str = ""
    representative_name: str = ""
    representative_street: str = ""
    representative_city: str = ""
    representative_postal_code: str = ""
    representative_country: str = ""
    representative_tax_id: str = ""

    @property
    def has_representative(self) -> bool:
        """Whether anything is said of one."""
        return bool(
            self.representative_name
            or self.representative_street
            or self.representative_city
            or self.representative_country
            or self.representative_tax_id
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient(LegalParty):
    """The buyer. `reference` (BT-10) and `order_number` (BT-13) are the buyer's own; the exemption is why
    an exempt buyer is charged no tax, with its code of the list VATEX where there is one."""

    key: str = ""
    reference: str = ""
    order_number: str = ""
    exemption_reason: str = ""
    exemption_code: str = ""


def address_lines(*, street: str, postal_code: str, city: str, subdivision: str) -> str:
    """An address as it is printed, without its country: empty where nothing is given."""
    place = " ".join(part for part in (postal_code, city) if part)
    return "\n".join(line for line in (street, place, subdivision) if line)
