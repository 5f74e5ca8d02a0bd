"""`load_plans`: what a file of plans may hold, and that a wrong one changes nothing."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class
from django.core.management.base import OutputWrapper

from billing.catalog.models import PlanVersion
from tests.factories import STANDARD

pytestmark = pytest.mark.usefixtures("db")

WHOLE = json.dumps(STANDARD)


def load(folder: Path, text: str | bytes) -> tuple[int, dict[str, Any]]:
    """Exit status and the JSON document."""
    file = folder / "plans.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    command = load_command_class("billing", "load_plans")
    out = StringIO()
    command.stdout, command.stderr = OutputWrapper(out), OutputWrapper(StringIO())
    try:
        command.run_from_argv(["manage.py", "load_plans", str(file), "--json"])
        status = 0
    except SystemExit as left:
        status = int(left.code or 0)
    return status, json.loads(out.getvalue())


def test_a_plan_is_loaded_once_also_with_a_byte_order_mark(tmp_path: Path) -> None:
    for text, created in ((WHOLE, True), ("\ufeff" + WHOLE, False)):
        status, document = load(tmp_path, text)
        assert status == 0
        assert document["plans"] == [{"key": "standard", "version": 1, "created": created}]


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        (WHOLE.replace('"currency"', '"currency": "USD", "currency"'), 1, "duplicate_key"),
        (WHOLE.replace('"199"', '"1", "amount": "199"'), 1, "duplicate_key"),
        (WHOLE.replace('"199"', "NaN"), 1, "not_json"),
        (WHOLE.replace('"199"', "1e400"), 1, "invalid_plan"),
        (WHOLE.replace('"199"', "199.5"), 1, "invalid_plan"),
        (WHOLE.replace('"199"', 5000 * "9"), 1, "not_json"),
        (100_000 * "[", 1, "not_json"),
        (100_000 * "[" + 100_000 * "]", 1, "not_json"),
        ("", 1, "not_json"),
        ("[]", 1, "not_a_plan"),
        (f"[{WHOLE}, 5]", 1, "not_a_plan"),
        (b"\xff\xfe{", 2, "not_utf8"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused_and_nothing_is_loaded(
    tmp_path: Path, text: str | bytes, status: int, code: str
) -> None:
    found, document = load(tmp_path, text)
    assert (found, document["error"]["code"]) == (status, code)
    assert not PlanVersion.objects.exists()
