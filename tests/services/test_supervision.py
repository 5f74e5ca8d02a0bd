"""Programs are started, started again when they die, and never left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from config.environment import CHECKOUT
from config.supervision import Program, ProgramFault, Supervisor

_SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
# A program with a child of its own, which outlives its parent when only that is killed.
_PARENT = (
    sys.executable,
    "-c",
    """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("started", flush=True)
time.sleep(600)
""",
)
_ABANDONED = """
import pathlib, sys, time
from config.supervision import Program, Supervisor
supervisor = Supervisor(home=pathlib.Path(sys.argv[1]), say=print)
supervisor.start(Program(name="abandoned", command=sys.argv[2:]), within_seconds=10)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    supervisor = Supervisor(home=tmp_path, say=said.append)
    yield supervisor
    supervisor.stop(["one", "two"])
    assert _noted(tmp_path) == []


def _noted(home: Path) -> list[int]:
    return [pid for pid, _ in json.loads((home / "programs.json").read_text())]


def _eventually(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def _watched_until(supervisor: Supervisor, condition: Callable[[], bool]) -> None:
    def watched() -> bool:
        supervisor.watch()
        return condition()

    _eventually(watched)


def _group_lives(leader: int) -> bool:
    """Does any process of the group run? (One that has ended may still wait to be buried.)"""
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == leader and process.info["status"] != "zombie":
                return True
        except ProcessLookupError:
            continue
    return False


def test_stopping_takes_a_programs_children_along(supervisor: Supervisor, tmp_path: Path) -> None:
    log = tmp_path / "logs/one.log"
    supervisor.start(
        Program(name="one", command=_PARENT, is_ready=lambda: "started" in log.read_text()),
        within_seconds=10,
    )
    (leader,) = _noted(tmp_path)
    assert _group_lives(leader)
    supervisor.stop(["one"])
    _eventually(lambda: not _group_lives(leader))


def test_program_that_dies_is_started_again_with_its_log_shown(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    count = tmp_path / "count"
    program = (
        "import os,sys,time; open(sys.argv[1],'a').write('x'); print('last words', flush=True)"
    )
    readiness = []
    supervisor.start(
        Program(
            name="one",
            command=(sys.executable, "-c", f"{program}; time.sleep(600)", str(count)),
            is_ready=count.exists,
            when_ready=lambda: readiness.append(1),
        ),
        within_seconds=10,
    )
    os.kill(_noted(tmp_path)[0], signal.SIGKILL)
    _watched_until(supervisor, lambda: bool(said))
    assert "one ended (killed by SIGKILL); started again in 1 s" in said[0]
    assert "last words" in said[0]
    _watched_until(supervisor, lambda: len(readiness) == 2)
    assert count.read_text() == "xx"


def test_program_that_does_not_start_is_a_fault_with_its_last_words(supervisor: Supervisor) -> None:
    broken = Program(
        name="one",
        command=(sys.executable, "-c", "raise SystemExit('no such table')"),
        is_ready=lambda: False,
    )
    with pytest.raises(ProgramFault, match=r"(?s)one ended at once.*no such table"):
        supervisor.start(broken, within_seconds=10)


def test_program_that_is_never_ready_is_a_fault(supervisor: Supervisor) -> None:
    with pytest.raises(ProgramFault, match="one was not ready after 0 s"):
        supervisor.start(
            Program(name="one", command=_SLEEP, is_ready=lambda: False), within_seconds=0.3
        )


def test_program_that_ignores_the_request_to_stop_is_killed(
    supervisor: Supervisor, tmp_path: Path, said: list[str]
) -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('deaf', flush=True); time.sleep(600)"
    )
    log = tmp_path / "logs/one.log"
    supervisor.start(
        Program(
            name="one",
            command=(sys.executable, "-c", deaf),
            is_ready=lambda: "deaf" in log.read_text(),
            patience_seconds=0.3,
        ),
        within_seconds=10,
    )
    supervisor.stop(["one"])
    assert said == ["one did not stop in time and is killed."]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the children")
def test_programs_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    abandoned = _abandoned(tmp_path)
    (leader,) = _noted(tmp_path)
    abandoned.kill()
    abandoned.communicate()
    _eventually(lambda: not psutil.pid_exists(leader))
    # Its own children are its own to end; those of this one are ended by the next supervisor.
    Supervisor(home=tmp_path, say=print).end_leftovers()
    _eventually(lambda: not _group_lives(leader))


def test_next_supervisor_ends_what_a_killed_one_left(tmp_path: Path, said: list[str]) -> None:
    abandoned = _abandoned(tmp_path)
    (leader,) = _noted(tmp_path)
    # The program is killed with its supervisor, its child is not: nobody tells it.
    abandoned.kill()
    os.kill(leader, signal.SIGKILL)
    abandoned.communicate()
    assert _group_lives(leader)
    Supervisor(home=tmp_path, say=said.append).end_leftovers()
    _eventually(lambda: not _group_lives(leader))
    assert said == ["Ending what a killed run has left behind …"]


def test_number_that_has_gone_to_a_stranger_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    with subprocess.Popen(_SLEEP, process_group=0) as stranger:
        (tmp_path / "programs.json").write_text(json.dumps([[stranger.pid, 1.0]]))
        Supervisor(home=tmp_path, say=said.append).end_leftovers()
        assert stranger.poll() is None
        stranger.kill()
    assert said == []


def _abandoned(home: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _ABANDONED, str(home), *_PARENT],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    _eventually(lambda: "started" in (home / "logs/abandoned.log").read_text())
    return process
