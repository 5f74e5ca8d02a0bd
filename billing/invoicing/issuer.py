"""Who issued a document, as it stood then: a seller that moves doesn't move with its old invoices."""

from dataclasses import asdict, dataclass

from billing.invoicing.models import Invoice, Seller


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """What a document says of its seller."""

    name: str
    address: str
    country: str
    tax_id: str
    bank_details: str


def issuer_as_it_stands(seller: Seller) -> dict[str, str]:
    """The seller of now, to be kept on a document that is issued."""
    return asdict(_of_seller(seller))


def issuer_of(invoice: Invoice) -> Issuer:
    """The issuer that was kept with the invoice; of a draft, and of one from before it was kept, the seller
    of now, which must be loaded."""
    return _of_seller(invoice.seller) if invoice.issuer is None else Issuer(**invoice.issuer)


def _of_seller(seller: Seller) -> Issuer:
    return Issuer(
        name=seller.name,
        address=seller.address,
        country=seller.country,
        tax_id=seller.tax_id,
        bank_details=seller.bank_details,
    )
