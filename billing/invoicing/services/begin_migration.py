"""Start a migration from a screen: one at a time for a version, however often the form is sent."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.services.migrate_plan import NewMigration, start_migration
from billing.subscriptions.migrations import cohort_of, migration_under_way
from kernel.errors import Conflict
from work.connections import cursor


def begin_migration(
    *, migration: NewMigration, seen: int, now: datetime, actor: str
) -> tuple[UUID, bool]:
    """Start it, in the caller's cross-tenant scope; gives its id and whether it is a new one, and not
    that which is under way from the same version already.

    `seen` is how many subscriptions the person was told that it moves. Raises as `start_migration`,
    and Conflict `cohort_changed` where they are no longer so many.
    """
    with cursor() as execution:
        # Two at once: the second waits until the first is committed, and finds it.
        execution.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"plan migration {migration.from_plan} {migration.from_number}"],
        )
    running = migration_under_way(plan_key=migration.from_plan, number=migration.from_number)
    if running is not None:
        return running, False
    cohort = cohort_of(
        plan_key=migration.from_plan,
        number=migration.from_number,
        tenant_keys=migration.tenant_keys,
    )
    if cohort.subscriptions != seen:
        raise Conflict(
            "cohort_changed",
            f"It would move {cohort.subscriptions} subscriptions and not {seen}; look at it again.",
            field="seen",
            params={"subscriptions": cohort.subscriptions, "seen": seen},
        )
    return start_migration(migration=migration, now=now, actor=actor), True
