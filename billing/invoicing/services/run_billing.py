"""A billing run: close days, then, range by range of tenants, draft what is due, refresh and finalise
what is over its grace, settle late usage that has no next invoice, and issue charges whose date has come."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import HALTED, RunState
from billing.invoicing.due_tenants import due_ranges
from billing.invoicing.models import BillingRun
from billing.invoicing.services.count_run import (
    Billed,
    RunResult,
    count_work,
    due_drafts,
    end_range,
    keep_progress,
    parked_tenants,
    run_result,
    tenants_of,
)
from billing.invoicing.services.draft_due import Drafted, draft_due
from billing.invoicing.services.expect_range import expect_range
from billing.invoicing.services.finalize_due import Finalized, finalize_due
from billing.invoicing.services.issue_charges import IssuedCharges, issue_due_charges
from billing.invoicing.services.settle_late_usage import SettledLate, settle_late_usage
from billing.invoicing.services.unpark_tenants import unpark_tenants
from billing.invoicing.tenant_ranges import ALL_TENANTS, NamedTenants, TenantRange, Tenants
from kernel import ids
from kernel.errors import NotFound
from metering.services import close_days, roll_up_pending
from tenants.models import Tenant
from tenants.scope import system_scope

SCHEDULE = "schedule"
TENANTS_A_RANGE = 500
"""One or two transactions of drafting: short enough to be done again after a kill, and for the last
ranges to keep all workers busy."""
NAMED_AT_A_TIME = 100
"""Tenants that are named instead of bounded go into a job's payload, which is to stay short."""


class RunHalted(Exception):
    """The run was paused or cancelled: no further chunk is begun. What was done is committed and counted."""


def create_run(
    *,
    at: datetime,
    finalize: bool,
    tenant_key: str = "",
    retry_of: UUID | None = None,
    dry: bool = False,
    requested_by: str,
    now: datetime,
) -> UUID:
    """Record a run that is to be executed, in the caller's cross-tenant scope; with `retry_of`, over the
    tenants that were parked when that run ended. A `dry` one bills nothing.

    Raises NotFound `tenant_not_found` for a tenant key that nobody has.
    """
    if tenant_key and not Tenant.objects.filter(key=tenant_key).exists():
        raise NotFound("tenant_not_found", f"There is no tenant {tenant_key!r}.", field="tenant")
    run = BillingRun.objects.create(
        id=ids.new_id(),
        at=at,
        finalize=finalize,
        tenant_key=tenant_key,
        retry_of_id=retry_of,
        dry=dry,
        requested_by=requested_by,
        created_at=now,
    )
    return run.id


def scheduled_run_of(*, slot_at: datetime, now: datetime) -> UUID:
    """The run of a schedule's slot: the one that a killed worker began, else a new one."""
    with system_scope(purpose="scheduled billing run"):
        found = BillingRun.objects.filter(requested_by=SCHEDULE, at=slot_at).first()
        if found is not None:
            return found.id
        return create_run(at=slot_at, finalize=True, requested_by=SCHEDULE, now=now)


def execute_run(
    *,
    run_id: UUID,
    clock: Callable[[], datetime],
    on_progress: Callable[[RunResult], None] = lambda _: None,
) -> RunResult:
    """Do a run to its end in this process, range by range; `billing.run` spreads the same ranges over
    workers.

    Safe to repeat after a kill at any point: what was drafted or finalised stays so, the rest is
    found again from dates. Two runs at once wait for each other's rows and bill nothing twice.
    Raises RunHalted where it was paused or cancelled.
    """
    prepare_run(run_id=run_id, clock=clock)
    with system_scope(purpose=f"billing run {run_id}"):
        ranges = plan_run(run_id=run_id, now=clock())
    for each in ranges:
        bill_range(
            run_id=run_id,
            tenants=each,
            clock=clock,
            conclude=lambda: end_range(run_id=run_id, now=clock()),
        )
        with system_scope(purpose=f"billing run {run_id}"):
            result = run_result(run_id=run_id)
        on_progress(result)
    with system_scope(purpose=f"billing run {run_id}"):
        return run_result(run_id=run_id)


def prepare_run(*, run_id: UUID, clock: Callable[[], datetime]) -> None:
    """Bring a run's usage up to date and close the days that were over at its instant; a dry run closes
    none."""
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.select_for_update(of=("self",)).get(id=run_id)
        now = clock()
        if run.state not in HALTED:
            run.state, run.finished_at, run.error = RunState.RUNNING, None, ""
        run.started_at, run.progressed_at = run.started_at or now, now
        run.save(update_fields=["state", "started_at", "progressed_at", "finished_at", "error"])
        at = run.at
        only: list[UUID] = []
        dry = run.dry
        if tenants_of(run):
            only = _tenant_ids(run)
            if not dry:
                unpark_tenants(run, now=now)
    roll_up_pending(now=clock(), tenant_ids=only or None)
    if dry:
        return
    with system_scope(purpose=f"billing run {run_id}"):
        # Days that were over at `at`; an invoice never bills a day that can still change.
        close_days(now=at, tenant_ids=only or None)


def plan_run(*, run_id: UUID, now: datetime) -> list[Tenants]:
    """Cut what is due into ranges of tenants, in the caller's scope; each is to be billed and counted
    once. A run for which nothing is due is done with that. Cut anew, it keeps what it has counted."""
    run = BillingRun.objects.select_for_update(of=("self",)).get(id=run_id)
    if run.ranges is None:
        run.due = due_drafts(run).count()
    ranges = _ranges(run)
    run.ranges, run.ranges_done = len(ranges), 0
    run.measured_from, run.measured_ranges = now, 0
    run.parked = [asdict(each) for each in parked_tenants(run)]
    keep_progress(run, now=now)
    return ranges


def _ranges(run: BillingRun) -> list[Tenants]:
    if run.retry_of is not None:
        named = _tenant_ids(run)
        return [
            NamedTenants(ids=named[place : place + NAMED_AT_A_TIME])
            for place in range(0, len(named), NAMED_AT_A_TIME)
        ]
    tenants = ALL_TENANTS
    if run.tenant_key:
        tenants = TenantRange.of_one(Tenant.objects.get(key=run.tenant_key).id)
    ranges = due_ranges(at=run.at, finalize=run.finalize, tenants=tenants, size=TENANTS_A_RANGE)
    if run.dry:
        # Whom nothing is due of any more is compared as well: the first range begins with the first tenant.
        first = ranges[0] if ranges else tenants
        ranges = [TenantRange(first=tenants.first, end=first.end), *ranges[1:]]
    return [*ranges]


def _tenant_ids(run: BillingRun) -> list[UUID]:
    wanted = {name.removeprefix("tenant__"): value for name, value in tenants_of(run).items()}
    return list(Tenant.objects.filter(**wanted).order_by("id").values_list("id", flat=True))


def bill_range(
    *,
    run_id: UUID,
    tenants: Tenants,
    clock: Callable[[], datetime],
    conclude: Callable[[], None],
) -> None:
    """Bill the tenants of one range as the run says, a few hundred subscriptions a transaction, each
    counted where it is done; `conclude` is called in the last one. A dry run's range is one transaction, so
    that what it found is there once, or not yet.

    Raises RunHalted as soon as the run is paused or cancelled, between two transactions.
    """
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.get(id=run_id)
    if run.state in HALTED:
        raise RunHalted
    if run.dry:
        with system_scope(purpose=f"billing run {run_id}"):
            expected = expect_range(run=run, tenants=tenants)
            count_work(run_id=run_id, billed=expected, now=clock())
            conclude()
        return
    work = _Work(run=run, tenants=tenants, clock=clock)
    work.bill_boundaries()
    if run.finalize:
        work.settle_late()
        work.issue_charges()
    with system_scope(purpose=f"billing run {run_id}"):
        conclude()


class _Work:
    """The chunks of one range."""

    def __init__(self, *, run: BillingRun, tenants: Tenants, clock: Callable[[], datetime]) -> None:
        self._run, self._tenants, self._clock = run, tenants, clock
        self._goes_on = True

    def bill_boundaries(self) -> None:
        at, finalize, tenants = self._run.at, self._run.finalize, self._tenants
        released = True
        while released:
            while draft_due(
                at=at, tenants=tenants, finalize=finalize, count=self._count_drafted
            ).subscriptions:
                self._check()
            place, released = None, False
            while (
                done := finalize_due(
                    at=at,
                    finalize=finalize,
                    tenants=tenants,
                    after=place,
                    count=self._count_finalized,
                )
            ).seen:
                place = done.last
                # What was parked for its usage and agrees now may have more boundaries to bill.
                released = released or done.released > 0
                self._check()

    def settle_late(self) -> None:
        last = None
        while (
            settled := settle_late_usage(
                at=self._run.at, tenants=self._tenants, after=last, count=self._count_settled
            )
        ).seen:
            last = settled.last
            self._check()

    def issue_charges(self) -> None:
        place = None
        while (
            charged := issue_due_charges(
                at=self._run.at, tenants=self._tenants, after=place, count=self._count_charged
            )
        ).seen:
            place = charged.last
            self._check()

    def _count_drafted(self, done: Drafted) -> None:
        self._count(
            Billed(
                due=done.drafted,
                drafted=done.drafted,
                finalized=done.issued.finalized,
                parked=done.parked,
                totals=done.issued.totals if self._run.finalize else done.totals,
            )
        )

    def _count_finalized(self, done: Finalized) -> None:
        self._count(Billed(finalized=done.finalized, parked=done.parked, totals=done.totals))

    def _count_settled(self, done: SettledLate) -> None:
        self._count(
            Billed(
                due=done.documents,
                finalized=done.documents,
                parked=done.parked,
                totals=done.totals,
            )
        )

    def _count_charged(self, done: IssuedCharges) -> None:
        self._count(
            Billed(due=done.issued, finalized=done.issued, parked=done.parked, totals=done.totals)
        )

    def _count(self, billed: Billed) -> None:
        self._goes_on = count_work(run_id=self._run.id, billed=billed, now=self._clock())

    def _check(self) -> None:
        if not self._goes_on:
            raise RunHalted
