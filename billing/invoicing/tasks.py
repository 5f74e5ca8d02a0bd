"""Billing's jobs: the hourly run, runs asked for in the console, printing what is issued."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from uuid import UUID

from billing.invoicing.services import issue_charges, migrate_plan, request_change
from billing.invoicing.services.carry_out_change import carry_out_change
from billing.invoicing.services.check_uninvoiced import CHECK_KIND, check_uninvoiced
from billing.invoicing.services.count_run import end_range
from billing.invoicing.services.decide_on_invoice import expire_requests
from billing.invoicing.services.fail_run import fail_run
from billing.invoicing.services.leave_off import leave_off
from billing.invoicing.services.print_credit_note import (
    KIND as PRINT_CREDIT_NOTE,
)
from billing.invoicing.services.print_credit_note import print_credit_note, print_unprinted
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.print_proforma import KIND as PRINT_PROFORMA
from billing.invoicing.services.print_proforma import print_proforma
from billing.invoicing.services.run_billing import RunHalted, bill_range, scheduled_run_of
from billing.invoicing.services.spread_run import RANGE_KIND, RUN_KIND, spread_run, tenants_of_job
from kernel import clock
from tenants.scope import system_scope
from work.jobs import JobRun
from work.registry import Result, job_kind, schedule, subscriber

_PRINTED_WITHIN = timedelta(hours=1)


@job_kind(RUN_KIND, lease_seconds=300, max_attempts=5, urgent=True)
def run(job: JobRun) -> Result:
    """Cut a recorded run into ranges of tenants, each a job."""
    return _spread(job, UUID(str(job.payload["run_id"])))


@job_kind("billing.scheduled_run", lease_seconds=300, max_attempts=5, urgent=True)
def scheduled_run(job: JobRun) -> Result:
    """Bill and finalise all that is due at the slot's instant."""
    slot_at = datetime.fromisoformat(str(job.payload["slot_at"]))
    return _spread(job, scheduled_run_of(slot_at=slot_at, now=job.now))


# Workers may be lost again and again while a large run goes on; each time costs one start.
@job_kind(RANGE_KIND, lease_seconds=300, max_attempts=10, urgent=True)
def run_range(job: JobRun) -> Result:
    """Bill one range of a run's tenants."""
    run_id = UUID(str(job.payload["run_id"]))
    tenants = tenants_of_job(job.payload)

    def conclude() -> None:
        end_range(run_id=run_id, now=clock.now())
        job.complete()

    with _told_on_the_run(job, run_id):
        while not job.completed:
            try:
                bill_range(run_id=run_id, tenants=tenants, clock=clock.now, conclude=conclude)
            except RunHalted:
                leave_off(run_id=run_id, job=job)
    return None


@job_kind(request_change.KIND, max_attempts=5)
def change_subscription(job: JobRun) -> Result:
    """Do a change that was asked for over the web."""
    state = carry_out_change(change_id=UUID(str(job.payload["change_id"])), now=job.now)
    return {"state": state.value}


@job_kind(migrate_plan.KIND, lease_seconds=300, max_attempts=5)
def migrate(job: JobRun) -> Result:
    """Move the subscriptions of a recorded migration."""
    done = migrate_plan.execute_migration(
        migration_id=UUID(str(job.payload["migration_id"])),
        now=job.now,
        on_progress=job.progress,
    )
    return {"moved": done.moved, "left_out": sum(done.left_out.values())}


@job_kind(issue_charges.KIND, max_attempts=5)
def issue_charge(job: JobRun) -> Result:
    """Make the invoice of a charge that was asked for over the web."""
    if job.tenant_id is None:
        raise LookupError(f"job {job.key} names no tenant")
    invoice_id = issue_charges.carry_out_issue(
        tenant_id=job.tenant_id, charge_id=UUID(str(job.payload["charge_id"])), now=job.now
    )
    return {"invoice_id": str(invoice_id or "")}


@subscriber("invoice.finalized", kind="billing.print_invoice")
def print_issued(job: JobRun) -> Result:
    """Render an issued invoice once and keep the bytes."""
    print_invoice(
        tenant_id=UUID(str(job.payload["tenant_id"])),
        invoice_id=UUID(str(job.payload["invoice_id"])),
    )
    return None


@subscriber("credit_note.issued", kind=PRINT_CREDIT_NOTE)
def print_issued_note(job: JobRun) -> Result:
    """The same of a credit note."""
    if job.tenant_id is None:
        raise LookupError(f"job {job.key} names no tenant")
    print_credit_note(
        tenant_id=job.tenant_id, credit_note_id=UUID(str(job.payload["credit_note_id"]))
    )
    return None


# Somebody waits for it.
@job_kind(PRINT_PROFORMA, max_attempts=5, urgent=True)
def print_told(job: JobRun) -> Result:
    """Render a pro-forma that was asked for over the web."""
    if job.tenant_id is None:
        raise LookupError(f"job {job.key} names no tenant")
    print_proforma(tenant_id=job.tenant_id, proforma_id=UUID(str(job.payload["proforma_id"])))
    return None


@job_kind("billing.print_unprinted", lease_seconds=600, max_attempts=5)
def print_missing(job: JobRun) -> Result:
    """Have those credit notes printed that were issued before they had a paper."""
    # What was issued just now has a job of its own.
    return {"asked": print_unprinted(issued_before=job.now - _PRINTED_WITHIN)}


@job_kind(CHECK_KIND, max_attempts=3)
def check(job: JobRun) -> Result:
    """Say how many periods have no invoice ten days after their end."""
    return {"uninvoiced": check_uninvoiced(now=job.now)}


schedule(
    name="billing.print_unprinted",
    every=timedelta(hours=1),
    kind="billing.print_unprinted",
    catch_up="last",
    offset=timedelta(minutes=20),
)
schedule(
    name=CHECK_KIND,
    every=timedelta(days=1),
    kind=CHECK_KIND,
    catch_up="last",
    offset=timedelta(hours=5),
)
schedule(
    name="billing.run",
    every=timedelta(hours=1),
    kind="billing.scheduled_run",
    catch_up="last",
)


def _spread(job: JobRun, run_id: UUID) -> Result:
    with _told_on_the_run(job, run_id):
        ranges = spread_run(run_id=run_id, clock=clock.now)
    return {"run_id": str(run_id), "ranges": ranges}


@contextmanager
def _told_on_the_run(job: JobRun, run_id: UUID) -> Iterator[None]:
    """What stops a job for good is said on the run as well as on the job."""
    try:
        yield
    except Exception as error:
        if job.gives_up_after(error):
            fail_run(run_id=run_id, error=f"{type(error).__name__}: {error}", now=clock.now())
        raise


@job_kind("billing.expire_requests", lease_seconds=300, max_attempts=5)
def expire(job: JobRun) -> Result:
    """Give free what requests hold that nobody decided in time."""
    with system_scope(purpose="requests that waited too long"):
        return {"expired": expire_requests(now=job.now, actor="system:expiry")}


schedule(
    name="billing.expire_requests",
    every=timedelta(hours=1),
    kind="billing.expire_requests",
    catch_up="last",
    offset=timedelta(minutes=40),
)
