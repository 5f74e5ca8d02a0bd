"""What a billing run came to so far, counted in the transactions that do its work.

A count that followed its work in a transaction of its own would miss what was done just before a kill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from billing.invoicing.charges.domain import NOT_BILLED, ChargeState
from billing.invoicing.domain import HALTED, InvoiceStatus, RunState
from billing.invoicing.models import BillingRun, Charge, Invoice
from billing.invoicing.parking import Parked
from billing.subscriptions.models import Subscription
from kernel.money import Money


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What one transaction came to; `totals` in minor units by currency."""

    due: int = 0
    drafted: int = 0
    finalized: int = 0
    unchanged: int = 0
    parked: Sequence[Parked] = ()
    totals: Mapping[str, int] = field(default_factory=dict)


def count_work(*, run_id: UUID, billed: Billed, now: datetime) -> bool:
    """Add what was just done, last in the transaction that does it; gives whether the run goes on.

    The run's row is held for what is left of that transaction.
    """
    run = _locked(run_id)
    run.due += billed.due
    run.drafted += billed.drafted
    run.finalized += billed.finalized
    run.unchanged += billed.unchanged
    totals = run_totals(run)
    for currency, minor in billed.totals.items():
        totals[currency] = totals.get(currency, Money.zero(currency)) + Money(minor, currency)
    run.totals = {code: f"{money.amount:f}" for code, money in sorted(totals.items())}
    run.progressed_at = now
    written = ["due", "drafted", "finalized", "unchanged", "totals", "progressed_at"]
    if billed.parked:
        run.parked = [*run.parked, *(asdict(each) for each in billed.parked)]
        written.append("parked")
    run.save(update_fields=written)
    return run.state not in HALTED


def end_range(*, run_id: UUID, now: datetime) -> None:
    """Say that a range is done, in the caller's scope; with the last one the run is."""
    run = _locked(run_id)
    run.ranges_done += 1
    keep_progress(run, now=now)


def keep_progress(run: BillingRun, *, now: datetime) -> None:
    """Store how far a run is. One that failed stays so until all its ranges are billed."""
    run.progressed_at = now
    if run.ranges_done == run.ranges:
        if not run.dry:
            left = due_drafts(run).count()
            run.unchanged = left if run.finalize else max(0, left - run.drafted)
            # What was parked before may have been let go on, or parked anew.
            run.parked = [asdict(each) for each in parked_tenants(run)]
        run.state, run.finished_at, run.error = RunState.DONE, now, ""
    run.save()


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
        totals=run_totals(run),
    )


def run_totals(run: BillingRun) -> dict[str, Money]:
    """What a run drafted or finalised so far, by currency."""
    return {code: Money.of(Decimal(amount), code) for code, amount in run.totals.items()}


def due_drafts(run: BillingRun) -> QuerySet[Invoice]:
    """The drafts of the run's tenants that are due at its instant."""
    return Invoice.objects.filter(
        status=InvoiceStatus.DRAFT, boundary_at__lte=run.at, **tenants_of(run)
    )


def parked_tenants(run: BillingRun) -> list[Parked]:
    """Those of the run's tenants that are left aside by now."""
    subscriptions = Subscription.objects.exclude(parked_code="").filter(**tenants_of(run))
    charges = Charge.objects.exclude(fault_code__in=["", NOT_BILLED]).filter(
        state=ChargeState.DRAFT, **tenants_of(run)
    )
    found = [
        *subscriptions.order_by("tenant__key", "id").values_list(
            "tenant__key", "parked_code", "parked_detail"
        ),
        *charges.order_by("tenant__key", "id").values_list(
            "tenant__key", "fault_code", "fault_detail"
        ),
    ]
    return [Parked(tenant=key, code=code, detail=detail) for key, code, detail in found]


def tenants_of(run: BillingRun) -> dict[str, Any]:
    """The tenants that a run is about, as a condition on a model's `tenant`."""
    if run.tenant_key:
        return {"tenant__key": run.tenant_key}
    if run.retry_of is not None:
        return {"tenant__key__in": {each["tenant"] for each in run.retry_of.parked}}
    return {}


def _locked(run_id: UUID) -> BillingRun:
    return BillingRun.objects.select_for_update(of=("self",)).get(id=run_id)
