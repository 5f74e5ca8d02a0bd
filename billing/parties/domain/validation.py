"""What an invoice could not carry of a party, found when it is written down. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from stdnum import bic, iban

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.parties.domain.code_lists import ELECTRONIC_ADDRESS_SCHEMES, EXEMPTION_CODES
from billing.parties.domain.profile import LONGEST, BillingProfile

_IBAN_COUNTRY: Final = 2


class ProfileFaults(PlanFaults):
    """The billing details are refused as a whole, with every fault; code `invalid_billing_profile`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults, code="invalid_billing_profile")


def profile_faults(profile: BillingProfile) -> Iterator[Fault]:
    """All faults of what is given."""
    given = asdict(profile)
    yield from text_faults(given, longest=LONGEST)
    yield from endpoint_faults(given)
    yield from email_faults("contact_email", profile.contact_email)
    if profile.exemption_code and profile.exemption_code not in EXEMPTION_CODES:
        yield fault(
            "exemption_code", "unknown_code", "is no code of the list VATEX, such as VATEX-EU-132."
        )
    if profile.exemption_code and not profile.exemption_reason:
        yield fault(
            "exemption_reason", "missing", "is missing; say in words what the code stands for."
        )


def text_faults(given: Mapping[str, str], *, longest: Mapping[str, int]) -> Iterator[Fault]:
    """Texts that are too long, or that no document could hold."""
    for path, limit in longest.items():
        text = given[path]
        if len(text) > limit:
            yield fault(path, "too_long", f"is longer than {limit} characters; shorten it.")
        elif not text.isprintable():
            yield fault(
                path, "forbidden_character", "has a control character or a line break; remove it."
            )


def endpoint_faults(given: Mapping[str, str]) -> Iterator[Fault]:
    """An electronic address without its scheme, or of an unknown one (BR-62, BR-63, BR-CL-25)."""
    scheme, address = given["endpoint_scheme"], given["endpoint_id"]
    if bool(scheme) != bool(address):
        yield fault(
            "endpoint_id" if scheme else "endpoint_scheme",
            "half_an_address",
            "is missing; an electronic address and its scheme belong together: give both or neither.",
        )
    elif scheme and scheme not in ELECTRONIC_ADDRESS_SCHEMES:
        yield fault(
            "endpoint_scheme", "unknown_code", "is no code of the list EAS, such as 0088 or 9930."
        )


def email_faults(path: str, email: str) -> Iterator[Fault]:
    """An address that mail could not reach."""
    name, at, domain = email.rpartition("@")
    if email and not (name and at and "." in domain and not any(map(str.isspace, email))):
        yield fault(path, "bad_email", "is not an e-mail address.")


def account_faults(*, account: str, bank: str) -> Iterator[Fault]:
    """An IBAN or BIC with a typing error; an account that begins with digits is no IBAN and is taken."""
    plain = account.replace(" ", "")
    if plain[:_IBAN_COUNTRY].isalpha() and not iban.is_valid(plain):
        yield fault("iban", "bad_iban", "has wrong check digits or a wrong length; compare it.")
    if bank and not bic.is_valid(bank):
        yield fault("bic", "bad_bic", "is not a BIC of 8 or 11 characters.")


def fault(path: str, code: str, message: str) -> Fault:
    """A fault whose message begins with the field."""
    return Fault(path=path, code=code, message=f"{path} {message}")
