"""A run cut into ranges of tenants, and documents that are issued as soon as they are rated."""

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from billing.invoicing.contracts import load_usage
from billing.invoicing.domain import RunState
from billing.invoicing.due_tenants import due_ranges
from billing.invoicing.models import BillingRun, Invoice, LateUsage
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.invoicing.services import draft_due, rate_due, run_billing
from billing.invoicing.services.run_billing import create_run, execute_run
from billing.invoicing.services.run_now import run_now
from billing.invoicing.services.spread_run import RANGE_KIND, spread_run
from billing.invoicing.services.start_run import start_run
from billing.invoicing.tenant_ranges import ALL_TENANTS, TenantRange
from billing.ledger.queries import first_drift, first_imbalance
from kernel import clock
from kernel.errors import Conflict
from metering.services import close_days
from tenants.models import Tenant
from tenants.scope import system_scope
from tests.conftest import empty_tables
from tests.factories import STANDARD, a_plan, a_subscription, a_tenant, some_usage
from work import jobs, tasks
from work.connections import JOBS
from work.domain import JobState
from work.models import Job

pytestmark = pytest.mark.usefixtures("db")

APRIL = datetime.fromisoformat("2026-04-01T00:00:00+08:00")
GRACE_OVER = datetime.fromisoformat("2026-04-02T00:00:00+08:00")
MAY = datetime.fromisoformat("2026-05-02T00:00:00+08:00")


def bill(at: datetime, *, finalize: bool = True) -> None:
    with system_scope(purpose="test"):
        run_id = create_run(at=at, finalize=finalize, requested_by="test", now=clock.now())
    execute_run(run_id=run_id, clock=clock.now)


def listed() -> list[dict[str, Any]]:
    with system_scope(purpose="test"):
        documents = [invoice_document(each) for each in all_invoices(wanted=InvoiceFilter())]
    for document in documents:
        del document["id"]
    return documents


def without_numbers(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for document in documents:
        del document["number"]
    return sorted(documents, key=lambda each: (each["tenant"], each["period"]["starts_at"]))


def some_tenants(count: int) -> None:
    a_plan()
    for index in range(count):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 11 + index})


def test_issued_at_once_is_issued_as_after_a_draft() -> None:
    some_tenants(3)
    bill(GRACE_OVER)
    at_once = listed()
    with system_scope(purpose="test"):
        hashes = set(Invoice.objects.values_list("boundary_at", "content_hash", "tenant__key"))
        assert (first_imbalance(), first_drift()) == (None, None)
    empty_tables()
    some_tenants(3)
    bill(APRIL)
    assert {each["status"] for each in listed()} == {"open", "draft"}
    bill(GRACE_OVER)

    # What needs no grace was issued a day earlier, with its due date.
    assert _but_for_times(without_numbers(listed())) == _but_for_times(without_numbers(at_once))
    with system_scope(purpose="test"):
        # The plan's version has another id in the new world.
        assert len(hashes) == Invoice.objects.count() == 6


def _but_for_times(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for document in documents:
        del document["issued_at"], document["due_on"]
    return documents


def test_an_older_draft_gets_its_number_first() -> None:
    a_plan({**STANDARD, "interval": "week", "grace": "P10D"})
    tenant = a_tenant()
    a_subscription(tenant, starts_on=date(2026, 3, 2))
    some_usage(tenant, {date(2026, 3, day): day for day in range(2, 30)})
    bill(datetime.fromisoformat("2026-03-20T00:00:00+08:00"))  # two weeks wait, one is over

    bill(datetime.fromisoformat("2026-04-20T00:00:00+08:00"))

    numbered = sorted(
        (each for each in listed() if each["number"]), key=lambda each: each["number"]
    )
    ends = [each["period"]["ends_at"] for each in numbered]
    assert len(ends) > 4
    assert ends == sorted(ends)


def test_a_correction_while_a_document_is_rated_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes after the usage was read and before the document is final."""
    a_plan()
    tenant = a_tenant()
    a_subscription(tenant)
    some_usage(tenant, {date(2026, 3, 5): 11})
    read = load_usage
    with system_scope(purpose="test"):
        close_days(now=GRACE_OVER, tenant_ids=[tenant.id])

    def then_corrected(**asked: Any) -> Any:
        usage = read(**asked)
        in_thread(lambda: some_usage(tenant, {date(2026, 3, 6): 51}))
        return usage

    with monkeypatch.context() as patched:
        patched.setattr(rate_due, "load_usage", then_corrected)
        bill(GRACE_OVER)
    assert listed()[-1]["total"] == "204.00"  # 11: one started ten above the included, 5.00

    bill(MAY)

    last = listed()[-1]
    assert [
        (line["kind"], line["amount"]) for line in last["lines"] if line["kind"] == "adjustment"
    ] == [("adjustment", "20.00")]
    with system_scope(purpose="test"):
        assert LateUsage.objects.count() == 1


def in_thread(work: Callable[[], object]) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=30)


def test_it_takes_as_many_statements_for_six_tenants_as_for_one() -> None:
    some_tenants(1)

    def statements() -> int:
        with CaptureQueriesContext(connections[JOBS]) as captured:
            drafted = draft_due.draft_due(at=GRACE_OVER, finalize=True)
        assert drafted.issued.finalized
        return len(captured.captured_queries)

    with system_scope(purpose="test"):
        close_days(now=MAY)
    of_one = statements()
    for index in range(1, 7):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
    with system_scope(purpose="test"):
        close_days(now=MAY)

    assert statements() <= of_one
    assert of_one < 50


def test_ranges_hold_every_due_tenant_once() -> None:
    some_tenants(7)
    with system_scope(purpose="test"):
        ids = sorted(Tenant.objects.values_list("id", flat=True))
        ranges = due_ranges(at=GRACE_OVER, finalize=True, tenants=ALL_TENANTS, size=3)
        assert [each.first for each in ranges] == [ids[0], ids[3], ids[6]]
        assert [each.end for each in ranges] == [ids[3], ids[6], None]
        assert [
            Tenant.objects.filter(
                id__gte=each.first, id__lt=each.end or UUID(int=2**128 - 1)
            ).count()
            for each in ranges
        ] == [3, 3, 1]
        one = TenantRange.of_one(ids[2])
        assert due_ranges(at=GRACE_OVER, finalize=True, tenants=one, size=3) == [one]
        assert (
            due_ranges(at=APRIL.replace(year=2025), finalize=True, tenants=ALL_TENANTS, size=3)
            == []
        )


def test_a_run_is_spread_over_jobs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_billing, "TENANTS_A_RANGE", 2)
    some_tenants(5)
    with system_scope(purpose="test"):
        run_id = start_run(
            at=GRACE_OVER, finalize=True, tenant_key="", requested_by="test", now=clock.now()
        )
    assert spread_run(run_id=run_id, clock=clock.now) == 3
    assert spread_run(run_id=run_id, clock=clock.now) == 3  # a worker was killed before it said so

    jobs.run_pending(now=clock.now(), kinds={"billing.run", RANGE_KIND})

    mine = Job.objects.using(JOBS).filter(kind=RANGE_KIND)
    assert list(mine.values_list("state", flat=True)) == [JobState.DONE] * 3
    with system_scope(purpose="test"):
        run = BillingRun.objects.get()
        assert (run.state, run.ranges, run.ranges_done) == (RunState.DONE, 3, 3)
        assert (run.due, run.drafted, run.finalized, run.unchanged) == (10, 10, 10, 0)
        assert run.finished_at is not None
    assert len({each["number"] for each in listed()}) == 10


def test_a_range_that_fails_stops_no_other_and_can_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_billing, "TENANTS_A_RANGE", 2)
    some_tenants(5)
    with system_scope(purpose="test"):
        broken = sorted(Tenant.objects.values_list("id", flat=True))[2]
    whole = draft_due.draft_due

    def breaks(*, tenants: TenantRange, **asked: Any) -> Any:
        if tenants.first == broken:
            raise ZeroDivisionError("a defect")
        return whole(tenants=tenants, **asked)

    with monkeypatch.context() as patched:
        patched.setattr(run_billing, "draft_due", breaks)
        with pytest.raises(Conflict, match="Of 3 parts of the run 2 are done") as refused:
            run_now(at=GRACE_OVER, finalize=True, requested_by="test", clock=clock.now)
    assert refused.value.code == "run_failed"
    with system_scope(purpose="test"):
        run = BillingRun.objects.get()
        assert (run.state, run.ranges_done) == (RunState.FAILED, 2)
        assert "a defect" in run.error
    assert len(listed()) == 6

    with system_scope(purpose="test"):
        parked = Job.objects.get(state=JobState.PARKED)
        jobs.retry(job_id=parked.id)
    jobs.run_pending(now=clock.now(), kinds={RANGE_KIND})

    with system_scope(purpose="test"):
        run = BillingRun.objects.get()
        assert (run.state, run.ranges_done, run.error) == (RunState.DONE, 3, "")
    assert len(listed()) == 10


def test_a_clock_that_jumps_and_two_schedulers_bill_once() -> None:
    some_tenants(3)
    two_days = timedelta(days=2)
    for at in (GRACE_OVER, GRACE_OVER + two_days, GRACE_OVER - two_days, GRACE_OVER):
        with clock.moved_to(at):
            tasks.tick()
            tasks.tick()
            jobs.run_pending(now=at, kinds={"billing.scheduled_run", RANGE_KIND})

    numbers = sorted(each["number"] for each in listed())
    assert numbers == [f"INV-2026-{n:06d}" for n in range(1, 7)]
    with system_scope(purpose="test"):
        assert set(BillingRun.objects.values_list("state", flat=True)) == {RunState.DONE}
        assert (first_imbalance(), first_drift()) == (None, None)
