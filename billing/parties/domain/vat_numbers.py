"""Whether a tax id may be a VAT number: form and check digits per country, by python-stdnum. Pure.

That a number is given out and to whom only the tax authorities know.
"""

from datetime import date
from typing import Final

import stdnum
from stdnum.eu import vat

from billing.parties.domain.member_states import VAT_PREFIX, is_member_state

_PREFIX: Final = 2


def vat_number(tax_id: str, *, country: str, on: date) -> str | None:
    """The VAT number in its plain form with the country's prefix; None where the tax id is none.

    In a member state it has the prefix (article 215 of Directive 2006/112/EC) and right check digits.
    Elsewhere it is one if it begins with the country's code and, where the country's form is known, the
    rest has it.
    """
    plain = tax_id.replace(" ", "").replace("-", "").replace(".", "").upper()
    prefix = VAT_PREFIX.get(country, country)
    if len(prefix) != _PREFIX or not plain.startswith(prefix) or len(plain) <= _PREFIX:
        return None
    if is_member_state(country, on=on):
        return plain if vat.is_valid(plain) else None
    if not plain.isalnum() or not plain.isascii():
        return None
    known = stdnum.get_cc_module(country, "vat")
    if known is not None and not (known.is_valid(plain) or known.is_valid(plain[_PREFIX:])):
        return None
    return plain
