"""Ask for a billing run: the console's button and the schedule's slot."""

from datetime import datetime
from uuid import UUID

from billing.invoicing.services.run_billing import create_run
from billing.invoicing.services.spread_run import RUN_KIND
from kernel.errors import Invalid
from tenants import audit
from work import jobs


def start_run(
    *,
    at: datetime,
    finalize: bool,
    tenant_key: str,
    retry_of: UUID | None = None,
    dry: bool = False,
    requested_by: str,
    now: datetime,
) -> UUID:
    """Record a run and the job that executes it, in the caller's cross-tenant scope; with `retry_of`, over
    the tenants that were parked when that run ended. A `dry` one bills nothing.

    Raises NotFound `tenant_not_found`, Invalid `instant_in_future`: a run closes the days before its
    instant for good, so one ahead of the clock would end days that are not over.
    """
    if at > now:
        raise Invalid(
            "instant_in_future",
            "The instant is ahead of the clock; choose one that has passed.",
            field="at",
        )
    run_id = create_run(
        at=at,
        finalize=finalize,
        tenant_key=tenant_key,
        retry_of=retry_of,
        dry=dry,
        requested_by=requested_by,
        now=now,
    )
    jobs.enqueue(
        kind=RUN_KIND,
        key=str(run_id),
        payload={"run_id": str(run_id)},
        requested_by=requested_by,
    )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=requested_by,
            action="billing_run.started",
            target=f"billing_run:{run_id}",
            after={
                "at": at.isoformat(),
                "finalize": finalize,
                "tenant": tenant_key,
                "dry": dry,
                "retry_of": None if retry_of is None else str(retry_of),
            },
        ),
        now=now,
    )
    return run_id
