"""Add one dated rate of tax: what is in force now ends where it begins."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction

from billing.taxes.domain.rules import Rate
from billing.taxes.queries import rates_of
from billing.taxes.services.load_taxes import LoadedRates, load_taxes
from kernel.decimals import plain_text
from work.connections import current_alias


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedRate:
    """What adding a rate does: `before` is the stored one that it ends, None where none is open."""

    before: Rate | None
    loaded: LoadedRates


def add_rate(*, rate: Rate, now: datetime, actor: str) -> AddedRate:
    """Store it, in the caller's cross-tenant scope; history is never edited.

    The rate of its kind that is stored as open gets its end where this one begins. Storing the same
    again changes nothing. Raises TaxFaults as `load_taxes`.
    """
    before = next(
        (
            each
            for each in rates_of(jurisdictions=[rate.jurisdiction])
            if each.identity == rate.identity
            and each.valid_to is None
            and each.valid_from < rate.valid_from
        ),
        None,
    )
    document = [_document(rate)]
    if before is not None:
        ended = _document(before)
        ended["valid_to"] = rate.valid_from.isoformat()
        document.insert(0, ended)
    return AddedRate(
        before=before, loaded=load_taxes(document={"rates": document}, now=now, actor=actor)
    )


def preview_rate(*, rate: Rate, now: datetime, actor: str) -> AddedRate:
    """What `add_rate` would do, by doing it and taking it back. Raises as it does."""
    with transaction.atomic(using=current_alias()):
        added = add_rate(rate=rate, now=now, actor=actor)
        transaction.set_rollback(True, using=current_alias())
    return added


def _document(rate: Rate) -> dict[str, Any]:
    told: dict[str, Any] = {
        "jurisdiction": rate.jurisdiction,
        "category": rate.category,
        "supply": rate.supply.value,
        "code": rate.code.value,
        "valid_from": rate.valid_from.isoformat(),
    }
    if rate.percent != Decimal(0):
        told["percent"] = plain_text(rate.percent)
    if rate.valid_to is not None:
        told["valid_to"] = rate.valid_to.isoformat()
    if rate.text:
        told["text"] = dict(rate.text)
    return told
