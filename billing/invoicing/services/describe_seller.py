"""Say who issues the invoices: the legal entity whose name, address and bank stand on them."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.invoicing.models import Seller
from billing.parties.domain.member_states import is_member_state
from billing.parties.domain.validation import (
    account_faults,
    email_faults,
    endpoint_faults,
    fault,
    text_faults,
)
from billing.parties.domain.vat_numbers import vat_number
from billing.rating.adjustments.tax import TaxRounding
from tenants import audit

FIELDS: Final = (
    "name", "address", "street", "city", "postal_code", "subdivision", "country", "tax_id",
    "registration_id", "endpoint_scheme", "endpoint_id", "email", "bank_details", "iban", "bic",
    "representative_name", "representative_street", "representative_city",
    "representative_postal_code", "representative_country", "representative_tax_id",
    "number_prefix", "tax_rounding", "tax_category",
)  # fmt: skip
_LONGEST: Final = {
    "name": 200, "street": 200, "city": 100, "postal_code": 20, "subdivision": 100, "tax_id": 64,
    "registration_id": 64, "endpoint_scheme": 4, "endpoint_id": 100, "email": 254, "iban": 64,
    "bic": 11, "representative_name": 200, "representative_street": 200,
    "representative_city": 100, "representative_postal_code": 20, "representative_tax_id": 64,
    "tax_category": 100,
}  # fmt: skip
_PREFIX: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,8}")
"""So that the credit notes' prefix, longer by 3, fits into its column, and no number is above 30."""
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def seller_as_described(*, code: str = "default") -> Mapping[str, str]:
    """`FIELDS` of the seller as they are."""
    return _described(Seller.objects.get(code=code))


def describe_seller(
    *, changes: Mapping[str, str], now: datetime, actor: str, code: str = "default"
) -> Mapping[str, str]:
    """Change what is given of `FIELDS` and give the seller as it then is; in a cross-tenant scope.

    Issued invoices keep their number and the seller as it stood. Raises PlanFaults `invalid_seller` with
    every fault of what is changed.
    """
    seller = Seller.objects.select_for_update().get(code=code)
    before = _described(seller)
    for field, value in changes.items():
        setattr(seller, field, value.strip())
    after = _described(seller)
    if after == before:
        return after
    faults = [
        each
        for each in _faults(after, on=now)
        if any(after[name] != before[name] for name in _belonging(each.path))
    ]
    if faults:
        raise PlanFaults(faults, code="invalid_seller")
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


def _described(seller: Seller) -> dict[str, str]:
    return {field: getattr(seller, field) for field in FIELDS}


def _belonging(path: str) -> tuple[str, ...]:
    """The fields whose change can make the fault; what was stored before stays as it is."""
    if path == "tax_id":
        return ("tax_id", "country")
    if path.startswith("endpoint_"):
        return ("endpoint_scheme", "endpoint_id")
    if path == "representative_tax_id":
        return ("representative_tax_id", "representative_country")
    return (path,)


def _faults(given: Mapping[str, str], *, on: datetime) -> Iterator[Fault]:
    if not given["name"]:
        yield fault("name", "missing", "is missing; invoices need one: give it.")
    yield from text_faults(given, longest=_LONGEST)
    yield from endpoint_faults(given)
    yield from email_faults("email", given["email"])
    yield from account_faults(account=given["iban"], bank=given["bic"])
    for prefix in ("", "representative_"):
        country, tax_id = given[f"{prefix}country"], given[f"{prefix}tax_id"]
        if not _COUNTRY.fullmatch(country or "XX"):
            yield fault(
                f"{prefix}country", "not_a_country", "is not a code of two letters, such as CN."
            )
        elif (
            tax_id
            and is_member_state(country, on=on.date())
            and vat_number(tax_id, country=country, on=on.date()) is None
        ):
            yield fault(
                f"{prefix}tax_id",
                "bad_vat_number",
                f"is no VAT number of {country}: it lacks the country's prefix, or a digit is wrong.",
            )
    if not _PREFIX.fullmatch(given["number_prefix"]):
        yield fault(
            "number_prefix",
            "bad_prefix",
            "is not 1 to 9 capital letters, digits or '-', such as INV.",
        )
    if given["tax_rounding"] not in list(TaxRounding):
        yield fault(
            "tax_rounding", "unknown_rounding", f"is none of {', '.join(TaxRounding)}; write one."
        )
