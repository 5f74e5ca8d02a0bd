"""Which process runs a job, and whether it still lives.

A lease ends by time on any machine. On the machine that took it, it can end sooner: when the
process that holds it is gone, nobody will finish the job. So a command that was killed and is
started again need not wait for the lease of its predecessor.
"""

import functools
import os
import secrets
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")


def new_token() -> str:
    """A name for one run of one job: ``<machine>:<pid>:<process start>:<random>``."""
    pid = os.getpid()
    return f"{machine()}:{pid}:{_started(pid)}:{secrets.token_hex(6)}"


def is_gone(token: str) -> bool:
    """Whether the process behind the token has surely ended; False where that can't be told."""
    where, _, rest = token.partition(":")
    pid, _, rest = rest.partition(":")
    started = rest.partition(":")[0]
    if not where or where != machine() or not pid.isdecimal() or not started:
        return False
    # A process id is given out again; its start time tells the two apart.
    return _started(int(pid)) != started


@functools.cache
def machine() -> str:
    """This boot of this machine and its namespace of process ids; empty where unknown.

    Not the host's name: two containers may bear the same, and see none of each other's processes.
    """
    try:
        boot = _BOOT_ID.read_text().strip()
        return f"{boot}/{_PIDS.stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """The start of a running process in clock ticks since boot; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The name, in brackets, may itself hold blanks and brackets; field 3 (the state) follows it.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return "" if state in {"Z", "X"} else started
