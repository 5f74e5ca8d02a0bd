"""Who issued a document, as it stood then: a seller that moves doesn't move with its old invoices."""

from billing.invoicing.models import CreditNote, Invoice, Seller
from billing.parties.domain.party import Issuer, address_lines

__all__ = ["Issuer", "issuer_as_it_stands", "issuer_of"]


def issuer_as_it_stands(seller: Seller) -> Issuer:
    """The seller of now, to be kept on a document that is issued."""
    structured = address_lines(
        street=seller.street,
        postal_code=seller.postal_code,
        city=seller.city,
        subdivision=seller.subdivision,
    )
    return Issuer(
        name=seller.name,
        address=structured or seller.address,
        street=seller.street,
        city=seller.city,
        postal_code=seller.postal_code,
        subdivision=seller.subdivision,
        country=seller.country,
        tax_id=seller.tax_id,
        registration_id=seller.registration_id,
        endpoint_scheme=seller.endpoint_scheme,
        endpoint_id=seller.endpoint_id,
        email=seller.email,
        bank_details=seller.bank_details,
        iban=seller.iban,
        bic=seller.bic,
        representative_name=seller.representative_name,
        representative_street=seller.representative_street,
        representative_city=seller.representative_city,
        representative_postal_code=seller.representative_postal_code,
        representative_country=seller.representative_country,
        representative_tax_id=seller.representative_tax_id,
    )


def issuer_of(document: Invoice | CreditNote) -> Issuer:
    """The issuer that was kept with the document; of a draft, and of one from before it was kept, the
    seller of now, which must be loaded."""
    if document.issuer is None:
        return issuer_as_it_stands(document.seller)
    return Issuer.read(document.issuer)
