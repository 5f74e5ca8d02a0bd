"""Say what a tenant's invoices tell of it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from uuid import UUID

from billing.parties.domain.profile import STAFF_FIELDS, BillingProfile
from billing.parties.domain.validation import ProfileFaults, profile_faults
from billing.parties.models import BillingProfile as ProfileRow
from billing.parties.queries import profile_of
from tenants import audit
from tenants.models import Tenant


def set_billing_profile(
    *, tenant_id: UUID, changes: Mapping[str, str], by_staff: bool, now: datetime, actor: str
) -> BillingProfile:
    """Change what is given and give the whole as it then is, in the caller's scope; issued documents stay.

    What only staff say (`STAFF_FIELDS`) is left as it was unless `by_staff`. Raises ProfileFaults with
    every fault.
    """
    # The tenant's row makes two who change it at once wait for each other.
    Tenant.objects.select_for_update().get(id=tenant_id)
    before = profile_of(tenant_id=tenant_id)
    after = replace(
        before,
        **{
            name: value.strip()
            for name, value in changes.items()
            if by_staff or name not in STAFF_FIELDS
        },
    )
    faults = list(profile_faults(after))
    if faults:
        raise ProfileFaults(faults)
    if after == before:
        return after
    ProfileRow.objects.update_or_create(
        tenant_id=tenant_id, defaults={**asdict(after), "changed_at": now}
    )
    changed = {name for name, value in asdict(after).items() if value != getattr(before, name)}
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="billing_profile.set",
            target=f"tenant:{tenant_id}",
            before={name: getattr(before, name) for name in sorted(changed)},
            after={name: getattr(after, name) for name in sorted(changed)},
        ),
        now=now,
    )
    return after
