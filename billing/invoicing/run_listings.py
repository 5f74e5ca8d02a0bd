"""Billing runs as the screens list and open them, and what one would find now.

Each query runs inside the caller's scope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, F

from billing.invoicing.domain import (
    CANCELLABLE,
    OVER,
    PAUSABLE,
    RESUMABLE,
    RETRIABLE,
    InvoiceStatus,
    RunState,
)
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.run_forecast import expected_end
from billing.subscriptions.models import Subscription
from kernel.errors import NotFound
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedTenant:
    """A tenant that a run left aside, and why."""

    tenant_key: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A billing run, its progress and what came of it."""

    id: UUID
    at: datetime
    finalize: bool
    dry: bool
    tenant_key: str
    state: RunState
    due: int
    drafted: int
    finalized: int
    unchanged: int
    parked: Sequence[ParkedTenant]
    totals: Sequence[Money]
    error: str
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    progressed_at: datetime | None
    finished_at: datetime | None
    expected_end_at: datetime | None
    """When it will be over if it goes on as fast; None while that isn't known, or it doesn't go on."""
    parts: int | None
    """Ranges of tenants that it was cut into; None before that."""
    parts_done: int
    retry_of: UUID | None

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def may(self) -> Mapping[str, bool]:
        """What a person may decide about it now, by the decision's name."""
        return {
            "pause": self.state in PAUSABLE,
            "resume": self.state in RESUMABLE,
            "cancel": self.state in CANCELLABLE,
            "retry": self.state in RETRIABLE,
            "retry_parked": self.is_over and bool(self.parked) and not self.dry,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some runs, newest first, and how many there are."""

    rows: Sequence[RunRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePlan:
    """How many subscriptions of one plan have a boundary that is due."""

    plan_key: str
    subscriptions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DuePreview:
    """What a run at an instant would find: boundaries to draft, drafts whose grace is over, and
    drafts that still wait."""

    plans: Sequence[DuePlan]
    drafts_ready: int
    drafts_waiting: int
    parked: int

    @property
    def subscriptions(self) -> int:
        return sum(plan.subscriptions for plan in self.plans)


def run_rows(*, limit: int, offset: int = 0) -> RunPage:
    """Billing runs, newest first."""
    runs = BillingRun.objects.order_by("-created_at", "-id")
    return RunPage(
        rows=tuple(_run(run) for run in runs[offset : offset + limit]), total=runs.count()
    )


def run_detail(*, run_id: UUID) -> RunRow:
    """One billing run. Raises NotFound `run_not_found`."""
    run = BillingRun.objects.filter(id=run_id).first()
    if run is None:
        raise NotFound("run_not_found", "There is no such billing run.", field="run")
    return _run(run)


def due_preview(*, at: datetime) -> DuePreview:
    """What a run at `at` would find now."""
    due = Subscription.objects.filter(next_boundary_at__lte=at)
    plans = (
        due.filter(parked_code="")
        .values(key=F("plan_version__plan__key"))
        .annotate(subscriptions=Count("id"))
        .order_by("key")
    )
    drafts = Invoice.objects.filter(status=InvoiceStatus.DRAFT, boundary_at__lte=at)
    return DuePreview(
        plans=tuple(
            DuePlan(plan_key=row["key"], subscriptions=row["subscriptions"]) for row in plans
        ),
        drafts_ready=drafts.filter(finalize_at__lte=at).count(),
        drafts_waiting=drafts.filter(finalize_at__gt=at).count(),
        parked=Subscription.objects.exclude(parked_code="").count(),
    )


def _run(run: BillingRun) -> RunRow:
    return RunRow(
        id=run.id,
        at=run.at,
        finalize=run.finalize,
        dry=run.dry,
        tenant_key=run.tenant_key,
        state=RunState(run.state),
        due=run.due,
        drafted=run.drafted,
        finalized=run.finalized,
        unchanged=run.unchanged,
        parked=tuple(
            ParkedTenant(
                tenant_key=each.get("tenant", ""),
                code=each.get("code", ""),
                detail=each.get("detail", ""),
            )
            for each in run.parked
        ),
        totals=tuple(Money.of(amount, code) for code, amount in sorted(run.totals.items())),
        error=run.error,
        requested_by=run.requested_by,
        created_at=run.created_at,
        started_at=run.started_at,
        progressed_at=run.progressed_at,
        finished_at=run.finished_at,
        expected_end_at=_expected_end(run),
        parts=run.ranges,
        parts_done=run.ranges_done,
        retry_of=run.retry_of_id,
    )


def _expected_end(run: BillingRun) -> datetime | None:
    if run.state != RunState.RUNNING or run.measured_from is None or run.progressed_at is None:
        return None
    return expected_end(
        parts=run.ranges or 0,
        done=run.ranges_done,
        measured_from=run.measured_from,
        measured_done=run.measured_ranges,
        progressed_at=run.progressed_at,
    )
