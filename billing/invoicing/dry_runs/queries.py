"""What a dry run found, summed and tenant by tenant; in the caller's cross-tenant scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Abs

from billing.invoicing.dry_runs.domain import Reason
from billing.invoicing.dry_runs.models import ExpectedTotal
from kernel.decimals import rounded_decimal
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One currency: what is expected beside what was billed before, and how many tenants differ how."""

    currency: str
    now: Money
    before: Money
    documents: int
    before_documents: int
    up: int
    down: int
    same: int
    new: int
    gone: int

    @property
    def difference(self) -> Money:
        return self.now - self.before

    @property
    def percent(self) -> Decimal | None:
        """The difference in percent of before, one decimal; None where nothing was billed before."""
        return _percent(self.difference, self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mover:
    """One tenant in one currency."""

    tenant_key: str
    tenant_name: str
    now: Money
    before: Money
    documents: int
    before_documents: int
    reason: Reason

    @property
    def difference(self) -> Money:
        return self.now - self.before

    @property
    def percent(self) -> Decimal | None:
        """As that of the whole."""
        return _percent(self.difference, self.before)


def differences(*, run_id: UUID) -> Sequence[Difference]:
    """Per currency, in its order. One statement. A tenant is up, down or same if it is neither new nor gone."""
    kept = ~Q(reason__in=[Reason.NEW, Reason.GONE])
    found = (
        ExpectedTotal.objects.filter(run_id=run_id)
        .values("currency")
        .annotate(
            now=Sum("total_minor"),
            before=Sum("before_minor"),
            documents_now=Sum("documents"),
            documents_before=Sum("before_documents"),
            up=Count("id", filter=kept & Q(total_minor__gt=F("before_minor"))),
            down=Count("id", filter=kept & Q(total_minor__lt=F("before_minor"))),
            same=Count("id", filter=kept & Q(total_minor=F("before_minor"))),
            new=Count("id", filter=Q(reason=Reason.NEW)),
            gone=Count("id", filter=Q(reason=Reason.GONE)),
        )
        .order_by("currency")
    )
    return [
        Difference(
            currency=row["currency"],
            now=Money(row["now"], row["currency"]),
            before=Money(row["before"], row["currency"]),
            documents=row["documents_now"],
            before_documents=row["documents_before"],
            up=row["up"],
            down=row["down"],
            same=row["same"],
            new=row["new"],
            gone=row["gone"],
        )
        for row in found
    ]


def movers(
    *, run_id: UUID, limit: int, offset: int = 0, search: str = "", reason: str = ""
) -> Sequence[Mover]:
    """The tenants whose amounts move most first, whichever way."""
    rows = (
        _rows(run_id, search=search, reason=reason)
        .select_related("tenant")
        .annotate(moved=Abs(F("total_minor") - F("before_minor")))
        .order_by("-moved", "tenant_id", "currency")
    )
    return [
        Mover(
            tenant_key=row.tenant.key,
            tenant_name=row.tenant.name,
            now=Money(row.total_minor, row.currency),
            before=Money(row.before_minor, row.currency),
            documents=row.documents,
            before_documents=row.before_documents,
            reason=Reason(row.reason),
        )
        for row in rows[offset : offset + limit]
    ]


def mover_count(*, run_id: UUID, search: str = "", reason: str = "") -> int:
    """How many `movers` there are."""
    return _rows(run_id, search=search, reason=reason).count()


def _rows(run_id: UUID, *, search: str, reason: str) -> QuerySet[ExpectedTotal]:
    rows = ExpectedTotal.objects.filter(run_id=run_id)
    if search:
        rows = rows.filter(Q(tenant__key__icontains=search) | Q(tenant__name__icontains=search))
    return rows.filter(reason=reason) if reason else rows


def _percent(part: Money, whole: Money) -> Decimal | None:
    if not whole.minor:
        return None
    return rounded_decimal(Fraction(part.minor * 100, abs(whole.minor)), places=1)
