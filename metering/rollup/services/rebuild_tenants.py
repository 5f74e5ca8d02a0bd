"""Count the days of many tenants anew, some tenants a transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from metering.rollup.queries import tenants_with_days
from metering.rollup.services.rebuild_usage import rebuild_usage
from tenants.scope import system_scope
from work.connections import current_alias

TENANTS_AT_ONCE: Final = 50
"""So many tenants' days stay locked while they are counted; who sends meanwhile doesn't wait, the folding
of what was sent does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltTenants:
    """What was looked at, and how many rows were wrong: put right on open days, corrected on closed ones."""

    tenants: int
    changed: int
    corrected: int


def rebuild_tenants(
    *,
    from_day: date,
    to_day: date,
    now: datetime,
    tenant_ids: Sequence[UUID] | None = None,
    is_check: bool = False,
    progress: Callable[[int], None] = lambda tenants: None,
) -> RebuiltTenants:
    """Recount the local days from `from_day` to `to_day` (excluded) of these tenants, by default of all.

    `is_check` tells what would change and changes nothing. Broken off, what was done stays, and it may
    run again. Opens its own scopes. Raises Invalid `end_before_start`, `events_gone`.
    """
    tenants = changed = corrected = 0
    after: UUID | None = None
    while True:
        with system_scope(purpose="recount usage from the events"):
            chunk = tenants_with_days(among=tenant_ids, after=after, limit=TENANTS_AT_ONCE)
            for tenant_id in chunk:
                rebuilt = rebuild_usage(
                    tenant_id=tenant_id, from_day=from_day, to_day=to_day, now=now
                )
                changed += rebuilt.changed
                corrected += rebuilt.corrected
            if is_check:
                transaction.set_rollback(True, using=current_alias())
        if not chunk:
            return RebuiltTenants(tenants=tenants, changed=changed, corrected=corrected)
        tenants += len(chunk)
        after = chunk[-1]
        progress(tenants)
