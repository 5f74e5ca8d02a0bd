"""Example price books, as `load_plans` takes them; each folder's ``README.md`` tells where their
prices come from."""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_OPERATORS = _FOLDER / "operators"


def plans(book: str) -> list[dict[str, Any]]:
    """The plan documents of an example book, such as ``chat-cloud``."""
    path = _FOLDER / f"{book}.json"
    documents: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["plans"]
    return documents


def operators_plans() -> list[str]:
    """The names of the plans that operators publish, such as ``easemob-pro-2026``, in order."""
    return sorted(path.stem for path in _OPERATORS.glob("*.json"))


def operators_plan(name: str) -> dict[str, Any]:
    """The plan document of that name."""
    path = _OPERATORS / f"{name}.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def tax_rates() -> Any:
    """The example file of dated tax rates, as `load_taxes` takes it."""
    return json.loads((_FOLDER / "taxes.json").read_text(encoding="utf-8"))
