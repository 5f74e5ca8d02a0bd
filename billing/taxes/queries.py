"""Reading the rates of tax."""

from collections.abc import Collection

from billing.taxes.domain.rules import Rate, Supply, TaxCode
from billing.taxes.models import TaxRate


def rates_of(*, jurisdictions: Collection[str]) -> tuple[Rate, ...]:
    """All rates of the jurisdictions, by identity and day. One query; none for no jurisdiction."""
    if not jurisdictions:
        return ()
    found = TaxRate.objects.filter(jurisdiction__in=set(jurisdictions))
    return tuple(map(_rate, found.order_by("jurisdiction", "category", "supply", "valid_from")))


def rate_page(*, limit: int, offset: int = 0) -> tuple[tuple[Rate, ...], int]:
    """Some of all rates, by identity and newest first, and how many there are."""
    found = TaxRate.objects.order_by("jurisdiction", "category", "supply", "-valid_from")
    return tuple(map(_rate, found[offset : offset + limit])), found.count()


def _rate(row: TaxRate) -> Rate:
    return Rate(
        jurisdiction=row.jurisdiction,
        category=row.category,
        supply=Supply(row.supply),
        code=TaxCode(row.code),
        percent=row.percent,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        text=row.text,
    )
