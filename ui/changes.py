"""A change of a subscription before it is made: its documents, opened up, and what was seen of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from django.core.signing import BadSignature, Signer

from kernel.money import Money, total
from kernel.period import Period
from ui.working import BilledLine, ShownLine, shown_line


class PreviewedLine(BilledLine, Protocol):
    """A billed line with its tax."""

    @property
    def tax(self) -> Money: ...


class PreviewedDocument(Protocol):
    """What a previewed document must tell to be shown."""

    @property
    def is_credit_note(self) -> bool: ...
    @property
    def issued_at(self) -> datetime: ...
    @property
    def timezone(self) -> str: ...
    @property
    def period(self) -> Period: ...
    @property
    def total(self) -> Money: ...
    @property
    def lines(self) -> Sequence[PreviewedLine]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDocument:
    """A document with its sums: what comes back and what is charged, both not negative and before tax,
    what discounts take off, the tax, and the total."""

    is_credit_note: bool
    issued_at: datetime
    timezone: str
    period: Period
    credited: Money
    charged: Money
    discount: Money
    tax: Money
    total: Money
    lines: Sequence[ShownLine]


def shown_document(document: PreviewedDocument) -> ShownDocument:
    """The document as a page shows it; a credit note's amounts are in the tenant's favour."""
    currency = document.total.currency
    taken = [line.amount for line in document.lines if line.amount.minor < 0]
    given = [line.amount for line in document.lines if line.amount.minor > 0]
    credited, charged = -total(taken, currency=currency), total(given, currency=currency)
    net = charged - credited
    tax = total((line.tax for line in document.lines), currency=currency)
    if document.is_credit_note:
        credited, charged = charged, credited
    return ShownDocument(
        is_credit_note=document.is_credit_note,
        issued_at=document.issued_at,
        timezone=document.timezone,
        period=document.period,
        credited=credited,
        charged=charged,
        discount=net + tax - document.total,
        tax=tax,
        total=document.total,
        lines=tuple(shown_line(line) for line in document.lines),
    )


def form_token(new_id: UUID, *, of: UUID) -> str:
    """The id under which a form asks, signed for the subscription that it is about."""
    return Signer(salt=f"change of {of}").sign(str(new_id))


def asked_id(token: str, *, of: UUID) -> UUID | None:
    """The id that `form_token` signed; None for any other text."""
    try:
        return UUID(Signer(salt=f"change of {of}").unsign(token))
    except (BadSignature, ValueError):
        return None


def seen_mark(documents: Sequence[PreviewedDocument], *holds: object) -> str:
    """A mark of the amounts that a person sees, so that another amount isn't agreed to unseen."""
    told = [str(each) for each in holds]
    for document in documents:
        told += [str(document.is_credit_note), str(document.total), str(document.period)]
        told += [f"{line.key} {line.amount} {line.period}" for line in document.lines]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
