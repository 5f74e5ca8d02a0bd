"""The life of a job: asked for once, run once, tried again, parked; and what a person may decide."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now
from django.db.utils import DatabaseError

from kernel.errors import Conflict, NotFound
from tests.services import work_kinds
from work import claims, jobs, parallel, processes, queries
from work.connections import DEFAULT, JOBS, transaction_on, using_alias
from work.domain import JobState
from work.failures import RUNNER_LOST, LeaseLost
from work.jobs import JobRequest, JobRun, RunSummary
from work.models import Job

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def work_tables(db: None) -> Iterator[None]:
    work_kinds.make_tables()
    yield
    work_kinds.drop_tables()


def asked(kind: str, key: str = "one", **options: object) -> UUID:
    with transaction_on(JOBS):
        return jobs.enqueue(kind=kind, key=key, payload=options.pop("payload", {}), **options)  # type: ignore[arg-type]  # options of enqueue


def row(job_id: UUID) -> Job:
    return Job.objects.using(JOBS).get(pk=job_id)


def drained(now: datetime = NOW) -> RunSummary:
    return jobs.run_pending(now=now)


def as_tenant(tenant_id: UUID) -> None:
    with connections[DEFAULT].cursor() as cursor:
        cursor.execute(f"SET LOCAL app.tenant = '{tenant_id}'")


class TestAsking:
    def test_twice_is_one_job(self) -> None:
        assert asked("test.effect") == asked("test.effect")
        assert Job.objects.using(JOBS).count() == 1

    def test_again_after_it_is_done_is_still_that_job(self) -> None:
        job_id = asked("test.effect")
        drained()
        assert asked("test.effect") == job_id
        assert drained().done == 0
        assert work_kinds.effects() == {"one": 1}

    def test_rolled_back_with_its_caller(self) -> None:
        def ask_and_fail() -> None:
            with transaction_on(JOBS):
                jobs.enqueue(kind="test.effect", key="one", payload={})
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ask_and_fail()
        assert not Job.objects.using(JOBS).exists()

    def test_same_key_of_two_tenants_is_two_jobs(self) -> None:
        first, second = uuid4(), uuid4()
        assert asked("test.effect", tenant_id=first) != asked("test.effect", tenant_id=second)
        assert asked("test.effect") not in {None, first, second}
        assert Job.objects.using(JOBS).count() == 3

    def test_unknown_kind_is_a_fault_of_the_caller(self) -> None:
        with pytest.raises(LookupError, match=r"test\.nothing"):
            asked("test.nothing")

    @pytest.mark.parametrize(
        ("payload", "error"),
        [
            ({"amount": 1.5}, TypeError),
            ({"at": NOW}, TypeError),
            ({"nested": {"deep": 1}}, TypeError),
            ({"long": "x" * 9000}, ValueError),
        ],
    )
    def test_payload_carries_ids_only(
        self, payload: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            asked("test.effect", payload=payload)

    def test_many_in_one_statement(self) -> None:
        requests = [JobRequest(kind="test.effect", key=f"{n}", payload={"n": n}) for n in range(50)]
        with transaction_on(JOBS):
            assert jobs.enqueue_many(requests) == 50
        with transaction_on(JOBS):
            assert jobs.enqueue_many([*requests, requests[0]]) == 0

    def test_two_callers_at_once_get_the_same_job(self) -> None:
        found: list[UUID] = []
        barrier = threading.Barrier(4)

        def ask() -> None:
            barrier.wait()
            found.extend(asked("test.effect", key=f"{n}") for n in range(25))
            connections.close_all()

        run_threads(ask, 4)
        assert len(found) == 100
        assert len(set(found)) == 25


class TestRowSecurity:
    def test_web_role_asks_for_its_tenant_only(self) -> None:
        own, other = uuid4(), uuid4()
        foreign = asked("test.effect", tenant_id=other)
        with transaction_on(DEFAULT):
            as_tenant(own)
            job_id = jobs.enqueue(kind="test.effect", key="one", payload={}, tenant_id=own)
            assert job_id != foreign
            assert list(Job.objects.values_list("pk", flat=True)) == [job_id]
        for tenant_id in (other, None):
            with transaction_on(DEFAULT):
                as_tenant(own)
                with pytest.raises(DatabaseError, match="row-level security"), savepoint():
                    jobs.enqueue(kind="test.effect", key="two", payload={}, tenant_id=tenant_id)

    def test_web_role_marks_nothing_done(self) -> None:
        own = uuid4()
        job_id = asked("test.effect", tenant_id=own)
        with transaction_on(DEFAULT):
            as_tenant(own)
            with pytest.raises(DatabaseError, match="permission denied"), savepoint():
                Job.objects.filter(pk=job_id).update(state=JobState.DONE)

    def test_unscoped_web_role_sees_nothing(self) -> None:
        asked("test.effect", tenant_id=uuid4())
        assert not Job.objects.using(DEFAULT).exists()


class TestRunning:
    def test_to_its_end(self) -> None:
        job_id = asked("test.effect", payload={"ms": 1}, requested_by="user:7")
        summary = drained()
        job = row(job_id)
        assert (summary.done, summary.parked) == (1, [])
        assert (job.state, job.attempts, job.result) == (JobState.DONE, 1, {"attempt": 1})
        assert job.lease_until is None
        assert job.finished_at is not None

    def test_not_before_its_time(self) -> None:
        job_id = asked("test.effect", run_at=NOW + timedelta(hours=1))
        assert drained().done == 0
        assert row(job_id).state == JobState.READY
        assert drained(NOW + timedelta(hours=1)).done == 1

    def test_only_the_kinds_asked_for(self) -> None:
        asked("test.effect")
        asked("test.flaky", payload={"failures": 0})
        assert jobs.run_pending(now=NOW, kinds=["test.flaky"]).done == 1
        assert drained().done == 1

    def test_oldest_first(self) -> None:
        for n in range(5):
            asked("test.effect", key=f"{n}")
        drained()
        with connections[JOBS].cursor() as cursor:
            cursor.execute("SELECT string_agg(key, '' ORDER BY id) FROM work_test_start")
            assert cursor.fetchone() == ("01234",)

    def test_urgent_before_all_else_also_when_it_is_tried_again(self) -> None:
        for n in range(3):
            asked("test.effect", key=f"{n}")
        asked("test.urgent", key="u", payload={"failures": 1})
        drained()
        with connections[JOBS].cursor() as cursor:
            cursor.execute("SELECT string_agg(key, '' ORDER BY id) FROM work_test_start")
            assert cursor.fetchone() == ("uu012",)

    def test_inside_a_task_is_refused(self) -> None:
        job_id = asked("test.nested")
        drained()
        assert row(job_id).state == JobState.PARKED
        assert "enqueues further work" in row(job_id).error_detail

    def test_in_a_sandbox_leaves_nothing(self) -> None:
        with transaction.atomic(using=JOBS), using_alias(JOBS):
            jobs.enqueue(kind="test.flaky", key="one", payload={"failures": 2})
            assert jobs.run_pending(now=NOW).done == 1
            transaction.set_rollback(True, using=JOBS)
        assert not Job.objects.using(JOBS).exists()

    def test_two_runners_share_the_jobs(self) -> None:
        with transaction_on(JOBS):
            jobs.enqueue_many(
                JobRequest(kind="test.effect", key=f"{n}", payload={}) for n in range(100)
            )
        summaries: list[RunSummary] = []

        def drain() -> None:
            summaries.append(drained())
            connections.close_all()

        run_threads(drain, 3)
        assert sum(each.done for each in summaries) == 100
        assert work_kinds.effects() == {f"{n}": 1 for n in range(100)}
        assert set(work_kinds.starts().values()) == {1}


class TestFailing:
    def test_a_command_tries_again_without_rest(self) -> None:
        job_id = asked("test.flaky", payload={"failures": 3})
        summary = drained()
        assert (summary.done, summary.tried_again) == (1, 3)
        assert row(job_id).attempts == 4

    def test_a_worker_lets_it_rest_longer_each_time(self) -> None:
        job_id = asked("test.flaky", payload={"failures": 9})
        now, rests = NOW, []
        for _ in range(3):
            jobs.run_job(job_id=job_id, now=lambda: now, go_on_for_seconds=0)  # noqa: B023  # called at once
            rests.append((row(job_id).run_at - now).total_seconds())
            assert row(job_id).error_code == "gateway_down"
            now = row(job_id).run_at
        assert 5 <= rests[0] <= 11
        assert 10 <= rests[1] <= 21
        assert 20 <= rests[2] <= 41

    def test_parked_after_its_last_attempt(self) -> None:
        job_id = asked("test.broken")
        summary = drained()
        job = row(job_id)
        assert (job.state, job.attempts) == (JobState.PARKED, 3)
        assert job.error_code == "unexpected_error"
        assert job.error_detail == "ZeroDivisionError: a fault of the program"
        assert [(each.code, each.key) for each in summary.parked] == [("unexpected_error", "one")]

    def test_parked_at_once_when_trying_again_cannot_help(self) -> None:
        job_id = asked("test.invalid")
        drained()
        assert (row(job_id).state, row(job_id).attempts) == (JobState.PARKED, 1)
        assert row(job_id).error_code == "plan_missing"

    def test_poison_does_not_stop_its_neighbours(self) -> None:
        for n in range(5):
            asked("test.broken", key=f"bad {n}")
            asked("test.effect", key=f"good {n}")
        summary = drained()
        assert (summary.done, len(summary.parked)) == (5, 5)

    def test_postponed_runs_later_and_loses_no_attempt(self) -> None:
        job_id = asked("test.patient", payload={"wait": True})
        assert drained().postponed == 1
        assert (row(job_id).attempts, row(job_id).run_at) == (0, NOW + timedelta(hours=1))
        assert drained(NOW + timedelta(days=365)).done == 1

    def test_ctrl_c_gives_the_job_back(self) -> None:
        job_id = asked("test.interrupted")
        with pytest.raises(KeyboardInterrupt):
            drained()
        assert (row(job_id).state, row(job_id).attempts) == (JobState.READY, 0)


class TestVersions:
    """Item 98: a worker parks what it does not know, and a newer one takes it up."""

    def test_unknown_kind_is_parked_and_taken_up(self) -> None:
        job_id = asked("test.patient")
        Job.objects.using(JOBS).filter(pk=job_id).update(kind="test.of_tomorrow")
        drained()
        assert (row(job_id).state, row(job_id).error_code) == (JobState.PARKED, "unknown_kind")
        assert row(job_id).attempts == 0
        assert claims.take_up_the_unknown() == 0
        Job.objects.using(JOBS).filter(pk=job_id).update(kind="test.patient")
        assert claims.take_up_the_unknown() == 1
        assert drained().done == 1

    def test_newer_payload_is_parked_and_taken_up(self) -> None:
        job_id = asked("test.versioned")
        Job.objects.using(JOBS).filter(pk=job_id).update(version=3)
        drained()
        assert (row(job_id).state, row(job_id).error_code) == (JobState.PARKED, "unknown_version")
        assert claims.take_up_the_unknown() == 0
        Job.objects.using(JOBS).filter(pk=job_id).update(version=2)
        assert claims.take_up_the_unknown() == 1
        assert drained().done == 1

    def test_older_payload_is_understood(self) -> None:
        job_id = asked("test.versioned")
        Job.objects.using(JOBS).filter(pk=job_id).update(version=1)
        drained()
        assert row(job_id).result == {"version": 1}


class TestLeases:
    def test_held_job_is_not_taken(self) -> None:
        asked("test.effect")
        assert claims.claim(now=NOW) is not None
        assert claims.claim(now=NOW) is None

    def test_ended_lease_is_taken_over_and_the_late_run_cannot_mark(self) -> None:
        job_id = asked("test.effect")
        stale = claims.claim(now=NOW)
        assert stale is not None
        end_lease(job_id)
        fresh = claims.claim(now=NOW)
        assert fresh is not None
        assert fresh.attempt == 2
        for mark in late_marks(stale):
            with pytest.raises(LeaseLost):
                mark()
        assert row(job_id).leased_by == fresh.token
        claims.finish(fresh, result={"by": "second"})
        for mark in late_marks(stale):
            with pytest.raises(LeaseLost):
                mark()
        assert row(job_id).result == {"by": "second"}

    def test_late_effect_does_not_commit(self) -> None:
        job_id = asked("test.effect")
        stale = claims.claim(now=NOW)
        assert stale is not None
        run = JobRun(claim=stale, now=NOW)
        end_lease(job_id)
        assert drained().done == 1
        for late in (run.fence, run.complete):
            with pytest.raises(LeaseLost):
                effect_and(late, run)
        assert work_kinds.effects() == {"one": 1}

    def test_silent_longer_than_its_lease_is_run_again_with_one_effect(self) -> None:
        asked("test.deaf", payload={"ms": 2500})
        lost: list[RunSummary] = []

        def drain() -> None:
            lost.append(drained())
            connections.close_all()

        first = threading.Thread(target=drain)
        first.start()
        wait_until(lambda: work_kinds.starts().get("one") == 1)
        second = drained()
        first.join(20)
        assert (second.done, lost[0].lost) == (1, 1)
        assert work_kinds.effects() == {"one": 1}

    def test_progress_keeps_the_lease(self) -> None:
        job_id = asked("test.slow", payload={"ms": 3000})

        def drain() -> None:
            drained()
            connections.close_all()

        runner = threading.Thread(target=drain)
        runner.start()
        wait_until(lambda: (row(job_id).progress_done or 0) > 20)
        with using_alias(JOBS):
            seen = queries.progress(job_id=job_id)
        assert seen is not None
        assert seen.total == 100
        assert seen.percent == seen.done
        assert drained().done == 0  # waits for the other runner, since the job is in its hands
        runner.join(20)
        assert work_kinds.starts() == {"one": 1}
        assert work_kinds.effects() == {"one": 1}

    def test_progress_inside_a_scope_is_refused(self) -> None:
        asked("test.effect")
        claim = claims.claim(now=NOW)
        assert claim is not None
        run = JobRun(claim=claim, now=NOW)
        with pytest.raises(RuntimeError, match="between scopes"), transaction_on(JOBS):
            run.progress(1, 2)

    def test_dead_runner_of_this_machine_is_replaced_at_once(self) -> None:
        job_id = asked("test.effect")
        claim = claims.claim(now=NOW)
        assert claim is not None
        machine, pid, started, rest = claim.token.split(":")
        assert not processes.is_gone(claim.token)
        assert claims.end_leases_of_the_dead() == 0
        # Another process of that id: the one that held the lease is gone.
        gone = f"{machine}:{pid}:{int(started) - 1}:{rest}"
        Job.objects.using(JOBS).filter(pk=job_id).update(leased_by=gone)
        assert claims.end_leases_of_the_dead() == 1
        assert drained().done == 1

    def test_runner_of_another_machine_keeps_its_lease(self) -> None:
        job_id = asked("test.effect")
        assert claims.claim(now=NOW) is not None
        Job.objects.using(JOBS).filter(pk=job_id).update(leased_by="elsewhere/1:1:1:abc")
        assert claims.end_leases_of_the_dead() == 0

    @pytest.mark.parametrize("days", [2, -2])
    def test_no_lease_is_lost_to_a_clock_that_jumps(self, days: int) -> None:
        """Leases are taken, renewed and ended by the database's clock alone."""
        asked("test.slow")
        held = claims.claim(now=NOW)
        assert held is not None
        Job.objects.using(JOBS).update(leased_by="elsewhere/1:1:1:abc")
        with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True):
            assert claims.claim(now=datetime.now(UTC)) is None
            assert claims.end_leases_of_the_dead() == 0
            assert claims.due_and_silent(now=NOW, silence=timedelta(0), most=9) == []
        Job.objects.using(JOBS).update(leased_by=held.token)
        with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=True):
            claims.extend(held)
        left = Job.objects.using(JOBS).annotate(left=F("lease_until") - Now()).get().left
        assert timedelta(0) < left <= held.kind.lease

    def test_every_start_counts_until_it_is_parked(self) -> None:
        job_id = asked("test.effect")
        for attempt in range(5):
            claim = claims.claim(now=NOW)
            assert claim is not None
            assert claim.attempt == attempt + 1
            end_lease(job_id)
        assert claims.claim(now=NOW) is None
        assert (row(job_id).state, row(job_id).error_code) == (JobState.PARKED, "runner_lost")


class TestSweeping:
    def test_wakes_for_due_silent_and_lost_jobs_only(self) -> None:
        silence = timedelta(seconds=30)
        announced = asked("test.effect", key="announced")
        later = asked("test.effect", key="later", run_at=NOW + timedelta(hours=1))
        lost = asked("test.effect", key="lost")
        assert claims.claim(now=NOW, job_id=lost) is not None

        def sweep(now: datetime) -> list[UUID]:
            return claims.due_and_silent(now=now, silence=silence, most=10)

        assert sweep(NOW) == []
        end_lease(lost)
        assert sweep(NOW) == [lost]
        Job.objects.using(JOBS).filter(pk=announced).update(dispatched_at=NOW)
        assert sweep(NOW) == [lost, announced]
        assert announced not in sweep(NOW)
        assert later in sweep(NOW + timedelta(hours=1))


class TestDecisions:
    def test_retry_of_a_parked_job(self) -> None:
        job_id = asked("test.invalid")
        drained()
        Job.objects.using(JOBS).filter(pk=job_id).update(kind="test.effect")
        with transaction_on(JOBS):
            jobs.retry(job_id=job_id)
        assert (row(job_id).state, row(job_id).attempts) == (JobState.READY, 0)
        assert drained().done == 1

    def test_cancelled_and_paused_jobs_rest(self) -> None:
        cancelled, paused = asked("test.effect", key="a"), asked("test.effect", key="b")
        with transaction_on(JOBS):
            jobs.cancel(job_id=cancelled)
            jobs.pause(job_id=paused)
        assert drained().done == 0
        with transaction_on(JOBS):
            jobs.resume(job_id=paused)
        assert drained().done == 1
        assert work_kinds.effects() == {"b": 1}

    def test_what_does_not_fit_the_state_is_refused(self) -> None:
        job_id = asked("test.effect")
        drained()
        for verb in (jobs.retry, jobs.cancel, jobs.pause, jobs.resume):
            with pytest.raises(Conflict) as refused, transaction_on(JOBS):
                verb(job_id=job_id)
            assert refused.value.code == "job_state_conflict"
        with pytest.raises(NotFound), transaction_on(JOBS):
            jobs.retry(job_id=uuid4())


class TestWhatIsShown:
    def test_counts_rows_and_health(self) -> None:
        done = asked("test.effect", key="done")
        drained()
        parked = asked("test.invalid", key="parked")
        drained()
        waiting = asked("test.effect", key="waiting", tenant_id=uuid4())
        with using_alias(JOBS):
            counts = {(each.kind, each.state): each.count for each in queries.job_counts()}
            assert counts == {
                ("test.effect", JobState.DONE): 1,
                ("test.effect", JobState.READY): 1,
                ("test.invalid", JobState.PARKED): 1,
            }
            assert [each.id for each in queries.jobs()] == [waiting, parked, done]
            assert [each.id for each in queries.jobs(before=parked)] == [done]
            assert [each.id for each in queries.jobs(states=[JobState.PARKED])] == [parked]
            health = queries.queue_health(now=datetime.now(UTC) + timedelta(minutes=5))
            assert (health.due, health.parked, health.running) == (1, 1, 0)
            assert 300 <= health.oldest_due_seconds <= 360
            assert not health.alive
            detail = queries.job(job_id=parked)
            assert detail is not None
            assert detail.error_detail == "There is no plan; subscribe the tenant first."
            assert queries.job(job_id=uuid4()) is None


def savepoint() -> transaction.Atomic:
    return transaction.atomic(using=DEFAULT)


def effect_and(mark: Callable[[], None], run: JobRun) -> None:
    with transaction_on(JOBS):
        work_kinds.note_effect(run)
        mark()


def late_marks(claim: claims.Claim) -> list[Callable[[], object]]:
    failure = RUNNER_LOST
    return [
        lambda: claims.extend(claim, done=1, total=2),
        lambda: claims.finish(claim, result=None),
        lambda: claims.fail(claim, failure, now=NOW, rest=True),
        lambda: claims.give_back(claim),
    ]


def end_lease(job_id: UUID) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    Job.objects.using(JOBS).filter(pk=job_id).update(lease_until=past)


def run_threads(body: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=body) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool], *, seconds: int = 20) -> None:
    event = threading.Event()
    for _ in range(seconds * 20):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError("it did not happen in time")


def test_several_processes_share_what_is_due() -> None:
    for n in range(8):
        asked("test.effect", key=str(n))

    parallel.run_pending(now=NOW, kinds={"test.effect"}, processes=3)

    assert work_kinds.effects() == {str(n): 1 for n in range(8)}
    assert set(Job.objects.using(JOBS).values_list("state", flat=True)) == {JobState.DONE}
