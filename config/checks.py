"""``make check``: every check that needs no test run, all of them even when one fails.

Each is a command of its own, printed with ``--list``, so that it can be run alone. Two run at a time,
with an embedded database of their own: the checks never touch yours.
"""

import argparse
import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from config.embedded import postgres
from config.environment import CHECKOUT as ROOT

AT_A_TIME = 2

_PYTHON = (sys.executable, "-m")
_MANAGE = (sys.executable, "manage.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    check: Check
    passed: bool
    seconds: float
    output: str


# The slowest first: the other lane does the rest meanwhile.
CHECKS = (
    Check(name="types", command=(*_PYTHON, "mypy", ".")),
    Check(name="format", command=(*_PYTHON, "ruff", "format", "--check", ".")),
    Check(name="lint", command=(*_PYTHON, "ruff", "check", ".")),
    Check(name="import rules", command=(str(Path(sys.executable).parent / "lint-imports"),)),
    Check(name="templates", command=(*_PYTHON, "djlint", "--lint", "--quiet", ".")),
    Check(name="django", command=(*_MANAGE, "check", "--fail-level=WARNING")),
    Check(name="migrations", command=(*_PYTHON, "config.migration_rules")),
    Check(name="translations", command=(*_PYTHON, "config.messages", "check")),
    Check(
        name="openapi",
        command=(*_MANAGE, "spectacular", "--validate", "--fail-on-warn", "--file", os.devnull),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make check", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print the commands and run nothing")
    parser.add_argument("name", nargs="*", help="only these checks")
    arguments = parser.parse_args()
    chosen = [check for check in CHECKS if not arguments.name or check.name in arguments.name]
    if arguments.list:
        for check in chosen:
            print(f"{check.name}: {shlex.join(check.command)}")
        return 0
    failed = []
    with _own_database() as overlay, ThreadPoolExecutor(AT_A_TIME) as lanes:
        for outcome in lanes.map(lambda check: run(check, overlay=overlay), chosen):
            print(f"{_verdict(outcome)} {outcome.check.name} ({outcome.seconds:.1f} s)", flush=True)
            if not outcome.passed:
                failed.append(outcome)
    for outcome in failed:
        print(f"\n--- {outcome.check.name}: {shlex.join(outcome.check.command)}")
        print(outcome.output.rstrip())
    print(f"\n{len(chosen) - len(failed)} of {len(chosen)} checks passed.")
    return 1 if failed else 0


@contextlib.contextmanager
def _own_database() -> Iterator[dict[str, str]]:
    """The environment of the checks: an empty state folder, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="summit-check-", ignore_cleanup_errors=True) as folder:
        yield {"SUMMIT_HOME": folder, "SUMMIT_TEST_CLUSTER": "1", "DATABASE_URL": ""}
        postgres.stop_if_unused(Path(folder))


def run(check: Check, *, overlay: Mapping[str, str]) -> Outcome:
    """Run one check, with these variables over the environment."""
    began = time.monotonic()
    done = subprocess.run(
        check.command,
        cwd=ROOT,
        env={**os.environ, **overlay},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return Outcome(
        check=check,
        passed=done.returncode == 0,
        seconds=time.monotonic() - began,
        output=done.stdout,
    )


def _verdict(outcome: Outcome) -> str:
    return "ok    " if outcome.passed else "FAILED"


if __name__ == "__main__":
    sys.exit(main())
