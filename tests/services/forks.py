"""Programs to be killed: forked from one process that has imported the application.

Each is a process of its own with its own connections, as a command is; only the second of importing
is paid once instead of with each start.
"""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """
import json, os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from django.core.management import call_command, load_command_class
exec(sys.argv[1])
for line in sys.stdin:
    asked = json.loads(line)
    if "wait" in asked:
        answer = os.waitstatus_to_exitcode(os.waitpid(asked["wait"], 0)[1])
    else:
        answer = os.fork()
        if answer == 0:
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(nothing, stream)
            status = 1
            try:
                call_command(*asked["command"])
                status = 0
            except SystemExit as left:
                status = left.code or 0
            finally:
                os._exit(status)
    print(answer, flush=True)
"""


class Forks:
    """Starts a command as often as asked; `prepared` is run once before, to import and to set."""

    def __init__(self, prepared: str) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, prepared],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, *command: str) -> "Fork":
        """The command with its arguments, running."""
        return Fork(forks=self, pid=self.ask({"command": command}))

    def ask(self, asked: dict[str, Any]) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(asked) + "\n")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def end(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(timeout=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One running command."""

    forks: Forks
    pid: int

    def kill(self) -> None:
        """As the machine would: nothing is cleaned up. Nothing happens where it has ended."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """The exit status, negative for a signal."""
        return self.forks.ask({"wait": self.pid})
