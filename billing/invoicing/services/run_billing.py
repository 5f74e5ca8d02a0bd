"""A billing run: close days, then, range by range of tenants, draft what is due, refresh and finalise
what is over its grace, settle late usage that has no next invoice, and issue charges whose date has come."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.domain import InvoiceStatus, RunState
from billing.invoicing.due_tenants import due_ranges
from billing.invoicing.models import BillingRun, Charge, Invoice
from billing.invoicing.parking import Parked
from billing.invoicing.services.draft_due import draft_due
from billing.invoicing.services.finalize_due import finalize_due
from billing.invoicing.services.issue_charges import issue_due_charges
from billing.invoicing.services.settle_late_usage import settle_late_usage
from billing.invoicing.tenant_ranges import ALL_TENANTS, TenantRange
from billing.subscriptions.models import Subscription
from kernel import ids
from kernel.errors import NotFound
from kernel.money import Money
from metering.services import close_days, roll_up_pending
from tenants import audit
from tenants.models import Tenant
from tenants.scope import system_scope

SCHEDULE = "schedule"
TENANTS_A_RANGE = 500
"""One or two transactions of drafting: short enough to be done again after a kill, and for the last
ranges to keep all workers busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What a run did so far. `due` counts the documents that were due and not yet final when it began."""

    run_id: UUID
    due: int
    drafted: int
    finalized: int
    unchanged: int
    parked: Sequence[Parked]
    totals: dict[str, Money]


@dataclass(slots=True, kw_only=True)
class Billed:
    """What one range of tenants came to; `totals` in minor units by currency."""

    due: int = 0
    drafted: int = 0
    finalized: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def create_run(
    *, at: datetime, finalize: bool, tenant_key: str = "", requested_by: str, now: datetime
) -> UUID:
    """Record a run that is to be executed, in the caller's cross-tenant scope.

    Raises NotFound `tenant_not_found` for a tenant key that nobody has.
    """
    if tenant_key and not Tenant.objects.filter(key=tenant_key).exists():
        raise NotFound("tenant_not_found", f"There is no tenant {tenant_key!r}.", field="tenant")
    run = BillingRun.objects.create(
        id=ids.new_id(),
        at=at,
        finalize=finalize,
        tenant_key=tenant_key,
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
    """
    prepare_run(run_id=run_id, clock=clock)
    with system_scope(purpose=f"billing run {run_id}"):
        ranges = plan_run(run_id=run_id, now=clock())
    for each in ranges:
        billed = bill_range(run_id=run_id, tenants=each)
        with system_scope(purpose=f"billing run {run_id}"):
            count_range(run_id=run_id, billed=billed, now=clock())
            result = run_result(run_id=run_id)
        on_progress(result)
    with system_scope(purpose=f"billing run {run_id}"):
        return run_result(run_id=run_id)


def prepare_run(*, run_id: UUID, clock: Callable[[], datetime]) -> None:
    """Bring a run's usage up to date and close the days that were over at its instant."""
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.select_for_update().get(id=run_id)
        now = clock()
        run.state, run.started_at = RunState.RUNNING, run.started_at or now
        run.progressed_at, run.finished_at, run.error = now, None, ""
        run.save(update_fields=["state", "started_at", "progressed_at", "finished_at", "error"])
        at = run.at
        if run.tenant_key:
            _unpark(tenant_key=run.tenant_key, now=now)
        only = list(Tenant.objects.filter(key=run.tenant_key).values_list("id", flat=True))
    roll_up_pending(now=clock(), tenant_ids=only or None)
    with system_scope(purpose=f"billing run {run_id}"):
        # Days that were over at `at`; an invoice never bills a day that can still change.
        close_days(now=at, tenant_ids=only or None)


def plan_run(*, run_id: UUID, now: datetime) -> list[TenantRange]:
    """Cut what is due into ranges of tenants, in the caller's scope; each is to be billed and counted
    once. A run for which nothing is due is done with that."""
    run = BillingRun.objects.select_for_update().get(id=run_id)
    tenants = ALL_TENANTS
    if run.tenant_key:
        tenants = TenantRange.of_one(Tenant.objects.get(key=run.tenant_key).id)
    ranges = due_ranges(at=run.at, finalize=run.finalize, tenants=tenants, size=TENANTS_A_RANGE)
    run.ranges, run.ranges_done = len(ranges), 0
    run.due, run.drafted, run.finalized, run.unchanged = _drafts(run).count(), 0, 0, 0
    run.totals = {}
    run.parked = [asdict(each) for each in _parked(tenant_key=run.tenant_key)]
    _keep(run, now=now)
    return ranges


def bill_range(*, run_id: UUID, tenants: TenantRange) -> Billed:
    """Bill the tenants of one range as the run says, a few hundred subscriptions a transaction."""
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.get(id=run_id)
    at, finalize = run.at, run.finalize
    billed = Billed()
    _bill_boundaries(billed, at=at, finalize=finalize, tenants=tenants)
    last = None
    while finalize and (settled := settle_late_usage(at=at, tenants=tenants, after=last)).seen:
        last = settled.last
        billed.due += settled.documents
        billed.finalized += settled.documents
        billed.parked.extend(settled.parked)
        _add(billed.totals, settled.totals)
    place = None
    while finalize and (charged := issue_due_charges(at=at, tenants=tenants, after=place)).seen:
        place = charged.last
        billed.due += charged.issued
        billed.finalized += charged.issued
        billed.parked.extend(charged.parked)
        _add(billed.totals, charged.totals)
    return billed


def _bill_boundaries(billed: Billed, *, at: datetime, finalize: bool, tenants: TenantRange) -> None:
    released = True
    while released:
        while (drafted := draft_due(at=at, tenants=tenants, finalize=finalize)).subscriptions:
            billed.due += drafted.drafted
            billed.drafted += drafted.drafted
            billed.finalized += drafted.issued.finalized
            billed.parked.extend(drafted.parked)
            _add(billed.totals, drafted.issued.totals if finalize else drafted.totals)
        place, released = None, False
        while (done := finalize_due(at=at, finalize=finalize, tenants=tenants, after=place)).seen:
            place = done.last
            billed.finalized += done.finalized
            billed.parked.extend(done.parked)
            _add(billed.totals, done.totals)
            # What was parked for its usage and agrees now may have more boundaries to bill.
            released = released or done.released > 0


def count_range(*, run_id: UUID, billed: Billed, now: datetime) -> None:
    """Add what a range came to, in the caller's scope; with the last one the run is done."""
    run = BillingRun.objects.select_for_update().get(id=run_id)
    run.ranges_done += 1
    run.due += billed.due
    run.drafted += billed.drafted
    run.finalized += billed.finalized
    run.parked = [*run.parked, *(asdict(each) for each in billed.parked)]
    totals = _totals(run)
    for currency, minor in billed.totals.items():
        totals[currency] = totals.get(currency, Money.zero(currency)) + Money(minor, currency)
    run.totals = {code: f"{money.amount:f}" for code, money in sorted(totals.items())}
    _keep(run, now=now)


def run_result(*, run_id: UUID) -> RunResult:
    """What a run did so far, in the caller's scope."""
    run = BillingRun.objects.get(id=run_id)
    return RunResult(
        run_id=run.id,
        due=run.due,
        drafted=run.drafted,
        finalized=run.finalized,
        unchanged=run.unchanged,
        parked=[Parked(**each) for each in run.parked],
        totals=_totals(run),
    )


def _keep(run: BillingRun, *, now: datetime) -> None:
    """Store how far a run is. One that failed stays so until all its ranges are billed."""
    run.progressed_at = now
    if run.ranges_done == run.ranges:
        left = _drafts(run).count()
        run.unchanged = left if run.finalize else max(0, left - run.drafted)
        # What was parked before may have been let go on, or parked anew.
        run.parked = [asdict(each) for each in _parked(tenant_key=run.tenant_key)]
        run.state, run.finished_at, run.error = RunState.DONE, now, ""
    run.save()


def _totals(run: BillingRun) -> dict[str, Money]:
    return {code: Money.of(Decimal(amount), code) for code, amount in run.totals.items()}


def _add(totals: dict[str, int], more: dict[str, int]) -> None:
    for currency, minor in more.items():
        totals[currency] += minor


def _unpark(*, tenant_key: str, now: datetime) -> None:
    """A run that names a tenant tries again what was parked; it parks again what still contradicts."""
    parked = list(
        Subscription.objects.select_for_update()
        .filter(tenant__key=tenant_key)
        .exclude(parked_code="")
    )
    for row in parked:
        audit.record(
            audit.Entry(
                tenant_id=row.tenant_id,
                actor="billing_run",
                action="subscription.unparked",
                target=f"subscription:{row.id}",
                before={"code": row.parked_code, "detail": row.parked_detail},
            ),
            now=now,
        )
        row.parked_code = row.parked_detail = ""
    Subscription.objects.bulk_update(parked, ["parked_code", "parked_detail"])


def _drafts(run: BillingRun) -> QuerySet[Invoice]:
    drafts = Invoice.objects.filter(status=InvoiceStatus.DRAFT, boundary_at__lte=run.at)
    return drafts.filter(**({"tenant__key": run.tenant_key} if run.tenant_key else {}))


def _parked(*, tenant_key: str) -> list[Parked]:
    parked = Subscription.objects.exclude(parked_code="").filter(
        **({"tenant__key": tenant_key} if tenant_key else {})
    )
    return [
        Parked(tenant=key, code=code, detail=detail)
        for key, code, detail in parked.order_by("tenant__key").values_list(
            "tenant__key", "parked_code", "parked_detail"
        )
    ] + [
        Parked(tenant=key, code=code, detail=detail)
        for key, code, detail in Charge.objects.filter(
            state=ChargeState.DRAFT, **({"tenant__key": tenant_key} if tenant_key else {})
        )
        .exclude(fault_code="")
        .order_by("tenant__key", "id")
        .values_list("tenant__key", "fault_code", "fault_detail")
    ]
