"""Set-up as `make` starts it: clear words when it cannot go on."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import CHECKOUT


def _make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )


def _bootstrap(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "config/bootstrap.py", *arguments],
        cwd=CHECKOUT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_python_that_cannot_do_is_told_with_the_mend() -> None:
    done = _make("setup", "PYTHON=/nonexistent/python3")
    assert done.returncode == 2
    assert "Summit needs Python 3.11 or later, and /nonexistent/python3 is not" in done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_targets_are_listed_with_what_they_do() -> None:
    listed = _make("help").stdout
    for target in ("setup", "run", "test", "check", "bench"):
        assert f"make {target}" in listed


def test_missing_browser_is_told_loudly_and_is_no_failure(tmp_path: Path) -> None:
    done = _bootstrap("browser", PATH=str(tmp_path))
    assert done.returncode == 0
    assert "NO CHROMIUM: THE BROWSER TESTS WILL BE SKIPPED" in done.stdout


def test_named_browser_is_taken(tmp_path: Path) -> None:
    done = _bootstrap("browser", PATH=str(tmp_path), CHROMIUM="/opt/chromium")
    assert (done.returncode, done.stdout) == (0, "")
