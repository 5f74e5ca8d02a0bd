"""Move the subscriptions of a plan version to another version, chunk by chunk."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.catalog.models import PlanVersion
from billing.catalog.queries import StoredVersion, versions_of
from billing.invoicing.contracts import held_version
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.models import Invoice
from billing.invoicing.services.decide_change import lock_advance, lock_drafts
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.services.migrate_later import move_later
from billing.invoicing.services.migrate_now import move_now
from billing.subscriptions.domain import MigrationWhen, SubscriptionStatus
from billing.subscriptions.models import PlanMigration, Subscription
from billing.subscriptions.queries import lock_tenants
from kernel import ids
from kernel.errors import Invalid, NotFound
from tenants import audit
from tenants.models import Tenant
from tenants.scope import system_scope
from work.jobs import enqueue

KIND: Final = "billing.migrate_plan"
CHUNK: Final = 500
CHUNK_NOW: Final = 200
"""Now each one has a document of its own; the series of their numbers is held meanwhile."""
PARKED: Final = "parked"
BILLING_DUE: Final = "billing_due"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMigration:
    """Which subscriptions move where: those that hold version `from_number` of `from_plan`, of
    `tenant_keys` only unless that is empty. Any other keeps its version."""

    from_plan: str
    from_number: int
    to_plan: str
    to_number: int
    when: MigrationWhen = MigrationWhen.PERIOD_END
    tenant_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """How many were moved, and how many were left as they are, by the code of the reason."""

    moved: int
    left_out: dict[str, int]


def start_migration(*, migration: NewMigration, now: datetime, actor: str) -> UUID:
    """Record a migration and the job that carries it out, in the caller's cross-tenant scope.

    Raises NotFound `plan_not_found`, `plan_version_not_found`, `tenant_not_found`; Invalid
    `same_version`, `currency_mismatch`, with drafts also `interval_differs`.
    """
    before = _version(migration.from_plan, migration.from_number)
    after = _version(migration.to_plan, migration.to_number)
    if before.id == after.id:
        raise Invalid("same_version", "Both versions are the same; name another.", field="to")
    if before.terms.currency != after.terms.currency:
        raise Invalid(
            "currency_mismatch",
            f"{after.plan_key} is in {after.terms.currency}, {before.plan_key} in "
            f"{before.terms.currency}; a subscription keeps its currency.",
            field="to",
        )
    if migration.when is MigrationWhen.DRAFTS and (
        before.terms.interval,
        before.terms.interval_count,
    ) != (after.terms.interval, after.terms.interval_count):
        raise Invalid(
            "interval_differs",
            "Drafts are made for the old version's periods, and the new one has others; choose another "
            "time.",
            field="when",
        )
    known = set(Tenant.objects.filter(key__in=migration.tenant_keys).values_list("key", flat=True))
    for key in migration.tenant_keys:
        if key not in known:
            raise NotFound("tenant_not_found", f"There is no tenant {key!r}.", field="tenants")
    row = PlanMigration.objects.create(
        id=ids.new_id(),
        from_version_id=before.id,
        to_version_id=after.id,
        effective=migration.when,
        tenant_keys=sorted(set(migration.tenant_keys)),
        requested_by=actor,
        created_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="plan_migration.started",
            target=f"plan_migration:{row.id}",
            after={
                "from": f"{before.plan_key} v{before.number}",
                "to": f"{after.plan_key} v{after.number}",
                "when": migration.when.value,
                "tenants": len(row.tenant_keys),
            },
        ),
        now=now,
    )
    enqueue(kind=KIND, key=str(row.id), payload={"migration_id": str(row.id)}, requested_by=actor)
    return row.id


def execute_migration(
    *,
    migration_id: UUID,
    now: datetime,
    on_progress: Callable[[int, int], None] = lambda _, __: None,
) -> Migrated:
    """Do a migration to its end as of `now`, each chunk in a transaction of its own.

    What has fallen due is drafted first, by the version that held. Killed anywhere and run again, it
    goes on behind the last chunk that was committed; nobody is moved, or billed, twice. A chunk is a few
    statements whatever its size; now, each subscription that comes out at other than zero gets its
    document at once.
    """
    while draft_due(at=now).subscriptions:
        pass
    with system_scope(purpose=f"plan migration {migration_id}"):
        migration = PlanMigration.objects.get(id=migration_id)
        total = _found(migration).count()
    done = 0
    while seen := _chunk(migration_id, now=now):
        done += seen
        on_progress(min(done, total), max(done, total))
    with system_scope(purpose=f"plan migration {migration_id}"):
        migration = PlanMigration.objects.select_for_update().get(id=migration_id)
        if migration.finished_at is None:
            migration.finished_at = now
            migration.save(update_fields=["finished_at"])
        return Migrated(moved=migration.moved, left_out=dict(migration.left_out))


def _chunk(migration_id: UUID, *, now: datetime) -> int:
    """Move one chunk; how many subscriptions it looked at."""
    with system_scope(purpose=f"plan migration {migration_id}"):
        migration = PlanMigration.objects.select_for_update().get(id=migration_id)
        when = MigrationWhen(migration.effective)
        size = CHUNK_NOW if when is MigrationWhen.NOW else CHUNK
        if when is not MigrationWhen.PERIOD_END:
            chosen = _found(migration).order_by("id")[:size]
            lock_drafts(tenant_ids=list(chosen.values_list("tenant_id", flat=True)))
        rows = list(
            _found(migration)
            .select_for_update(of=("self",))
            .select_related("tenant")
            .prefetch_related("plan_version__plan")  # one object for all that hold it
            .order_by("id")[:size]
        )
        if not rows:
            return 0
        if when is MigrationWhen.NOW:
            lock_advance(rows, now=now)
        lock_tenants(tenant_ids=[row.tenant_id for row in rows])
        ready: list[Subscription] = []
        left_out: Counter[str] = Counter(migration.left_out)
        for row in rows:
            if row.parked_code:
                left_out[PARKED] += 1
            elif row.next_boundary_at is not None and row.next_boundary_at <= now:
                left_out[BILLING_DUE] += 1
            else:
                ready.append(row)
        version = PlanVersion.objects.select_related("plan").get(id=migration.to_version_id)
        new = held_version(_version(version.plan.key, version.number), starts_on=now.date())
        if when is MigrationWhen.NOW:
            codes = move_now(ready, new=new, now=now, actor=migration.requested_by)
        else:
            codes = move_later(
                ready,
                new=new,
                replaced=migration.from_version_id,
                with_drafts=when is MigrationWhen.DRAFTS,
                now=now,
                actor=migration.requested_by,
            )
        left_out.update(code for code in codes if code)
        migration.moved += sum(not code for code in codes)
        migration.left_out = dict(sorted(left_out.items()))
        migration.after = rows[-1].id
        migration.save(update_fields=["moved", "left_out", "after"])
        return len(rows)


def _found(migration: PlanMigration) -> QuerySet[Subscription]:
    """Those that hold the version and were not looked at; with drafts also those that ended with it and
    have one."""
    found = Subscription.objects.filter(plan_version_id=migration.from_version_id)
    running = Q(status=SubscriptionStatus.ACTIVE)
    if migration.effective == MigrationWhen.DRAFTS:
        drafts = Invoice.objects.filter(
            tenant_id=OuterRef("tenant_id"),
            subscription=OuterRef("pk"),
            kind=InvoiceKind.SUBSCRIPTION,
            status=InvoiceStatus.DRAFT,
        )
        running = running | Q(Exists(drafts))
    found = found.filter(running)
    if migration.tenant_keys:
        found = found.filter(tenant__key__in=migration.tenant_keys)
    if migration.after is not None:
        found = found.filter(id__gt=migration.after)
    return found


def _version(plan_key: str, number: int) -> StoredVersion:
    versions = versions_of(plan_key=plan_key)
    if not versions:
        raise NotFound(
            "plan_not_found", f"There is no plan {plan_key!r}; load it first.", field="plan"
        )
    for version in versions:
        if version.number == number:
            return version
    raise NotFound(
        "plan_version_not_found",
        f"The plan {plan_key!r} has no version {number}.",
        field="version",
    )
