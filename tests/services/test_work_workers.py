"""Celery workers, a broker and processes that get killed: every job's effect is there once."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from django.conf import settings
from django.db import OperationalError, connections

from config.embedded import broker as embedded
from tests.services import work_kinds
from work import processes
from work.connections import JOBS, OWNER
from work.domain import JobState
from work.models import Job, OutboxMessage

ROOT = Path(__file__).resolve().parents[2]


class Processes:
    """The processes that a test starts; all are gone when it ends."""

    def __init__(self, broker_url: str) -> None:
        self._environment = {**os.environ, "BROKER_URL": broker_url, "LOG_LEVEL": "WARNING"}
        self._running: list[subprocess.Popen[bytes]] = []

    def set(self, **variables: str) -> None:
        self._environment |= variables

    def worker(
        self, *, concurrency: int = 2, app: str = "config.celery"
    ) -> subprocess.Popen[bytes]:
        return self._start(
            *("celery", "-A", app, "worker", "-I", "tests.services.work_kinds"),
            *("-c", str(concurrency), "-l", "WARNING", "--without-gossip", "--without-mingle"),
        )

    def beat(self) -> subprocess.Popen[bytes]:
        return self._start("celery", "-A", "config.celery", "beat", "-l", "WARNING", "--pidfile=")

    def ticker(self) -> subprocess.Popen[bytes]:
        return self._start("tests.services.work_process", "tick", "0.3")

    def drainer(self) -> subprocess.Popen[bytes]:
        return self._start("tests.services.work_process", "drain")

    def ask(self, kind: str, count: int, *, ms: int = 0) -> None:
        asked = self._start("tests.services.work_process", "ask", kind, str(count), str(ms))
        assert asked.wait(60) == 0

    def run(self, *arguments: str) -> int:
        return self._start("tests.services.work_process", *arguments).wait(60)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9 of the process and all that it forked."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def end(self) -> None:
        for process in self._running:
            if process.poll() is None:
                self.kill(process)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE if "drain" in arguments else None,
            start_new_session=True,
        )
        self._running.append(process)
        return process


class Broker:
    """The embedded broker, which can be emptied, killed and started again on its port."""

    def __init__(self, home: Path) -> None:
        self._prepared = embedded.prepared(home)
        self.url = self._prepared.url
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._prepared.command, stdout=subprocess.DEVNULL)
        wait_until(self._prepared.is_ready)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    started = Broker(tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture(autouse=True)
def work_tables(db: None) -> Iterator[None]:
    work_kinds.make_tables()
    yield
    work_kinds.drop_tables()


@pytest.fixture
def run(broker: Broker, work_tables: None) -> Iterator[Processes]:
    started = Processes(broker.url)
    yield started
    started.end()


def asked_and_done(kind: str) -> tuple[int, int]:
    mine = Job.objects.using(JOBS).filter(kind=kind)
    return mine.count(), mine.filter(state=JobState.DONE).count()


def all_done(kind: str, count: int) -> Callable[[], bool]:
    return lambda: asked_and_done(kind) == (count, count)


def once_each(kind: str, count: int) -> dict[str, int]:
    return {f"{kind} {n}": 1 for n in range(count)}


def test_worker_runs_what_is_asked_for_at_once(run: Processes) -> None:
    run.worker()
    run.ask("test.effect", 1)
    wait_until(all_done("test.effect", 1))
    # No ticker runs here: only the message can have woken the worker for these.
    began = time.monotonic()
    run.ask("test.listener", 20)
    wait_until(all_done("test.listener", 20))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("victim", ["worker and its children", "child"])
def test_worker_killed_in_the_middle_of_a_job(run: Processes, victim: str) -> None:
    run.ticker()
    worker = run.worker(concurrency=1)
    run.ask("test.slow", 1, ms=20_000)
    wait_until(lambda: bool(work_kinds.starts()))
    if victim == "child":
        job = Job.objects.using(JOBS).get(kind="test.slow")
        os.kill(int(job.leased_by.split(":")[1]), signal.SIGKILL)
    else:
        run.kill(worker)
        run.worker(concurrency=1)
    wait_until(all_done("test.slow", 1))
    assert work_kinds.starts() == {"test.slow 0": 2}
    assert work_kinds.effects() == {"test.slow 0": 1}


def test_worker_of_a_lost_machine_is_replaced_when_its_lease_ends(run: Processes) -> None:
    worker = run.worker(concurrency=1)
    run.ask("test.slow", 1, ms=60_000)
    wait_until(lambda: bool(work_kinds.starts()))
    run.kill(worker)
    mine = Job.objects.using(JOBS).filter(kind="test.slow")
    mine.update(leased_by="elsewhere/1:1:1:abc")
    run.ticker()
    run.worker(concurrency=1)
    wait_until(all_done("test.slow", 1))
    assert work_kinds.effects() == {"test.slow 0": 1}


def test_job_that_kills_its_worker_is_parked_and_the_queue_goes_on(run: Processes) -> None:
    run.ticker()
    run.worker(concurrency=3)
    run.ask("test.suicide", 1)
    run.ask("test.effect", 20)
    mine = Job.objects.using(JOBS).filter(kind="test.suicide")
    wait_until(lambda: mine.get().state == JobState.PARKED)
    assert (mine.get().attempts, mine.get().error_code) == (5, "runner_lost")
    assert work_kinds.starts()["test.suicide 0"] == 5
    wait_until(all_done("test.effect", 20))
    assert work_kinds.effects() == once_each("test.effect", 20)


@pytest.mark.parametrize(
    ("jobs", "losses"),
    [(200, 5), pytest.param(1000, 20, marks=pytest.mark.slow)],
)
def test_broker_emptied_at_random_moments(
    run: Processes, broker: Broker, jobs: int, losses: int
) -> None:
    chance = random.Random(33)
    run.ticker()
    run.worker()
    broker.flush()
    run.ask("test.effect", jobs, ms=10)
    for _ in range(losses):
        time.sleep(chance.uniform(0.05, 0.5))
        broker.flush()
    wait_until(all_done("test.effect", jobs), seconds=120)
    assert work_kinds.effects() == once_each("test.effect", jobs)


@pytest.mark.slow
def test_a_message_that_redis_hands_out_again_starts_nothing_twice(
    run: Processes, tmp_path: Path
) -> None:
    """The visibility timeout is shorter than the job; another worker gets the message while it runs."""
    starts = tmp_path / "starts"
    run.set(STARTS=str(starts))
    for _ in range(2):
        run.worker(concurrency=1, app="tests.services.work_short_visibility")
    run.ask("test.slow", 1, ms=15_000)
    wait_until(all_done("test.slow", 1), seconds=90)
    (job_id,) = Job.objects.using(JOBS).filter(kind="test.slow").values_list("id", flat=True)
    assert starts.read_text(encoding="ascii").split().count(str(job_id)) >= 2
    assert work_kinds.starts() == {"test.slow 0": 1}
    assert work_kinds.effects() == {"test.slow 0": 1}


def test_broker_killed_and_back(run: Processes, broker: Broker) -> None:
    run.ticker()
    run.worker()
    run.ask("test.effect", 30, ms=20)
    broker.kill()
    run.ask("test.listener", 10)  # a dead broker does not keep anybody from asking
    time.sleep(3)
    broker.start()
    wait_until(all_done("test.effect", 30), seconds=60)
    wait_until(all_done("test.listener", 10), seconds=60)
    assert work_kinds.effects() == once_each("test.effect", 30) | once_each("test.listener", 10)


@pytest.mark.parametrize("jobs", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_database_restarts_during_an_inline_run(run: Processes, jobs: int) -> None:
    run.ask("test.effect", jobs, ms=10)
    drainers = [run.drainer(), run.drainer()]
    for share in (0.2, 0.5):
        wait_until(effects_above(int(jobs * share)))
        crash_database()
    assert [drainer.wait(120) for drainer in drainers] == [0, 0]
    wait_until(patient(all_done("test.effect", jobs)))
    assert work_kinds.effects() == once_each("test.effect", jobs)


def test_database_restarts_under_a_worker(run: Processes) -> None:
    run.ticker()
    run.worker()
    run.ask("test.effect", 100, ms=20)
    for share in (0.2, 0.5):
        wait_until(effects_above(int(100 * share)))
        crash_database()
    wait_until(patient(all_done("test.effect", 100)), seconds=60)
    assert work_kinds.effects() == once_each("test.effect", 100)


@pytest.mark.parametrize("jobs", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_runners_killed_at_random_moments(run: Processes, jobs: int) -> None:
    chance = random.Random(39)
    run.ask("test.effect", jobs, ms=1)
    drainers = [run.drainer(), run.drainer()]
    for _ in range(5):
        time.sleep(chance.uniform(0.5, 1.0))
        run.kill(drainers.pop(0))
        drainers.append(run.drainer())
    assert [drainer.wait(280) for drainer in drainers] == [0, 0]
    assert asked_and_done("test.effect") == (jobs, jobs)
    assert work_kinds.effects() == once_each("test.effect", jobs)


def test_process_ends_between_commit_and_waking(run: Processes) -> None:
    assert run.run("ask_and_die") == 9
    assert OutboxMessage.objects.using(JOBS).get().relayed_at is None
    Job.objects.using(JOBS).update(dispatched_at=None)
    run.ticker()
    run.worker()
    wait_until(lambda: len(work_kinds.effects()) == 2)
    assert work_kinds.effects() == {"orphan": 1, "test.happened:orphan": 1}


@pytest.mark.parametrize("step", ["work_job", "work_outbox"])
def test_relay_killed_between_its_steps(run: Processes, step: str) -> None:
    """The relay stands still while it makes the jobs, or while it marks the message, and is killed."""
    run.run("ask_and_die")
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION work_test_wait() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM pg_sleep(30); RETURN new; END $$;"
            f"CREATE TRIGGER work_test_wait BEFORE INSERT OR UPDATE ON {step}"
            " FOR EACH ROW EXECUTE FUNCTION work_test_wait()"
        )
    relay = run._start("tests.services.work_process", "relay")
    try:
        wait_until(
            lambda: (
                query_owner("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
                == 1
            )
        )
        run.kill(relay)
        query_owner(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep'"
        )
    finally:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(f"DROP TRIGGER work_test_wait ON {step}; DROP FUNCTION work_test_wait()")
    drainer = run.drainer()
    assert drainer.wait(60) == 0
    assert work_kinds.effects() == {"orphan": 1, "test.happened:orphan": 1}


@pytest.mark.slow
def test_beat_and_worker_keep_a_heartbeat(run: Processes) -> None:
    run.beat()
    run.worker()
    beats = Job.objects.using(JOBS).filter(kind="work.heartbeat", state=JobState.DONE)
    wait_until(lambda: beats.count() >= 1, seconds=60)
    wait_until(lambda: beats.count() >= 2, seconds=100)


@pytest.mark.slow
def test_worker_goes_on_after_thirty_seconds_without_broker(run: Processes, broker: Broker) -> None:
    worker = run.worker()
    run.beat()
    run.ask("test.effect", 1)
    wait_until(all_done("test.effect", 1))
    broker.kill()
    time.sleep(30)
    broker.start()
    run.ask("test.listener", 5)
    wait_until(all_done("test.listener", 5), seconds=90)
    assert worker.poll() is None


def test_dead_process_is_told_from_a_living_one() -> None:
    token = processes.new_token()
    assert not processes.is_gone(token)
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    machine = processes.machine()
    started = int(psutil.Process(sleeper.pid).create_time())
    assert started > 0
    theirs = f"{machine}:{sleeper.pid}:{processes._started(sleeper.pid)}:x"
    assert not processes.is_gone(theirs)
    sleeper.kill()
    wait_until(lambda: processes.is_gone(theirs))  # also while nobody has reaped it
    sleeper.wait(10)
    assert processes.is_gone(theirs)
    assert not processes.is_gone("")
    assert not processes.is_gone("nonsense")


def crash_database() -> None:
    """kill -9 of a server process: PostgreSQL drops all connections and recovers from its journal."""
    if settings.DATABASE_URL:
        pytest.skip("only the embedded server may be crashed")
    connections.close_all()
    with connections[OWNER].cursor() as cursor:
        # Else it would recover all that the tests before this one wrote, which takes minutes.
        cursor.execute("CHECKPOINT")
    with connections[JOBS].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    os.kill(pid, signal.SIGKILL)
    connections.close_all()


def effects_above(count: int) -> Callable[[], bool]:
    return patient(lambda: len(work_kinds.effects()) > count)


def patient(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The condition, which is not met while the database is away."""

    def met() -> bool:
        try:
            return condition()
        except OperationalError:
            connections.close_all()
            return False

    return met


def query_owner(sql: str) -> int:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return int(value)


def wait_until(condition: Callable[[], bool], *, seconds: int = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
