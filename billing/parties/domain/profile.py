"""What a tenant's invoices say of it beside its name, country and tax id. Pure."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingProfile:
    """Empty where nothing is given: then a document takes the tenant's own name, address and e-mail.

    Country and tax id decide taxes; they belong to the tenant's tax standing.
    """

    legal_name: str = ""
    street: str = ""
    city: str = ""
    postal_code: str = ""
    subdivision: str = ""
    registration_id: str = ""
    endpoint_scheme: str = ""
    endpoint_id: str = ""
    contact_email: str = ""
    reference: str = ""
    order_number: str = ""
    exemption_reason: str = ""
    exemption_code: str = ""


STAFF_FIELDS: Final = frozenset({"exemption_reason", "exemption_code"})
"""What a tenant doesn't say of itself: by what it is charged no tax."""

LONGEST: Final = {
    "legal_name": 200,
    "street": 200,
    "city": 100,
    "postal_code": 20,
    "subdivision": 100,
    "registration_id": 64,
    "endpoint_scheme": 4,
    "endpoint_id": 100,
    "contact_email": 254,
    "reference": 100,
    "order_number": 100,
    "exemption_reason": 300,
    "exemption_code": 30,
}
"""How many characters each field may have."""
