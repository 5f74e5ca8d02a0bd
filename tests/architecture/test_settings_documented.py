"""Every variable that Summit reads is explained in .env.example, and read in one place."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from config import environment
from config.environment import CHECKOUT

# What is read elsewhere, and why that is no setting of an installation.
_ELSEWHERE = {
    "config/bootstrap.py": "set-up runs before the packages are there",
    "config/checks.py": "hands its environment on",
    "config/run.py": "hands its environment on",
    "config/supervision.py": "hands its environment on",
    "config/bench": "hands its environment on",
    "config/capacity": "hands its environment on",
    "tenants/management/commands/create_user.py": "a password for one command, not on its command line",
}


class _Recorder(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def test_example_lists_exactly_what_is_read(tmp_path: Path) -> None:
    asked = _Recorder({"SUMMIT_HOME": str(tmp_path)})
    environment.load(environ=asked)
    environment.is_test_cluster(environ=asked)
    example = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) == asked.asked


def test_environment_is_read_in_one_place() -> None:
    readers = [
        path.relative_to(CHECKOUT).as_posix()
        for room in [
            "billing",
            "config",
            "console",
            "kernel",
            "metering",
            "portal",
            "tenants",
            "ui",
            "work",
        ]
        for path in (CHECKOUT / room).rglob("*.py")
        if re.search(r"os\.environ(?!\.setdefault)|getenv", path.read_text(encoding="utf-8"))
    ]
    assert "config/environment.py" in readers
    stray = [
        path
        for path in readers
        if path != "config/environment.py"
        and not any(path == known or path.startswith(f"{known}/") for known in _ELSEWHERE)
    ]
    assert stray == []
