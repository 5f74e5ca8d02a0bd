"""Keeping programs running: start, watch, start again when they die, stop in order.

Each program is the leader of a process group of its own, so that Ctrl-C in the terminal reaches the
supervisor alone and what a program leaves behind can be ended with it. On Linux the system tells
every program to stop when the supervisor is killed; what still runs then is found again in the
list that the supervisor keeps in a file, and ended by the next one.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
# After so long a life a program's next death is taken for a first one.
_HEALTHY_SECONDS = 60.0
_TAIL_LINES = 15
_LOG_BYTES = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is to be kept running."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True
    # Run each time that it has become ready.
    when_ready: Callable[[], None] = lambda: None
    # From the first request to stop until it is killed.
    patience_seconds: float = 20.0


class ProgramFault(Exception):
    """A program that did not become ready; the message holds the end of its log."""


@dataclass(slots=True)
class _Life:
    """A program that was started, perhaps more than once."""

    program: Program
    process: subprocess.Popen[bytes]
    log: Path
    log_begin: int
    started: float
    is_ready: bool = False
    pause: float = _FIRST_PAUSE_SECONDS
    restart_at: float | None = None

    def log_tail(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self.log_begin)
            lines = log.read()[-20_000:].decode("utf-8", "replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_TAIL_LINES:])


class Supervisor:
    """Runs programs below one state folder; for use by one thread."""

    def __init__(self, *, home: Path, say: Callable[[str], None]) -> None:
        self._logs = home / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)
        self._list = home / "programs.json"
        self._say = say
        self._lives: list[_Life] = []

    def end_leftovers(self) -> None:
        """End what a supervisor that was killed has left behind."""
        try:
            noted = json.loads(self._list.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return
        leaders, groups = [], []
        for pid, created in noted:
            with contextlib.suppress(psutil.NoSuchProcess):  # its children may live nevertheless
                leader = psutil.Process(pid)
                if abs(leader.create_time() - created) >= 1:
                    continue  # the number has gone to a stranger
                leaders.append(leader)
            if _has_group(pid):
                groups.append(pid)
        if groups:
            self._say("Ending what a killed run has left behind …")
        for leader in leaders:
            with contextlib.suppress(psutil.Error):
                leader.terminate()
        psutil.wait_procs(leaders, timeout=20)
        for group in groups:
            _kill_group(group)
        self._list.unlink()

    def start(self, program: Program, *, within_seconds: float) -> None:
        """Start it and wait until it is ready. Raises ProgramFault when it ends or is late."""
        life = self._begin(program)
        self._lives.append(life)
        self._note()
        until = time.monotonic() + within_seconds
        while not self._became_ready(life):
            if life.process.poll() is not None:
                raise ProgramFault(f"{program.name} ended at once:\n{life.log_tail()}")
            if time.monotonic() > until:
                raise ProgramFault(
                    f"{program.name} was not ready after {within_seconds:.0f} s:\n{life.log_tail()}"
                )
            time.sleep(0.05)

    def watch(self) -> None:
        """Look once at every program; start those again that have died."""
        for life in self._lives:
            if life.process.poll() is None:
                self._became_ready(life)
            elif life.restart_at is None:
                self._mourn(life)
            elif time.monotonic() >= life.restart_at:
                self._revive(life)

    def stop(self, names: Iterable[str]) -> None:
        """Stop these programs at once and wait until they and their children are gone."""
        chosen = set(names)
        lives = [life for life in self._lives if life.program.name in chosen]
        for life in lives:
            with contextlib.suppress(ProcessLookupError):
                life.process.terminate()
        began = time.monotonic()
        for life in lives:
            left = life.program.patience_seconds - (time.monotonic() - began)
            try:
                life.process.wait(max(0.1, left))
            except subprocess.TimeoutExpired:
                self._say(f"{life.program.name} did not stop in time and is killed.")
            _kill_group(life.process.pid)
            life.process.wait()
            self._lives.remove(life)
        self._note()

    def _begin(self, program: Program) -> _Life:
        log = self._logs / f"{program.name}.log"
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.rename(log.with_suffix(".log.1"))
        log.touch(mode=0o600)
        begin = log.stat().st_size
        with log.open("ab") as output:
            process = subprocess.Popen(
                program.command,
                env={**os.environ, **program.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
                preexec_fn=stop_with_parent,  # safe: the supervisor has one thread
            )
        return _Life(
            program=program, process=process, log=log, log_begin=begin, started=time.monotonic()
        )

    def _became_ready(self, life: _Life) -> bool:
        if not life.is_ready and life.program.is_ready():
            life.is_ready = True
            life.program.when_ready()
        return life.is_ready

    def _mourn(self, life: _Life) -> None:
        _kill_group(life.process.pid)
        lived = time.monotonic() - life.started
        pause = _FIRST_PAUSE_SECONDS if lived > _HEALTHY_SECONDS else life.pause
        life.restart_at = time.monotonic() + pause
        life.pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        self._say(
            f"{life.program.name} ended ({_ending(life.process.returncode)});"
            f" started again in {pause:.0f} s. The end of {life.log}:\n{life.log_tail()}"
        )

    def _revive(self, life: _Life) -> None:
        new = self._begin(life.program)
        new.pause = life.pause
        self._lives[self._lives.index(life)] = new
        self._note()

    def _note(self) -> None:
        noted = []
        for life in self._lives:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(life.process.pid)
                noted.append([process.pid, process.create_time()])
        draft = self._list.with_suffix(".new")
        draft.write_text(json.dumps(noted), encoding="ascii")
        draft.rename(self._list)


def stop_with_parent() -> None:
    """Have the system send this process SIGTERM when its parent dies (Linux only)."""
    if sys.platform == "linux":
        parent_death_signal = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGTERM)


def _has_group(leader: int) -> bool:
    """Does any process of that group live? As long as one does, the number is not given away."""
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):  # another user's are none of ours
        return False
    return True


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit status {returncode}"
