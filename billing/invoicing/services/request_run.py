"""Ask for a billing run: recorded, and handed to a worker when the record is committed."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.services.run_billing import create_run
from tenants import audit
from work.jobs import enqueue


def request_run(
    *, at: datetime, finalize: bool, tenant_key: str, actor: str, requested_by: str, now: datetime
) -> UUID:
    """Record a run of all that is due at `at` and enqueue it, in the caller's cross-tenant scope.

    `requested_by` names the person for people, `actor` for the audit trail. Raises NotFound
    `tenant_not_found`.
    """
    run_id = create_run(
        at=at, finalize=finalize, tenant_key=tenant_key, requested_by=requested_by, now=now
    )
    enqueue(
        kind="billing.run",
        key=str(run_id),
        payload={"run_id": str(run_id)},
        requested_by=requested_by,
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="billing_run.requested",
            target=f"billing_run:{run_id}",
            after={"at": at.isoformat(), "finalize": finalize, "tenant": tenant_key},
        ),
        now=now,
    )
    return run_id
