"""The code that banking apps read: a SEPA credit transfer with account, amount and reference.

Source: EPC069-12 v2.1 of the European Payments Council, "Quick Response Code: Guidelines to enable data capture for
the initiation of a SEPA credit transfer". It is for euros and an IBAN alone; nothing else gets a code.
"""

from dataclasses import dataclass
from typing import Final

import segno
from segno.helpers import make_epc_qr
from stdnum import bic, iban

from kernel.money import Money

_EURO: Final = "EUR"
_MOST_MINOR: Final = 99_999_999_999
_NAME_CHARACTERS: Final = 70
_REFERENCE_CHARACTERS: Final = 140
_QUIET_ZONE: Final = 4
_UTF_8: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a payer's bank needs; `bic` may be empty."""

    name: str
    iban: str
    bic: str
    amount: Money
    reference: str


def transfer_for(
    *, name: str, account: str, bank: str, amount: Money, reference: str
) -> Transfer | None:
    """The transfer that pays `amount`, or None where such a code can't say it: another currency than the
    euro, no IBAN, nothing to pay or more than 999,999,999.99."""
    plain = account.replace(" ", "").upper()
    if amount.currency != _EURO or not 0 < amount.minor <= _MOST_MINOR or not name.strip():
        return None
    if not iban.is_valid(plain):
        return None
    return Transfer(
        name=" ".join(name.split())[:_NAME_CHARACTERS].strip(),
        iban=plain,
        bic=bank if bic.is_valid(bank) else "",
        amount=amount,
        reference=reference[:_REFERENCE_CHARACTERS],
    )


def transfer_svg(transfer: Transfer) -> str:
    """The code as an SVG element with the quiet zone around it that readers need."""
    return _code(transfer).svg_inline(border=_QUIET_ZONE, light="white", omitsize=True)


def transfer_address(transfer: Transfer) -> str:
    """The same as a `data:` address for a page's image."""
    return _code(transfer).svg_data_uri(border=_QUIET_ZONE, light="white")


def _code(transfer: Transfer) -> segno.QRCode:
    return make_epc_qr(
        name=transfer.name,
        iban=transfer.iban,
        amount=transfer.amount.amount,
        text=transfer.reference,
        bic=transfer.bic or None,
        encoding=_UTF_8,
    )
