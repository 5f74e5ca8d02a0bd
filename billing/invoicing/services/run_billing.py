"""A billing run: close days, draft what is due, refresh and finalise what is over its grace, settle
late usage that has no next invoice."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import InvoiceStatus, RunState
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.services.draft_due import Parked, draft_due
from billing.invoicing.services.finalize_due import finalize_due
from billing.invoicing.services.settle_late_usage import settle_late_usage
from billing.subscriptions.models import Subscription
from kernel import ids
from kernel.errors import NotFound
from kernel.money import Money
from metering.services import close_days, roll_up_pending
from tenants import audit
from tenants.models import Tenant
from tenants.scope import system_scope

SCHEDULE = "schedule"


@dataclass(slots=True, kw_only=True)
class RunResult:
    """What a run did. `due` counts the documents that were due and not yet final when it began."""

    run_id: UUID
    due: int = 0
    drafted: int = 0
    finalized: int = 0
    unchanged: int = 0
    parked: list[Parked] = field(default_factory=list)
    totals: dict[str, Money] = field(default_factory=dict)


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
    """Do a run to its end, chunk by chunk, each its own transaction.

    Safe to repeat after a kill at any point: what was drafted or finalised stays so, the rest is
    found again from dates. Two runs at once wait for each other's rows and bill nothing twice.
    """
    with system_scope(purpose=f"billing run {run_id}"):
        run = BillingRun.objects.select_for_update().get(id=run_id)
        at, finalize, tenant_key = run.at, run.finalize, run.tenant_key
        now = clock()
        run.state, run.started_at = RunState.RUNNING, run.started_at or now
        run.progressed_at, run.finished_at, run.error = now, None, ""
        run.save(update_fields=["state", "started_at", "progressed_at", "finished_at", "error"])
        if tenant_key:
            _unpark(tenant_key=tenant_key, now=now)
        waiting = _drafts(at=at, tenant_key=tenant_key)
        parked_before = _parked(tenant_key=tenant_key)
    result = RunResult(run_id=run_id, due=waiting, parked=parked_before)
    drafted_totals: dict[str, int] = defaultdict(int)
    final_totals: dict[str, int] = defaultdict(int)

    def report(state: RunState = RunState.RUNNING) -> None:
        chosen = final_totals if finalize else drafted_totals
        result.totals = {code: Money(minor, code) for code, minor in sorted(chosen.items())}
        _save_progress(result, state=state, now=clock())
        on_progress(result)

    only = _only(tenant_key)
    roll_up_pending(now=clock(), tenant_ids=only)
    with system_scope(purpose=f"billing run {run_id}"):
        # Days that were over at `at`; an invoice never bills a day that can still change.
        close_days(now=at, tenant_ids=only)
    while True:
        chunk = draft_due(at=at, tenant_key=tenant_key)
        if not chunk.subscriptions:
            break
        result.due += chunk.drafted
        result.drafted += chunk.drafted
        result.parked.extend(chunk.parked)
        for currency, minor in chunk.totals.items():
            drafted_totals[currency] += minor
        report()
    place = None
    while True:
        done = finalize_due(at=at, finalize=finalize, tenant_key=tenant_key, after=place)
        if not done.seen:
            break
        place = done.last
        result.finalized += done.finalized
        result.parked.extend(done.parked)
        for currency, minor in done.totals.items():
            final_totals[currency] += minor
        report()
    last = None
    while finalize:
        settled = settle_late_usage(at=at, tenant_key=tenant_key, after=last)
        if not settled.seen:
            break
        last = settled.last
        result.due += settled.documents
        result.finalized += settled.documents
        result.parked.extend(settled.parked)
        for currency, minor in settled.totals.items():
            final_totals[currency] += minor
        if settled.documents:
            report()
    with system_scope(purpose=f"billing run {run_id}"):
        left = _drafts(at=at, tenant_key=tenant_key)
    result.unchanged = max(0, left - result.drafted) if not finalize else left
    report(RunState.DONE)
    return result


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


def _only(tenant_key: str) -> list[UUID] | None:
    if not tenant_key:
        return None
    with system_scope(purpose="find the tenant of a billing run"):
        return list(Tenant.objects.filter(key=tenant_key).values_list("id", flat=True))


def _drafts(*, at: datetime, tenant_key: str) -> int:
    drafts = Invoice.objects.filter(status=InvoiceStatus.DRAFT, boundary_at__lte=at)
    return drafts.filter(**({"tenant__key": tenant_key} if tenant_key else {})).count()


def _parked(*, tenant_key: str) -> list[Parked]:
    parked = Subscription.objects.exclude(parked_code="").filter(
        **({"tenant__key": tenant_key} if tenant_key else {})
    )
    return [
        Parked(tenant=key, code=code, detail=detail)
        for key, code, detail in parked.order_by("tenant__key").values_list(
            "tenant__key", "parked_code", "parked_detail"
        )
    ]


def _save_progress(result: RunResult, *, state: RunState, now: datetime) -> None:
    with system_scope(purpose=f"billing run {result.run_id}"):
        BillingRun.objects.filter(id=result.run_id).update(
            state=state,
            due=result.due,
            drafted=result.drafted,
            finalized=result.finalized,
            unchanged=result.unchanged,
            parked=[
                {"tenant": each.tenant, "code": each.code, "detail": each.detail}
                for each in result.parked
            ],
            totals={code: f"{money.amount:f}" for code, money in result.totals.items()},
            progressed_at=now,
            finished_at=now if state is RunState.DONE else None,
        )
