"""What people look up is written down: error codes, settings, addresses."""

import re
from pathlib import Path

from config import error_codes
from tests.api.test_answers import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]


def test_every_error_code_is_on_its_page() -> None:
    """Mended by `python -m config.error_codes`."""
    uses = error_codes.uses()
    assert error_codes.untold(uses) == set()
    page = error_codes.PAGE.read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {use.code for use in uses} - told == set()
    assert re.findall(r"^\| `(\w+)` \|.*\|\s*\|$", page, re.MULTILINE) == []


def test_every_setting_is_in_the_example() -> None:
    source = (ROOT / "config" / "environment.py").read_text(encoding="utf-8")
    names = set(re.findall(r'(?:values\.get\(|values,\s*|values\[)"([A-Z_]+)"', source))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    told = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    assert len(names) >= 20
    assert names - told == set()
    assert told - names <= {"SEED", "SUMMIT_HOME", "SUMMIT_TEST_CLUSTER"}


def test_every_operation_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "how-to" / "use-the-api.md").read_text(encoding="utf-8")
    for method, path in OPERATIONS:
        shown = re.sub(r"\{\w*?_?(id|key)\}", r"{\1}", path.removeprefix("/api/v1"))
        assert f"`{method} {shown}`" in guide, f"{method} {shown}"
