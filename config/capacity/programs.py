"""The processes of a deployment, to be killed: workers, schedulers, broker, database.

All are real and live below one SUMMIT_HOME of their own; what is killed is started again, as a supervisor
would.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis

from config import environment
from config.embedded import broker, postgres

WORKERS: Final = 2
SCHEDULERS: Final = 2
_BROKER_SECONDS: Final = 30


class Programs:
    """What runs below `home`; all of it is gone when `running` ends."""

    def __init__(self, home: Path) -> None:
        self._home = home
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
        self._workers = [self._worker() for _ in range(WORKERS)]
        self._schedulers = [self._scheduler() for _ in range(SCHEDULERS)]

    def end(self) -> None:
        for each in [*self._schedulers, *self._workers, *self._brokers]:
            _kill(each)

    def kill_worker(self, place: int) -> None:
        """kill -9 of a worker and of all that it forked; another takes its place."""
        place %= WORKERS
        _kill(self._workers[place])
        self._workers[place] = self._worker()

    def kill_scheduler(self, place: int) -> None:
        """kill -9 of one of the schedulers; another takes its place."""
        place %= SCHEDULERS
        _kill(self._schedulers[place])
        self._schedulers[place] = self._scheduler()

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

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._celery("worker", "--concurrency=1", "--queues=pulse,work", "--without-gossip")

    def _scheduler(self) -> subprocess.Popen[bytes]:
        return self._celery("beat", "--pidfile=")

    def _celery(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "celery", "--app=config.celery", program, *options)
        return self._started(program, *command, "--loglevel=WARNING")

    def _started(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=environment.CHECKOUT,
                env={
                    **own_environment(self._home),
                    "BROKER_URL": self._broker.url,
                    "LOG_LEVEL": "WARNING",
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
def running(home: Path) -> Iterator[Programs]:
    """Everything started; all of it is killed when the block ends."""
    programs = Programs(home)
    try:
        programs.start()
        yield programs
    finally:
        programs.end()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
