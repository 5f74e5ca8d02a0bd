"""Reading exchange rates."""

from collections.abc import Collection
from datetime import date

from django.db.models import Q

from billing.exchange.domain import OLDEST, ExchangeRate
from billing.exchange.models import ExchangeRate as RateRow


def rates_for(
    *, currencies: Collection[str], into: Collection[str], days: Collection[date]
) -> tuple[ExchangeRate, ...]:
    """The rates between the currencies that are not too old on one of the days. One query; none where
    there is nothing to ask."""
    if not (currencies and into and days):
        return ()
    found = RateRow.objects.filter(
        Q(base__in=currencies, quote__in=into) | Q(base__in=into, quote__in=currencies),
        on__gte=min(days) - OLDEST,
        on__lte=max(days),
    )
    return tuple(map(_rate, found))


def rate_page(*, limit: int, offset: int = 0) -> tuple[tuple[ExchangeRate, ...], int]:
    """All rates, the newest day first, and how many there are."""
    found = RateRow.objects.order_by("-on", "base", "quote")
    return tuple(map(_rate, found[offset : offset + limit])), found.count()


def _rate(row: RateRow) -> ExchangeRate:
    return ExchangeRate(base=row.base, quote=row.quote, on=row.on, rate=row.rate, source=row.source)
