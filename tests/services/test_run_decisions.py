"""Runs that are paused, resumed, cancelled and tried again; and counts that hold whatever happens."""

import threading
from collections.abc import Callable
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.db.models import Sum
from django.test import Client

from billing.invoicing.domain import InvoiceStatus, RunState
from billing.invoicing.models import BillingRun, Invoice
from billing.invoicing.run_listings import run_detail
from billing.invoicing.services import draft_due, run_billing
from billing.invoicing.services.decide_run import (
    cancel_run,
    pause_run,
    resume_run,
    retry_parked,
    retry_run,
)
from billing.invoicing.services.run_now import run_now
from billing.invoicing.services.spread_run import RANGE_KIND, RUN_KIND
from billing.invoicing.services.start_run import start_run
from billing.subscriptions.models import Subscription
from kernel import clock
from kernel.errors import Conflict
from metering.services import close_days
from tenants.domain import StaffRole
from tenants.models import AuditRecord, User
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant, some_usage
from work import jobs
from work.connections import JOBS
from work.domain import JobState
from work.models import Job

pytestmark = pytest.mark.usefixtures("db")

GRACE_OVER = datetime.fromisoformat("2026-04-02T00:00:00+08:00")
KINDS = {RUN_KIND, RANGE_KIND}
ANNA = "anna@summit.test"
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of four tenants, two in a transaction."""
    monkeypatch.setattr(run_billing, "TENANTS_A_RANGE", 4)
    monkeypatch.setattr(draft_due, "CHUNK", 2)


def some_tenants(count: int) -> None:
    a_plan()
    for index in range(count):
        tenant = a_tenant(f"t{index}", apps=(f"app{index}",))
        a_subscription(tenant)
        some_usage(tenant, {date(2026, 3, 5): 11 + index})


def started() -> UUID:
    with system_scope(purpose="test"):
        return start_run(
            at=GRACE_OVER, finalize=True, tenant_key="", requested_by=ANNA, now=clock.now()
        )


def work() -> None:
    jobs.run_pending(now=clock.now(), kinds=KINDS)


def decided(decision: Callable[..., Any], run_id: UUID) -> Any:
    with system_scope(purpose="test"):
        return decision(run_id=run_id, actor=ANNA, now=clock.now())


def run_of(run_id: UUID) -> BillingRun:
    with system_scope(purpose="test"):
        return BillingRun.objects.get(id=run_id)


def issued() -> int:
    with system_scope(purpose="test"):
        return Invoice.objects.exclude(status=InvoiceStatus.DRAFT).count()


def counts(run: BillingRun) -> tuple[int, int, int, int, dict[str, str]]:
    return (run.due, run.drafted, run.finalized, run.unchanged, run.totals)


def after_the_first_chunk(
    monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> pytest.MonkeyPatch:
    """Do something while a worker is between two chunks of its first range."""
    whole, left = draft_due.draft_due, [then]

    def drafts(**asked: Any) -> Any:
        done = whole(**asked)
        if left:
            left.pop()()
        return done

    monkeypatch.setattr(run_billing, "draft_due", drafts)
    return monkeypatch


def undisturbed() -> tuple[int, int, int, int, dict[str, str]]:
    """What ten of these tenants come to: two documents each, 199.00 at once and the month's end."""
    # Usage 11 to 20 over 10 included: one started ten, 5.00, each.
    return (20, 20, 20, 0, {"CNY": "4030.00"})


def test_a_paused_run_stops_between_chunks_and_goes_on_from_there(
    monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    some_tenants(10)
    run_id = started()

    with monkeypatch.context() as patched:
        after_the_first_chunk(patched, lambda: decided(pause_run, run_id))
        work()

    paused = run_of(run_id)
    # The chunk that was being done when it was paused and no other: it saw the pause in the next one.
    assert paused.state == RunState.PAUSED
    assert (paused.ranges, paused.ranges_done) == (3, 0)
    assert 4 <= issued() <= 8
    assert paused.finalized == issued()
    with system_scope(purpose="test"):
        assert set(Job.objects.filter(kind=RANGE_KIND).values_list("state", flat=True)) == {
            JobState.PAUSED
        }
        assert run_detail(run_id=run_id).expected_end_at is None
    work()
    assert run_of(run_id).finalized == paused.finalized  # nobody goes on with it

    decided(resume_run, run_id)
    work()

    done = run_of(run_id)
    assert (done.state, done.ranges_done) == (RunState.DONE, 3)
    assert counts(done) == undisturbed()
    with system_scope(purpose="test"):
        numbers = sorted(filter(None, Invoice.objects.values_list("number", flat=True)))
        trail = AuditRecord.objects.filter(target=f"billing_run:{run_id}").order_by("sequence")
        assert list(trail.values_list("action", "actor")) == [
            ("billing_run.started", ANNA),
            ("billing_run.paused", ANNA),
            ("billing_run.resumed", ANNA),
        ]
    assert numbers == [f"INV-2026-{n:06d}" for n in range(1, 21)]


def test_resumed_before_a_worker_saw_the_pause_it_simply_goes_on(
    monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    some_tenants(10)
    run_id = started()

    def hesitate() -> None:
        decided(pause_run, run_id)
        decided(resume_run, run_id)

    with monkeypatch.context() as patched:
        after_the_first_chunk(patched, hesitate)
        work()

    assert (run_of(run_id).state, counts(run_of(run_id))) == (RunState.DONE, undisturbed())


def test_paused_before_it_began_it_waits() -> None:
    some_tenants(2)
    run_id = started()
    decided(pause_run, run_id)
    work()
    assert (run_of(run_id).ranges, issued()) == (None, 0)

    decided(resume_run, run_id)
    assert run_of(run_id).state == RunState.QUEUED
    work()

    assert (run_of(run_id).state, issued()) == (RunState.DONE, 4)


def test_paused_while_it_is_cut_its_ranges_are_held(
    monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    some_tenants(10)
    run_id = started()
    whole = close_days

    def closes(**asked: Any) -> Any:
        in_other_thread(lambda: decided(pause_run, run_id))
        return whole(**asked)

    with monkeypatch.context() as patched:
        patched.setattr(run_billing, "close_days", closes)
        work()

    assert (run_of(run_id).state, run_of(run_id).ranges, issued()) == (RunState.PAUSED, 3, 0)
    decided(resume_run, run_id)
    work()
    assert counts(run_of(run_id)) == undisturbed()


def in_other_thread(task: Callable[[], object]) -> None:
    def whole() -> None:
        try:
            task()
        finally:
            connections.close_all()

    thread = threading.Thread(target=whole)
    thread.start()
    thread.join(timeout=30)


def test_a_cancelled_run_keeps_what_it_did_and_the_next_finds_the_rest(
    monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    some_tenants(10)
    run_id = started()
    with monkeypatch.context() as patched:
        after_the_first_chunk(patched, lambda: decided(cancel_run, run_id))
        work()

    cancelled = run_of(run_id)
    assert cancelled.state == RunState.CANCELLED
    assert cancelled.finalized == issued() < 20
    with system_scope(purpose="test"):
        assert set(Job.objects.filter(kind=RANGE_KIND).values_list("state", flat=True)) == {
            JobState.CANCELLED
        }
    with pytest.raises(Conflict) as refused:
        decided(resume_run, run_id)
    assert refused.value.code == "run_state_conflict"

    other = started()
    work()

    assert run_of(other).finalized == 20 - cancelled.finalized
    assert issued() == 20


def test_a_failed_run_is_tried_again(monkeypatch: pytest.MonkeyPatch, small_chunks: None) -> None:
    some_tenants(10)
    whole = draft_due.draft_due

    def breaks(**asked: Any) -> Any:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(run_billing, "draft_due", breaks)
        with pytest.raises(Conflict):
            run_now(at=GRACE_OVER, finalize=True, requested_by=ANNA, clock=clock.now)
    with system_scope(purpose="test"):
        run = BillingRun.objects.get()
    assert (run.state, "a defect" in run.error) == (RunState.FAILED, True)
    assert draft_due.draft_due is whole

    decided(retry_run, run.id)
    work()

    assert (run_of(run.id).state, run_of(run.id).error) == (RunState.DONE, "")
    assert counts(run_of(run.id)) == undisturbed()


def test_a_run_that_could_not_be_cut_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    some_tenants(2)
    run_id = started()

    def breaks(**asked: Any) -> Any:
        raise ZeroDivisionError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(run_billing, "close_days", breaks)
        work()
    assert (run_of(run_id).state, run_of(run_id).ranges) == (RunState.FAILED, None)

    decided(retry_run, run_id)
    work()

    assert (run_of(run_id).state, issued()) == (RunState.DONE, 4)


def test_one_failed_try_is_no_failed_run(monkeypatch: pytest.MonkeyPatch) -> None:
    some_tenants(2)
    run_id = started()
    whole, left = draft_due.draft_due, [ZeroDivisionError("once")]
    states = []

    def breaks_once(**asked: Any) -> Any:
        if left:
            raise left.pop()
        states.append(run_of(run_id).state)
        return whole(**asked)

    monkeypatch.setattr(run_billing, "draft_due", breaks_once)
    work()

    assert set(states) == {RunState.RUNNING}
    assert (run_of(run_id).state, run_of(run_id).error) == (RunState.DONE, "")


def test_counts_hold_when_a_worker_is_lost_between_two_chunks(
    monkeypatch: pytest.MonkeyPatch, small_chunks: None
) -> None:
    """What was done is counted with it, and counted once, though the range is done again."""
    some_tenants(10)
    run_id = started()

    def is_lost() -> None:
        raise ZeroDivisionError("a worker is gone")

    with monkeypatch.context() as patched:
        after_the_first_chunk(patched, is_lost)
        work()

    assert (run_of(run_id).state, counts(run_of(run_id))) == (RunState.DONE, undisturbed())
    with system_scope(purpose="test"):
        total = Invoice.objects.aggregate(total=Sum("total_minor"))["total"]
    assert total == 403_000


def contradict(key: str) -> None:
    """Set a subscription's cursor back to a boundary that has a document."""
    with system_scope(purpose="test"):
        Subscription.objects.filter(tenant__key=key).update(
            next_boundary_at=datetime.fromisoformat("2026-03-01T00:00:00+08:00")
        )


def test_those_left_aside_are_tried_again_alone() -> None:
    some_tenants(3)
    work()
    started()
    work()
    contradict("t1")
    run_id = started()
    work()
    assert [each["tenant"] for each in run_of(run_id).parked] == ["t1"]
    other = a_tenant("later", apps=("later",))
    a_subscription(other)
    with system_scope(purpose="test"):
        Subscription.objects.filter(tenant__key="t1").update(
            next_boundary_at=datetime.fromisoformat("2026-05-01T00:00:00+08:00")
        )

    with clock.moved_to(GRACE_OVER):
        again = decided(retry_parked, run_id)
        work()

    done = run_of(again)
    assert (done.state, done.retry_of_id, done.parked) == (RunState.DONE, run_id, [])
    with system_scope(purpose="test"):
        assert not Invoice.objects.filter(tenant__key="later").exists()
        assert Subscription.objects.get(tenant__key="t1").parked_code == ""
        assert AuditRecord.objects.filter(action="subscription.unparked", actor=ANNA).count() == 1
    with pytest.raises(Conflict) as refused:
        decided(retry_parked, again)
    assert refused.value.code == "nothing_parked"


def test_what_still_contradicts_is_parked_again() -> None:
    some_tenants(2)
    started()
    work()
    contradict("t1")
    run_id = started()
    work()

    with clock.moved_to(GRACE_OVER):
        again = decided(retry_parked, run_id)
        work()

    assert [(each["tenant"], each["code"]) for each in run_of(again).parked] == [
        ("t1", "period_already_billed")
    ]


def client(role: StaffRole) -> Client:
    signed_in = Client()
    with system_scope(purpose="test"):
        user, _ = User.objects.get_or_create(email=f"{role}@summit.test", staff_role=role)
    signed_in.force_login(user, backend=BACKEND)
    return signed_in


def test_the_page_offers_what_may_be_decided() -> None:
    some_tenants(2)
    run_id = started()
    page, decision = f"/console/runs/{run_id}/", f"/console/runs/{run_id}/decision"
    finance, auditor = client(StaffRole.FINANCE), client(StaffRole.AUDITOR)
    shown = finance.get(page).content.decode()
    assert 'value="pause"' in shown
    assert 'value="resume"' not in shown
    assert "decision" not in auditor.get(page).content.decode()
    assert auditor.post(decision, {"do": "pause"}).status_code == 403
    assert finance.get(decision).status_code == 405

    assert finance.post(decision, {"do": "pause"}).status_code == 302

    assert run_of(run_id).state == RunState.PAUSED
    shown = finance.get(page).content.decode()
    assert "none while it is paused" in shown
    assert 'value="resume"' in shown
    said = finance.post(decision, {"do": "retry"}, follow=True).content.decode()
    assert "in no state for that" in said
    assert finance.post(decision, {"do": "cancel"}).status_code == 302
    assert run_of(run_id).state == RunState.CANCELLED
    assert Job.objects.using(JOBS).get(kind=RUN_KIND).state == JobState.CANCELLED
