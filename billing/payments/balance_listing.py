"""A tenant's prepaid balance as screens and API show it: what is left, where it came from, what it paid.

Each query runs inside the caller's scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db.models import Case, IntegerField, Min, QuerySet, Sum, Value, When

from billing.ledger.domain import BalanceKind
from billing.ledger.models import BalanceLot
from billing.payments.models import BalanceDraw
from billing.rating.adjustments.credits import CreditScope, read_scope
from kernel.money import Money

ENDS_SOON: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSum:
    """What is left in one currency. `ends_soon` is what of it ends within `ENDS_SOON`, the first of it
    at `first_end`; it does not count what has ended already."""

    currency: str
    left: Mapping[BalanceKind, Money]
    ends_soon: Money
    first_end: datetime | None

    @property
    def total(self) -> Money:
        return sum(self.left.values(), start=Money.zero(self.currency))


@dataclass(frozen=True, slots=True, kw_only=True)
class LotRow:
    """One grant, or other credit, with what became of it: `amount` is `drawn`, `expired` and `left`.

    `source` says where it came from, as `grant:…`, `payment:…`, `top_up:…` or `credit_note:…`; `has_ended` where
    its time is over.
    """

    id: UUID
    kind: BalanceKind
    source: str
    amount: Money
    drawn: Money
    expired: Money
    left: Money
    granted_at: datetime
    expires_at: datetime | None
    has_ended: bool
    priority: int
    scope: CreditScope

    @property
    def origin(self) -> str:
        return self.source.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawRow:
    """What a grant paid of an invoice."""

    id: UUID
    invoice_id: UUID
    invoice_number: str
    kind: BalanceKind
    source: str
    granted_at: datetime
    amount: Money
    drawn_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LotPage:
    """Some lots, and how many there are in all."""

    rows: Sequence[LotRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawPage:
    """Some draws, and how many there are in all."""

    rows: Sequence[DrawRow]
    total: int


def balance_sums(*, tenant_id: UUID, now: datetime) -> Sequence[BalanceSum]:
    """By currency; only those in which the tenant was ever granted something."""
    rows = (
        BalanceLot.objects.filter(tenant_id=tenant_id)
        .values("currency", "kind")
        .annotate(
            left=Sum(
                Case(
                    When(expires_at__lte=now, then=Value(0)),
                    default="left_minor",
                    output_field=IntegerField(),
                )
            ),
            soon=Sum(
                Case(
                    When(expires_at__gt=now, expires_at__lte=now + ENDS_SOON, then="left_minor"),
                    default=Value(0),
                    output_field=IntegerField(),
                )
            ),
            first_end=Min(
                Case(
                    When(
                        expires_at__gt=now,
                        expires_at__lte=now + ENDS_SOON,
                        left_minor__gt=0,
                        then="expires_at",
                    )
                )
            ),
        )
        .order_by("currency", "kind")
    )
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["currency"], []).append(row)
    sums = []
    for currency, parts in found.items():
        left = {kind: Money.zero(currency) for kind in BalanceKind}
        soon = Money.zero(currency)
        ends = []
        for part in parts:
            left[BalanceKind(str(part["kind"]))] = Money(part["left"], currency)
            soon += Money(part["soon"], currency)
            if isinstance(part["first_end"], datetime):
                ends.append(part["first_end"])
        sums.append(
            BalanceSum(
                currency=currency, left=left, ends_soon=soon, first_end=min(ends, default=None)
            )
        )
    return sums


def lot_rows(*, tenant_id: UUID, now: datetime, limit: int, offset: int = 0) -> LotPage:
    """The newest first."""
    found = BalanceLot.objects.filter(tenant_id=tenant_id)
    page = found.order_by("-granted_at", "-id")[offset : offset + limit]
    return LotPage(rows=_lots(tenant_id, page, now=now), total=found.count())


def lot_page(*, tenant_id: UUID, now: datetime, after: UUID | None, limit: int) -> list[LotRow]:
    """Up to `limit` of the tenant's lots, newest first, those after the lot `after`."""
    found = BalanceLot.objects.filter(tenant_id=tenant_id)
    if after is not None:
        found = found.filter(id__lt=after)
    return _lots(tenant_id, found.order_by("-id")[:limit], now=now)


def draw_rows(*, tenant_id: UUID, limit: int, offset: int = 0) -> DrawPage:
    """What the balance paid, the newest first."""
    found = BalanceDraw.objects.filter(tenant_id=tenant_id)
    page = found.select_related("lot", "invoice").order_by("-drawn_at", "-id")
    return DrawPage(
        rows=[
            DrawRow(
                id=row.id,
                invoice_id=row.invoice_id,
                invoice_number=row.invoice.number or "",
                kind=BalanceKind(row.lot.kind),
                source=row.lot.source,
                granted_at=row.lot.granted_at,
                amount=Money(row.amount_minor, row.lot.currency),
                drawn_at=row.drawn_at,
            )
            for row in page[offset : offset + limit]
        ],
        total=found.count(),
    )


def _lots(tenant_id: UUID, found: QuerySet[BalanceLot], *, now: datetime) -> list[LotRow]:
    lots = list(found)
    drawn = dict(
        BalanceDraw.objects.filter(tenant_id=tenant_id, lot__in=lots)
        .values_list("lot")
        .annotate(drawn=Sum("amount_minor"))
        .values_list("lot", "drawn")
    )
    return [_lot(lot, drawn_minor=drawn.get(lot.id, 0), now=now) for lot in lots]


def _lot(lot: BalanceLot, *, drawn_minor: int, now: datetime) -> LotRow:
    has_ended = lot.expires_at is not None and lot.expires_at <= now
    gone = lot.amount_minor - drawn_minor
    # What ended is taken back by the next run; until then it is shown as ended already.
    left = 0 if has_ended else lot.left_minor
    return LotRow(
        id=lot.id,
        kind=BalanceKind(lot.kind),
        source=lot.source,
        amount=Money(lot.amount_minor, lot.currency),
        drawn=Money(drawn_minor, lot.currency),
        expired=Money(gone - left, lot.currency),
        left=Money(left, lot.currency),
        granted_at=lot.granted_at,
        expires_at=lot.expires_at,
        has_ended=has_ended,
        priority=lot.priority,
        scope=read_scope(lot.scope),
    )
