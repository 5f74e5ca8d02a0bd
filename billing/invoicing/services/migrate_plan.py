"""Move the subscriptions of a plan version to another version, chunk by chunk."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from billing.catalog.models import PlanVersion
from billing.catalog.queries import StoredVersion, versions_of
from billing.invoicing.billed_ahead import PeriodBilled, billed_ahead
from billing.invoicing.change_facts import Facts
from billing.invoicing.changes import decide
from billing.invoicing.contracts import held_version, load_contracts
from billing.invoicing.drafting import HeldVersion
from billing.invoicing.services.change_subscription import change_entry, write_decisions
from billing.invoicing.services.decide_change import (
    Decided,
    facts_of,
    lock_advance,
    lock_drafts,
    refuse_priced_twice,
)
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.services.settle_change import Settling, incomplete, settle_changes
from billing.subscriptions.domain import (
    AskedChange,
    ChangeKind,
    EffectiveWhen,
    SubscriptionStatus,
)
from billing.subscriptions.models import PlanMigration, Subscription, SubscriptionPhase
from billing.subscriptions.queries import lock_tenants, others_of
from kernel import ids
from kernel.errors import DomainError, Invalid, NotFound
from kernel.period import local_day
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
    when: EffectiveWhen = EffectiveWhen.PERIOD_END
    tenant_keys: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """How many were moved, and how many were left as they are, by the code of the reason."""

    moved: int
    left_out: dict[str, int]


def start_migration(*, migration: NewMigration, now: datetime, actor: str) -> UUID:
    """Record a migration and the job that carries it out, in the caller's cross-tenant scope.

    Raises NotFound `plan_not_found`, `plan_version_not_found`, `tenant_not_found`; Invalid
    `same_version`, `currency_mismatch`.
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
        when = EffectiveWhen(migration.effective)
        size = CHUNK if when is EffectiveWhen.PERIOD_END else CHUNK_NOW
        if when is EffectiveWhen.NOW:
            chosen = _found(migration).order_by("id")[:size]
            lock_drafts(tenant_ids=list(chosen.values_list("tenant_id", flat=True)))
        rows = list(
            _found(migration)
            .select_for_update(of=("self",))
            .select_related("plan_version", "tenant")
            .order_by("id")[:size]
        )
        if not rows:
            return 0
        if when is EffectiveWhen.NOW:
            lock_advance(rows, now=now)
        lock_tenants(tenant_ids=[row.tenant_id for row in rows])
        ready = [
            row
            for row in rows
            if not row.parked_code and (row.next_boundary_at is None or row.next_boundary_at > now)
        ]
        left_out: Counter[str] = Counter(migration.left_out)
        left_out.update(
            PARKED if row.parked_code else BILLING_DUE for row in rows if row not in ready
        )
        version = PlanVersion.objects.select_related("plan").get(id=migration.to_version_id)
        new = held_version(_version(version.plan.key, version.number), starts_on=now.date())
        asked = AskedChange(
            kind=ChangeKind.PLAN, when=when, plan=version.plan.key, version=version.number
        )
        plan = _plan if when is EffectiveWhen.PERIOD_END else _change_at_once
        codes = plan(ready, asked, new, now=now, actor=migration.requested_by)
        left_out.update(code for code in codes if code)
        migration.moved += sum(not code for code in codes)
        migration.left_out = dict(sorted(left_out.items()))
        migration.after = rows[-1].id
        migration.save(update_fields=["moved", "left_out", "after"])
        return len(rows)


def _found(migration: PlanMigration) -> QuerySet[Subscription]:
    found = Subscription.objects.filter(
        status=SubscriptionStatus.ACTIVE, plan_version_id=migration.from_version_id
    )
    if migration.tenant_keys:
        found = found.filter(tenant__key__in=migration.tenant_keys)
    if migration.after is not None:
        found = found.filter(id__gt=migration.after)
    return found


def _plan(
    rows: Sequence[Subscription],
    asked: AskedChange,
    new: HeldVersion,
    *,
    now: datetime,
    actor: str,
) -> list[str]:
    """Plan the change for the end of each period; per subscription "" or why it stays."""
    contracts = load_contracts(rows)
    others = others_of(rows)
    codes: list[str] = []
    phases: list[SubscriptionPhase] = []
    entries: list[audit.Entry] = []
    for row in rows:
        contract = contracts[row.id]
        facts = Facts(
            contract=contract,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            next_boundary_at=row.next_boundary_at,
            new=new,
        )
        try:
            decision = decide(facts=facts, asked=asked, now=now)
            after = decision.after
            refuse_priced_twice(
                after, starts_at=row.starts_at, ends_at=decision.ends_at, others=others[row.id]
            )
        except DomainError as error:
            codes.append(error.code)
            continue
        codes.append("")
        if after.phases == contract.phases:
            continue  # planned already
        phases.extend(
            SubscriptionPhase(
                id=ids.new_id(),
                tenant_id=row.tenant_id,
                subscription=row,
                starts_on=each.starts_on,
                plan_version_id=each.plan_version_id,
                cuts=each.cuts,
                changed_at=now,
            )
            for each in after.phases
        )
        held = contract.version_on(local_day(now, contract.cadence.zone))
        entries.append(
            audit.Entry(
                tenant_id=row.tenant_id,
                actor=actor,
                action="subscription.plan_changed",
                target=f"subscription:{row.id}",
                before={"plan": held.terms.key, "version": held.number},
                after={
                    "plan": new.terms.key,
                    "version": new.number,
                    "when": EffectiveWhen.PERIOD_END.value,
                },
            )
        )
    changed = {phase.subscription_id for phase in phases}
    SubscriptionPhase.objects.filter(
        tenant_id__in={phase.tenant_id for phase in phases}, subscription_id__in=changed
    ).delete()
    SubscriptionPhase.objects.bulk_create(phases, batch_size=1000)
    audit.record_many(entries, now=now)
    return codes


def _change_at_once(
    rows: Sequence[Subscription],
    asked: AskedChange,
    new: HeldVersion,
    *,
    now: datetime,
    actor: str,
) -> list[str]:
    """Change subscriptions now, with their documents; per subscription "" or why it stays."""
    contracts = load_contracts(rows, with_taxes=True)
    others = others_of(rows)
    served = [
        (row, contract.cadence.period_of(day).served)
        for row in rows
        for contract in [contracts[row.id]]
        for day in [local_day(now, contract.cadence.zone)]
        if day >= contract.cadence.starts_on
    ]
    billed = billed_ahead(
        served,
        currencies={key: each.versions[0].terms.currency for key, each in contracts.items()},
    )
    codes: dict[UUID, str] = {}
    found: list[Decided] = []
    for row in rows:
        contract = contracts[row.id]
        facts = facts_of(
            row,
            contract,
            billed.get(row.id, PeriodBilled()),
            next_boundary_at=row.next_boundary_at,
            is_running=row.id in billed,
            new=replace(new, starts_on=local_day(now, contract.cadence.zone)),
        )
        try:
            decision = decide(facts=facts, asked=asked, now=now)
            refuse_priced_twice(
                decision.after,
                starts_at=row.starts_at,
                ends_at=decision.ends_at,
                others=others[row.id],
            )
            for document in decision.documents:
                _ = document.draft.total  # refused here, where it stops no other
        except DomainError as error:
            codes[row.id] = error.code
        else:
            found.append(Decided(row=row, facts=facts, decision=decision, usage={}))
    settlings = [
        Settling(row=each.row, contract=each.before, document=document)
        for each in found
        for document in each.decision.documents
    ]
    codes.update({key: refused.code for key, refused in incomplete(settlings, now=now).items()})
    decided = [each for each in found if each.row.id not in codes]
    settle_changes([each for each in settlings if each.row.id not in codes], now=now, actor=actor)
    write_decisions(decided, asked=asked, now=now)
    audit.record_many(
        [change_entry(each, asked, now=now, actor=actor) for each in decided], now=now
    )
    return [codes.get(row.id, "") for row in rows]


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
