"""Migrations of plan versions as the console shows them: who would be moved, and how far one is.

Each query needs a cross-tenant scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet

from billing.subscriptions.domain import MigrationWhen, SubscriptionStatus
from billing.subscriptions.models import PlanMigration, Subscription
from kernel.errors import NotFound

SAMPLE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """The running subscriptions that hold a version: how many, how many of them billing has left
    aside (they are not moved), and the tenants of some."""

    subscriptions: int
    parked: int
    sample: Sequence[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRow:
    """One migration. `waiting` is how many it has not looked at yet; `tenants` of how many named
    tenants it is, 0 for all."""

    id: UUID
    from_plan: str
    from_number: int
    to_plan: str
    to_number: int
    when: MigrationWhen
    tenants: int
    moved: int
    left_out: Mapping[str, int]
    waiting: int
    requested_by: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def looked_at(self) -> int:
        """How many were moved or left as they are."""
        return self.moved + sum(self.left_out.values())

    @property
    def total(self) -> int:
        return self.looked_at + self.waiting


def cohort_of(*, plan_key: str, number: int, tenant_keys: Sequence[str] = ()) -> Cohort:
    """Who would be moved, of the named tenants only unless there are none. Two queries."""
    found = Subscription.objects.filter(
        status=SubscriptionStatus.ACTIVE,
        plan_version__plan__key=plan_key,
        plan_version__number=number,
    )
    if tenant_keys:
        found = found.filter(tenant__key__in=tenant_keys)
    counts = found.aggregate(
        subscriptions=Count("id"), parked=Count("id", filter=~Q(parked_code=""))
    )
    return Cohort(
        subscriptions=counts["subscriptions"],
        parked=counts["parked"],
        sample=list(
            found.order_by("tenant__name", "tenant__key").values_list("tenant_id", flat=True)[
                :SAMPLE
            ]
        ),
    )


def migration_rows(*, plan_key: str, limit: int) -> Sequence[MigrationRow]:
    """The newest migrations from or to a plan, without counting who waits."""
    found = _migrations().filter(
        Q(from_version__plan__key=plan_key) | Q(to_version__plan__key=plan_key)
    )
    return tuple(_row(each, waiting=0) for each in found[:limit])


def migration_detail(*, migration_id: UUID) -> MigrationRow:
    """One migration, with who waits for it. Raises NotFound `migration_not_found`."""
    found = _migrations().filter(id=migration_id).first()
    if found is None:
        raise NotFound("migration_not_found", "There is no such migration.", field="migration")
    waiting = 0
    if found.finished_at is None:
        rows = Subscription.objects.filter(
            status=SubscriptionStatus.ACTIVE, plan_version_id=found.from_version_id
        )
        if found.tenant_keys:
            rows = rows.filter(tenant__key__in=found.tenant_keys)
        if found.after is not None:
            rows = rows.filter(id__gt=found.after)
        waiting = rows.count()
    return _row(found, waiting=waiting)


def migration_under_way(*, plan_key: str, number: int) -> UUID | None:
    """The migration that moves subscriptions of that version and is not over."""
    return (
        PlanMigration.objects.filter(
            from_version__plan__key=plan_key,
            from_version__number=number,
            finished_at__isnull=True,
        )
        .order_by("-created_at", "-id")
        .values_list("id", flat=True)
        .first()
    )


def _migrations() -> QuerySet[PlanMigration]:
    return PlanMigration.objects.select_related("from_version__plan", "to_version__plan").order_by(
        "-created_at", "-id"
    )


def _row(row: PlanMigration, *, waiting: int) -> MigrationRow:
    return MigrationRow(
        id=row.id,
        from_plan=row.from_version.plan.key,
        from_number=row.from_version.number,
        to_plan=row.to_version.plan.key,
        to_number=row.to_version.number,
        when=MigrationWhen(row.effective),
        tenants=len(row.tenant_keys),
        moved=row.moved,
        left_out=row.left_out,
        waiting=waiting,
        requested_by=row.requested_by,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )
