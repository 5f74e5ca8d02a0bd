"""The processes of a deployment, to be killed: workers, schedulers, broker, database.

All are real and live below one SUMMIT_HOME of their own; what is killed is started again, as a supervisor
would. There are two machines, each with a worker, a scheduler and a clock that can be set wrong; the
database's clock is right.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import redis

from config import environment
from config.embedded import broker, postgres

MACHINES: Final = 2
_BROKER_SECONDS: Final = 30
_CLOCK_SECONDS: Final = 0.3
"""Until all programs have seen that their clock jumped."""


class Programs:
    """What runs below `home`; all of it is gone when `running` ends."""

    def __init__(self, home: Path, *, tenants_a_range: int) -> None:
        self._home = home
        self._tenants_a_range = tenants_a_range
        self._broker = broker.prepared(home)
        self._logs = home / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self._brokers: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._brokers = [self._started("broker", *self._broker.command)]
        until = time.monotonic() + _BROKER_SECONDS
        while not self._broker.is_ready():
            if time.monotonic() > until:
                raise RuntimeError(f"the broker does not answer; see {self._logs / 'broker.log'}")
            time.sleep(0.05)
        self._workers = [self._worker(each) for each in range(MACHINES)]
        self._schedulers = [self._scheduler(each) for each in range(MACHINES)]

    def end(self) -> None:
        for each in [*self._schedulers, *self._workers, *self._brokers]:
            _kill(each)

    def require_all(self) -> None:
        """Raises RuntimeError where a program ended of itself: nothing would bill any more."""
        for each in [*self._schedulers, *self._workers, *self._brokers]:
            if each.poll() is not None:
                raise RuntimeError(f"{each.args!r} ended with {each.returncode}; see {self._logs}")

    def kill_worker(self, machine: int) -> None:
        """kill -9 of a worker and of all that it forked; another takes its place."""
        _kill(self._workers[machine])
        self._workers[machine] = self._worker(machine)

    def kill_scheduler(self, machine: int) -> None:
        """kill -9 of one of the schedulers; another takes its place."""
        _kill(self._schedulers[machine])
        self._schedulers[machine] = self._scheduler(machine)

    def set_clock(self, machine: int, *, wrong_by: timedelta) -> None:
        """Let the clock of a machine jump, under the running programs, to so far from the right time."""
        drafted = self._clock(machine).with_suffix(".new")
        drafted.write_text(str(int(wrong_by.total_seconds())), encoding="ascii")
        drafted.replace(self._clock(machine))
        time.sleep(_CLOCK_SECONDS)

    @staticmethod
    def name_of(machine: int) -> str:
        """What a machine's worker calls its sessions of the database."""
        return f"capacity worker {machine}"

    def empty_broker(self) -> None:
        """All messages are lost."""
        with redis.Redis.from_url(self._broker.url) as client:
            client.flushall()

    def kill_database(self) -> None:
        """kill -9 of the server itself; what it committed is in its journal."""
        status = postgres.Places.below(self._home).data / "postmaster.pid"
        os.kill(int(status.read_text(encoding="utf-8").splitlines()[0]), signal.SIGKILL)

    def keep_database(self) -> None:
        """Start the database again if it is gone."""
        postgres.ensure_running(self._home)

    def _clock(self, machine: int) -> Path:
        return self._home / f"clock-{machine}"

    def _worker(self, machine: int) -> subprocess.Popen[bytes]:
        return self._celery(
            machine, "worker", "--concurrency=1", "--queues=pulse,work", "--without-gossip"
        )

    def _scheduler(self, machine: int) -> subprocess.Popen[bytes]:
        return self._celery(machine, "beat", "--pidfile=")

    def _celery(self, machine: int, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "celery", "--app=config.capacity.deployment", program)
        return self._started(program, *command, *options, "--loglevel=WARNING", machine=machine)

    def _started(self, name: str, *command: str, machine: int = 0) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=environment.CHECKOUT,
                env={
                    **own_environment(self._home),
                    "BROKER_URL": self._broker.url,
                    "LOG_LEVEL": "WARNING",
                    "PGAPPNAME": self.name_of(machine),
                    "CAPACITY_CLOCK": str(self._clock(machine)),
                    "CAPACITY_TENANTS_A_RANGE": str(self._tenants_a_range),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def own_environment(home: Path) -> Mapping[str, str]:
    """Ours below a state folder of its own, without servers that it may name: those are not to be killed."""
    named = {"DATABASE_URL", "BROKER_URL"}
    own = {name: value for name, value in os.environ.items() if name not in named}
    return {**own, "SUMMIT_HOME": str(home)}


@contextmanager
def running(home: Path, *, tenants_a_range: int) -> Iterator[Programs]:
    """Everything started; all of it is killed when the block ends."""
    programs = Programs(home, tenants_a_range=tenants_a_range)
    try:
        programs.start()
        yield programs
    finally:
        programs.end()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
