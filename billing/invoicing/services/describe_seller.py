"""Say who issues the invoices: the legal entity whose name, address and bank stand on them."""

import re
from collections.abc import Mapping
from datetime import datetime

from billing.invoicing.models import Seller
from billing.rating.adjustments.tax import TaxRounding
from kernel.errors import Invalid
from tenants import audit

FIELDS = (
    "name", "address", "tax_id", "country", "bank_details", "number_prefix",
    "tax_rounding", "tax_category",
)  # fmt: skip
_LONGEST = {"name": 200, "tax_id": 64, "tax_category": 100}
_PREFIX = re.compile(r"[A-Z0-9][A-Z0-9-]{0,11}")
_COUNTRY = re.compile(r"[A-Z]{2}")


def describe_seller(
    *, changes: Mapping[str, str], now: datetime, actor: str, code: str = "default"
) -> Mapping[str, str]:
    """Change what is given of `FIELDS` and give the seller as it then is; in a cross-tenant scope.

    Issued invoices keep their number and the seller as it stood. Raises Invalid `invalid_seller`.
    """
    if "name" in changes and not changes["name"].strip():
        raise Invalid(
            "invalid_seller", "The seller has no name; invoices need one: give it.", field="name"
        )
    if not _COUNTRY.fullmatch(changes.get("country") or "XX"):
        raise Invalid(
            "invalid_seller", "country is not a code of two letters, such as CN.", field="country"
        )
    if "number_prefix" in changes and not _PREFIX.fullmatch(changes["number_prefix"]):
        raise Invalid(
            "invalid_seller",
            "number_prefix is not 1 to 12 capital letters, digits or '-', such as INV.",
            field="number_prefix",
        )
    if changes.get("tax_rounding", TaxRounding.PER_RATE) not in list(TaxRounding):
        raise Invalid(
            "invalid_seller",
            f"tax_rounding is none of {', '.join(TaxRounding)}; write one of them.",
            field="tax_rounding",
        )
    seller = Seller.objects.select_for_update().get(code=code)
    before = {field: getattr(seller, field) for field in FIELDS}
    for field, value in changes.items():
        limit = _LONGEST.get(field)
        if limit is not None and len(value) > limit:
            raise Invalid(
                "invalid_seller",
                f"{field} is longer than {limit} characters; shorten it.",
                field=field,
            )
        setattr(seller, field, value.strip())
    after = {field: getattr(seller, field) for field in FIELDS}
    if after != before:
        seller.save(update_fields=list(FIELDS))
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="seller.described",
                target=f"seller:{code}",
                before=before,
                after=after,
            ),
            now=now,
        )
    return after
